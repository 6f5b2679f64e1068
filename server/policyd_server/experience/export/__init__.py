"""Sealed episodes as files that other programs read. Takes the extra `export`."""
