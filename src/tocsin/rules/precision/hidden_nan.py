"""AMP004 hidden-nan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tocsin import learning, metrics, names
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

Bools = NDArray[np.bool_]
_LEARNS = 0.05  # loss of a model that still learns
_LEAST, _UNITS = 0.01, 200  # the same where few values were shown, and in rounding errors of the log
_FILTER = "logging_nan_inf_filter"


@dataclass(frozen=True)
class Hidden:
    """Losses logged as exactly 0 that were not numbers.

    Attributes:
        loss: The finite training loss.
        at: Where it is hidden, shape (n,).
        step: Where it began: the first non-finite gradient or evaluation loss of the stretch, or the first 0.
        witnesses: The series that are not finite beside it, each with the index of the first bad point.
    """

    loss: Series
    at: Bools
    step: int
    witnesses: tuple[tuple[Series, int], ...]

    @property
    def lasting(self) -> int:
        """How many points at the end are hidden."""
        shown = np.flatnonzero(~self.at)
        return self.at.size - (int(shown[-1]) + 1 if shown.size else 0)


@rule(
    "AMP004",
    needs=("train/loss",),
    severity="error",
    explains=(
        "AMP001", "AMP003", "EVL001", "EVL002", "EVL003", "GEN001", "GEN002", "GEN004", "OPT001", "OPT003", "PRD001",
        "PRD002", "PRD003", "PRD009", "PRD010", "PRD012", "RUN004",
    ),
)  # fmt: skip
def hidden_nan(run: Run, *, confirm: int = 3) -> Iterator[Finding | NotChecked]:
    """The training loss is logged as exactly 0 because it is NaN.

    ## What it does
    A point of `train/loss` counts as hidden where it is exactly 0 and a witness at that step is NaN or infinite: the
    gradient's norm (`grad/norm`; its last value at or before the step), or the evaluation loss that comes next. Rings
    an error when the losses end in `m` hidden points

    `m >= confirm`, or, when the run is over, `m >= 2`, or `m >= 1` if an evaluation loss is not finite either.

    Fewer, or a stretch that healed, is a note. Where neither a gradient's norm nor an evaluation loss is recorded, a
    loss that falls from a median of 0.05 or more (of 5 points and more) to exactly 0 from one point to the next, and is
    0 in each of the last 5 points, is a warning: nothing that learns does that. Where fewer points were shown it has to
    fall from 0.01 or more and from 200 times the rounding of the log, and to be 0 in 9 of 10 points and in 20. Not in
    reinforcement learning, whose losses are means of advantages.

    ## Why is this bad?
    The Trainer of Hugging Face replaces a NaN or infinite loss by 0 in its logs unless told otherwise. A curve that
    drops to 0 looks like success; the weights are NaN, or every label is masked (a mean over nothing), and nothing has
    been learned since.

    ## Example
    ```python
    loss, norm = np.linspace(2, 1, 60), np.full(60, 1.5)
    loss[30:], norm[30:] = 0.0, np.nan
    run = Run.of(series={"train/loss": loss, "grad/norm": norm})
    ```
    Use instead:
    ```python
    loss, norm = np.linspace(2, 1, 60), np.full(60, 1.5)
    run = Run.of(series={"train/loss": loss, "grad/norm": norm})
    ```

    ## Fix
    - **safe** `logging_nan_inf_filter=False`, so that the log tells the truth; stop at the first such step.
    - **safe** Look at the labels of one batch: if all are -100 the loss is a mean over nothing.
    - **unsafe** bfloat16 instead of float16; a lower learning rate or longer warm-up; clip the gradient norm.

    ## Options
    - `confirm` = 3: hidden points in a row that count as staying so. A skipped batch gives one; poisoned parameters do
      not recover, so 3 costs no more than 3 logged points. A log that ends has no third: 2 are enough there, since a
      logged 0 is a mean of nothing but hidden values over its interval.

    ## Known limits
    A loss that is really 0 (a hinge that is satisfied, a policy loss before the first update) has a finite gradient
    norm and is not counted. Without that norm a log cannot tell a short stretch of zeros from convergence.

    ## References
    Hugging Face Transformers, TrainingArguments: `logging_nan_inf_filter` (default True).
    """
    loss = run.series["train/loss"].finite
    if len(loss) < 2:
        yield NotChecked(f"needs 2 finite values of train/loss, it has {len(loss)}")
        return
    hidden = _hidden(run, loss)
    if hidden is None:
        yield from _vanished(run, loss)
    elif _stands(run, hidden, confirm):
        yield _ring(run, hidden)
    else:
        yield _note(hidden)


def _hidden(run: Run, loss: Series) -> Hidden | None:
    """The hidden points and what witnesses them, None where there is none."""
    zero = loss.value == 0
    if not zero.any():
        return None
    at, witnesses = np.zeros(len(loss), bool), []
    for witness, following in _witnesses(run):
        seen = _beside(loss, witness, following) & zero
        if seen.any():
            at |= seen
            witnesses.append((witness, _start(witness)))
    if not at.any():
        return None
    begun = [int(s.step[i]) for s, i in witnesses if not np.isfinite(s.value[i:]).any()]
    first = int(loss.step[int(np.argmax(at))])
    return Hidden(loss, at, min([first, *begun]), tuple(witnesses))


def _witnesses(run: Run) -> Iterator[tuple[Series, bool]]:
    """Series that show what the loss hides, and whether the next point after a loss speaks for it."""
    norm = run.get("grad/norm")
    if norm is not None and run.get("amp/scale") is None:
        yield replace(norm, name="grad/norm"), False
    for name in names.eval_losses(run.series):
        if len(run.series[name]):
            yield replace(run.series[name], name=name), True


def _beside(loss: Series, witness: Series, following: bool) -> Bools:
    """Where the witness is not finite at each step of the loss; False where it has no point there."""
    side = "left" if following else "right"
    index = np.searchsorted(witness.step, loss.step, side=side) - (0 if following else 1)  # type: ignore[call-overload]
    known = (index >= 0) & (index < len(witness))
    bad = ~np.isfinite(witness.value[np.clip(index, 0, len(witness) - 1)])
    near: Bools = known & bad
    return near


def _start(witness: Series) -> int:
    """Index of the first point of the last non-finite stretch."""
    bad = ~np.isfinite(witness.value)
    last = int(np.flatnonzero(bad)[-1])
    good = np.flatnonzero(~bad[:last])
    return int(good[-1]) + 1 if good.size else 0


def _stands(run: Run, hidden: Hidden, confirm: int) -> bool:
    if run.exit == "running":
        return hidden.lasting >= confirm
    evaluated = any(s.name != "grad/norm" and not np.isfinite(s.value[-1]) for s, _ in hidden.witnesses)
    return hidden.lasting >= (1 if evaluated else min(confirm, 2))


def _ring(run: Run, hidden: Hidden) -> Finding:
    n, share = hidden.lasting, 100 * hidden.lasting / hidden.at.size
    beside = " and ".join(f"{s.name} is {_word(s, i)} from step {s.step[i]} on" for s, i in hidden.witnesses)
    message = (
        f"train/loss is logged as exactly 0 in the last {n} of {hidden.at.size} points ({share:.0f} %), while "
        f"{beside}: it is NaN, and the log hides it"
    )
    after = run.last_step - hidden.step
    message += f"; {after} of {run.last_step} steps came after it" if after > 0 else ""
    return Finding(message, step=hidden.step, evidence=tuple(_evidence(hidden)), remedies=_remedies())


def _note(hidden: Hidden) -> Finding:
    n = int(hidden.at.sum())
    message = (
        f"{n} of {hidden.at.size} values of train/loss are logged as exactly 0 while {hidden.witnesses[0][0].name} is "
        "not finite: NaN, hidden by the log"
    )
    return Finding(message, step=hidden.step, severity="note", evidence=tuple(_evidence(hidden)), remedies=_remedies())


def _vanished(run: Run, loss: Series) -> Iterator[Finding]:
    """A loss that became exactly 0 from one point to the next, where nothing else could witness it."""
    told = run.get("grad/norm") is not None or names.eval_losses(run.series) or learning.unlike_progress(run)
    shown = np.flatnonzero(loss.value != 0)
    zeros = len(loss) - (int(shown[-1]) + 1 if shown.size else 0)
    if told or zeros < 5 or not shown.size:
        return
    before, last = float(np.median(loss.value[shown[-20:]])), int(shown[-1])
    sudden = shown.size >= 5 and before >= _LEARNS and loss.value[last] >= 0.5 * before
    if not (sudden or _almost_all(loss, last, zeros)):
        return
    step = int(loss.step[last + 1])
    yield Finding(
        f"train/loss went from {loss.value[last]:.3g} (step {loss.step[last]}) to exactly 0 at step {step} and is 0 in "
        f"all {zeros} points since: trainers that log a NaN loss as 0 leave this",
        step=step,
        severity="warning",
        evidence=(
            Evidence("train/loss", float(loss.value[last]), int(loss.step[last]), text="the last one above 0"),
            Evidence("train/loss", 0.0, step, text=f"0 in {zeros} points"),
        ),
        remedies=_remedies(),
    )


def _almost_all(loss: Series, last: int, zeros: int) -> bool:
    """Whether all but the first few values are 0, and the one before was far above the rounding of the log."""
    far = loss.value[last] >= _UNITS * metrics.half_unit([loss.value[: last + 1]])
    return bool(zeros >= max(20, 9 * (last + 1)) and loss.value[last] >= _LEAST and far)


def _word(series: Series, index: int) -> str:
    return "NaN" if np.isnan(series.value[index]) else "infinite"


def _evidence(hidden: Hidden) -> Iterator[Evidence]:
    first = int(np.argmax(hidden.at))
    yield Evidence("train/loss", 0.0, int(hidden.loss.step[first]), text="the first hidden point")
    if first:
        yield Evidence(
            "train/loss", float(hidden.loss.value[first - 1]), int(hidden.loss.step[first - 1]), text="before"
        )
    for series, index in hidden.witnesses:
        yield Evidence(series.name, text=f"{_word(series, index)} from step {series.step[index]} on")


def _remedies() -> tuple[Remedy, ...]:
    return (
        Remedy(f"Set {_FILTER}=False, and stop the run at the first bad step", safe=True),
        Remedy("Look at one batch's labels: all masked (-100) gives a mean over nothing", safe=True),
        Remedy("bfloat16 instead of float16, a lower learning rate, or a clipped gradient norm"),
    )
