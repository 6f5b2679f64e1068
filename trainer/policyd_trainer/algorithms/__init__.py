"""REINFORCE and A2C in one code path.

collect -> `estimate` (advantages and value targets; where the two algorithms differ) ->
`learner` (losses, gradients, steps). `loop` names the phases; `losses` holds the formulas.
"""
