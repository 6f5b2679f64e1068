"""The Open Inference Protocol v2 over HTTP: JSON, and tensors in binary after it.

Requests become the messages of the gRPC protocol and are checked where those are checked.
"""
