"""OBJ007 before the run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.term_pulls import Pulls, term_pulls
from tocsin.prechecks.term_sums import Sum, Table, as_sum, term_table

_LEFT = 1e-3  # of the total's gradient: what rounding leaves is some 1e-6
_REMEDIES = (
    Remedy("Write the term with a differentiable quantity: the expectation over the probabilities, not argmax"),
    Remedy("If the term is no part of the loss, log it with the metrics", safe=True),
)


@rule("OBJ007", needs=(), severity="error", scope="setup")
def term_without_gradient(bench: Bench, *, share: float = 0.01) -> Iterator[Finding | NotChecked]:
    """A term of the loss has no gradient: it changes the loss you read but teaches the network nothing.

    ## What it does
    A named term l_j of `losses` is suspect where no path leads from it to a trainable tensor, or where its gradient is
    exactly 0 in every entry over all of the first batches. A detached copy for the log looks the same, so two things
    are asked of the numbers, on the first batches with the initial weights and with three shuffled sets of them:

    - total = c + sum_k w_k l_k holds to 1e-5 of its size (some hundred roundings of float32) in every row, with at
      least 3 rows more than unknowns, and without l_j it does not: the total hangs on the value of l_j;
    - grad total = sum_k w_k grad l_k over the other terms, but for 1e-3 of its norm: nothing of the total's gradient
      comes from l_j under another name.

    An **error** where both hold, l_j changes with the weights, and w_j sd(l_j) >= `share` sd(total) over the first
    batches; a warning below that share. A **note** where the total is no such sum, so that it cannot be told, and
    where l_j does not depend on the weights (the entropy of soft targets; a term that is always the same number).
    Silent where the total does without the term (an accuracy beside the losses), where the total has the gradient that
    the term lacks (a detached copy for the log), and where the term is the same number throughout though it has a path
    (switched off, an inactive hinge, free bits).

    ## Options
    - `share` (.01): below one hundredth of the total's movement a term cannot matter; as in the rule.

    ## Known limits
    Silent on terms that are not named. Not checked where two and more terms are cut and one of them is a copy.
    """
    table = term_table(bench)
    pulls = term_pulls(bench) if table is not None else ""
    if table is not None and (isinstance(pulls, str) or not table.enough):
        yield NotChecked(pulls if isinstance(pulls, str) else "needs more batches than the loss has terms")
        return
    if table is None or isinstance(pulls, str):
        yield NotChecked("needs named terms beside the total, finite and the same in every batch")
        return
    suspects = [name for name in table.names if name in pulls.cut or pulls.largest.get(name) == 0.0]
    found = as_sum(table, suspects) if suspects else None
    for name in suspects:
        yield from _judged(name, table, pulls, found, share)


def _judged(name: str, table: Table, pulls: Pulls, found: Sum | None, share: float) -> Iterator[Finding | NotChecked]:
    values = table.terms[:, table.names.index(name)]
    if not np.ptp(values):
        if name in pulls.cut:
            yield _finding(name, table, pulls, f"and is {values[0]:.4g} throughout", "note")
        return
    if found is None:
        yield _finding(name, table, pulls, "and the total is no sum of the terms: whether it is a part is open", "note")
        return
    if name not in found.weights:
        return
    weight = found.weights[name]
    if pulls.unexplained(found.weights) > _LEFT:
        if sum(n in pulls.cut or pulls.largest[n] == 0.0 for n in found.weights) > 1:
            yield NotChecked(f"{name} has no gradient, but the total has more than its terms: copies for the log")
        return
    part = table.share(name, weight)
    said = (
        f"yet the total contains {weight:.4g} times its value (exact to {found.miss:.0e} in {found.rows} rows), "
        f"{part:.1%} of the total's spread"
    )
    if table.moved[table.names.index(name)]:
        yield _finding(name, table, pulls, said, "error" if part >= share else "warning")
    else:
        yield _finding(name, table, pulls, f"{said}; it does not depend on the weights", "note")


def _finding(name: str, table: Table, pulls: Pulls, said: str, severity: str) -> Finding:
    what = "has no gradient path to a trainable tensor" if name in pulls.cut else "has a gradient of exactly 0"
    value = float(table.terms[0, table.names.index(name)])
    return Finding(
        f"{name} {what} in {len(pulls.whole)} batches, {said}",
        subject=name,
        severity=severity,  # type: ignore[arg-type]  # one of three literals
        evidence=(
            Evidence(f"train/loss/{name}", value, 0, text="first batch"),
            Evidence("train/loss", float(table.total[0]), 0, text="first batch"),
        ),
        remedies=_REMEDIES,
    )
