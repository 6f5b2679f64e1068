"""What the graph's outputs mean: one class a kind of distribution, chosen by `chosen.head_for`.

Pure functions of arrays: no session, no request, no protocol.
"""
