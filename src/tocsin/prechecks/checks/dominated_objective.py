"""OBJ001 before the run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.over_batches import batch_interval
from tocsin.prechecks.term_names import is_regulariser
from tocsin.prechecks.term_pulls import Floats, Pulls, shared_pulls
from tocsin.prechecks.term_sums import term_table

_REMEDIES = (
    Remedy("Bring the terms to one scale: standardise the targets of the large one, or weight it down"),
    Remedy("Look at the units of its targets and at its reduction (sum against mean)", safe=True),
)


@rule("OBJ001", needs=(), severity="warning", scope="setup")
def dominated_objective(
    bench: Bench, *, share: float = 0.99, confidence: float = 0.95
) -> Iterator[Finding | NotChecked]:
    """One term is nearly all of the gradient that the shared part of the network gets.

    ## What it does
    For each of the first batches, with g_k the gradient of term k over the matrices that the most terms reach and w_k
    its weight in the total, the share of term d is s = |w_d| |g_d| / sum_k |w_k| |g_k|. Rings where the `confidence`
    interval of ln((1 - s) / s) over at least 3 batches (Student) says s > `share`.

    w_k is d total / d l_k where the total is computed from the term itself, else it comes from an exact sum
    total = c + sum_k w_k l_k; where neither tells, all are 1 and the message says so. Terms of weight 0, terms whose
    gradient there is 0 (a head initialised to 0), and terms named as regularisers (`l2`, `kl`, `aux`, ...), small on
    purpose, are no neglected tasks: silent where no other is left.

    ## Options
    - `share` (.99): as in the rule: a term of 1 in 100 turns the direction of a step by half a degree.
    - `confidence` (.95) of the interval over batches.

    ## Known limits
    Of the first moment only: a term may fall by itself within a few steps. Weights that change by step are as they are
    before the first.
    """
    pulls = shared_pulls(bench)
    if isinstance(pulls, str):
        yield NotChecked(pulls)
        return
    weights = pulls.weights(term_table(bench))
    sized = pulls.norms * np.array([1.0 if weights is None else abs(weights.get(n, 0.0)) for n in pulls.names])
    kept = [k for k in range(len(pulls.names)) if (sized[:, k] > 0).all() and np.isfinite(sized[:, k]).all()]
    d = max(kept, key=lambda k: sized[:, k].mean(), default=0)
    others = [k for k in kept if k != d and not is_regulariser(pulls.names[k])]
    if others:
        yield from _judged(pulls, sized, d, others, weights, share, confidence)


def _judged(
    pulls: Pulls,
    sized: Floats,
    d: int,
    others: list[int],
    weights: dict[str, float] | None,
    share: float,
    confidence: float,
) -> Iterator[Finding]:
    left = np.log(sized[:, others].sum(axis=1) / sized[:, d])
    interval = batch_interval(left, confidence)
    low, high = (float(1 / (1 + np.exp(v))) for v in reversed(interval))
    if not low > share:
        return
    middle = float(1 / (1 + np.exp(left.mean())))
    name, rest = pulls.names[d], ", ".join(pulls.names[k] for k in others)
    how = "as weighted in the total" if weights is not None else "each counted once: the total is no sum of the terms"
    yield Finding(
        f"{name} has {middle:.2%} [{low:.2%}, {high:.2%}] of the terms' gradient norms at {len(pulls.trunk)} shared "
        f"matrices over {len(sized)} batches ({how}); {rest} the rest: what they ask for is not heard",
        subject=name,
        evidence=(
            Evidence(
                f"train/loss/{name}", float(sized[0, d]), 0, share, (low, high), "gradient norm; interval of its share"
            ),
            *(Evidence(f"train/loss/{pulls.names[k]}", float(sized[0, k]), 0, text="gradient norm") for k in others),
        ),
        remedies=_REMEDIES,
    )
