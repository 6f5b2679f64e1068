"""Environments stepped side by side, behind one interface.

`native`: Gymnasium's numpy vector environments, where an environment has one. `plain`: ordinary
environments stepped in this process. `make` chooses. Both report true successors, so the
difference between the autoreset modes ends here.
"""
