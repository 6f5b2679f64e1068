"""Side-by-side measurement of serving.

This server, its limits and its peers, interleaved in one run.
"""
