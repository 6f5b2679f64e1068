"""Several processes on one port that load, swap and report as one server.

The supervisor starts them, forwards messages between them, and restarts workers that die. Between
them go JSON lines over a socket pair.
"""
