"""One module for each command of policyctl."""
