"""The rise of an evaluation loss that too few evaluations show, or too uneven ones, for the slope of their trend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, names, stats
from tocsin.rises import FEW, Rise, around
from tocsin.run import Run, Series

FAR = 1.5  # factor that no evaluation set worth its name moves by on its own: noise of 15 % is 3 sd of it
AWAY = 4.0  # factor of the last two evaluations that noise does not reach, even of a half
_ORDERED = 0.05  # p value of an order, times the places where the lowest evaluation might have been
_STANDS = 1.3  # factor between the lowest evaluations in a row and those of the last third
_ABOUT = 5  # the lowest evaluations in a row
_LEVEL = 0.01  # of their difference, shared among the places where the lowest might have been


@dataclass(frozen=True)
class Stand:
    """Evaluations that stand above the lowest ones in a row, in whatever order.

    Attributes:
        count: Evaluations of the last third.
        factor: Their geometric mean over that of the lowest 5 in a row; ``low`` and ``high`` its interval.
    """

    count: int
    factor: float
    low: float
    high: float

    @property
    def proven(self) -> bool:
        return self.low > 1 and self.factor >= _STANDS


def stand(loss: Series) -> Stand | None:
    """The last third, 5 and more, against the lowest 5 in a row, by Student's interval of the logarithms.

    The noise is that from one evaluation to the next, from the lowest 5 on (von Neumann 1941), so that a step between
    the two counts against it. None below 10 evaluations, where one of the last third lies below one of the lowest 5,
    and where a loss is not positive.
    """
    y, n = loss.value, len(loss)
    count = max(_ABOUT, n // 3)
    if n < count + _ABOUT or y.min() <= 0:
        return None
    logs = np.log(y)
    start = int(np.argmin(np.convolve(logs[:-count], np.ones(_ABOUT), "valid")))
    lowest, last, moves = logs[start : start + _ABOUT], logs[-count:], np.diff(logs[start:])
    if last.min() <= lowest.max():
        return None
    noise = math.sqrt(float((moves**2).mean()) / 2 * (1 / _ABOUT + 1 / count))
    half = stats.t_of(1 - 2 * _LEVEL / n, 2 * moves.size / 3) * noise
    far = float(last.mean() - lowest.mean())
    return Stand(count, math.exp(far), math.exp(far - half), math.exp(min(far + half, 700.0)))


@dataclass(frozen=True)
class Early:
    """What few evaluations show after their lowest one.

    Attributes:
        risen: The lowest evaluation.
        order: One-sided p value of their order from the lowest on (Mann-Kendall).
        fall: Fall of the training loss since the lowest, as a share of it.
        agree: What else says the same, in words: losses of other sets, a score that only training reaches.
    """

    risen: Rise
    order: float
    fall: float
    agree: tuple[str, ...]

    @property
    def now(self) -> float:
        """The last one, or the mean of the last two where 3 or more came after the lowest and not one by one higher."""
        last = self.risen.loss.value[-2:] if self.after >= 3 and not self.steady else self.risen.loss.value[-1:]
        return float(last.mean())

    @property
    def share(self) -> float:
        return (self.now - self.risen.minimum) / abs(self.risen.minimum) if self.risen.minimum else 0.0

    @property
    def after(self) -> int:
        return len(self.risen.loss) - 1 - self.risen.lowest

    @property
    def steady(self) -> bool:
        """Whether each of 2 evaluations or more after the lowest is higher than the one before."""
        return self.after >= 2 and bool(np.all(np.diff(self.risen.loss.value[self.risen.lowest :]) > 0))

    def rises(self, share: float, p: float) -> bool:
        """Whether it rises in order and by so much, and the training loss fell by as much."""
        return self.order < p and self.share >= share and self.fall >= share

    @property
    def far(self) -> bool:
        """Whether it rose by a factor that no evaluation moves by on its own, and by 4 times their noise if known."""
        y = self.risen.loss.value
        noise = learning.scatter(y) if y.size >= FEW else 0.0
        return (
            0 < self.risen.minimum * FAR <= self.now and self.now - self.risen.minimum > 4 * noise and self.fall >= 0.5
        )

    @property
    def away(self) -> bool:
        """Whether it rose in order to 4 times the lowest, the median of the last third to twice that."""
        y, lowest = self.risen.loss.value, self.risen.minimum
        late = float(np.median(y[-max(3, y.size // 3) :]))
        return 0 < 2 * lowest <= late and y[-2:].mean() >= AWAY * lowest and self.order * y.size < _ORDERED


def lowest_of(loss: Series) -> Rise:
    """What stands after the lowest evaluation, whatever it is."""
    at = int(np.argmin(loss.value))
    return Rise(loss, at, at, float(loss.value[at]), 0, 0.0, 0.0)


def early(run: Run, loss: Series, train: Series) -> Early:
    """The lowest evaluation, what followed, and what the training loss did since."""
    risen = lowest_of(loss)
    before, after = around(train, risen) if len(train) else (math.nan, math.nan)
    return Early(
        risen,
        stats.order_p(loss.value[risen.lowest :]),
        (before - after) / abs(before) if before else 0.0,
        tuple(_agreeing(run, risen)),
    )


def _agreeing(run: Run, risen: Rise) -> Iterator[str]:
    for name in names.eval_losses(run.series):
        other = run.series[name].finite
        if name != risen.loss.name and len(other) == len(risen.loss) and other.value[risen.lowest] > 0:
            factor = float(other.value[-1] / other.value[risen.lowest])
            if factor >= FAR:
                yield f"{name} rose to {factor:.2g} times its value"
    if gap := learning.memorised(run):
        yield (
            f"{gap.train} went from {gap.before:.3g} to {gap.after:.3g}, {gap.held} from {gap.was:.3g} to {gap.now:.3g}"
        )
