"""Environments that do not behave, as jobs through the trainer's service: run by `make world`."""
