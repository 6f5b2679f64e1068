"""What the graph's outputs mean: one class per kind of distribution, chosen by `chosen.head_for`.

Pure functions of arrays: no session, no request, no protocol.
"""
