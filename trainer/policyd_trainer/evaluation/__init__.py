"""How good a policy is: whole episodes on seeds of their own, greedy and sampled.

`episodes` plays them, `figures` sums them up; `evaluator` and `selection` pick what is exported
without flattering the figure that is reported.
"""
