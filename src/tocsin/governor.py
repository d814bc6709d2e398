"""When to sample: the schedule that keeps the recorder's own cost inside its budget."""

from __future__ import annotations

DENSE = 8
FLOOR_S = 15e-6
PER_SPARSE = 128
SPARSEST = 32
PAID, SELDOM = 128, 1.4
# What the clock around our own code does not see: the interpreter's slow paths for hooked modules, cache misses,
# and the writer thread's share of the interpreter lock. Set from benchmarks/overhead.py.
UNSEEN = 1.15


class Governor:
    """A ledger of seconds spent against seconds earned.

    Earned is max(``budget`` * wall time, 15 us * steps). The first steps are sampled densely whatever they cost; the
    debt is paid back before the next sample. A sample is granted when the ledger can bear what samples cost of
    late, and not more often than every step/128-th step (at most every 32nd), which bounds the record's size. One is
    granted whatever it costs once the run is ``SELDOM`` times as long as at the last, from step ``PAID`` on: where the
    looks of the rules alone use up the budget, they would have nothing to look at. These are 27 samples in a million
    steps.

    Args:
        budget: Share of wall time, e.g. 0.01.
        every: An integer fixes the schedule instead: steps 1, 1 + every, ...
        done: Steps of earlier attempts, which earn nothing now.
    """

    def __init__(self, budget: float = 0.01, every: int | None = None, done: int = 0) -> None:
        self.budget = budget
        self.every = every
        self.done = done
        self.spent_s = 0.0
        self.sample_s = 0.0
        self.last_sample = 0
        self._at_open = 0.0

    def charge(self, seconds: float) -> None:
        """Add time that tocsin used."""
        self.spent_s += seconds * UNSEEN

    def opened(self) -> None:
        """A sample begins."""
        self._at_open = self.spent_s

    def closed(self, step: int) -> None:
        """The sample that was opened last was taken at ``step``; what was charged since is its cost."""
        cost = self.spent_s - self._at_open
        self.last_sample = step
        self.sample_s = cost if not self.sample_s else 0.7 * self.sample_s + 0.3 * cost

    def grants(self, step: int, wall_s: float) -> bool:
        """Whether ``step`` is to be sampled, ``wall_s`` seconds into the run."""
        if self.every is not None:
            return (step - 1) % self.every == 0
        if step <= DENSE:
            return True
        if step - self.last_sample < min(SPARSEST, max(1, step // PER_SPARSE)):
            return False
        if step >= max(PAID, SELDOM * self.last_sample):
            return True
        return self.spent_s + self.sample_s <= self.earned_s(step, wall_s)

    def earned_s(self, step: int, wall_s: float) -> float:
        """Seconds that the budget allows so far."""
        return max(self.budget * wall_s, FLOOR_S * (step - self.done))
