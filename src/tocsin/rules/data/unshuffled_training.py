"""DAT003 unshuffled-training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.learning import ends
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
    """What the order does to training, in words, and the recorded number that says so."""

    words: str
    evidence: Evidence


@rule(
    "DAT003",
    needs=("input/fingerprint/train", "train/loss"),
    explains=(
        "EVL002", "EVL003", "EVL007", "GEN001", "GEN002", "GEN004", "GEN005", "GEN006", "OBJ006", "OBJ009", "OPT010",
        "OPT011", "PRD001", "PRD002", "PRD003", "PRD009", "PRD010", "PRD012",
    ),
    live=True,
)  # fmt: skip
def unshuffled_training(
    run: Run, *, likeness: float = 0.2, swing: float = 0.1, learned: float = 0.2
) -> Iterator[Finding | NotChecked]:
    """Every epoch goes through the training samples in the same order, and the loss shows it.

    ## What it does
    The fingerprints of the first inputs of each epoch (up to 8) are the same, in the same order, in each of the last 3
    or more epochs, with 5 batches an epoch or more: a note. A warning where the batches are also alike inside, and the
    loss shows it:

    - c = the share of the variance of the inputs between the first batches of an epoch (intraclass correlation, one-way
      analysis of variance) exceeds `likeness`. Batches of 16 and more drawn at random give c above 0.16 in one of a
      thousand epochs at most (F with 7 degrees of freedom, one effective feature).
    - either the training loss, less a straight line in each epoch and averaged over the last 12, is a profile over the
      position whose lag-1 autocorrelation lies above 0 (99 %, 2.6 / sqrt(n)) and whose sd exceeds `swing` times the
      mean loss; or the loss has fallen by less than the share `learned` in these epochs. Where its terms are recorded
      it is they that must have fallen, because learned weights alone lower a total, and each from its first value if
      that is lower than its first tenth: forgetting raises a loss above that of an untrained network.

    ## Why is this bad?
    Sorted data (by class, by recording, by time) makes neighbouring batches alike. The network follows the part of
    the data that it sees now and forgets the rest; batch normalisation follows with it. What is evaluated is the
    network as the last part of the epoch left it.

    ## Example
    ```python
    at, epoch = np.tile(np.arange(40), 6), np.repeat(np.arange(1, 7), 40)
    loss, first = np.where(at % 10 < 4, 2.0, 0.5), np.flatnonzero(at < 8)
    series = {"train/loss": Series.of("train/loss", loss, epoch=epoch)}
    for name, value in {"fingerprint/train": at[first], "likeness": np.full(48, 0.5)}.items():
        series[f"input/{name}"] = Series.of("", value, step=first + 1, epoch=epoch[first])
    run = Run.of(series=series)
    ```
    Use instead:
    ```python
    at, epoch = np.tile(np.arange(40), 6), np.repeat(np.arange(1, 7), 40)
    loss, first = 2 * np.arange(1, 241) ** -0.3, np.flatnonzero(at < 8)
    series = {"train/loss": Series.of("train/loss", loss, epoch=epoch)}
    for name, value in {"fingerprint/train": first, "likeness": np.full(48, 0.01)}.items():
        series[f"input/{name}"] = Series.of("", value, step=first + 1, epoch=epoch[first])
    run = Run.of(series=series)
    ```

    ## Fix
    - **unsafe** Shuffle the training samples anew in each epoch.
    - **unsafe** Call `sampler.set_epoch(epoch)` under distributed training.

    ## Options
    - `likeness` (0.2): digits sorted by class gave 0.26 to 0.40 with batches of 32 to 128, shuffled ones at most 0.00.
    - `swing` (0.1): of the mean loss; sorted digits gave 0.15 to 0.28.
    - `learned` (0.2): of the loss.

    ## Known limits
    Needs `run.end_epoch()`. Blind to an order that repeats behind random augmentation, to data that is sorted but
    differs in detail from epoch to epoch, and to sorted parts so long that the first 8 batches lie in one. Token ids
    have no moments: a text stream in its order, which is healthy, is a note. A stateful network that needs its stream
    in order is warned of when the stream is far from stationary.

    ## References
    Bengio 2012, "Practical recommendations for gradient-based training", section 3.1.2 (order of the examples).
    Shrout and Fleiss 1979 (intraclass correlation, case 1).
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
    yield _finding(known, epochs, _sorted(run, likeness), _harm(run, epochs, swing, learned))


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


def _sorted(run: Run, likeness: float) -> Evidence | None:
    """The share of variance between batches, where it is large in the last epochs."""
    share = run.get("input/likeness")
    if share is None:
        return None
    known = share[np.flatnonzero(np.isfinite(share.epoch))]
    ends = np.flatnonzero(np.diff(known.epoch, append=np.inf) > 0)[-EPOCHS - 1 :]  # over all batches of an epoch
    last = known[ends[:-1] if ends.size > EPOCHS else ends]  # the present epoch may have hardly begun
    if not len(last) or not bool(np.all((last.value > likeness) & (last.value <= 1))):
        return None
    return Evidence("input/likeness", float(last.value[-1]), int(last.step[-1]), likeness, text="between batches")


def _harm(run: Run, epochs: Floats, swing: float, learned: float) -> Harm | None:
    """A smooth profile of the training loss over the epoch, or a loss that has not fallen."""
    train = run.series["train/loss"].finite
    rows = [train.value[train.epoch == e] for e in epochs]
    n = int(np.median([row.size for row in rows]))
    whole = [row[:n] for row in rows if row.size >= n][-MOST_EPOCHS:]
    if n < BATCHES or len(whole) < EPOCHS - 1:
        return None
    point = Evidence("train/loss", float(train.value[-1]), int(train.step[-1]))
    fall = _fall(run, epochs)
    if fall < learned:
        return Harm(f"the training loss has fallen by {max(0.0, fall):.0%} since", point)
    at, level = np.arange(n), abs(float(np.mean(whole)))
    profile = np.mean([row - np.polyval(np.polyfit(at, row, 1), at) for row in whole], axis=0)
    r = stats.lag1(profile)
    if level > 0 and r > 2.6 / n**0.5 and profile.std() > swing * level:
        words = f"the training loss swings by {profile.std() / level:.0%} of its mean, alike in each epoch"
        return Harm(f"{words} (lag-1 autocorrelation of the profile {r:.2f})", point)
    return None


def _fall(run: Run, epochs: Floats) -> float:
    """How far the loss fell in these epochs, or the term that fell most, each from its own beginning."""
    terms = list(run.family("train/loss").values()) or [run.series["train/loss"]]
    since = [known[np.flatnonzero(known.epoch >= epochs[0])] for known in (term.finite for term in terms)]
    return max((_fall_of_one(part) for part in since if len(part) >= 2), default=math.nan)


def _fall_of_one(series: Series) -> float:
    """Share of its beginning (the lower of its first value and its first tenth) that it lost by its last tenth."""
    first, last = (at.value for at in ends(series))
    begin = min(first, float(series.value[0]))
    return (begin - last) / abs(begin) if begin else math.nan


def _finding(prints: Series, epochs: Floats, ordered: Evidence | None, harm: Harm | None) -> Finding:
    first = prints[np.flatnonzero(prints.epoch == epochs[0])]
    begin = int(first.step[0])
    message = (
        f"the first {len(np.unique(first.value))} inputs were the same, in the same order, in each of the last "
        f"{epochs.size} epochs, since step {begin}"
    )
    evidence = [Evidence(prints.name, float(first.value[0]), begin, text="first input of each epoch")]
    bad = ordered is not None and harm is not None
    if ordered is not None and harm is not None:
        message += (
            f"; {ordered.value:.0%} of the variance of the inputs lies between batches (sorted data), {harm.words}"
        )
        evidence += [ordered, harm.evidence]
    return Finding(message, "", begin, tuple(evidence), REMEDIES, severity=None if bad else "note")
