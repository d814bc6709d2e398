"""The rise of an evaluation loss that too few evaluations show, or too uneven ones, for the slope of their trend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, names, stats
from tocsin.rises import FEW, Rise, around
from tocsin.run import Run, Series

FAR = 1.5  # factor that no evaluation set worth its name moves by on its own: noise of 15 % is 3 sd of it


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


def early(run: Run, loss: Series, train: Series) -> Early:
    """What stands after the lowest evaluation, whatever it is."""
    lowest = int(np.argmin(loss.value))
    risen = Rise(loss, lowest, lowest, float(loss.value[lowest]), 0, 0.0, 0.0)
    before, after = around(train, risen)
    return Early(
        risen,
        stats.order_p(loss.value[lowest:]),
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
