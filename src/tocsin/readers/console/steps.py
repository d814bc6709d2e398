"""From the positions that lines state to one axis of steps for the whole run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.readers.values import LARGEST_STEP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Frames:
    """The positions of n lines, each array of shape (n,).

    ``epoch`` NaN and ``count`` -1 where not said; ``kind`` as in ``draft.KINDS``; ``train`` is False for lines of
    an evaluation, whose batches are no steps.
    """

    epoch: Floats
    count: Ints
    kind: NDArray[np.int8]
    total: Ints
    train: Flags


@dataclass(frozen=True)
class Settled:
    """The step of each line, -1 where the log counts nothing; ``per_epoch`` steps make an epoch (0: not known)."""

    step: Ints
    per_epoch: int


def settle(frames: Frames, repeats: bool) -> Settled:
    """One axis of steps.

    Counts over the whole run are kept as logged. Counts within an epoch (they start again as the epoch grows) become
    ``(epoch - first) * N + n``. Without counts the epoch is the step, or, where an epoch has several lines
    (``repeats``), the ordinal of the training line. A line without a position of its own stands at the last step.
    """
    n = frames.epoch.size
    counted = frames.train & (frames.count >= 0) & (frames.kind > 0)
    if not counted.any():
        evaluated = (frames.count >= 0) & (np.isin(frames.kind, (1, 2)))
        if evaluated.any():
            return Settled(_forward(np.where(evaluated, frames.count, -1)), 0)
        return Settled(_uncounted(frames, repeats), 0)
    own = counted | ((frames.count >= 0) & np.isin(frames.kind, (1, 2)))
    if (counted & (frames.kind == 1)).any():
        if _within(frames, counted & (frames.kind != 1)):
            own &= frames.kind == 1
        return Settled(_forward(np.where(own, frames.count, -1)), 0)
    if not _within(frames, counted):
        return Settled(_forward(np.where(own, frames.count, -1)), 0)
    per_epoch = _per_epoch(frames, counted)
    epoch = _led(frames, counted)
    first = 0.0 if np.nanmin(epoch[counted]) < 1 else 1.0
    placed = counted & np.isfinite(epoch)
    step = np.full(n, -1, np.int64)
    whole = np.clip(np.floor(epoch[placed]) - first, -1, LARGEST_STEP)
    step[placed] = np.clip(whole * per_epoch + frames.count[placed], 0, LARGEST_STEP).astype(np.int64)
    return Settled(_forward(step), per_epoch)


def _led(frames: Frames, counted: Flags) -> Floats:
    """Epochs; lines that count before any epoch is told are of the first one told, or of the one before it."""
    known = np.flatnonzero(np.isfinite(frames.epoch))
    if not known.size or not counted[: known[0]].any():
        return frames.epoch
    epoch, told = frames.epoch.copy(), known[0]
    before = frames.count[:told][counted[:told]][-1]
    epoch[:told] = epoch[told] - (counted[told] and frames.count[told] <= before)
    return epoch


def _within(frames: Frames, counted: Flags) -> bool:
    """Whether counts start again in each epoch."""
    epoch, count, kind = frames.epoch[counted], frames.count[counted], frames.kind[counted]
    if not counted.any() or not np.isfinite(epoch).any():
        return False
    if (kind == 3).any():
        return True
    fractional = np.isfinite(epoch) & (epoch != np.floor(epoch))
    if fractional.any():
        return False
    grew = np.diff(epoch) > 0
    return bool(grew.any() and (np.diff(count)[grew] <= 0).mean() > 0.5)


def _per_epoch(frames: Frames, counted: Flags) -> int:
    """Counts an epoch: the total that lines state, else the largest count."""
    totals = frames.total[counted & (frames.total > 0)]
    largest = int(frames.count[counted].max())
    if totals.size and int(totals.max()) >= largest:
        return int(totals.max())
    return max(largest + int(frames.count[counted].min() == 0), 1)


def _uncounted(frames: Frames, repeats: bool) -> Ints:
    epoch = frames.epoch
    known = np.isfinite(epoch)
    if not known.any():
        return np.full(epoch.size, -1, np.int64)
    whole = bool(np.all(epoch[known] == np.floor(epoch[known])))
    if repeats or not whole:
        ordinal = np.cumsum(frames.train) if frames.train.any() else np.arange(1, epoch.size + 1)
        return ordinal.astype(np.int64)
    first = 0.0 if epoch[known].min() < 1 else 1.0
    step = np.full(epoch.size, -1, np.int64)
    step[known] = np.clip(epoch[known] - first + 1, -1, LARGEST_STEP).astype(np.int64)
    return _forward(step)


def _forward(step: Ints) -> Ints:
    """Each unknown step (-1) as the last known one before it; 0 before the first."""
    at = np.where(step >= 0, np.arange(step.size), -1)
    last = np.maximum.accumulate(at) if at.size else at
    return np.where(last >= 0, step[np.maximum(last, 0)], 0).astype(np.int64)
