"""A fuzzer of every method: run by `make fuzz`, and shortly by `tests/contract/test_fuzz.py`."""
