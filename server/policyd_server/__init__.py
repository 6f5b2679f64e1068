"""Serves policies: artifact to session, sampling, PolicyService, forwarding of training."""
