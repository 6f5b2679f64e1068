"""Which version is better, told by recorded decisions and by shares of the traffic.

Pure functions of arrays: no files, no transport, no model. The server and the trainer share them.
"""
