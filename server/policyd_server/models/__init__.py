"""Versions in memory: loading, which one answers, and following the repository."""
