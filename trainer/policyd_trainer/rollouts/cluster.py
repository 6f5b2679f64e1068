"""The environment variables that tell a job on a Ray cluster where the cluster is."""

ADDRESS = "RAY_ADDRESS"  # the address of the cluster's head
NODE = "POLICYD_RAY_NODE"  # this machine's name in the cluster
