"""Optimisers over flat vectors, gradient clipping, schedules."""
