"""The environment variables that tell a job on a Ray cluster where the cluster is."""

ADDRESS = "RAY_ADDRESS"  # of the head
NODE = "POLICYD_RAY_NODE"  # of this machine, as the cluster knows it
