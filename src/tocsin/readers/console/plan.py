"""What the grammar finds in the shape of a line: the plan by which every line of that shape is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A position: which number of the line it is, and which one, if any, is its total (``3/100``).

    ``kind``: ``epoch`` · ``global`` (a count over the whole run) · ``step`` (a count that may start again in each
    epoch) · ``batch`` (one that does) · ``bar`` (of a progress bar).
    """

    kind: str
    at: int
    total: int = -1


@dataclass(frozen=True, slots=True)
class Pair:
    """A named quantity: which number it is.

    ``over`` is the number that divides it, ``mean`` its running mean, ``share`` says that it has a %.
    """

    name: str
    at: int
    split: str = ""
    over: int = -1
    mean: int = -1
    share: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read the lines of one shape.

    Attributes:
        places: Positions, the finest last.
        pairs: Quantities to keep.
        split: The split that the line as a whole is of, "" where it does not say.
        header: Whether it is only a header that sets the position and the split of what follows.
        rank: The rank that wrote it, -1 where not said.
        dated: Whether a date stands before it.
        tag: What stands before the epoch and is no known word: the name of a model where a file holds several.
        brief: Whether it holds one pair and nothing else, as a line of a configuration or of a block of results does.
        weak: Whether it counts only once a position is known (a learning rate alone may be of the configuration).
        aside: Whether it says something in passing: it is no line of training of its own.
        sure: Whether hardly anything but a training log prints such a line.
    """

    places: tuple[Place, ...] = ()
    pairs: tuple[Pair, ...] = ()
    split: str = ""
    header: bool = False
    rank: int = -1
    dated: bool = False
    tag: str = ""
    brief: bool = False
    weak: bool = False
    aside: bool = False
    sure: bool = False
    summary: bool = False
    bar: bool = False
    running: bool = False
