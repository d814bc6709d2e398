"""Scores that repeat to the last digit at every evaluation: what only predictions that never vary would give.

A score that stands still proves nothing by itself: a set of twenty samples, or a model that has converged, does the
same. So each form here asks for a second thing: decisions enough that some would have turned while a loss moved, the
loss that such a constant costs, or the level that only a constant has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin import alternation, learning, metrics
from tocsin.identities import Constant, Group, Key, as_fractions, betrayed, fewest_samples, possible
from tocsin.run import Floats, Run, Series

FEWEST = 4  # evaluations
DECISIONS = 100  # samples of the rarer outcome, by the digits, times evaluations
CLAMPS = {  # what a sample costs whose probability is clamped at: PyTorch 2^-144, Caffe FLT_MIN, 1e-15, ..., Keras 1e-7
    "100": 100.0, "87.34": 87.3365, "34.54": 34.5388, "27.63": 27.6310, "16.12": 16.1181, "15.94": 15.9424,
}  # fmt: skip
_SPECIAL = {"auc": (0.5, "one score for all"), "mcc": (0.0, "one class"), "kappa": (0.0, "one class")}
_SHARES = frozenset(("f1", "precision", "recall", "iou", "dice", "accuracy"))


@dataclass(frozen=True)
class Beside:
    """What was logged beside a group of scores.

    Attributes:
        losses: The loss of its split, then those of training and validation.
        own: The loss of its split, None where there is none.
        training: The training accuracy, as fractions.
        others: Accuracies of other splits, training among them, as fractions.
        precise: Whether scores were printed with 3 decimals or more, so that 0.5 is no rounded 0.48.
        decimals: Those of the losses: how scores will have been printed, too, where all are 0.0.
    """

    losses: tuple[Series, ...]
    own: Series | None
    training: Series | None
    others: tuple[Series, ...]
    precise: bool
    decimals: int


def repeated(group: Group, run: Run) -> Constant | None:
    """What constant the scores of a group betray by never varying; None where it can be something else."""
    if group.step.size < FEWEST or learning.unlike_progress(run):
        return None
    beside = _beside(run, group)
    columns, error = as_fractions(group)
    if not possible({key: float(value[-1]) for key, value in columns.items() if np.isfinite(value[-1])}, error):
        return None
    for key, value in columns.items():
        for what, start, proven in _forms(group, key, value, error, beside):
            if not _contradicted(columns, key, start, error):
                share = float(value[-1]) if key == group.accuracy else math.nan
                return betrayed(group, what, share, start, proven)
    return None


def _forms(group: Group, key: Key, value: Floats, error: float, beside: Beside) -> Iterator[tuple[str, int, bool]]:
    """The constants that one score tells: in words, the index of its first, and whether a second number proves it."""
    measure = key[0]
    if measure in _SPECIAL:
        level, what = _SPECIAL[measure]
        start = _stuck(np.abs(np.nan_to_num(value) - level) <= min(error, 1e-4))
        if value.size - start >= FEWEST and (beside.precise or beside.decimals >= 3):
            yield what, start, False
    elif measure == "r2":
        yield from _fixed_error(group, value)
    elif measure in _SHARES and 0 < value[-1] < 1:
        yield from _share(group, key, value, error, beside)


def _share(group: Group, key: Key, value: Floats, error: float, beside: Beside) -> Iterator[tuple[str, int, bool]]:
    fine, error, start = error <= 5e-4 or beside.precise, min(error, 5e-4), _stuck(value == value[-1])
    whole, count, p = start == 0, value.size - start, float(value[-1])
    fewest = fewest_samples(np.unique(value), error)
    rarer = fewest * min(p, 1 - p)
    enough = fine and fewest > 30 and rarer * count >= DECISIONS and count >= FEWEST
    moved = _moved(beside, group, start)
    if key == group.accuracy:
        if whole and (why := _cost(group, p, error, beside)):
            yield f"one class; {why}", 0, True
        if whole and count >= 5 and _of_equals(p, error):
            alike = any(_agrees(other, p) for other in beside.others)
            if (moved or alike) and beside.precise:
                yield "one of equally frequent classes, or guesses", 0, False
        if fine and alternation.flips(value, error) and _moved(beside, group, 0):
            yield "one class, or the other", 0, False
        if fine and alternation.returns(value, error) and _moved(beside, group, 0):
            yield "one class, then another, and the first again", 0, False
        if fine and alternation.stands_still(value, beside.training, _settles(beside, p)):
            yield "one class, and training scores no better", 0, False
        if fine and not whole and _mostly(value, error) and _settles(beside, p) and not _ahead_or_memorised(beside, p):
            yield f"one class, but in {np.count_nonzero(value != p)} of {value.size} evaluations", 0, False
        if not whole and count >= 8 and enough and _sank(value, start) and _sees_nothing(beside, group, start, p):
            yield "one class", start, False
    told = (_settles(beside, p) or _learns(beside)) if key == group.accuracy else count >= 5
    if whole and enough and moved and told and not _memorised(beside, p):
        yield "one class", 0, False


def _stuck(same: NDArray[np.bool_]) -> int:
    """Index of the first of the unbroken points up to the last for which this holds."""
    others = np.flatnonzero(~same)
    return int(others[-1]) + 1 if others.size else 0


def _contradicted(columns: Mapping[Key, Floats], told: Key, start: int, error: float) -> bool:
    """Whether another score of the group varies meanwhile: decisions, or a ranking better than chance, that change."""
    for (measure, average), value in columns.items():
        part = value[start:][np.isfinite(value[start:])]
        if (measure, average) == told or measure == "r2" or not part.size:
            continue
        level = _SPECIAL.get(measure, (math.nan, ""))[0]
        near = bool(np.all(np.abs(part - level) <= 0.05))
        flipped = told[0] == "accuracy" and np.unique(part).size == 2
        if np.ptp(part) > 4 * error + 1e-9 and not near and not flipped:
            return True
    return False


def _of_equals(p: float, error: float) -> bool:
    """Whether a share is 1/k for a small number k of classes."""
    return any(abs(p - 1 / k) <= error + 1e-9 for k in range(2, 11))


def _agrees(other: Series, p: float) -> bool:
    """Whether the accuracy of another split stands at the same share, to a thousandth."""
    return len(other) >= FEWEST and bool(np.all(np.abs(other.value - p) <= 1e-3))


def _cost(group: Group, p: float, error: float, beside: Beside) -> str:
    """The loss as what a constant costs, in words: of a saturated output, or of the best one for two classes."""
    if beside.own is None:
        return ""
    _, (loss, _) = metrics.aligned(beside.own, _accuracy(group))
    if loss.size < FEWEST - 1 or loss.size < group.step.size / 2:
        return ""
    for said, clamp in CLAMPS.items():
        slack = clamp * error + metrics.half_unit([loss]) + 0.001 * clamp * (1 - p)
        if p < 0.98 and np.all(np.abs(loss - clamp * (1 - p)) <= slack):
            return f"each error costs {said}, the clamp of its logarithm"
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    ratio = loss / entropy
    fewest = fewest_samples(np.array([p]), error)
    chance = p <= 0.6 or not _late(beside.own)  # a calibrated model that has converged may cost as much
    if chance and loss.size >= 8 and fewest >= 100 and np.unique(loss).size >= loss.size / 3 and 0.1 < p < 0.9:
        middle = float(np.median(ratio))
        if 0.98 <= middle <= 1.05 and np.all(np.abs(ratio - middle) <= 0.03):
            return f"the loss is the entropy of that share, {entropy:.4g}"
    return ""


def _accuracy(group: Group) -> Series:
    return Series.of("", group.columns[group.accuracy or ("accuracy", "")], group.step)


def _fixed_error(group: Group, value: Floats) -> Iterator[tuple[str, int, bool]]:
    """R2 of 0 with one and the same error: the mean of the target for every input."""
    errors = [c for (m, _), c in group.columns.items() if m in ("rmse", "mse", "mae")]
    fixed = any(np.ptp(c) == 0 and abs(c[-1]) > 200 * metrics.half_unit([c]) for c in errors)
    if np.all(np.abs(value) <= 0.01) and fixed:
        yield "the mean", 0, False


def _mostly(value: Floats, error: float) -> bool:
    """Whether nine in ten of 10 evaluations and more give one and the same accuracy, of enough samples, to the last.

    Not where it only rose to that in the first of them.
    """
    other = np.flatnonzero(value != value[-1])
    same = value.size - other.size
    rose = other.size == 0 or (other[-1] < value.size / 4 and value[other].max() < value[-1])
    fewest = fewest_samples(value[-1:], error)
    enough = fewest > 30 and fewest * min(value[-1], 1 - value[-1]) * same >= DECISIONS
    return bool(value.size >= 10 and 10 * same >= 9 * value.size and enough and not rose)


def _ahead_or_memorised(beside: Beside, p: float) -> bool:
    return _memorised(beside, p) or (beside.training is not None and _ahead(beside.training, p))


def _sank(value: Floats, start: int) -> bool:
    """Whether the stretch stands at the lowest value so far, and no stretch before it is nearly as long.

    A model that has converged repeats its best value; an evaluation that is only made now and then, each of its own.
    """
    before = value[:start]
    edges = np.flatnonzero(np.diff(before)) + 1
    longest = max(np.diff(np.r_[0, edges, before.size]), default=0)
    return bool(np.all(before >= value[-1])) and longest < (value.size - start) / 2


def _sees_nothing(beside: Beside, group: Group, start: int, p: float) -> bool:
    """Whether the loss of the split still falls meanwhile, and training, where it is known, scores no better."""
    if beside.own is None or (beside.training is not None and _ahead(beside.training, p)):
        return False
    before, after = _thirds(_within(beside.own, group, start))
    return after < 0.95 * before and _shifted(_within(beside.own, group, start)) and _settles(beside, p)


def _settles(beside: Beside, p: float) -> bool:
    """Whether a loss ends where that of a constant does: at the entropy of its share, or above it, if it has settled.

    The best constant output costs the entropy of the targets: that of p and 1 - p for two classes, up to (1 - p)
    ln(K - 1) more for K. Logits that only grow repeat their decisions, too, but soon cost less.
    """
    if not beside.losses:
        return False
    loss = beside.own if beside.own is not None and len(beside.own) else beside.losses[0]
    if not len(loss):
        return False
    last = loss.value[-max(3, len(loss) // 3) :]
    floor, level = -p * math.log(p) - (1 - p) * math.log(1 - p), float(np.median(last))
    settled = len(loss) >= 6 and float(np.ptp(last[-3:])) < 0.02 * level
    return 0.97 * floor <= level <= (floor + (1 - p) * math.log(9) if settled else 1.05 * floor)


def _learns(beside: Beside) -> bool:
    """Whether the training accuracy moves by .05 and more, so that decisions there do change."""
    if beside.training is None or len(beside.training) < FEWEST:
        return False
    before, after = _thirds(beside.training)
    return abs(after - before) > max(0.05, 3 * learning.scatter(beside.training.value))


def _ahead(training: Series, p: float) -> bool:
    return bool(np.median(training.value[-3:]) > p + min(0.05, (1 - p) / 2))


def _memorised(beside: Beside, p: float) -> bool:
    """Whether the record begins late, when training is already far ahead: then decisions may be settled."""
    training = beside.training
    return training is not None and _late(training) and float(np.median(training.value)) > p + 0.1


def _late(series: Series) -> bool:
    """Whether a record begins when training has gone on for long: after epoch 5, or what it holds twice over."""
    first = float(series.epoch[0])
    return first > 5 if first == first else int(series.step[0]) > 2 * int(series.step[-1] - series.step[0])


def _moved(beside: Beside, group: Group, start: int) -> bool:
    """Whether a loss shows that the weights change: a shift beyond noise, or an epoch's mean that jumps about."""
    parts = [_within(loss, group, start) for loss in beside.losses]
    return any(_shifted(part) or (len(part) <= 2 * group.step.size and _jumps(part)) for part in parts)


def _within(loss: Series, group: Group, start: int) -> Series:
    """The points of a loss from the evaluation at index ``start`` on."""
    return loss[int(np.searchsorted(loss.step, group.step[start])) :] if start else loss


def _shifted(loss: Series) -> bool:
    """Whether a loss went up or down by a twentieth of its first level, and by three times its scatter."""
    if len(loss) < 4:
        return False
    before, after = _thirds(loss)
    return abs(after - before) > max(0.05 * abs(before), 3 * learning.scatter(loss.value))


def _thirds(loss: Series) -> tuple[float, float]:
    """Medians of the first and the last third; NaN where nothing was recorded."""
    if not len(loss):
        return math.nan, math.nan
    third = max(1, len(loss) // 3)
    return float(np.median(loss.value[:third])), float(np.median(loss.value[-third:]))


def _jumps(loss: Series) -> bool:
    """Whether a loss by epoch varies by a tenth of its level: no noise of one and the same model."""
    return len(loss) >= 5 and learning.scatter(loss.value) > 0.1 * abs(float(np.median(loss.value)))


def _beside(run: Run, group: Group) -> Beside:
    wanted = (group.loss, "train/" + group.loss.partition("/")[2], "val/loss")
    found = {n: run.series[n].finite for n in wanted if run.get(n)}
    tasks = group.loss.partition("/loss/")[2]
    accuracies = {
        m.split: _as_fraction(run.series[name].finite)
        for name in run.series
        if (m := metrics.read(name)) is not None
        and m.measure == "accuracy"
        and (m.rest == {tasks} if tasks else m.plain)
        and m.split != group.split
    }
    return Beside(
        tuple(loss for loss in found.values() if len(loss)),
        found.get(group.loss) if group.split else None,
        training if (training := accuracies.get("train")) is not None and len(training) else None,
        tuple(other for split, other in accuracies.items() if split and len(other)),
        _precise(run, list(found.values())),
        max((metrics.decimals(loss.value) for loss in found.values()), default=0),
    )


def _as_fraction(series: Series) -> Series:
    scale = 100.0 if metrics.is_percent(series.value) else 1.0
    return Series(series.name, series.step, series.value / scale, series.epoch, series.time)


def _precise(run: Run, losses: Sequence[Series]) -> bool:
    """Whether some score of the run has 3 decimals as a fraction, or the losses are hardly rounded."""
    for name, series in run.series.items():
        metric = metrics.read(name)
        score = metric is not None and metric.measure in metrics.BOUNDED | metrics.SIGNED
        if score and metrics.decimals(series.value) + 2 * metrics.is_percent(series.value) >= 3:
            return True
    return any(metrics.decimals(loss.value) >= 7 for loss in losses)
