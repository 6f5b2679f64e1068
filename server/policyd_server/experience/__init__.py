"""Recording what the server decided and what came of it.

Each server has one recorder process, which owns the files. Every worker process puts decisions into
memory that it shares with it, and forwards the calls of ExperienceService over a Unix socket.
"""
