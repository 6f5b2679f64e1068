"""The scripted environments are registered for every test of the trainer.

Box2D is imported quietly.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from pathlib import Path

with warnings.catch_warnings():
    # Box2D's C code warns during its import; with warnings as errors, that would end the process.
    warnings.simplefilter("ignore")
    importlib.import_module("Box2D")

if "scripted" not in sys.modules:  # tests are no package, so the module is loaded by its path
    spec = importlib.util.spec_from_file_location("scripted", Path(__file__).with_name("scripted.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scripted"] = module
    spec.loader.exec_module(module)
