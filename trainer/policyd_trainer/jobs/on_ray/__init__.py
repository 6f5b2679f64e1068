"""Jobs on a Ray cluster: each attempt is one actor that runs the same command under a guardian.

The trainer never connects to Ray itself, because Ray ends a process that loses its cluster. The
bridge is a process of its own that connects; `launcher` starts it again when it ends. `actor` is
what runs on the cluster's machines, and `mirror` keeps its files in object storage. Actors outlive
bridge and trainer, and are found by name.
"""
