"""The learner's closed form and steps of classic control in C, float32 and one pass each.

hatch_build.py compiles it where there is a C compiler. Without it the trainer computes the same
numbers, to rounding, with numpy; tests hold the two together.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

MODULES = ("perceptron", "updates", "classic", "collecting", "passes")
AVAILABLE = all(find_spec(f"{__name__}.{module}") is not None for module in MODULES)
perceptron: Any  # this and the next are the modules, or None if they were not built
updates: Any
classic: Any
collecting: Any
passes: Any
perceptron, updates, classic, collecting, passes = (
    import_module(f"{__name__}.{module}") if AVAILABLE else None for module in MODULES
)
