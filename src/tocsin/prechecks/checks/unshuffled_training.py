"""DAT003 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor, nn

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.order import same_order, shuffled_by_epoch
from tocsin.prechecks.samples import Samples
from tocsin.prechecks.stream import Stream, as_columns, stream

BATCHES = 5  # with 4 or fewer there is hardly an order
LEAST = 100
REMEDIES = (
    Remedy("Shuffle: DataLoader(..., shuffle=True), or a sampler whose set_epoch(epoch) is called"),
    Remedy("For a stream or a sharded file, shuffle in a buffer that spans more than one class or recording"),
)


@dataclass(frozen=True)
class Alike:
    """Labels of one task that lie together in the stream."""

    task: str
    found: Stream
    classes: bool
    windows: bool


@rule("DAT003", needs=(), severity="warning", scope="setup")
def unshuffled_training(
    bench: Bench, *, likeness: float = 0.2, lag: float = 0.2, level: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """Training goes through its samples in one and the same order, or through labels that lie together.

    ## What it does
    With 5 batches or more:

    - *Order*: two passes over ``train`` give the same samples of the first 8 batches in the same order (hashes of the
      inputs, or of any one tensor of the batches, as labels are not augmented): a note.
    - *Labels* of the first 4096 samples, in blocks of as many as an optimizer step sees, at least 8. c = the share of
      their variance between blocks (intraclass correlation); a = the lag-1 autocorrelation of the blocks' means. A
      warning where c > `likeness`, more than in 99 % (`level`, shared by the tasks) of 199 random orders, and either
      the order repeats or a > `lag`, more than in 99 % of 199 random orders of the blocks: shuffled in a buffer that is
      too small. So batches of a few classes each, drawn anew (metric learning), are silent. A warning, too, where at
      least 100 first samples are of one class, which would happen to one of a million random orders of the evaluation's
      labels.

    Defaults: `likeness` .2 as of the rule on a run (digits sorted by class: 0.6 to 1 for the labels, shuffled ones
    below 0.02); `lag` .2: neighbours share a fifth of what sets a block apart; `level` .01.

    Meant orders: a model with recurrent layers may carry its state from batch to batch, and windows of a series that
    overlap (half of a sample's entries stand in the one before it, continuous targets) are often trained in order: a
    note in place of a warning. Targets of more than one value a sample other than a vector (tokens, pixels) have no
    label to compare: a text stream in order is a note.

    ## Known limits
    A list of batches has one order, but the loop may shuffle it: only its labels are judged. An order that hangs on
    ``set_epoch`` is not judged. Labels need ``predict``. Sorted parts that are longer than 4096 samples are seen only
    where the evaluation has other classes.
    """
    if len(bench.train) < BATCHES:
        return
    again = 0 if isinstance(bench.setup.train, list | tuple) else same_order(bench)
    hangs = bool(again) and shuffled_by_epoch(bench.setup.train)
    fixed = (bool(again) and not hangs) or isinstance(bench.setup.train, list | tuple)
    samples = bench.samples("train")
    worst = _worst(bench, samples, fixed, likeness, lag, level) if samples is not None else None
    if worst is not None:
        yield _labels(bench, worst, again if fixed else 0)
    elif samples is not None and (one := _one_class(bench, samples)) is not None:
        yield one
    elif hangs:
        yield NotChecked("the order hangs on set_epoch(epoch), which the loop must call")
    elif isinstance(bench.setup.train, list | tuple):
        yield NotChecked("train is a list of batches: whether the loop shuffles it is not known")
    elif again:
        yield _order(bench, again)


def _worst(bench: Bench, samples: Samples, fixed: bool, likeness: float, lag: float, level: float) -> Alike | None:
    """The task whose labels lie together most, if any do."""
    found = []
    for task, target in samples.targets.items():
        columns = as_columns(target)
        seen = stream(columns[0], samples.batch, bench.setup.accumulate) if columns is not None else None
        if columns is None or seen is None or not seen.likeness > likeness:
            continue
        shared = max(level / len(samples.targets), 1 / 200)  # the least that 199 random orders can tell
        near = seen.lag > lag and seen.lag_p <= shared
        if seen.likeness_p <= shared and (fixed or near):
            found.append(Alike(task, seen, columns[1], _windows(samples)))
    return max(found, key=lambda one: one.found.likeness, default=None)


def _windows(samples: Samples) -> bool:
    """Whether half of the entries of a sample stand in the one before it: windows that overlap."""
    x = next((t for t in samples.inputs if t.is_floating_point()), None)
    if x is None:
        return False
    rows = [row.numpy() for row in x[:33].reshape(min(33, len(x)), -1).float()]
    shares = [np.isin(b, a).mean() for a, b in pairwise(rows) if len(np.unique(b)) > b.size // 2]
    return len(shares) > 1 and float(np.median(shares)) >= 0.5


def _labels(bench: Bench, worst: Alike, again: int) -> Finding:
    seen = worst.found
    message = (
        f"{seen.likeness:.0%} of the variance of the {worst.task} labels lies between blocks of {seen.size} samples, "
        f"as they come (in random order about 0 %, p <= {seen.likeness_p:.3g}); lag-1 autocorrelation of the "
        f"{seen.blocks} blocks {seen.lag:.2f}"
    )
    message += f"; two passes gave the same {again} samples in the same order" if again else ""
    carried = any(isinstance(m, nn.RNNBase | nn.RNNCellBase) for m in bench.model.modules())
    meant = "the model is recurrent" if carried else "the samples are windows of a series" if _series(worst) else ""
    message += f"; {meant}: the order may be meant" if meant else ""
    said = Evidence("setup:train", seen.likeness, 0, text="share of the labels' variance between blocks")
    lagged = Evidence("setup:train", seen.lag, 0, text="lag-1 autocorrelation of the blocks' means")
    return Finding(message, "", 0, (said, lagged), REMEDIES, severity="note" if meant else "warning")


def _series(worst: Alike) -> bool:
    return worst.windows and not worst.classes


def _one_class(bench: Bench, samples: Samples) -> Finding | None:
    """Training begins with one class only, and that is no chance if it has as many as the evaluation."""
    held = bench.samples("val")
    if samples.whole or held is None or len(samples) < LEAST:
        return None
    for task, target in samples.targets.items():
        other = held.targets.get(task)
        if other is None or not (_classes(target) and _classes(other)) or bool((target != target[0]).any()):
            continue
        same = int((other == target.reshape(-1)[0]).sum())
        high = stats.wilson(same, len(held))[1]
        if same < len(held) and len(samples) * math.log(high) < math.log(1e-6):
            message = (
                f"the first {len(samples)} training samples are all of class {target.reshape(-1)[0].item()} ({task}), "
                f"{same / len(held):.0%} of the evaluation's: the training data are sorted"
            )
            said = Evidence("setup:train", 1.0, 0, high, text="share of this class among the first samples")
            return Finding(message, "", 0, (said,), REMEDIES)
    return None


def _classes(target: Tensor) -> bool:
    return target.dim() == 1 and not target.is_floating_point()


def _order(bench: Bench, again: int) -> Finding:
    message = (
        f"two passes over train gave the same {again} samples of the first {len(bench.train)} batches in the same order"
    )
    said = Evidence("setup:train", float(again), 0, text="first samples in the same order twice")
    return Finding(message, "", 0, (said,), REMEDIES, severity="note")
