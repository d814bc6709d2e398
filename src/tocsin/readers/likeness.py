"""Whether rows tell of a training run, or are a data set, a table of results, predictions, a configuration."""

from __future__ import annotations

import numpy as np

from tocsin.readers.attempts import attempts, counts_within_epochs
from tocsin.readers.clock import Clock, clock_of
from tocsin.readers.frame import Frame
from tocsin.readers.naming import SPLITS
from tocsin.readers.vocabulary import FIXED_IN_A_RUN, GROUP_COLUMNS, INDEX, STRONG, TIMES, WEAK, plain
from tocsin.run import Floats

_EVENTFUL = ("acc", "loss", "accuracy")  # also inside one word: valacc, trainloss
_LONE = 1
_SHORTEST = 1.5  # rows of an attempt in the mean: a table of results starts again with nearly every row


def tells_training(frame: Frame, *, lone: bool = False) -> bool:
    """Whether the rows of a frame (one run's, or several runs' after one another) are a training log.

    Args:
        frame: The rows.
        lone: The file is one of rows by its name: an only row may be any of a run, not its first alone.
    """
    clock = clock_of(frame)
    quantities = [name for name in dict.fromkeys(n for n, _ in frame.numbers) if name not in clock.used]
    if not quantities or not frame.rows:
        return False
    if (clock.step is None and clock.epoch is None) or _index_alone(clock):
        return _tells_without_clock(frame, clock, quantities)
    strong = [name for name in quantities if strongly(name)]
    weak = [name for name in quantities if not strongly(name) and words(name) & WEAK]
    if not (strong or weak) or _varies_by_trial(frame):
        return False
    if frame.rows == _LONE:
        return bool(strong) and (lone or _starts(clock)) and not _texts(frame)
    length = _length_of_attempts(clock, frame)
    return length >= _SHORTEST and (bool(strong) or not _texts(frame))


def words(name: str) -> set[str]:
    """The words of a name in lower case, and the name as one."""
    whole = plain(name)
    return {*whole.split("_"), whole}


def strongly(name: str) -> bool:
    """Whether a quantity of this name is hardly found outside of training: a loss, an accuracy, a learning rate."""
    said = words(name)
    return bool(said & STRONG) or any(w.endswith(_EVENTFUL) or w.startswith(("loss", "acc1")) for w in said)


def _is_loss(name: str) -> bool:
    return any("loss" in w for w in words(name))


def _tells_without_clock(frame: Frame, clock: Clock, quantities: list[str]) -> bool:
    """Rows that nothing counts: only where all columns are losses and metrics, of training and of evaluation."""
    splits = {SPLITS[w] for name in quantities for w in words(name) if w in SPLITS}
    splits |= {split for name, split in frame.numbers if name in quantities and split}
    numbered = clock.epoch is not None
    enough = len(splits) > 1 or (numbered and bool(splits)) or (numbered and len(quantities) > 1)
    return (
        frame.rows > _LONE
        and len(quantities) > 1
        and enough
        and any(map(_is_loss, quantities))
        and all(strongly(name) or words(name) & (WEAK | set(SPLITS)) for name in quantities)
        and not _texts(frame)
        and not _varies_by_trial(frame)
    )


def _index_alone(clock: Clock) -> bool:
    """Whether an index column is all that counts the rows."""
    names = {plain(name) for name in clock.used}
    return clock.step is None and bool(names & INDEX) and not _epochs_named(names)


def _epochs_named(names: set[str]) -> bool:
    return any("epoch" in name or name == "ep" for name in names)


def _texts(frame: Frame) -> list[str]:
    """Columns of texts that are neither times nor marks that few rows carry."""
    return [name for name, texts in frame.texts.items() if plain(name) not in TIMES and len(texts) > 0.5 * frame.rows]


def _varies_by_trial(frame: Frame) -> bool:
    """Whether what a run keeps fixed changes from row to row: each row is then a trial of its own."""
    if any(plain(name) in GROUP_COLUMNS and _all_differ(frame, name) for name in frame.names):
        return True
    for name, _ in frame.numbers:
        if plain(name) in FIXED_IN_A_RUN and np.unique(frame.named(name).values).size > 1:
            return True
    return any(plain(name) in FIXED_IN_A_RUN and len(set(texts.values())) > 1 for name, texts in frame.texts.items())


def _all_differ(frame: Frame, name: str) -> bool:
    texts = frame.texts.get(name, {})
    kinds, known = len(set(texts.values())), len(texts)
    if not known:
        values = frame.named(name).values
        kinds, known = np.unique(values).size, values.size
    return known > 1 and kinds > 0.8 * known


def line_of(clock: Clock) -> Floats:
    """What counts the rows from the start of a run to its end: the epoch where steps start again with each.

    Shape (rows,), NaN where unknown; empty where nothing counts them.
    """
    if clock.epoch is not None and (clock.step is None or counts_within_epochs(clock)):
        return clock.epoch
    return np.where(clock.step >= 0, clock.step, np.nan) if clock.step is not None else np.empty(0)


def _length_of_attempts(clock: Clock, frame: Frame) -> float:
    return frame.rows / len(attempts(line_of(clock), frame.breaks))


def _starts(clock: Clock) -> bool:
    """Whether the only row may be the first of a run, or counts twice, as only training does."""
    if clock.epoch is not None and clock.step is not None and clock.step[0] > clock.epoch[0]:
        return True
    if clock.epoch is not None and np.isfinite(clock.epoch).any():
        return float(np.nanmin(clock.epoch)) <= 1
    return clock.step is not None
