"""OBJ001 dominated-objective."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tocsin import names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Evaluation, Floats, Ints, Run

_BLOCK = 16
_LONG = 16
_SURE = 0.99  # of a metric's trend: there may be several, and one that rises by chance would silence the rule
_MOST = 512
_REGULARISERS = re.compile(
    r"(^|[_.\-/ ])(reg\w*|l1|l2|wd|decay|penalty|gp|kl\w*|entropy|commit\w*|aux\w*|balanc\w*|load|moe|router|z|tv"
    r"|smooth\w*|ortho\w*|spars\w*|norm|prior)($|[_.\-/ ])"
)


@dataclass(frozen=True)
class Terms:
    """The terms at the calls that recorded them all: ``value`` (n, k), ``step`` (n,), and the weight of each, (k,).

    A weight is 0 where the total does not contain the term.
    """

    name: tuple[str, ...]
    step: Ints
    value: Floats
    weight: Floats

    def since(self, start: int) -> Terms:
        return Terms(self.name, self.step[start:], self.value[start:], self.weight)


@dataclass(frozen=True)
class Reign:
    """One term above all others: its place, its median share, the calls since, and the series it was seen in."""

    term: int
    share: float
    part: Terms
    seen: str
    last: float
    at: int


@rule(
    "OBJ001", needs=("train/loss/*",), severity="warning", explains=("PRD002", "PRD003", "PRD009", "OBJ002", "OBJ003")
)
def dominated_objective(
    run: Run, *, share: float = 0.99, calls: int = 256, improvement: float = 0.1
) -> Iterator[Finding | NotChecked]:
    """One term is nearly all of the loss or of its gradient, and the other tasks do not improve.

    ## What it does
    With terms `T_k` and weights `w_k`, the share of term `d` at a call is `abs(w_d T_d) / sum_k abs(w_k T_k)`; where
    `loss/trunk_norm/<term>` is recorded, the norm of the term's gradient at the trunk stands in place of `T_k`, because
    that is what the shared layers see. Rings when over the last `n >= calls` calls

    `median(share_d) > share`, the term `d` itself fell by more than `improvement` of its level (or `n >= 16 calls`),
    and no other task improves: the interval of each one's relative change (Theil-Sen slope over those calls) contains 0
    and rules out a fall by more than `improvement`, or it rules out a fall by more than `improvement / 5`; its level is
    not below `1 - improvement` of where it began; and no evaluation or metric that bears its name improves.

    One other task that improves is enough for silence. `w_k` come from least squares of `train/loss` on the terms where
    these account for it (R2 > 0.999), else they are 1; a term of weight 0 is not part of the loss and not judged.

    Not tasks, and never counted as neglected: terms that are exactly 0 (switched off), terms without batch noise (a
    norm of the weights), and terms named as regularisers (`l2`, `kl`, `entropy`, `aux`, `balance`, ...), which are
    small and flat on purpose.

    ## Why is this bad?
    The direction of every update is that of the large term; after clipping or in Adam's denominators nothing is left
    of the others. The total falls, as the large term does, so the curve looks healthy.

    ## Example
    ```python
    call = np.arange(300)
    noise = np.random.default_rng(0).normal(1, 0.05, (2, 300))
    amplitude, signal = 3.2e6 * np.exp(-call / 400) * noise[0], 3.75 * noise[1]
    terms = {"train/loss/amplitude": amplitude, "train/loss/signal": signal}
    run = Run.of(series={"train/loss": amplitude + signal, **terms})
    ```
    Use instead:
    ```python
    call = np.arange(300)
    noise = np.random.default_rng(0).normal(1, 0.05, (2, 300))
    amplitude, signal = 3.2 * np.exp(-call / 400) * noise[0], 3.75 * np.exp(-call / 400) * noise[1]
    terms = {"train/loss/amplitude": amplitude, "train/loss/signal": signal}
    run = Run.of(series={"train/loss": amplitude + signal, **terms})
    ```

    ## Fix
    - **unsafe** Standardise the targets of the large term (units), so that each term begins near 1.
    - **unsafe** Weight the terms by their inverse initial size, or by their gradient norms at the trunk (GradNorm).
    - **unsafe** For a negative log likelihood, bound the predicted scale from below and begin at the targets'
      spread.

    ## Options
    - `share` = 0.99: the rest together then has less than a hundredth. A choice.
    - `calls` = 256: least number of `run.losses` calls. In a public log a likelihood term of 3,256,742 at step 25 was
      gone by step 50: a spike, not a reign; and a head at chance may take a hundred calls or two to leave it.
    - `improvement` = 0.1: relative fall that counts as improvement. A choice.

    ## Known limits
    Needs 32 recorded points. Silent while nothing moves (warm-up of the learning rate), up to 16 `calls`; silent where
    the interval is too wide to rule out improvement. Under learned weights that change fast the shares are of
    unweighted terms. Wrong where a flat term is at its optimum by design and has no name that says so. Measured: of 500
    synthetic runs of 2-4 terms up to 1e7 apart that all learn at some pace (167 of them dominated), 0 end with this
    finding; 2 of 100 whose first task sits at chance for up to 0.3 of the run rang and healed.

    ## References
    Chen et al. 2018, GradNorm (gradient norms at the last shared layer). Kendall et al. 2018 (weights by uncertainty).
    """
    terms = _terms(run)
    if terms is None:
        yield NotChecked("needs at least two terms of the loss (run.losses(total=..., term=..., other=...))")
        return
    if terms.step.size < 2 * _BLOCK or terms.step[-1] - terms.step[0] + 1 < calls:
        yield NotChecked(f"needs {calls} calls with all terms, {2 * _BLOCK} of them recorded; {terms.step.size} are")
        return
    reign = _reign_by_gradient(run, terms, share, calls) or _reign_by_value(run, terms, share, calls)
    if reign is None:
        return
    others = [k for k in range(len(terms.name)) if k != reign.term and _is_task(reign.part, k)]
    changes = {k: _change(reign.part, k) for k in [reign.term, *others]}
    still = [k for k in others if _stays(*changes[k], improvement) and _began(terms, reign, k) > 1 - improvement]
    span = reign.part.step[-1] - reign.part.step[0] + 1
    moves = changes[reign.term][1] < -improvement or span >= _LONG * calls
    if others and still == others and moves and not any(_metric_improves(run, terms.name[k]) for k in others):
        yield _finding(reign, {k: changes[k] for k in others})


def _terms(run: Run) -> Terms | None:
    family = run.family("train/loss")
    most = max(len(s) for s in family.values())
    kept = {term: s.finite for term, s in sorted(family.items()) if len(s.finite) >= most / 2}
    if len(kept) < 2:
        return None
    step = reduce(np.intersect1d, [s.step for s in kept.values()])
    value = np.stack([s.value[np.searchsorted(s.step, step)] for s in kept.values()], axis=1)
    value = np.clip(value, -1e300, 1e300)
    return Terms(tuple(kept), step, value, _weights(run, step, value))


def _weights(run: Run, step: Ints, value: Floats) -> Floats:
    """Weight of each term in the total by least squares over the last calls; 1 where that cannot tell."""
    total = run.get("train/loss")
    weight = np.ones(value.shape[1])
    if total is None or step.size < 32:
        return weight
    at = np.searchsorted(total.step, step[-_MOST:])
    at = np.minimum(at, len(total) - 1)
    whole, parts = total.value[at], value[-_MOST:]
    if not (np.array_equal(total.step[at], step[-_MOST:]) and np.isfinite(whole).all()):
        return weight
    for k in range(weight.size):
        fitted = stats.weight_in_sum(whole, parts, k)
        if fitted is None or not fitted.r2 > 0.999:
            continue
        sizes = np.std(whole), np.std(parts[:, k])
        weighs = not fitted.low <= 0 <= fitted.high and abs(fitted.value) * sizes[1] > 1e-12 * sizes[0]
        if weighs:
            weight[k] = abs(fitted.value)
        elif max(abs(fitted.low), abs(fitted.high)) < 0.01:
            weight[k] = 0.0
    return weight


def _reign_by_gradient(run: Run, terms: Terms, share: float, calls: int) -> Reign | None:
    norms = {t: s.finite for t, s in run.family("loss/trunk_norm").items() if t in terms.name and len(s.finite)}
    if len(norms) < 2:
        return None
    step = reduce(np.intersect1d, [s.step for s in norms.values()])
    place = [terms.name.index(t) for t in norms]
    value = np.stack([s.value[np.searchsorted(s.step, step)] for s in norms.values()], axis=1)
    seen = Terms(tuple(norms), step, value, terms.weight[place])
    found = _longest(seen, share, calls)
    if found is None:
        return None
    part = terms.since(int(np.searchsorted(terms.step, step[found[2]])))
    last = float(value[-1, found[0]])
    return Reign(place[found[0]], found[1], part, f"loss/trunk_norm/{seen.name[found[0]]}", last, int(step[-1]))


def _reign_by_value(run: Run, terms: Terms, share: float, calls: int) -> Reign | None:
    if sum(t in terms.name for t in run.family("loss/trunk_norm")) > 1:
        return None  # the gradient was measured, and it decides
    found = _longest(terms, share, calls)
    if found is None:
        return None
    last = float(terms.value[-1, found[0]])
    part = terms.since(found[2])
    return Reign(found[0], found[1], part, f"train/loss/{terms.name[found[0]]}", last, int(terms.step[-1]))


def _longest(terms: Terms, share: float, calls: int) -> tuple[int, float, int] | None:
    """(term, median share, first index) of the stretch up to now in which one term has more than ``share``."""
    n = terms.step.size
    if n < 2 * _BLOCK:
        return None
    size = np.abs(terms.value) * terms.weight
    total = size.sum(axis=1, keepdims=True)
    part = np.divide(size, total, out=np.zeros_like(size), where=total > 0)
    first = int(np.argmax(np.median(part[-_BLOCK:], axis=0)))
    mine, start = part[:, first], n
    for low in range((n - _BLOCK) // _BLOCK * _BLOCK, -1, -_BLOCK):
        if not np.median(mine[low:start]) > share:
            break
        start = low
    enough = n - start >= 2 * _BLOCK and terms.step[-1] - terms.step[min(start, n - 1)] + 1 >= calls
    return (first, float(np.median(mine[start:])), start) if enough else None


def _is_task(part: Terms, k: int) -> bool:
    """Whether training should lower a term: it is in the loss, switched on, moved by the batch, no regulariser."""
    value = part.value[:, k]
    level = float(np.median(np.abs(value)))
    noise = float(np.median(np.abs(np.diff(value))))
    return (
        bool(part.weight[k]) and level > 0 and noise > 1e-3 * level and not _REGULARISERS.search(part.name[k].lower())
    )


def _change(part: Terms, k: int) -> tuple[float, float]:
    """Interval of the change of a term over the calls, as a share of its level; NaN below 5 points."""
    value = part.value[:, k]
    slope = stats.trend(part.step, value)
    level = float(np.median(np.abs(value)))
    span = float(part.step[-1] - part.step[0])
    return slope.low * span / level, slope.high * span / level


def _stays(low: float, high: float, improvement: float) -> bool:
    """Whether the interval of a change leaves no room for an improvement that matters."""
    return (high >= 0 and low > -improvement) or low > -improvement / 5


def _began(terms: Terms, reign: Reign, k: int) -> float:
    """Level of a term now over its level in its first recorded calls that were not 0."""
    value = np.abs(terms.value[:, k])
    active = value[value > 0]
    return float(np.median(np.abs(reign.part.value[-2 * _BLOCK :, k])) / np.median(active[:_BLOCK]))


def _metric_improves(run: Run, term: str) -> bool:
    """Whether a metric or the evaluations of this task get better over the run."""
    word = re.compile(rf"(^|[^a-z0-9]){re.escape(term.lower())}([^a-z0-9]|$)")
    for name, series in run.series.items():
        sign = names.direction(name)
        named = sign and not name.startswith("train/loss") and word.search(name.lower().partition("/")[2])
        if named and stats.trend(series.finite.step, sign * series.finite.value, _SURE).rising:
            return True
    for evaluations in run.of_kind().values():
        scores = [(e.step, _score(e)) for e in evaluations if e.task.lower() == term.lower()]
        seen = np.array([s for s in scores if np.isfinite(s[1])], dtype=np.float64).reshape(-1, 2)
        if stats.trend(seen[:, 0], seen[:, 1], _SURE).rising:
            return True
    return False


def _score(evaluation: Evaluation) -> float:
    if evaluation.confusion is not None and evaluation.confusion.n:
        return float(evaluation.confusion.correct.sum() / evaluation.confusion.n)
    return evaluation.moments[0].r if evaluation.moments else float("nan")


def _finding(reign: Reign, changes: dict[int, tuple[float, float]]) -> Finding:
    part, mine, weight = reign.part, reign.part.name[reign.term], float(reign.part.weight[reign.term])
    last, started, at = part.value[-1], int(part.step[0]), int(part.step[-1])
    percent = f"{100 * reign.share:.{2 if reign.share < 0.9999 else 5}f}"
    of = "loss" if reign.seen.startswith("train/loss") else "trunk's gradient"
    weighted = "" if abs(weight - 1) < 1e-3 else f" (weight {weight:.3g})"
    others = ", ".join(part.name[k] for k in changes)
    against = ", ".join(f"{last[k]:.3g} for {part.name[k]}" for k in changes)
    least = min(low for low, _ in changes.values())
    return Finding(
        f"{mine}{weighted} has {percent} % of the {of} over the {at - started + 1} calls since step {started} "
        f"({last[reign.term]:.3g} against {against}), and {others} did not improve (a fall by more than "
        f"{max(0.0, -100 * least):.2g} % is ruled out)",
        subject=mine,
        step=started,
        evidence=(
            Evidence(reign.seen, reign.last, reign.at, text=f"{percent} % of the {of}, median over these calls"),
            *(
                Evidence(
                    f"train/loss/{part.name[k]}", float(last[k]), at, 0.0, changes[k], "relative change [interval]"
                )
                for k in changes
            ),
        ),
        remedies=(
            Remedy(f"Standardise the targets of {mine}, or weight the terms so that each begins near 1"),
            Remedy("Weight the terms by their gradient norms at the trunk"),
        ),
    )
