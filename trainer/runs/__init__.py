"""One training run from configuration to promoted version.

`command` is `python -m trainer train`; `phases` goes through training, evaluating, exporting,
publishing and promoting; `checkpoint` lets a killed run go on; `reporting` shows progress.
"""
