"""Shadows: versions that compute beside the one that answers, in a process of their own."""
