"""The files that `policyctl retrain` leaves for a pipeline."""

from policyctl.ci.papers import Papers

__all__ = ["Papers"]
