"""Where the Ray cluster is: what a job that runs on one is told in its environment."""

ADDRESS = "RAY_ADDRESS"  # of the head
NODE = "POLICYD_RAY_NODE"  # of this machine, as the cluster knows it
