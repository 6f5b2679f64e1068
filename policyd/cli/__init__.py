"""The command policyctl."""
