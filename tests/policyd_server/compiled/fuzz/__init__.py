"""Fuzzes what Cython compiles for serving, under the same sanitizers as the front: `make fuzz`."""
