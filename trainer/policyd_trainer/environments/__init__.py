"""Environments stepped side by side, behind one interface.

`vectors` steps all episodes at once, by the equations in `forms`. `native` steps an environment's
own numpy vector environment. `ordinary` steps environments one after the other. `make` takes the
first of these that there is. All report true successors, so that no other code has to know the
autoreset modes.
"""
