"""EVL004 too-good."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tocsin import guessing, learning, metrics, names, tallies
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_BOUNDED = frozenset(("accuracy", "f1", "auc", "map", "iou", "dice", "mcc", "kappa", "r2", "correlation"))
_BEST_ROUND = re.compile(
    r"best iteration(?: is)?:?\s*\[?(?P<round>\d+)\]?\s+(?P<name>\S*?'?s? ?(?:auc|accuracy|f1))\s*[:=]\s*"
    r"(?P<value>\d+(?:\.\d+)?)(?![\d.])",
    re.IGNORECASE,
)
_ROUNDS, _MANY = 3, 1000
_REMEDIES = (
    Remedy(
        "Look for the answer among the inputs: target columns, file names, ids, padding, an unshifted sequence", True
    ),
    Remedy("Count samples shared by training and evaluation, near-duplicates and copies of one source included", True),
    Remedy("Score a trivial model, or the same model on inputs without the suspected part", True),
)


@rule("EVL004", needs=(), explains=("EVL003",), when="end")
def too_good(
    run: Run,
    *,
    leak: float = 1e-4,
    start: float = 0.3,
    nats: float = 0.1,
    scratch: float = 2.0,
    from_scratch: float = 6.0,
) -> Iterator[Finding | NotChecked]:
    """The evaluation is perfect almost at once: the answer may be in the input.

    ## What it does
    Judged at the end, against a training loss that began at `start` or more (a run that continues another begins low).
    With E the evaluation loss of the first evaluation after training began, no later than the end of epoch 1:

    - E <= `leak` of the first training loss (median of its first values): a warning;
    - a score that is exactly 1 (100 %) in every one of at least 3 evaluations from the first on, and an evaluation
      loss below a fiftieth of the training loss of the same time in each of them, which is itself above .1: a warning;
    - such a score alone: a note; so is an R2 or correlation of .9999 and more. Easy tasks exist;
    - boosting that stops early with an AUC, accuracy or F1 of 1 within 3 rounds: a warning. A report by class with
      every recall 1 over 1000 targets and more: a note;
    - a training loss that began at `scratch` nats or more and is exactly 0, with a training score of 100 %, within 100
      steps and the first twentieth of an epoch (where its length is known), and in at least 3 values from there to the
      end: a warning. All targets seen are one class, or stand in the input;
    - training and evaluation losses at the floor of float32 (2e-7 and less, or 0) with an accuracy of exactly 1 from
      epoch 2 on, in 4 epochs and more: a warning, whatever the loss of epoch 1;
    - a training loss that is nothing, below 1e-12 in size in every one of at least 3 values that were not rounded (one
      of them is not exactly 0), or 0 with two terms or more that are all 0: a warning. No target reaches the loss;
    - a language model (a training loss that began at `from_scratch` nats or more, so hundreds of equal choices) whose
      evaluation loss falls below `nats`: a warning. Natural text holds more than that in each token.

    ## Why is this bad?
    A leak makes the study void, and it looks like triumph. It is cheapest to look for on the first day. A loss of
    nothing trains nothing.

    ## Example
    ```python
    train = Series.of("train/loss", [2.31, 0.4, 0.02, 0.004], step=[1, 200, 400, 600])
    val = Series.of("val/loss", [3e-5, 1e-5], step=[600, 1200], epoch=[1, 2])
    run = Run.of(series={"train/loss": train, "val/loss": val})
    ```
    Use instead:
    ```python
    train = Series.of("train/loss", [2.31, 0.4, 0.2, 0.1], step=[1, 200, 400, 600])
    val = Series.of("val/loss", [0.071, 0.046], step=[600, 1200], epoch=[1, 2])
    run = Run.of(series={"train/loss": train, "val/loss": val})
    ```

    ## Fix
    - **safe** Search the inputs for the target; remove one input at a time and see what breaks the score.
    - **safe** Compare hashes of training and evaluation samples, by source and not by row.
    - **safe** In a language model check the causal mask and that the labels are shifted.

    ## Options
    - `leak` (1e-4): one epoch of digits (MNIST) ends at .03 of the first loss, separable toy sets at about .001.
    - `start` (.3): well above what a fine-tuned or resumed run begins with on a task that it knows.
    - `nats` (.1): the best compressors of English text need about 2 nats a word.
    - `scratch` (2): about ln 8; two or three separable classes may be solved in a few steps.
    - `from_scratch` (6): ln 400; below it, small synthetic vocabularies can be solved exactly.

    ## Known limits
    Memorised evaluation text, synthetic languages and templates can be predicted that well by right. A leak that lifts
    a score without making it perfect is not seen here.

    ## References
    Kapoor and Narayanan 2023, Leakage and the reproducibility crisis in machine-learning-based science.
    """
    train = replace(run.series["train/loss"].finite, name="train/loss") if run.get("train/loss") else None
    if train is not None and (first := _nothing(run, train) or _solved(run, train, scratch)) is not None:
        yield first
        return
    at_once = _in_a_few_rounds(run) or _perfect_report(run) or _floor(run)
    if at_once is not None:
        yield at_once
        return
    losses = [run.series[n].finite for n in names.eval_losses(run.series) if len(run.series[n].finite)]
    if train is None or not len(train) or not (losses or metrics.of_evaluations(run.series)):
        yield NotChecked("needs train/loss and the loss or a score of an evaluation")
        return
    begin = float(np.median(train.value[: min(5, max(1, len(train) // 20))]))
    if begin < start or len(train) < 2:
        return
    for loss in losses:
        finding = _at_once(loss, train, begin, leak) or _text(loss, train, begin, nats, from_scratch)
        if finding is not None:
            yield finding
            return
    yield from _perfect(run, train)


def _nothing(run: Run, train: Series) -> Finding | None:
    """A training loss that is 0 to machine precision throughout, not for want of digits."""
    if len(train) < 3 or np.any(np.abs(train.value) >= 1e-12) or learning.unlike_progress(run):
        return None
    terms = {name: term for name, term in run.family("train/loss").items() if len(term) >= 3}
    empty = len(terms) >= 2 and not any(np.any(term.value) for term in terms.values())
    gradient = run.get("grad/norm")
    if not (np.any(train.value) or empty) or (gradient is not None and not np.isfinite(gradient.value).all()):
        return None
    beside = f", and its {len(terms)} terms are 0" if empty else ""
    return Finding(
        f"train/loss is nothing ({train.value[-1]:.3g}) in all {len(train)} values{beside}: no target reaches it, so "
        "nothing is learned",
        subject="train/loss",
        step=int(train.step[0]),
        evidence=(
            Evidence("train/loss", float(train.value[-1]), int(train.step[-1]), 1e-12, text="at most, throughout"),
            *(
                Evidence(f"train/loss/{name}", 0.0, int(term.step[-1]), text="exactly 0")
                for name, term in list(terms.items())[:4]
                if empty
            ),
        ),
        remedies=(Remedy("Count the targets of one training batch as the loss sees them", True), *_REMEDIES),
    )


def _in_a_few_rounds(run: Run) -> Finding | None:
    """Boosting that stops early because a score was perfect within its first rounds."""
    for event in run.events:
        best = _BEST_ROUND.search(event.text) if event.kind in ("early-stop", "best") else None
        if best is not None and int(best["round"]) <= _ROUNDS and float(best["value"]) == 1:
            return Finding(
                f"{best['name']} is 1 after {best['round']} rounds, and training stops: trees as few as that solve "
                "nothing unless an input holds the answer",
                subject=best["name"],
                step=event.step,
                evidence=(Evidence(f"event:{event.kind}", 1.0, event.step, text=event.text.strip()[:120]),),
                remedies=_REMEDIES,
                severity="warning",
            )
    return None


def _perfect_report(run: Run) -> Finding | None:
    """A report by class that is perfect in its only, or each, evaluation, over a thousand targets and more."""
    for report in tallies.reports(run):
        total = float(report.support[-1].sum())
        if total >= _MANY and np.all(report.recall >= 1):
            return Finding(
                f"{report.split}: every one of {total:.0f} targets of {len(report.classes)} classes is found",
                subject=report.split,
                step=int(report.step[0]),
                evidence=tuple(
                    Evidence(f"{report.split}/recall/{c}", 1.0, int(report.step[-1]), text="perfect")
                    for c in report.classes[:5]
                ),
                remedies=_REMEDIES,
                severity="note",
            )
    return None


def _solved(run: Run, train: Series, scratch: float) -> Finding | None:
    """A training loss that is exactly 0, with a perfect score, after a few steps and from there on."""
    zero = train.value == 0
    if len(train) < 4 or not zero[-1] or train.value[0] < scratch or learning.unlike_progress(run):
        return None
    at = len(train) - int(np.argmin(zero[::-1]))
    after = int(train.step[at]) - int(train.step[0])
    per_epoch = run.environment.get("steps_per_epoch")
    within = 0.05 * per_epoch if isinstance(per_epoch, int | float) and per_epoch > 0 else math.inf
    if len(train) - at < 3 or not 0 < after <= min(100, within):
        return None
    for metric in [*metrics.of_training(run.series), *(m for m in metrics.of_evaluations(run.series) if not m.split)]:
        score = run.series[metric.name]
        seen = score.value[score.step >= train.step[at]]
        best = 100.0 if metrics.is_percent(score.value) else 1.0
        if metric.measure == "accuracy" and metric.plain and seen.size >= 3 and np.all(seen == best):
            return Finding(
                f"train/loss falls from {train.value[0]:.4g} to exactly 0 within {after} steps, and {metric.name} is "
                f"{best:g} in each value from there on: do all targets belong to one class?",
                subject="train/loss",
                step=int(train.step[at]),
                evidence=(
                    Evidence("train/loss", 0.0, int(train.step[at]), text=f"after {after} steps"),
                    Evidence(metric.name, best, int(score.step[-1]), text="perfect from there on"),
                ),
                remedies=(Remedy("Count the classes among the targets of the first batches", True), *_REMEDIES),
            )
    return None


def _floor(run: Run) -> Finding | None:
    """Losses at the floor of float32 with an accuracy of exactly 1, from epoch 2 on, evaluations from the first on."""
    held = next(iter(names.eval_losses(run.series)), "")
    found = [n for n in (held, "train/loss") if n and run.get(n) is not None and len(run.series[n].finite) >= 4]
    if "train/loss" not in found or (held and held not in found) or learning.begins_late(run):
        return None
    shown = [replace(run.series[name].finite, name=name) for name in found]
    if not all(_at_floor(run, loss) for loss in shown) or learning.unlike_progress(run):
        return None
    said = " and ".join(f"{loss.name} {loss.value[1]:.3g}" for loss in shown)
    return Finding(
        f"from epoch 2 on nothing is left of the loss ({said}), with an accuracy of 1 in each of {len(shown[0])} "
        "epochs: all targets are one class, or stand in the input",
        subject=shown[0].name,
        step=int(shown[0].step[0]),
        evidence=tuple(
            Evidence(s.name, float(s.value[1]), int(s.step[1]), 2e-7, text="float32's floor") for s in shown
        ),
        remedies=(Remedy("Count the classes among the targets", True), *_REMEDIES),
    )


def _at_floor(run: Run, loss: Series) -> bool:
    """Whether a loss by epoch is next to nothing from epoch 2 on, and the accuracy of its split is 1 there.

    Zeros count where the log prints 4 decimals.
    """
    late, split = loss.value[1:], names.split_of(loss.name)
    least = metrics.decimals(loss.value) >= 4 or bool(np.all(late > 0)) or split != "train"
    if not guessing.by_epoch(loss) or not np.nan_to_num(loss.epoch[0]) <= 1 or not least:
        return False
    if not np.all((late >= 0) & (late <= 2e-7)):
        return False
    for metric in [*metrics.of_evaluations(run.series), *metrics.of_training(run.series)]:
        score = run.series[metric.name].finite
        best = 100.0 if metrics.is_percent(score.value) else 1.0
        own = metric.split == split or (not metric.split and split == "train")
        if own and metric.measure == "accuracy" and metric.plain and len(score) >= 4:
            return bool(np.all(score.value[1:] == best))
    return False


def _at_once(loss: Series, train: Series, begin: float, leak: float) -> Finding | None:
    """An evaluation loss that is next to nothing when the first epoch is over."""
    after = loss[loss.step >= train.step[0]] if loss.step[-1] >= train.step[0] else loss
    epoch = float(after.epoch[0])
    first = epoch <= 1.01 if np.isfinite(epoch) else after.step[0] <= max(2, 0.05 * float(train.step[-1]))
    if not first or not 0 < after.value[0] <= leak * begin:
        return None
    return Finding(
        f"{loss.name} is {after.value[0]:.3g} at its first evaluation (step {after.step[0]}), "
        f"{after.value[0] / begin:.1g} of the first training loss {begin:.3g}",
        subject=loss.name,
        step=int(after.step[0]),
        evidence=(
            Evidence(loss.name, float(after.value[0]), int(after.step[0]), leak * begin, text="after one epoch"),
            Evidence("train/loss", float(train.value[0]), int(train.step[0]), text="where training began"),
        ),
        remedies=_REMEDIES,
    )


def _text(loss: Series, train: Series, begin: float, nats: float, from_scratch: float) -> Finding | None:
    """A language model from scratch that predicts unseen text almost without error."""
    if begin < from_scratch or not loss.value.min() < nats or loss.value[0] > 1.5 * begin:
        return None
    at = int(np.argmax(loss.value < nats))
    if np.any(loss.value < 0) or np.median(loss.value[at:]) >= nats:
        return None
    return Finding(
        f"{loss.name} falls below {nats:g} nats (to {loss.value.min():.3g}) although training began at {begin:.3g}: "
        "no text that was not seen is that easy; are the labels visible?",
        subject=loss.name,
        step=int(loss.step[at]),
        evidence=(
            Evidence(loss.name, float(loss.value[at]), int(loss.step[at]), nats, text="first value below"),
            Evidence("train/loss", float(train.value[0]), int(train.step[0]), text="where training began"),
        ),
        remedies=_REMEDIES,
    )


def _perfect(run: Run, train: Series) -> Iterator[Finding]:
    """Scores that are perfect from the first evaluation on."""
    for metric in metrics.of_evaluations(run.series):
        score = run.series[metric.name].finite
        if not metric.plain or metric.measure not in _BOUNDED or len(score) < 3:
            continue
        best = 100.0 if metrics.is_percent(score.value) else 1.0
        soft = 0.9999 if metric.measure in ("r2", "correlation") else 1.0
        if not np.all((score.value >= soft * best) & (score.value <= best)):
            continue
        beside = _far_below(run, metric, train)
        words = f", and {beside.source} is below a fiftieth of train/loss each time" if beside else ""
        yield Finding(
            f"{metric.name} is {score.value[0]:g} from the first of {len(score)} evaluations on{words}",
            subject=metric.name,
            step=int(score.step[0]),
            evidence=(
                Evidence(metric.name, float(score.value[0]), int(score.step[0]), best, text="perfect at once"),
                *([beside] if beside else []),
            ),
            remedies=_REMEDIES,
            severity="warning" if beside else "note",
        )
        return


def _far_below(run: Run, metric: metrics.Metric, train: Series) -> Evidence | None:
    """The evaluation loss, where it is below a fiftieth of a training loss that still has far to go."""
    loss = run.get(f"{metric.split}/loss")
    if loss is None or len(loss.finite) < 3:
        return None
    seen = loss.finite
    for step, value in zip(seen.step, seen.value, strict=True):
        then = train.until(int(step)).value[-32:]
        if not then.size or np.median(then) < 0.1 or not 0 <= value < np.median(then) / 50:
            return None
    return Evidence(loss.name, float(seen.value[0]), int(seen.step[0]), text="far below the training loss")
