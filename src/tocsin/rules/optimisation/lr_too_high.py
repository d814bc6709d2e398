"""OPT010 lr-too-high."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from tocsin import learning, names, nonfinite, schedules, stats, turns
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run, Series

_PARTS = 40
_SPIKES = 3
_BURSTS = 2
_RARE = 0.01  # share of bursts, by the lower end of its interval, up to which they are odd batches
_ABSURD = 1e18  # the square of such a gradient, which optimizers keep, is beyond float32 (3.4e38)
_ORDER, _ORDERS = 10.0, 100.0
_ABOVE = 5.0  # times the loss of a guess
_UNEVEN = 5.0  # largest over smallest loss: that of a guess is the same for all batches, as a mean and as a sum
_POOR = 0.5  # of the first loss: what a run keeps above that its first steps threw off
_HIGH = 0.3  # of the peak of the learning rate: below it the rate is not the cause
_FIRST_STEPS = (
    Remedy("Divide the rate by 10 until the first steps lower the loss; a warm-up; clip the gradient norm"),
    Remedy("Scale inputs and targets to order 1; divide a summed loss by what was summed (samples, accumulated parts)"),
)
_REMEDIES = (
    Remedy("Go back to the checkpoint before the turn", safe=True),
    Remedy("Lower the peak learning rate by 3 to 10, lengthen the warm-up, or clip the gradient norm"),
)


@rule(
    "OPT010",
    needs=("train/loss",),
    severity="warning",
    when="end",
    explains=(
        "AMP001", "AMP003", "EVL001", "EVL002", "EVL003", "EVL004", "GEN001", "GEN002", "GEN003", "GEN004", "GEN005",
        "OBJ006", "OBJ009", "OPT001", "OPT004", "OPT005", "OPT011", "OPT012", "PRD001", "PRD002", "PRD003", "PRD009",
        "PRD010", "PRD012", "RUN004",
    ),
)  # fmt: skip
def lr_too_high(run: Run, *, lost: float = 0.5, rise: float = 0.2) -> Iterator[Finding | NotChecked]:
    """The training loss turns and rises for good while the learning rate is high.

    ## What it does
    The training loss is cut into 40 equal parts with medians `L_1..L_p` (all points where there are fewer), with `i`
    the lowest, `E` the median of the last fifth, and `s` the scatter of the `L` about a slow trend. Rings at the
    step of `i` when

    `E - L_i > max(6 s, rise |L_i|)`, every part of the last fifth has lost `lost` of the fall `L_1 - L_i`,

    the last third does not fall (Theil-Sen) by a tenth of that rise, at least a fifth of the run came after `i`, and
    the learning rate, where it is recorded, stood above 0.3 of its peak then. A warning where the loss ends a tenth
    above its start, or where the evaluations got worse since, too; an error where it ends at 10 times its start; else
    a note. A note as well where one term of the loss fell meanwhile (another grew by design), and where a metric out
    of 1 ends at 0.9 and more (a solved task whose loss moves within next to nothing). Silent where the evaluations
    improved since.

    Seven plainer forms ring without that:

    - **leapt**: within its first 20 values the loss grows to 1000 times the first one. An error where it is no number
      from then on: the steps diverged, and NaN (AMP003) is how that ends. A warning where it is finite again and no
      evaluation improves afterwards, or none leaves a guess;
    - **blown up**: within 32 optimizer steps the norm of the parameters grows to 5 times that of the first sample, in
      the first fifth of the run the loss reaches twice its first value (and 6 scatters more), and it ends above half of
      that or no evaluation leaves a guess; else a note. Initial weights have the size at which signals neither grow nor
      vanish; steps that replace them by others of 5 times that size end wherever the loss is flat;
    - **by orders** (from 3 values): the last fifth, at least 2 values, stands at 10 times the median of the first (5
      times from 6 values on): an error from 100 times on, or from 10 values and 10 times, else a warning; with the same
      exceptions for terms, evaluations and rates;
    - **absurd**: the last two values are above 1e18 in size: an error in every kind of run, since the square of such a
      gradient, which Adam keeps, is infinite in float32;
    - **thrown off at the start**: the evaluations' accuracy never leaves what a guess among 2 to 20 classes reaches
      (`a` between 0.05 and 0.6, all values within 0.1), a quarter of the losses lies above `5 ln(1/a)`, none below
      `0.9 ln(1/a)`, and the largest is 5 times the smallest: the loss of a guess is about `ln(1/a)`, the same for all
      batches, as a mean and as a sum. It comes down because the weights return, not because anything is learned;
    - **thrown back**: at each of 4 evaluations or more after the first the loss is 1.5 times the first and a metric is
      worse by a tenth of the first, and the training loss stood at twice its lowest level for a third of the run after
      it and ends a fifth above it. What a trained model knew is lost, whether or not that loss comes down again.

    - **bursts**: 2 values and more lie above 1000 times the loss's level (the largest of its first value and the
      medians of its first tenth and of all), the lower end of the interval of their share (Wilson) above 0.01, else a
      note; and the last third is at that level again. Clipping and Adam may survive the step, so evaluations that
      improve are no excuse: those batches teach nothing.

    All but the leap and the absurd are a note where the loss ends in NaN: AMP003 tells that, and how it had grown. The
    leapt and the blown up begin at step 0: the rate, the inputs and the weights were so before the first step.

    Spikes (above twice the median of the 50 points before and 10 times their scatter, in 2 points or more, as a single
    hard batch is not) that came down again are a note, from 3 on.

    ## Why is this bad?
    A step beyond the stable size enlarges the error that it should reduce: the weights move away from what was
    learned, and often end in a region without gradient or in NaN.

    ## Example
    ```python
    step = np.arange(400)
    loss = np.where(step < 100, 2.3 * np.exp(-step / 60), 2.9 + 0.002 * step)
    run = Run.of(series={"train/loss": loss, "lr/0": np.full(400, 0.5)})
    ```
    Use instead:
    ```python
    step = np.arange(400)
    run = Run.of(series={"train/loss": 0.1 + 2.2 * np.exp(-step / 60), "lr/0": np.full(400, 0.05)})
    ```

    ## Fix
    - **safe** Go back to the checkpoint before the turn.
    - **unsafe** Lower the peak learning rate by 3 to 10, lengthen the warm-up, or clip the gradient norm.

    ## Options
    - `lost` = 0.5: share of the fall that has to be lost for good. A choice: warm restarts and curriculum jumps of
      healthy runs lose less, or come down again.
    - `rise` = 0.2: least rise as a share of the lowest level.

    ## Known limits
    Needs 10 points (2 for the leapt and the absurd, 3 for most plainer forms); the blown up needs `param/norm` of our
    own records. A leap into NaN may also come from a single batch of another scale. Silent in reinforcement learning
    and adversarial training, whose losses need not fall. Wrong where the training data become harder for good (a
    curriculum whose last stage learns nothing), and where a regression on large targets logs an accuracy that means
    nothing but stays between 0.05 and 0.6. The cause is a likelihood: bad data from the turn on look the same; a lower
    rate in a sibling run tells. Oscillation that stays within the noise of the parts is not seen.

    ## References
    Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability. Sen 1968.
    """
    loss = run.series["train/loss"].finite
    leapt = _leapt(run)
    if leapt is not None and leapt.severity == "error":
        yield leapt
        return
    if len(loss) >= 2 and np.abs(loss.value[-2:]).min() > _ABSURD:
        yield _grown(run, loss, "error")
        return
    if len(loss) < 3:
        yield NotChecked(f"needs 3 finite values of train/loss, it has {len(loss)}")
        return
    if other := learning.unlike_progress(run):
        yield NotChecked(f"the loss of {other} need not fall")
        return
    found = _by_orders(run, loss) or leapt or _thrown_off(run, loss) or _thrown_back(run, loss)
    found = found or _blown_up(run, loss) or _bursts(loss)
    if found is None and len(loss) >= 10:
        found = _risen(run, loss, lost, rise)
    if found is not None:
        yield replace(found, severity="note") if nonfinite.stretch("", run.series["train/loss"]) else found
    elif len(loss) < 10:
        yield NotChecked(f"needs 10 finite values of train/loss, it has {len(loss)}")
    else:
        yield from _spikes(loss)


def _leapt(run: Run) -> Finding | None:
    """A loss that diverges within its first values: for good, or to where nothing is learned any more."""
    loss = run.series["train/loss"]
    leap = turns.leap(loss)
    if leap is None or learning.unlike_progress(run) or learning.begins_late(run):
        return None
    guess = turns.guessing(run)
    if not leap.gone and guess is None and turns.evaluations_since(run, leap.step) == "improved":
        return None
    after = "no number since" if leap.gone else f"it ends at {loss.finite.value[-1]:.3g}, and no evaluation improves"
    after = f"it ends at {loss.finite.value[-1]:.3g} where {guess[0]} is a guess" if guess and not leap.gone else after
    return Finding(
        f"train/loss leapt from {leap.start:.3g} to {leap.top:.3g} by step {leap.step}, and {after}: the first steps "
        f"are far too large for these weights and inputs{_rate(run, leap.step)}",
        severity="error" if leap.gone else "warning",
        evidence=(
            Evidence("train/loss", leap.start, int(loss.step[0]), text="the first loss"),
            Evidence("train/loss", leap.top, leap.step, 1e3 * leap.start, text="the largest of the first 20"),
        ),
        remedies=_FIRST_STEPS,
    )


def _blown_up(run: Run, loss: Series) -> Finding | None:
    """Weights that the first steps replaced by far larger ones, at a loss that never made up for it."""
    thrown = turns.throw(run, loss)
    if thrown is None:
        return None
    ends = "it ends" if thrown.kept == thrown.name else f"{thrown.kept} ends"
    return Finding(
        f"the norm of the parameters went from {thrown.first:.3g} (step {thrown.begin}) to {thrown.then:.3g} by step "
        f"{thrown.step}, {thrown.name} from {thrown.start:.3g} to {thrown.top:.3g} (step {thrown.at}); {ends} at "
        f"{thrown.end:.3g}{_rate(run, thrown.step)}",
        severity=None if thrown.share > _POOR or turns.guessing(run) else "note",
        evidence=(
            Evidence("param/norm", thrown.first, thrown.begin, text="norm of all parameters"),
            Evidence("param/norm", thrown.then, thrown.step, 5 * thrown.first, text="the largest within 32 steps"),
            Evidence(thrown.name, thrown.top, thrown.at, 2 * thrown.start, text="the largest of the first fifth"),
        ),
        remedies=_FIRST_STEPS,
    )


def _risen(run: Run, loss: Series, lost: float, rise: float) -> Finding | None:
    parts = learning.blocks(loss, _PARTS)
    course = turns.Course(parts, int(np.argmin(parts.value)), learning.scatter(parts.value))
    step = int(parts.step[course.low])
    if not turns.turned(course, lost, rise) or schedules.share_of_peak(run, step) < _HIGH:
        return None
    verdict = turns.evaluations_since(run, step)
    return _diverged(run, loss, course, verdict) if verdict != "improved" else None


def _by_orders(run: Run, loss: Series) -> Finding | None:
    """A loss that ends at 10 times its start and more, in each of the last values."""
    n = len(loss)
    start, last = float(np.median(loss.value[: max(1, n // 5)])), loss.value[-max(2, n // 5) :]
    factor = float(last.min()) / start if start > 0 else 0.0
    low = int(np.argmin(loss.value))
    if factor < (_ORDER if n < 6 else _ORDER / 2) or schedules.share_of_peak(run, int(loss.step[low])) < _HIGH:
        return None
    verdict, fell = turns.evaluations_since(run, int(loss.step[low])), turns.fallen_terms(run, int(loss.step[low]))
    if verdict == "improved":
        return None
    return _grown(
        run, loss, "note" if fell else "error" if factor >= (_ORDERS if n < 10 else _ORDER) else "warning", fell
    )


def _grown(run: Run, loss: Series, severity: Severity, fell: Iterable[str] = ()) -> Finding:
    low, top = int(np.argmin(loss.value)), int(np.argmax(loss.value))
    message = (
        f"train/loss grew from {loss.value[low]:.3g} (step {loss.step[low]}) to {loss.value[top]:.3g} (step "
        f"{loss.step[top]}) and ends at {loss.value[-1]:.3g}, {_times(loss)}"
    )
    message += f"; {', '.join(fell)} fell meanwhile" if fell else ""
    return Finding(
        message + _rate(run, int(loss.step[low])),
        step=max(0, int(loss.step[min(low, top)])),
        severity=severity,
        evidence=_points(loss, top, float(loss.value[low])),
        remedies=_REMEDIES,
    )


def _times(loss: Series) -> str:
    if abs(loss.value[-1]) > _ABSURD:
        return "a size whose gradient float32 cannot square"
    return f"{loss.value[-1] / loss.value[0]:.2g} times its start"


def _thrown_off(run: Run, loss: Series) -> Finding | None:
    """A classifier that guesses, at a loss far above that of a guess, and not because it is a sum."""
    guess = turns.guessing(run)
    if guess is None:
        return None
    name, best, step = guess
    high, chance = float(np.quantile(loss.value, 0.75)), -math.log(best)
    uneven = float(loss.value.max()) >= _UNEVEN * float(loss.value.min()) > 0
    if not (uneven and high >= _ABOVE * chance and loss.value.min() >= 0.9 * chance):
        return None
    top = int(np.argmax(loss.value))
    return Finding(
        f"train/loss is above {high:.3g} in a quarter of its values and reaches {loss.value[top]:.3g} (step "
        f"{loss.step[top]}), though {name} never exceeds {best:.3g} and a guess as good loses about {chance:.2g}: the "
        f"first steps threw the weights far off{_rate(run, int(loss.step[0]))}",
        step=max(0, int(loss.step[0])),
        evidence=(*_points(loss, top, chance), Evidence(name, step=step, text=f"at best {best:.3g}")),
        remedies=_REMEDIES,
    )


def _thrown_back(run: Run, loss: Series) -> Finding | None:
    """A first evaluation that none of the later ones comes near, and a training loss that rose as well."""
    parts = learning.blocks(loss, _PARTS)
    low = int(np.argmin(parts.value))
    since, bottom = parts.value[low:], float(parts.value[low])
    rose = np.count_nonzero(since >= 2 * bottom) >= len(parts) / 3 and np.median(since[-3:]) > 1.2 * bottom > 0
    worse = list(turns.worse_than_first(run)) if len(loss) >= 10 and rose else []
    held = next((s for s in worse if s.name in names.eval_losses(run.series)), None)
    if held is None or len(worse) < 2:
        return None
    said = ", ".join(f"{s.name} {s.value[0]:.4g} then {s.value[1]:.4g} to {s.value[-1]:.4g}" for s in worse[:3])
    return Finding(
        f"the first evaluation, at step {held.step[0]}, is the best by far ({said}), and train/loss rose from "
        f"{bottom:.3g} (step {parts.step[low]}) to {since.max():.3g}: the steps since threw away what the model knew",
        step=max(0, int(parts.step[low])),
        evidence=(
            *_points(loss, int(np.argmax(loss.value)), bottom),
            *(Evidence(s.name, float(s.value[-1]), int(s.step[-1]), float(s.value[0]), text="now") for s in worse),
        ),
        remedies=_REMEDIES,
    )


def _rate(run: Run, step: int) -> str:
    share = schedules.share_of_peak(run, step)
    return f"; the learning rate stood at {100 * share:.0f} % of its peak" if share > 0 else ""


def _points(loss: Series, top: int, limit: float) -> tuple[Evidence, ...]:
    return (
        Evidence("train/loss", float(loss.value[0]), int(loss.step[0]), text="the first loss"),
        Evidence("train/loss", float(loss.value[top]), int(loss.step[top]), limit, text="the largest loss"),
        Evidence("train/loss", float(loss.value[-1]), int(loss.step[-1]), limit, text="the last loss"),
    )


def _diverged(run: Run, loss: Series, course: turns.Course, verdict: str) -> Finding:
    parts, step = course.parts, int(course.parts.step[course.low])
    fell = turns.fallen_terms(run, step)
    message = (
        f"train/loss turned at step {step}: it fell from {course.start:.3g} to {course.bottom:.3g}, then rose to "
        f"{course.end:.3g} and stays there over {100 * (1 - course.low / len(parts)):.0f} % of the run"
    )
    message += _rate(run, step)
    message += f"; {', '.join(fell)} fell meanwhile" if fell else ""
    message += f"; the evaluations {verdict}" if verdict else ""
    return Finding(
        message,
        step=step,
        severity="note" if turns.solved(run) else _severity(course, verdict, fell),
        evidence=_points(loss, int(np.argmax(loss.value)), course.bottom),
        remedies=_REMEDIES,
    )


def _severity(course: turns.Course, verdict: str, fell: list[str]) -> Severity:
    if fell:
        return "note"
    if course.end > 10 * abs(course.start) > 0:
        return "error"
    above = course.end > course.start + 0.1 * abs(course.start) + 3 * course.noise
    return "warning" if above or verdict == "got worse" else "note"


def _bursts(loss: Series) -> Finding | None:
    """Values by orders above all others, again and again, of a loss that comes down each time."""
    at, level = turns.outbursts(loss.value)
    if len(at) < _BURSTS:
        return None
    top = int(at[np.argmax(np.abs(loss.value[at]))])
    often = stats.wilson(len(at), len(loss))
    return Finding(
        f"{len(at)} of {len(loss)} values of train/loss are 1000 times its level of {level:.3g} and more, the largest "
        f"{loss.value[top]:.3g} at step {loss.step[top]}, and it comes down each time: nothing bounds it for some "
        "batches (a variance near 0, a logarithm or a division of almost 0, a step too large)",
        subject="bursts",
        step=max(0, int(loss.step[at[0]])),
        severity=None if often[0] > _RARE else "note",
        evidence=(
            Evidence("train/loss", float(loss.value[at[0]]), int(loss.step[at[0]]), level, text="the first of them"),
            Evidence("train/loss", float(loss.value[top]), int(loss.step[top]), level, text="the largest"),
            Evidence("train/loss", interval=often, text=f"{len(at)} of {len(loss)} values [share]"),
        ),
        remedies=(
            Remedy("Log the terms of such a batch; bound the variance or the argument of the logarithm", safe=True),
            Remedy("Clip the gradient norm, or lower the learning rate"),
        ),
    )


def _spikes(loss: Series) -> Iterator[Finding]:
    at = turns.spike_points(loss.value)
    if len(at) < _SPIKES:
        return
    top = int(at[np.argmax(loss.value[at])])
    yield Finding(
        f"train/loss spiked {len(at)} times to twice its level and more and came down again, the highest to "
        f"{loss.value[top]:.3g} at step {loss.step[top]}",
        subject="spikes",
        step=int(loss.step[at[0]]),
        severity="note",
        evidence=(Evidence("train/loss", float(loss.value[top]), int(loss.step[top]), text="the highest spike"),),
        remedies=(Remedy("Clip the gradient norm; look at the batches of those steps"),),
    )
