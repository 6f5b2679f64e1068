"""Equations of environments for many episodes at once, in numpy or torch.

`interface` says what such a form is, so that an environment of a user's own can offer one; `lookup`
finds it. `cartpole`, `acrobot`, `mountain_car` and `pendulum` are those of Gymnasium's classic
control.
"""
