"""From the word of the command line to a ``Setup``: a study, or ``module:function``."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
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
    given = () if wrapped is None or not _takes_one(function) else (wrapped,)
    try:
        made = function(*given)
    except (Exception, SystemExit) as error:
        raise SetupError(f"{target} raised {type(error).__name__}: {error}") from error
    setup = as_setup(made)
    return replace(setup, config=wrapped) if setup.config is None and wrapped is not None else setup


def _found(module: str, name: str) -> Any:
    try:
        found = _of_file(Path(module)) if module.endswith(".py") else _of_name(module)
    except (Exception, SystemExit) as error:
        raise SetupError(f"cannot import {module}: {type(error).__name__}: {error}") from error
    function = getattr(found, name, None)
    if not callable(function):
        there = sorted(k for k, v in vars(found).items() if inspect.isfunction(v) and v.__module__ == found.__name__)
        raise SetupError(f"{module} has no function {name}; it has {', '.join(there) or 'none'}")
    return function


def _of_name(module: str) -> ModuleType:
    _findable(Path.cwd())
    return importlib.import_module(module)


def _of_file(path: Path) -> ModuleType:
    """The module of this file, even where another of its name (``statistics.py``) is there already."""
    path = path.resolve()
    _findable(path.parent)
    held = sys.modules.get(path.stem)
    if held is not None and getattr(held, "__file__", None) == str(path):
        return held
    taken = held is not None or path.stem in sys.stdlib_module_names
    spec = importlib.util.spec_from_file_location(f"preflight_{path.stem}" if taken else path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("no Python file")
    made = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[spec.name]  # as an import that fails
        raise
    return made


def _findable(folder: Path) -> None:
    """From now on: what is found there may import its neighbours later, as may its workers."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _takes_one(function: Any) -> bool:
    """Whether it takes an argument by position."""
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError):
        return False
    return True
