"""From the word of the command line to a ``Setup``: a study, or ``module:function``."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin.prechecks.reading import reading
from tocsin.prechecks.setup import Setup, SetupError, as_setup


def load(target: str, config: Mapping[str, Any] | None = None) -> Setup:
    """The setup that ``module:function`` (or ``path/file.py:function``) gives.

    The function is called without arguments, or with the configuration where it takes one; that notes what is read.

    Raises:
        SetupError: There is no such module or function, it raised, or it gave no setup.
    """
    module, _, name = target.rpartition(":")
    if not module or not name:
        raise SetupError(f"expected a study or module:function, got {target!r}")
    function = _found(module, name)
    wrapped = reading(dict(config)) if config is not None else None
    try:
        made = function(wrapped) if wrapped is not None and _takes_one(function) else function()
    except Exception as error:
        raise SetupError(f"{target} raised {type(error).__name__}: {error}") from error
    setup = as_setup(made)
    if setup.config is None and wrapped is not None:
        from dataclasses import replace

        setup = replace(setup, config=wrapped)
    return setup


def _found(module: str, name: str) -> Any:
    here = str(Path.cwd())
    try:
        if module.endswith(".py"):
            path = Path(module).resolve()
            sys.path.insert(0, str(path.parent))
            found = importlib.import_module(path.stem)
        else:
            sys.path.insert(0, here)
            found = importlib.import_module(module)
    except Exception as error:
        raise SetupError(f"cannot import {module}: {type(error).__name__}: {error}") from error
    finally:
        del sys.path[0]
    function = getattr(found, name, None)
    if not callable(function):
        there = sorted(k for k, v in vars(found).items() if inspect.isfunction(v) and v.__module__ == found.__name__)
        raise SetupError(f"{module} has no function {name}; it has {', '.join(there) or 'none'}")
    return function


def _takes_one(function: Any) -> bool:
    try:
        return len(inspect.signature(function).parameters) >= 1
    except (TypeError, ValueError):
        return False
