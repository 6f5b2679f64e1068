"""The version of this package, of its services and of its commands."""

__version__ = "0.2.0"
