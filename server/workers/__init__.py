"""Several processes on one port that load, swap and report as one server.

The supervisor starts them, forwards what one tells the others, and starts again who dies. Between them go
JSON lines over a socket pair.
"""
