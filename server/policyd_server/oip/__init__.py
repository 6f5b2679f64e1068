"""The Open Inference Protocol v2.

Triton's clients and load generators ask this server as they ask Triton.

The messages are those of the `tritonclient` package: a second copy of the same proto in one process
fails.
"""
