"""Clients: a loop with PolicyClient, and one that was written from the .proto files alone."""
