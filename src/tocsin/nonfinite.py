"""Where losses, gradients and parameters are no numbers, and how a log says in words that a run stopped for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin import names
from tocsin.run import Event, Run, Series
from tocsin.tracebacks import parse

Bools = NDArray[np.bool_]
COUNTS = ("grad/nonfinite", "grad/applied_nonfinite", "param/nonfinite")
# Within one step: the loss is computed first, then the gradient, then what the optimizer uses, then the parameters.
PLACES = {"grad/norm": 1, "grad/nonfinite": 1, "grad/applied_nonfinite": 2, "param/nonfinite": 3}
_NUMBERLESS = r"(?:nan|infs?|infinite|infinity|non-?finite|not finite|diverged)"
_SAID = re.compile(rf"\b{_NUMBERLESS}\b|\boverflow(?:ed)?\b", re.IGNORECASE)
_QUIT = r"(?:stop|abort|terminat|exit|quit|halt)"
# The framework or the script ends the training for it: TensorFlow, Detectron2, DETR, Keras, Lightning, MMEngine, ...
_GIVES_UP = re.compile(
    rf"diverged with loss|nan loss during training|loss (?:became|become|has become|turned) {_NUMBERLESS}\b"
    rf"|\bloss\b.{{0,60}}\b{_NUMBERLESS}\b.{{0,120}}\b{_QUIT}|\b{_QUIT}\w*.{{0,60}}\b{_NUMBERLESS}\b.{{0,20}}\bloss"
    rf"|(?<![a-z])loss\b.{{0,60}}\b(?:nan|non-?finite|not finite)\b.{{0,120}}\b{_QUIT}"
    rf"|\bnan loss\b.{{0,60}}\b{_QUIT}|invalid loss, terminating|loss ?tensor is (?:inf|nan)"
    r"|loss (?:returned )?in .?training_step.? is nan",
    re.IGNORECASE,
)
_RAISED = re.compile(
    rf"\b{_NUMBERLESS}\b|NanLoss|FloatingPointError|\b(?:grad\w*|loss|fp16|float16)\b.*\boverflow", re.IGNORECASE
)
_GAVE_UP_SCALING = re.compile(r"loss scale", re.IGNORECASE)
_LONGEST = 160


@dataclass(frozen=True)
class Stretch:
    """The non-finite points with which a series ends so far."""

    name: str
    series: Series
    start: int
    place: int

    @property
    def step(self) -> int:
        return int(self.series.step[self.start])

    @property
    def order(self) -> tuple[int, int]:
        return self.step, self.place

    @property
    def length(self) -> int:
        return len(self.series) - self.start

    @property
    def value(self) -> str:
        if self.name in COUNTS:
            return f"{self.series.value[self.start]:g} entries not finite"
        return "NaN" if np.isnan(self.series.value[self.start]) else "inf"


def bad_points(name: str, series: Series) -> Bools:
    """Which points are bad, shape (n,): NaN or infinite, or, of a count of such entries, above 0."""
    bad: Bools = ~np.isfinite(series.value)
    return bad | (series.value > 0) if name in COUNTS else bad


def stretch(name: str, series: Series | None, place: int = 0) -> Stretch | None:
    """The bad points with which a series ends; None where its last point is good."""
    if series is None or not len(series) or not bad_points(name, series)[-1]:
        return None
    good = np.flatnonzero(~bad_points(name, series))
    return Stretch(name, series, int(good[-1]) + 1 if good.size else 0, place)


def is_judged(name: str) -> bool:
    """Whether a series is one that has to be numbers: a loss, a metric that is better low, a gradient, parameters."""
    return (
        name in PLACES or bool(names.eval_losses([name])) or name.startswith("train/loss") or names.direction(name) < 0
    )


def stretches(run: Run) -> Iterator[Stretch]:
    """The bad end of each loss, gradient and parameter series that has one."""
    losses = ["train/loss", *(f"train/loss/{term}" for term in run.family("train/loss"))]
    for name in [*losses, *PLACES, *names.eval_losses(run.series)]:
        found = stretch(name, run.get(name), 0 if name in losses else PLACES.get(name, 4))
        if found is not None:
            yield found
    yield from _stand_ins(run)


def _stand_ins(run: Run) -> Iterator[Stretch]:
    """Where nothing is called a training loss: perplexity, logloss, RMSE, ... that were numbers, twice in a row now."""
    if run.get("train/loss") is not None or run.family("train/loss"):
        return
    for name, series in run.series.items():
        if name.startswith("val/loss") or names.direction(name) >= 0:
            continue
        found = stretch(name, series, 0 if names.split_of(name) in ("", "train") else 4)
        if found is not None and found.start and found.length >= 2:
            yield found


def scaled(run: Run, stretch: Stretch) -> bool:
    """Whether a dynamic loss scale stands beside it: that halves at overflows, one that stands still skips nothing."""
    scale = run.get("amp/scale")
    if scale is None:
        return False
    since = scale.value[scale.step >= stretch.step]
    return since.size < 3 or bool(np.unique(since).size > 1)


def lengths(bad: Bools) -> list[int]:
    """Lengths of the stretches of True, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
    return [int(n) for n in edges[1::2] - edges[::2]]


def speaks(event: Event) -> bool:
    """Whether the event's text speaks of values that are not finite."""
    return event.kind != "exit" and _SAID.search(event.text) is not None


def last_line(event: Event) -> str:
    """The last line of the event's text, at most 160 characters."""
    return event.text.strip().splitlines()[-1][:_LONGEST]


def gave_up(run: Run) -> tuple[Event, str] | None:
    """The event and the line by which the run itself says that it ended on a loss that is no number.

    A message counts where no finite training loss comes after it, an exception where the run did not finish in spite
    of it. None where there is neither; a loss scale at its minimum is another fault (AMP001).
    """
    for event in reversed(run.events):
        if event.kind == "exception" and event.text.strip():
            line = _raised(event)
            if line and run.exit != "finished":
                return event, line
        elif event.kind in ("message", "warning", "exit"):
            line = next((s.strip()[:_LONGEST] for s in event.text.splitlines() if _GIVES_UP.search(s)), "")
            if line and not _went_on(run, event.step):
                return event, line
    return None


def _raised(event: Event) -> str:
    """The exception's line where it speaks of such values, else ""."""
    failure = parse(event.text)
    lines = [failure.line, failure.cause] if failure is not None else []
    for line in [*lines, last_line(event)]:
        if _RAISED.search(line) and not _GAVE_UP_SCALING.search(line):
            return line[:_LONGEST]
    return ""


def _went_on(run: Run, step: int) -> bool:
    loss = run.get("train/loss")
    return loss is not None and bool(len(loss.finite) and loss.finite.step[-1] > step)
