"""Reference studies: trainings on physical data with the recorder on.

A study is a folder here whose ``__init__`` holds ``STUDY``; adding one edits nothing else.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.studies.study import Study


def names() -> list[str]:
    """The studies there are, sorted; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def load(name: str) -> Study:
    """The study ``name``; this is what imports torch.

    Raises:
        ValueError: There is no such study.
    """
    if name not in names():
        raise ValueError(f"no study {name!r}: choose from {', '.join(names())}")
    study: Study = importlib.import_module(f"{__name__}.{name}").STUDY
    return study
