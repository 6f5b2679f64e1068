"""What servers record and learners read: the journal of open episodes and the log of sealed ones.

No torch, no grpc: the server's recorder and the trainer's learner share this package.
"""

#: The environment in the metadata of a policy that learned only from its clients.
CLIENTS = "clients"
