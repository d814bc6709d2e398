"""OBJ005 before the run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.over_batches import batch_interval
from tocsin.prechecks.term_names import is_opponent
from tocsin.prechecks.term_pulls import shared_pulls
from tocsin.prechecks.term_sums import term_table


@rule("OBJ005", needs=(), severity="note", scope="setup")
def gradient_conflict(
    bench: Bench, *, opposed: float = -0.5, confidence: float = 0.95
) -> Iterator[Finding | NotChecked]:
    """Two terms of the loss pull the shared part of the network in opposite directions before training.

    ## What it does
    For each of the first batches, the cosine of the gradients of two terms over the matrices that the most terms reach,
    each with the sign of its weight in the total where that can be told. A note where the upper end of
    the `confidence` interval of the mean over at least 3 batches (Student) is below
    `opposed`. Never more than a note: at random weights two tasks often meet in one direction of the trunk, and the
    conflict goes within some steps.

    Terms of weight 0 and terms named as opponents (`adv`, `kl`, `l2`, ...) are left alone.

    ## Options
    - `opposed` (-.5): the shorter of two equal gradients loses half of itself to the other.
    - `confidence` (.95) of the interval over batches.

    ## Known limits
    Says nothing about a conflict that training makes: that is the rule's, by the losses that do not fall.
    """
    pulls = shared_pulls(bench)
    if isinstance(pulls, str):
        yield NotChecked(pulls)
        return
    weights = pulls.weights(term_table(bench))
    norms = pulls.norms
    judged = [k for k in range(len(pulls.names)) if (norms[:, k] > 0).all() and not is_opponent(pulls.names[k])]
    for i, j in itertools.combinations(judged, 2):
        a, b = pulls.names[i], pulls.names[j]
        sign = 1.0 if weights is None else float(np.sign(weights.get(a, 0.0) * weights.get(b, 0.0)))
        cosine = sign * pulls.shared[:, i, j] / (norms[:, i] * norms[:, j])
        low, high = batch_interval(cosine, confidence)
        if high < opposed:
            low, mean = max(low, -1.0), float(cosine.mean())
            yield Finding(
                f"the gradients of {a} and {b} at {len(pulls.trunk)} shared matrices point apart before training: "
                f"cosine {mean:.2f} [{low:.2f}, {high:.2f}] over {len(cosine)} batches. At random weights that is "
                "often gone after some steps",
                subject=f"{a}|{b}",
                evidence=(
                    Evidence(f"train/loss/{a}", mean, 0, opposed, (low, high), f"cosine with the gradient of {b}"),
                ),
                remedies=(Remedy("Watch both terms over the first epochs: a conflict that stays shows there", True),),
            )
