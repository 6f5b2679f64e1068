"""Fuzzes the client's compiled core under AddressSanitizer and UndefinedBehaviorSanitizer."""
