"""DAT003 unshuffled-training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.learning import curves
from tocsin.run import Floats, Run, Series

EPOCHS = 3
BATCHES = 5  # of an epoch: with 4 or fewer there is hardly an order
MOST_EPOCHS = 12
REMEDIES = (
    Remedy("Shuffle: DataLoader(..., shuffle=True), or a sampler whose set_epoch(epoch) is called"),
    Remedy("For a stream or a sharded file, shuffle in a buffer that spans more than one class or recording"),
)


@dataclass(frozen=True)
class Harm:
    """What the order does to the loss: a profile over the epoch that repeats.

    Attributes:
        repeats: Correlation of the profiles of odd and even epochs, and its interval.
        swing: Sd of the common profile over the mean loss of the epochs.
        ratio: Evaluation loss over that mean.
    """

    repeats: float
    interval: tuple[float, float]
    swing: float
    ratio: float


@rule(
    "DAT003",
    needs=("input/fingerprint/train", "train/loss"),
    explains=("EVL002", "EVL003", "GEN001", "OBJ006", "PRD001", "PRD002", "PRD003", "PRD009"),
    live=True,
)
def unshuffled_training(
    run: Run, *, swing: float = 0.5, factor: float = 2.0, repeats: float = 0.5
) -> Iterator[Finding | NotChecked]:
    """Every epoch goes through the training samples in the same order, and the loss shows it.

    ## What it does
    The fingerprints of the first inputs of each epoch (up to 8) are the same, in the same order, in each of the last 3
    or more epochs, with 5 batches an epoch or more: a note. It is a warning with measured harm. Of the training loss
    of these epochs (the last 12), less a straight line in each, p = the mean profile over the position in the epoch.
    Harm: the profiles of odd and even epochs correlate with a 95 % interval (Fisher) above `repeats`; sd(p) exceeds
    `swing` times the mean loss; and the evaluation loss is at least `factor` times that mean after each of the last 3
    epochs. Batches drawn at random once and kept in order are about equally hard, so p is flat.

    ## Why is this bad?
    Sorted data (by class, by recording, by time) makes neighbouring batches alike. The network follows the part of
    the data that it sees now and forgets the rest; batch normalisation follows with it. What is evaluated is the
    network as the last part of the epoch left it.

    ## Example
    ```python
    at = np.tile(np.arange(40), 6)
    epoch, order = np.repeat(np.arange(1, 7), 40), np.where(at % 8 == 0, 4.0, 0.2)
    prints = Series.of("input/fingerprint/train", at[at < 8], step=np.flatnonzero(at < 8) + 1, epoch=epoch[at < 8])
    series = {"train/loss": Series.of("train/loss", order, epoch=epoch), "input/fingerprint/train": prints}
    series["val/loss"] = Series.of("val/loss", np.full(6, 3.0), step=40 * np.arange(1, 7))
    run = Run.of(series=series)
    ```
    Use instead:
    ```python
    at = np.tile(np.arange(40), 6)
    epoch, loss, first = np.repeat(np.arange(1, 7), 40), 2 * np.arange(1, 241) ** -0.3, np.flatnonzero(at < 8)
    prints = Series.of("input/fingerprint/train", first, step=first + 1, epoch=epoch[first])
    series = {"train/loss": Series.of("train/loss", loss, epoch=epoch), "input/fingerprint/train": prints}
    series["val/loss"] = Series.of("val/loss", 2 * (40 * np.arange(1, 7)) ** -0.3, step=40 * np.arange(1, 7))
    run = Run.of(series=series)
    ```

    ## Fix
    - **unsafe** Shuffle the training samples anew in each epoch.
    - **unsafe** Call `sampler.set_epoch(epoch)` under distributed training.

    ## Options
    - `swing` (0.5): of the mean loss. One class after another moves it by more than its mean; batches drawn at random
      from a handful of samples differ by 0.1 to 0.3.
    - `factor` (2.0): of the losses; also what an overfitted network has, but that has no profile.
    - `repeats` (0.5): correlation; batches that are memorised one by one correlate, too, at a small swing.

    ## Known limits
    Needs `run.end_epoch()`. Blind to an order that repeats behind random augmentation, and to data that is sorted but
    differs in detail from epoch to epoch. A text stream in its order, which is healthy, is a note.

    ## References
    Bengio 2012, "Practical recommendations for gradient-based training", section 3.1.2 (order of the examples).
    """
    prints = run.series["input/fingerprint/train"].finite
    known = prints[np.flatnonzero(np.isfinite(prints.epoch))]
    orders = [known.value[known.epoch == e] for e in np.unique(known.epoch)]
    full = [order for order in orders[:-1] if len(np.unique(order)) >= BATCHES]
    if len(full) < EPOCHS - 1:
        yield NotChecked(f"{len(full)} whole epochs of {BATCHES} batches or more, {EPOCHS} are needed (run.end_epoch)")
        return
    alike = _alike(orders)
    if alike < EPOCHS:
        return
    epochs = np.unique(known.epoch)[-alike:]
    harm = _harm(run, epochs)
    bad = harm is not None and (
        harm.interval[0] > repeats and harm.swing > swing and harm.ratio >= factor and np.isfinite(harm.swing)
    )
    yield _finding(known, epochs, harm if bad else None)


def _alike(orders: list[Floats]) -> int:
    """How many epochs, to the last one, begin with the same inputs in the same order."""
    n, last = 1, orders[-2]
    if not _same(orders[-1], last):
        return 0
    for order in orders[-2::-1]:
        if not _same(order, last) or len(np.unique(order)) < BATCHES:
            break
        n += 1
    return n


def _same(a: Floats, b: Floats) -> bool:
    """Whether two epochs begin alike; the last one may have hardly begun."""
    n = min(a.size, b.size)
    return n > 0 and bool(np.array_equal(a[:n], b[:n]))


def _harm(run: Run, epochs: Floats) -> Harm | None:
    """The profile of the training loss over the epoch, and what the evaluations say."""
    train, val = curves(run)
    if train is None or val is None or not np.isfinite(train.epoch).any():
        return None
    rows = [train.value[train.epoch == e] for e in epochs]
    n = int(np.median([row.size for row in rows]))
    whole = [row[:n] for row in rows if row.size >= n][-MOST_EPOCHS:]
    held = val.value[-3:]
    if n < 2 * BATCHES or len(whole) < EPOCHS - 1 or held.size < 3:
        return None
    level = float(np.mean(whole))
    left = np.array([row - np.polyval(np.polyfit(np.arange(n), row, 1), np.arange(n)) for row in whole])
    odd, even = left[::2].mean(axis=0), left[1::2].mean(axis=0)
    if not (level > 0 and np.ptp(odd) > 0 and np.ptp(even) > 0):
        return None
    r = float(np.clip(np.corrcoef(odd, even)[0, 1], -1, 1))
    interval = stats.fisher_interval(r, stats.paired_size(odd, even))
    return Harm(r, interval, float(left.mean(axis=0).std()) / level, float(held.min()) / level)


def _finding(prints: Series, epochs: Floats, harm: Harm | None) -> Finding:
    first = prints[np.flatnonzero(prints.epoch == epochs[0])]
    begin = int(first.step[0])
    message = (
        f"the first {len(np.unique(first.value))} inputs were the same, in the same order, in each of the last "
        f"{epochs.size} epochs, since step {begin}"
    )
    evidence = [Evidence(prints.name, float(first.value[0]), begin, text="first input of each epoch")]
    if harm is not None:
        message += (
            f"; the training loss swings by {harm.swing:.0%} of its mean over the epoch, alike in each (correlation "
            f"{harm.repeats:.2f}), and the evaluation loss is {harm.ratio:.3g} times that mean or more"
        )
        evidence.append(Evidence("train/loss", interval=harm.interval, text="correlation of odd and even epochs"))
    return Finding(message, "", begin, tuple(evidence), REMEDIES, severity=None if harm is not None else "note")
