"""Tocsin: an alarm bell for neural-network training runs.

``watch`` records a run while it trains, ``check`` judges any recorded run with documented rules, ``compare`` holds
several runs against each other, ``read`` gives the runs themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin._version import __version__
from tocsin.api import ReadError, check, read
from tocsin.engine import UnknownRule
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Report, rule
from tocsin.run import Confusion, Evaluation, Event, Moments, Parameter, Run, Series

if TYPE_CHECKING:
    from tocsin.comparison import compare
    from tocsin.prechecks.flight import preflight
    from tocsin.prechecks.reading import reading
    from tocsin.prechecks.setup import Setup, SetupError
    from tocsin.probes.constants import BestConstant, best_constant
    from tocsin.recorder import Recorder, StopTraining, watch

__all__ = [
    "BestConstant",
    "Confusion",
    "Evaluation",
    "Event",
    "Evidence",
    "Finding",
    "Moments",
    "NotChecked",
    "Parameter",
    "ReadError",
    "Recorder",
    "Remedy",
    "Report",
    "Run",
    "Series",
    "Setup",
    "SetupError",
    "StopTraining",
    "UnknownRule",
    "__version__",
    "best_constant",
    "check",
    "compare",
    "preflight",
    "read",
    "reading",
    "rule",
    "watch",
]

_NEEDS_TORCH = {
    "BestConstant": "probes.constants",
    "Recorder": "recorder",
    "Setup": "prechecks.setup",
    "SetupError": "prechecks.setup",
    "StopTraining": "recorder",
    "best_constant": "probes.constants",
    "preflight": "prechecks.flight",
    "reading": "prechecks.reading",
    "watch": "recorder",
}


def __getattr__(name: str) -> Any:
    """Load ``compare``, and the names that need torch, when they are first used."""
    if name == "compare":
        from tocsin.comparison import compare

        return compare
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"tocsin.{_NEEDS_TORCH[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(f"tocsin.{name} needs PyTorch: pip install 'tocsin[torch]'", name="torch") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
