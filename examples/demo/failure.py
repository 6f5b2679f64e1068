"""The error of a demo that did not come to its end."""


class DemoFailure(Exception):
    """A step of the demo failed."""
