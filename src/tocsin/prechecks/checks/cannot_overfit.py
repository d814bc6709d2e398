"""OPT019 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.constant_answer import constant_loss, guessing
from tocsin.prechecks.overfit_samples import samples_learned
from tocsin.prechecks.overfitting import RATES, Curve, overfitted
from tocsin.prechecks.portions import portion, samples_in
from tocsin.prechecks.setup import Batch, SetupError

_LEAST_STEPS = 100
_FURTHER = 5
_REMEDIES = (
    Remedy("Look for what cuts the inputs off from the answer: zeroed or constant inputs, detach(), a dead activation"),
    Remedy("Look at the loss: its sign, its arguments' order and shapes (broadcasting), targets of another batch"),
)


@rule("OPT019", needs=(), scope="setup")
def cannot_overfit(
    bench: Bench,
    *,
    samples: int = 32,
    steps: int = 200,
    seconds: float = 3.0,
    margin: float = 0.1,
    n_samples: int = 0,
    target: float | None = None,
    n_seconds: float = 20.0,
) -> Iterator[Finding | NotChecked]:
    """The model can learn one batch by heart: better, at least, than one constant answer for all of its samples.

    ## What it does
    The first `samples` samples of the first batch are trained on alone, by plain Adam at 1e-3 and at 1e-2 (the rates of
    most first tries; your optimizer is not judged here), without dropout and with the same random numbers at each step.
    BatchNorm stays in train mode: by untrained running statistics it is another model. With l the loss at the
    end (median of the last tenth), l0 the first one, and c the loss of the best constant answer (the model's answer
    replaced by one row for all samples, optimised under your own `losses`), else c = l0:

    - learned: a loss below c/2: silent, and the training stops there; so it is where l <= c - `margin` |c|;
    - rings where l > c - `margin` |c| at both rates, each after 100 steps or more, and the better of the two does not
      fall in its second half (the 95 % interval of the slope contains 0), or so little that five times as many steps
      at that slope would not reach c - `margin` |c|;
    - not checked where the time was too short or it still falls, where a constant has less than .001 of l0 (all
      targets the same, or tiny ones): being better than that says nothing; and with several optimizers in a `step`, for
      the total of opponents (a generator and its critic) is lowered by neither.

    A note where the model has fewer trainable entries than the batch has samples: it may be too small to remember it.

    With `n_samples`, the first so many samples are then trained on in their batches, until the mean loss of a round
    over them is at most `target` (else c/2, c being the best constant answer for all of them). Rings, with the losses
    of a constant answer and of guessing beside it, where after 20 rounds or more it is not and its slope does not lead
    there in five times as many; a note where no target was given and more than a tenth of c was gained.

    ## Why is this bad?
    A few samples can be remembered by any model that is connected to its inputs and its loss, whatever their labels.
    One that cannot answers as if it did not see its inputs, and no amount of data, time or tuning repairs that.

    ## Fix
    - **unsafe** Follow the gradient: from the loss to the first layer (OPT002), from the inputs to the answer (OPT017).

    ## Options
    - `samples` (32): more than enough to tell a constant from an answer, few enough to be learned in seconds.
    - `steps` (200), `seconds` (3): the bound for both rates together. Small networks reach c/2 in 5 to 60 steps.
    - `n_samples` (0: none), `target` (c/2) and `n_seconds` (20, both rates together): the longer question, asked with
      `tocsin.preflight(..., options={"OPT019": {"n_samples": 256, "target": 0.05}})` or in the settings of the project.
    - `margin` (0.1): of |c|. Even a linear model on 32 random samples of 6 features gets 0.2 below.

    ## Known limits
    A loss whose larger part no training can lower (a penalty, a floor by label smoothing near 1) looks as if nothing
    was learned. A constant that drives the loss down without end is replaced by l0. Samples that are equal but for
    their labels cannot be learned. Slow starts (very deep networks without normalisation) may need more time.

    ## References
    Karpathy 2019, A Recipe for Training Neural Networks ("overfit one batch"). Zhang et al. 2017, Understanding deep
    learning requires rethinking generalization (random labels are learned, too).
    """
    if len(bench.setup.optimizers) > 1 and bench.has("step"):
        yield NotChecked("several optimizers in a step of its own: the total need not be what any of them lowers")
        return
    found = list(_one_batch(bench, samples, steps, seconds, margin))
    yield from found
    if n_samples and not any(isinstance(one, Finding) for one in found):
        yield from samples_learned(bench, n_samples, target, n_seconds, _chance)


def _one_batch(bench: Bench, samples: int, steps: int, seconds: float, margin: float) -> Iterator[Finding | NotChecked]:
    batch, n = _first(bench, samples)
    try:
        with bench.restored():
            bench.model.train()
            start = float(bench.terms(batch)["total"].detach())
            constant = constant_loss(bench, batch, n) if n else None
    except SetupError:
        batch, n, constant = bench.train[0], samples_in(bench.train[0]) or 0, None
        with bench.restored():
            bench.model.train()
            start = float(bench.terms(batch)["total"].detach())
    if not math.isfinite(start):
        yield NotChecked(f"the first loss is {start}")
        return
    level = constant if constant is not None else start
    if constant is not None and abs(constant) < 1e-3 * abs(start):
        yield NotChecked(f"one constant answer solves the first batch (loss {constant:.3g}, {start:.3g} at first)")
        return
    curves = list[Curve]()
    for rate in RATES:
        with bench.restored():
            curves.append(
                overfitted(bench, [batch], rate, enough=level - abs(level) / 2, steps=steps, seconds=seconds / 2)
            )
        if min(curves[-1].end, curves[-1].losses[-1]) < level - margin * abs(level):
            return
    yield _judged(bench, batch, n, curves, start, constant, margin)


def _first(bench: Bench, samples: int) -> tuple[Batch, int]:
    n = samples_in(bench.train[0]) or 0
    return (portion(bench.train[0], slice(0, samples)), min(n, samples)) if n else (bench.train[0], 0)


def _judged(
    bench: Bench, batch: Batch, n: int, curves: list[Curve], start: float, constant: float | None, margin: float
) -> Finding | NotChecked:
    best = min(curves, key=lambda curve: curve.end)
    done = min(len(curve.losses) for curve in curves)
    level = constant if constant is not None else start
    reached = best.end + _FURTHER * len(best.losses) * best.trend.slope
    if done < _LEAST_STEPS or (best.trend.falling and reached < level - margin * abs(level)):
        return NotChecked(
            f"the time was too short: {done} steps on one batch took the loss from {start:.4g} to {best.end:.4g}, and "
            f"fewer than {_LEAST_STEPS} were made or it still falls"
        )
    entries = sum(p.numel() for p in bench.trainable.values())
    small = f"; the model has {entries} trainable entries and may be too small" if entries < n else ""
    beside = "one constant answer for all of them has" if constant is not None else "at first it was"
    size = f"{n} samples" if n else "one batch"
    message = (
        f"{len(best.losses)} steps of Adam on {size} alone end at a loss of {best.end:.4g} (lr {best.rate:g}; "
        f"{start:.4g} at first), where {beside} {level:.4g}{_chance(bench, batch)}: the model cannot learn even these "
        f"by heart{small}"
    )
    slope = best.trend
    evidence = (
        Evidence(
            "train/loss", best.end, 0, level, text="loss at the end of training on one batch; the best constant's"
        ),
        Evidence("train/loss", slope.slope, 0, 0.0, (slope.low, slope.high), "its slope a step, second half"),
    )
    return Finding(message, severity="note" if small else None, evidence=evidence, remedies=_REMEDIES)


def _chance(bench: Bench, batch: Batch) -> str:
    """What guessing costs, where the classes are known."""
    try:
        k = guessing(bench.predictions(batch)) if bench.has("predict") else None
    except SetupError:
        k = None
    return f" and guessing among {k} classes ln {k} = {math.log(k):.4g}" if k else ""
