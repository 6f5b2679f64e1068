"""The demo, the local stack, a user's own environment, and clients."""
