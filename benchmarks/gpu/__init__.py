"""`make bench-gpu`: learning on one GPU in at most 6 minutes, beside a CPU and others' loops.

It needs Python, torch, numpy, pydantic and protobuf, installs nothing and uses no network.
"""
