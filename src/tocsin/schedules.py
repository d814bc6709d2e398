"""What a run says about its learning rate: the rate that was used, the one that was meant, and where it stood."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tocsin.run import Run, Series

_KEYS = frozenset({"lr", "learning_rate", "learningrate", "base_lr", "max_lr", "peak_lr", "lr0", "initial_lr"})
_NUMBER = r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)"
_COMMAND = re.compile(r"(?:^|[\s.+-])(?:lr|learning[-_]rate|base[-_]lr|max[-_]lr|lr0)(?:=|\s+)" + _NUMBER + r"(?=\s|$)")
_NAME = re.compile(r"(?:^|[_\-/ .,])(?:lr|learning[-_]rate)[_=\-]?" + _NUMBER + r"(?=$|[_\-/ ,])", re.IGNORECASE)
_DEEP = 6


@dataclass(frozen=True)
class Nominal:
    """A learning rate that was asked for, and where: ``config:<key>``, the command or the run's name."""

    value: float
    source: str

    @property
    def words(self) -> str:
        """For messages: ``config optimizer.lr``, ``the command``, ``the run's name``."""
        return self.source.replace("config:", "config ")


def main_rate(run: Run) -> Series | None:
    """The learning rate of the parameter group that rose highest; finite values only, None where none is recorded.

    Our own records hold a rate when it changes: the last one is then held to the last step.
    """
    groups = [replace(s.finite, name=f"lr/{group}") for group, s in run.family("lr").items()]
    rates = [s for s in groups if len(s)]
    if not rates:
        return None
    rate = max(rates, key=lambda s: float(s.value.max()))
    if run.source not in ("tocsin", "memory") or rate.step[-1] >= run.last_step:
        return rate
    ends = {"step": run.last_step, "value": rate.value[-1], "epoch": np.nan, "time": np.nan}
    return Series(rate.name, *(np.append(getattr(rate, k), v) for k, v in ends.items()))


def share_of_peak(run: Run, step: int) -> float:
    """The rate at ``step`` over the largest of the run; NaN where unknown or 0."""
    rate = main_rate(run)
    if rate is None or not rate.value.max() > 0:
        return math.nan
    before = rate.until(step)
    return float((before if len(before) else rate[:1]).value[-1] / rate.value.max())


def nominal_rate(run: Run) -> Nominal | None:
    """The rate that the configuration, the command or the run's name asks for; the smallest where they disagree.

    None where there is none, and where the trainer chooses the rate itself (``optimizer: auto`` of Ultralytics).
    """
    if any(str(v).lower() == "auto" for k, v in _leaves(run.config) if k.rpartition(".")[2] == "optimizer"):
        return None
    asked = [Nominal(v, f"config:{k}") for k, v in _rates(run.config)]
    command = str(run.environment.get("command") or "")
    asked += [Nominal(float(m[1]), "the command") for m in _COMMAND.finditer(command)]
    where = "/".join(run.path.parts[-3:]) if run.path is not None else ""
    asked += [Nominal(float(m[1]), "the run's name") for text in (run.name, where) for m in _NAME.finditer(text)]
    sane = [one for one in asked if 0 < one.value <= 100 and math.isfinite(one.value)]
    return min(sane, key=lambda one: one.value, default=None)


def _rates(config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in _leaves(config):
        if key.rpartition(".")[2].lower() in _KEYS and not isinstance(value, bool):
            try:
                yield key, float(value)
            except (TypeError, ValueError, OverflowError):
                continue


def warmup_length(run: Run) -> tuple[str, float] | None:
    """Key and value of the configuration's warm-up length in steps (``warmup_steps``, ``warmup_iters``, ...)."""
    for key, value in _leaves(run.config):
        last = key.rpartition(".")[2].lower()
        counted = "warm" in last and last.endswith(("steps", "iters", "iterations", "updates"))
        if counted and isinstance(value, int | float) and value > 1:
            return key, float(value)
    return None


def _leaves(config: Any, head: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values that are no containers, at most ``_DEEP`` levels down."""
    if isinstance(config, Mapping) and depth < _DEEP:
        for key, value in config.items():
            yield from _leaves(value, f"{head}.{key}" if head else str(key), depth + 1)
    elif not isinstance(config, Mapping | list | tuple):
        yield head, config
