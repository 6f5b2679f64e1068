"""Learns policies: environments, networks, losses, the loop, evaluation, export, jobs."""

import os

# Small matrices gain nothing from BLAS threads, and on a busy machine waiting for them costs up to
# 40 times the work itself. Read once, when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
