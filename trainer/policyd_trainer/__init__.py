"""Learns policies: environments, networks, losses, the loop, evaluation, export, jobs."""

import os

# Small matrices gain nothing from BLAS threads. On a busy machine the waiting for these threads
# takes up to 40 times as long as the work itself. numpy reads the variables once, at its first
# import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
