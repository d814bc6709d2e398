"""What of a long run rules are shown: a pure function of its points so far, the same live and afterwards.

A series with more than its cap of points is shown every 2^k-th of them, the latest ones, and the first ones that are
no finite numbers; evaluations and events likewise, by their size. What rules see, and what the recorder holds, is so
bounded; on disk every point stays. See docs/decisions/0013-bounded-memory.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar, overload

import numpy as np

from tocsin.run import Evaluation, Event, Ints, Run, Series

T = TypeVar("T")
FEWEST, MOST, TOGETHER = 512, 16_384, 2**17
LATEST, NUMBERLESS = 64, 64
FEW = 8
EVALUATION_BYTES, EVENT_BYTES = 2**25, 2**20


def group_of(name: str) -> str:
    """Series that share a bound: parts of one quantity (``grad/norm``), or all that have no parts ("")."""
    head, _, rest = name.partition("/")
    second, _, part = rest.partition("/")
    return f"{head}/{second}" if part else ""


def cap_of(members: int) -> int:
    """Most points of a series whose group has this many members so far."""
    return max(FEWEST, min(MOST, TOGETHER // max(1, members)))


def stride_of(n: int, cap: int) -> int:
    """The least power of two such that every stride-th of n points are at most ``cap``."""
    return 1 << max(0, -(-n // cap) - 1).bit_length()


def shown(index: Ints, finite: Ints, n: int, cap: int) -> Ints:
    """Which of the points ``index`` (ascending) of the n so far are shown, as positions in ``index``.

    ``finite`` is True where a value is; ``index`` holds at least all points that are to be shown.
    """
    keep = (index % stride_of(n, cap) == 0) | (index >= n - LATEST)
    keep[np.flatnonzero(~finite)[:NUMBERLESS]] = True
    return np.flatnonzero(keep)


def thinned(run: Run) -> Run:
    """The run as rules are shown it; itself where it is short, or somebody else's log."""
    if run.foreign:
        return run
    members = Counter(group_of(name) for name in run.series)
    return replace(
        run,
        series={name: _thin(s, cap_of(members[group_of(name)])) for name, s in run.series.items()},
        evaluations=_thin_all(run.evaluations, evaluations_shown),
        events=_thin_all(run.events, events_shown),
    )


def _thin(series: Series, cap: int) -> Series:
    n = len(series)
    return series if n <= cap else series[shown(np.arange(n), np.isfinite(series.value), n, cap)]


def _thin_all(items: tuple[T, ...], make: Callable[[Iterable[T]], Dyadic[T]]) -> tuple[T, ...]:
    return items if len(items) <= FEW else tuple(make(items))


class Dyadic(Sequence[T], Generic[T]):
    """The items so far, bounded: of each key every 2^k-th, with the least k that fits, and the latest few.

    Args:
        items: The first ones.
        key: What is thinned by itself.
        size: Bytes of an item, about.
        most: Bytes that all keys share equally; each keeps its first item whatever its size, and the latest.
        latest: How many of the latest of each key are kept besides.
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        key: Callable[[T], Hashable],
        size: Callable[[T], int],
        most: int,
        latest: int,
    ) -> None:
        self._key, self._size, self._most, self._latest = key, size, most, latest
        self._kept: dict[Hashable, _Kept[T]] = {}
        self._n, self._fitted = 0, 0
        self.extend(items)

    def extend(self, items: Iterable[T]) -> None:
        """More items."""
        for item in items:
            self.append(item)

    def append(self, item: T) -> None:
        """One more item."""
        key = self._key(item)
        if key not in self._kept:
            self._kept[key] = _Kept(self._latest)
        kept = self._kept[key]
        kept.add(self._n, item, self._size(item))
        kept.fit(self._most // len(self._kept))
        self._n += 1
        if len(self._kept) >= 2 * self._fitted:
            self._fit()

    def _fit(self) -> None:
        """Every key to its share: not at each new key, which would take the square of their number."""
        self._fitted = len(self._kept)
        for kept in self._kept.values():
            kept.fit(self._most // self._fitted)

    def _items(self) -> list[T]:
        if self._fitted != len(self._kept):
            self._fit()
        found = {at: item for kept in self._kept.values() for at, item in (*kept.spread, *kept.latest)}
        return [found[at] for at in sorted(found)]

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def __len__(self) -> int:
        return len(self._items())

    @overload
    def __getitem__(self, part: int) -> T: ...
    @overload
    def __getitem__(self, part: slice) -> Sequence[T]: ...
    def __getitem__(self, part: int | slice) -> T | Sequence[T]:
        return self._items()[part]


class _Kept(Generic[T]):
    """The items of one key, each with its place among all."""

    def __init__(self, latest: int) -> None:
        self.n, self.stride, self.bytes = 0, 1, 0
        self.spread: list[tuple[int, T]] = []
        self.latest: deque[tuple[int, T]] = deque(maxlen=latest)
        self._sizes: list[int] = []

    def add(self, at: int, item: T, size: int) -> None:
        if self.n % self.stride == 0:
            self.spread.append((at, item))
            self._sizes.append(size)
            self.bytes += size
        self.latest.append((at, item))
        self.n += 1

    def fit(self, most: int) -> None:
        while self.bytes > most and len(self.spread) > 1:
            self.stride *= 2
            self.spread, self._sizes = self.spread[::2], self._sizes[::2]
            self.bytes = sum(self._sizes)


def evaluations_shown(items: Iterable[Evaluation] = ()) -> Dyadic[Evaluation]:
    """Evaluations as rules are shown them."""
    return Dyadic(items, key=lambda e: (e.key, e.baseline), size=bytes_of, most=EVALUATION_BYTES, latest=FEW)


def events_shown(items: Iterable[Event] = ()) -> Dyadic[Event]:
    """Events as rules are shown them."""
    return Dyadic(items, key=lambda e: e.kind, size=lambda e: 400 + len(e.text), most=EVENT_BYTES, latest=LATEST)


def bytes_of(evaluation: Evaluation) -> int:
    """About what an evaluation takes in memory."""
    confusion = 0 if evaluation.confusion is None else 24 * evaluation.confusion.count.size
    labels = 0 if evaluation.labels_confusion is None else evaluation.labels_confusion.nbytes
    pairs = sum(400 + 16 * m.sample_target.size for m in evaluation.moments)
    return 1000 + confusion + labels + pairs + 100 * len(evaluation.metrics)
