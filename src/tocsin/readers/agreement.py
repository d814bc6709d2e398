"""Whether two logs tell of the same run: do their curves hold the same numbers, as far as each was printed?"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from tocsin.run import Floats, Ints, Run, Series

_SAMPLE = 512  # points compared in each series
_AGREE = 0.9  # share of the compared points that agree in a series of one run
_CONTRADICT = 0.5  # and below which the two are another's numbers; between them nothing is said (smoothed curves)
_DISTINCT = 3  # different numbers that must agree: two runs of one kind share a few rounded accuracies by chance
_DIGITS = 5  # or one number of so many digits
_SIGNIFICANT = 3  # digits that logs print at least where they count digits and not places
_FLOAT32 = 1e-6
# Runs of one study share their schedules: these prove nothing.
_SHARED = ("lr/", "count/", "amp/", "epoch", "momentum", "weight_decay")


@dataclass(frozen=True, eq=False)
class Agreement:
    """What two runs say of the same series.

    Attributes:
        evidence: Different numbers on which they agree, 0 where they do not, or too few were compared.
        contradicts: Whether there are numbers to compare, and none of the series agrees.
        steps: Step here, step there of the agreeing points, shape (n, 2): empty where both count alike.
    """

    evidence: int = 0
    contradicts: bool = False
    steps: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))


def agreement(one: Run, other: Run) -> Agreement:
    """Compare the series that both have, in order where that agrees, else at shared steps, else at shared epochs."""
    agreed: list[float] = []
    steps = np.empty((0, 2), np.int64)
    disagreeing, compared = 0, 0
    for name in one.series.keys() & other.series.keys():
        if name.startswith(_SHARED):
            continue
        pairs = _paired(one.series[name], other.series[name])
        if not len(pairs):
            continue
        compared += 1
        a, b = one.series[name][pairs[:, 0]], other.series[name][pairs[:, 1]]
        same = _same(a.value, b.value)
        if same.mean() >= _AGREE:
            agreed += np.unique(a.value[same & np.isfinite(a.value)]).tolist()
            at = np.stack([a.step, b.step], axis=1)
            steps = at if len(at) > len(steps) and not np.array_equal(a.step, b.step) else steps
        disagreeing += bool(same.mean() < _CONTRADICT)
    told = len(agreed) >= _DISTINCT or any(_digits(value) >= _DIGITS for value in agreed)
    return Agreement(len(agreed) if told else 0, compared > 0 and disagreeing == compared, steps)


def continues(earlier: Run, later: Run) -> bool:
    """Whether no curve of ``later`` starts again at or before the start of the same curve of ``earlier``."""
    for name in earlier.series.keys() & later.series.keys():
        first, then = earlier.series[name], later.series[name]
        if len(first) > 1 and len(then) > 1 and then.step[0] <= first.step[0]:
            pairs = _at_shared(first.step, then.step)
            if not len(pairs) or _same(first.value[pairs[:, 0]], then.value[pairs[:, 1]]).mean() < _AGREE:
                return False
    return True


def within(part: Run, whole: Run) -> bool:
    """Whether every point of ``part`` stands in ``whole``, too: then it is an earlier state of the same log."""
    if not part.series or not part.series.keys() <= whole.series.keys():
        return False
    return all(_inside(series, whole.series[name]) for name, series in part.series.items())


def _inside(part: Series, whole: Series) -> bool:
    pairs = _at_shared(part.step, whole.step)
    return len(pairs) == len(part) and bool(_same(part.value[pairs[:, 0]], whole.value[pairs[:, 1]]).all())


def _paired(one: Series, other: Series) -> Ints:
    """Indices of points that tell of one moment, shape (n, 2), at most ``_SAMPLE``; none where they are few."""
    enough = min(len(one), len(other)) / 2
    if len(one) == len(other) >= _DISTINCT and _same(one.value, other.value).mean() >= _AGREE:
        pairs = np.stack([np.arange(len(one)), np.arange(len(one))], axis=1)  # one may count epochs, the other batches
    else:
        pairs = _at_shared(one.step, other.step)
    if len(pairs) < enough and _known(one.epoch) and _known(other.epoch):
        pairs = _at_shared(one.epoch, other.epoch)
    if len(pairs) < enough:
        return pairs[:0]
    return pairs[np.unique(np.linspace(0, len(pairs) - 1, _SAMPLE).astype(int))] if len(pairs) > _SAMPLE else pairs


def _known(epoch: Floats) -> bool:
    return bool(np.isfinite(epoch).all())


def _at_shared(one: Ints | Floats, other: Ints | Floats) -> Ints:
    """Indices of equal marks, the k-th of each mark with the k-th."""
    return np.stack(np.intersect1d(_numbered(one), _numbered(other), return_indices=True)[1:], axis=1)


def _numbered(marks: Ints | Floats) -> NDArray[np.complex128]:
    """Each mark with how often it came before, as one complex number: what can be compared at once."""
    order = np.argsort(marks, kind="stable")
    ranked = marks[order]
    first = np.searchsorted(ranked, ranked, side="left")
    again = np.empty(len(marks))
    again[order] = np.arange(len(marks)) - first
    return np.asarray(marks, np.float64) + 1j * again


def _same(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Whether two values are one number, each as it was printed; NaN is NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        unit = np.maximum(_unit(one), _unit(other))
        near = np.abs(one - other) <= 0.51 * unit + _FLOAT32 * np.maximum(np.abs(one), np.abs(other))
    same: NDArray[np.bool_] = near | (np.isnan(one) & np.isnan(other)) | (one == other)
    return same


def _unit(values: Floats) -> Floats:
    """The unit of the last printed digit of each value: 0.001 for 0.25 beside 1.125, and for 1.25 beside 0.1255.

    Logs print so many places, or so many significant digits: the coarser of the two holds for each value.
    """
    finite = values[np.isfinite(values)][:64]
    places = max((_places(float(value)) for value in finite), default=0)
    digits = max((_digits(float(value)) for value in finite), default=0)
    size = np.where(np.isfinite(values) & (values != 0), np.abs(values), 1.0)
    unit: Floats = np.maximum(10.0**-places, 10.0 ** (np.floor(np.log10(size)) + 1 - max(digits, _SIGNIFICANT)))
    return unit


def _places(value: float) -> int:
    exponent = Decimal(repr(value)).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _digits(value: float) -> int:
    """Significant digits of a number."""
    return len(Decimal(repr(value)).normalize().as_tuple().digits) if np.isfinite(value) else 0
