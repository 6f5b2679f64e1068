"""Learns policies: environments, networks, losses, the loop, evaluation, export, jobs."""
