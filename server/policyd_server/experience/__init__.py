"""Recording the server's decisions and their outcomes.

Each server has one recorder process, which owns the files. Every worker process puts decisions into
memory that it shares with the recorder, and forwards the calls of ExperienceService over a Unix
socket.
"""
