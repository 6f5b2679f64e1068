"""Shares of an alias's traffic, and canaries that end by evidence."""
