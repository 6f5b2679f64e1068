"""Fuzzes what is compiled, under AddressSanitizer and UndefinedBehaviorSanitizer: `make fuzz`."""
