"""What servers record and learners read: the journal of open episodes and the log of sealed ones.

No torch, no grpc: the server's recorder and the trainer's learner share this package.
"""

#: What metadata names as the environment of a policy that learned from its clients alone.
CLIENTS = "clients"
