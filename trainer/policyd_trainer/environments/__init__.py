"""Environments stepped side by side, behind one interface.

`vectors`: all episodes at once, by the equations in `forms`. `native`: an environment's own numpy
    vector
environment. `plain`: ordinary environments, one after the other. `make` takes the first that there
is. All report true successors, so the difference between the autoreset modes ends here.
"""
