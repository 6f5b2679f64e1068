"""One training run from configuration to promoted version.

`command` is `policyd-trainer train`; `phases` goes through training, evaluating, exporting,
publishing and promoting; `checkpoint` lets a killed run go on; `reporting` shows progress.
"""
