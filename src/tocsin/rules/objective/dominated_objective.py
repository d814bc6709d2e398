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
_ROUNDING = 1.2e-7  # of float32: a smaller part of the total is its rounding
_RARE = 0.6  # share of the largest class from which a task may learn long before its accuracy leaves it
_HANDFUL = 5
_SWAY = 0.1  # of what others have at most: 1 in 1000 turns the direction of a step by .06 degrees
_KEPT, _GAINED = 0.25, 0.1  # of the first loss: what a task that is left behind has still, and the large one has not
_GAP = 0.25  # of the run without a sample: more, and the samples do not speak for it
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
    "OBJ001",
    needs=("train/loss/*",),
    severity="warning",
    explains=("PRD002", "PRD003", "PRD010", "PRD012", "PRD009", "OBJ002", "OBJ003"),
)
def dominated_objective(
    run: Run, *, share: float = 0.99, calls: int = 256, improvement: float = 0.1
) -> Iterator[Finding | NotChecked]:
    """One term is nearly all of the loss or of its gradient, and the other tasks do not improve.

    ## What it does
    With terms `T_k` and weights `w_k`, the share of term `d` at a call is `abs(w_d T_d) / sum_k abs(w_k T_k)`. The norm
    of the term's gradient at the trunk, `loss/trunk_norm/<term>`, stands in place of `T_k` where at least 5 samples of
    it lie so that no quarter of the run is without one; below 32 samples all of them must agree. Samples of the first
    steps alone say nothing of the rest: then the values decide. Rings when over the last `n >= calls` calls

    `median(share_d) > share`, with the last 16 still above `1 - improvement`, and the term `d` itself fell by more than
    `improvement` (its trend, or its last calls against its first; or `n >= 16 calls`), and no other task improves. A
    task does not improve if no metric that bears its name does, and

    - its own evaluations say so: over its last 3 the 95 % interval of `(accuracy - chance) / (1 - chance)`, chance
      being the largest class (for a regression, of the correlation), begins below `improvement` and ends below twice
      that. This outweighs the loss: a term that the large one threw up and that now falls back has gained nothing;
    - where these cannot tell, its loss does: the interval of its relative change (Theil-Sen slope over those calls)
      contains 0 and rules out a fall by more than `improvement`, or it rules out a fall by more than
      `improvement / 5`; its level is not below `1 - improvement` of where it began; its evaluations do not rise.

    Evaluations belong to the term of their task's name, one name within the other (`peak`, `peaks`), and a task left
    over to the one term left over.

    One other task that improves is enough for silence, but for one case, judged at the end: the term had more than
    `1 - (1 - share) / 10` of the *trunk's gradient* (median) from the start and fell by more than nine tenths, while
    each other task kept over a quarter of its first loss (99 % interval), though its last recorded evaluation is better
    than its first (95 % intervals apart): it had not converged before. What it learned, its own head learned, on
    features that were made for another task.

    `w_k` come from least squares of `train/loss` on the terms where these account for it (R2 > 0.999), else they are 1;
    a term of weight 0 is not part of the loss and not judged.

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
    neither evaluations nor loss can rule out improvement. Under learned weights that change fast the shares are of
    unweighted terms. Wrong where a flat term is at its optimum by design and has no name that says so, or a task cannot
    be learned at all. Where one class has 60 % of the targets, accuracy may stay at it while a task learns, and only
    the loss is asked. Measured: of 500 synthetic runs of 2-4 terms up to 1e7 apart that all learn at some pace (190 of
    them dominated), 2 rang on the way and 0 end with this finding; 0 of 100 whose first task sits at its starting loss
    for up to 0.3 of the run, beside a term 4,000 times larger.

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
    reign = _reign(run, terms, share, calls, 1 - improvement)
    if reign is None:
        return
    others = [k for k in range(len(terms.name)) if k != reign.term and _is_task(reign.part, k)]
    span = reign.part.step[-1] - reign.part.step[0] + 1
    if not others or not (span >= _LONG * calls or _fell(reign.part, reign.term, improvement)):
        return
    tasks = _tasks(run, terms.name, [reign.term, *others])
    proofs = [_stuck(run, terms, reign, k, tasks.get(k), improvement) for k in others]
    stuck = [proof for proof in proofs if proof is not None]
    if len(stuck) == len(others):
        yield _finding(reign, others, stuck, f"did not improve ({_why(stuck)})")
    elif run.exit != "running" and _shapes_the_trunk(terms, reign, share):
        behind = [_behind(terms, k) for k in others if k in tasks and _learned(run.of_kind()[tasks[k]])]
        kept = [e for e in behind if e.interval and e.interval[0] > _KEPT]
        if len(kept) == len(others):
            yield _finding(reign, others, kept, _left(kept))


def _shapes_the_trunk(terms: Terms, reign: Reign, share: float) -> bool:
    """Whether a term had practically all of the trunk's gradient from the start, and has fallen."""
    whole = reign.seen.startswith("loss/trunk_norm/") and reign.share > 1 - _SWAY * (1 - share)
    left = _behind(terms, reign.term).interval
    return whole and reign.part.step[0] <= terms.step[_BLOCK] and left is not None and left[1] < _GAINED


def _stuck(run: Run, terms: Terms, reign: Reign, k: int, task: str | None, improvement: float) -> Evidence | None:
    """The evidence that a task does not improve: its own evaluations where these can tell, else its loss."""
    if _metric_improves(run, terms.name[k]):
        return None
    evaluated = run.of_kind()[task] if task else []
    skill = _skill([e for e in evaluated if e.step >= reign.part.step[0]][-3:])
    if skill and skill[0] > improvement:
        return None
    if skill and skill[1] < 2 * improvement:
        at, text = evaluated[-1].step, "share of the way from chance to perfect [interval]"
        return Evidence(f"evaluation:{task}", sum(skill) / 2, at, improvement, skill, text)
    change = _change(reign.part, k)
    if _rises(evaluated) or not _stays(*change, improvement):
        return None
    if not _began(terms, reign, k) > 1 - improvement:
        return None
    last, at = float(reign.part.value[-1, k]), int(reign.part.step[-1])
    return Evidence(f"train/loss/{terms.name[k]}", last, at, 0.0, change, "relative change [interval]")


def _behind(terms: Terms, k: int) -> Evidence:
    """What a task has left of its first loss: level of its last calls over that of its first ones [interval]."""
    value = np.abs(terms.value[:, k])
    first, last = stats.mean_interval(value[:_BLOCK], 0.99), stats.mean_interval(value[-2 * _BLOCK :], 0.99)
    kept = (last[0] / first[1], last[1] / first[0]) if first[0] > 0 else None
    share = float(np.mean(value[-2 * _BLOCK :]) / np.mean(value[:_BLOCK])) if kept else float("nan")
    text = "share of its first loss that is left [interval]"
    return Evidence(f"train/loss/{terms.name[k]}", share, int(terms.step[-1]), _KEPT, kept, text)


def _left(kept: list[Evidence]) -> str:
    shares = ", ".join(f"{100 * e.value:.2g} %" for e in kept if isinstance(e.value, float))
    return f"hardly shaped the shared layers: {shares} of the first loss is left"


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
        seen = abs(fitted.value) * np.std(parts[:, k]) > _ROUNDING * np.abs(whole).max()
        weighs = seen and not fitted.low <= 0 <= fitted.high
        if weighs:
            weight[k] = abs(fitted.value)
        elif max(abs(fitted.low), abs(fitted.high)) < 0.01:
            weight[k] = 0.0
    return weight


def _reign(run: Run, terms: Terms, share: float, calls: int, least: float) -> Reign | None:
    norms = {t: s.finite for t, s in run.family("loss/trunk_norm").items() if t in terms.name and len(s.finite)}
    step = reduce(np.intersect1d, [s.step for s in norms.values()]) if len(norms) > 1 else terms.step[:0]
    if step.size < _HANDFUL or np.diff([terms.step[0], *step, terms.step[-1]]).max() > _GAP * np.ptp(terms.step):
        found = _longest(terms, share, calls, least)
        return _seen(terms, terms, list(range(len(terms.name))), "train/loss", found) if found else None
    value = np.stack([s.value[np.searchsorted(s.step, step)] for s in norms.values()], axis=1)
    place = [terms.name.index(t) for t in norms]
    seen = Terms(tuple(norms), step, value, terms.weight[place])
    found = _longest(seen, share, calls, least) if step.size >= 2 * _BLOCK else _always(seen, share)
    return _seen(terms, seen, place, "loss/trunk_norm", found) if found else None


def _seen(terms: Terms, seen: Terms, place: list[int], stem: str, found: tuple[int, float, int]) -> Reign:
    """A reign with the terms since it began; ``place`` is that of each seen term among the terms."""
    first, share, start = found
    part = terms.since(int(np.searchsorted(terms.step, seen.step[start])))
    last = float(seen.value[-1, first])
    return Reign(place[first], share, part, f"{stem}/{seen.name[first]}", last, int(seen.step[-1]))


def _shares(terms: Terms) -> Floats:
    size = np.abs(terms.value) * terms.weight
    total = size.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(size, total, out=np.zeros_like(size), where=total > 0)
    return shares


def _always(terms: Terms, share: float) -> tuple[int, float, int] | None:
    """The term that has more than ``share`` at every one of a few samples: a median of 5 proves nothing, 5 of 5 do."""
    part = _shares(terms)
    first = int(np.argmax(part[-1]))
    return (first, float(np.median(part[:, first])), 0) if part[:, first].min() > share else None


def _longest(terms: Terms, share: float, calls: int, least: float) -> tuple[int, float, int] | None:
    """(term, median share, first index) of the longest stretch up to now whose median share is above ``share``.

    It begins with a block above ``share``, and its last block must be above ``least``: a reign that is over is none.
    """
    n, part = terms.step.size, _shares(terms)
    first = int(np.argmax(np.median(part[-_BLOCK:], axis=0)))
    mine = part[:, first]
    if np.median(mine[-_BLOCK:]) > least:
        for start in range(0, n - 2 * _BLOCK + 1, _BLOCK):
            begins = np.median(mine[start : start + _BLOCK]) > share
            middle = float(np.median(mine[start:])) if begins else 0.0
            if middle > share:
                return (first, middle, start) if terms.step[-1] - terms.step[start] + 1 >= calls else None
    return None


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
    """Whether a metric that bears the name of this task gets better over the run."""
    word = re.compile(rf"(^|[^a-z0-9]){re.escape(term.lower())}([^a-z0-9]|$)")
    for name, series in run.series.items():
        sign = names.direction(name)
        named = sign and not name.startswith("train/loss") and word.search(name.lower().partition("/")[2])
        if named and stats.trend(series.finite.step, sign * series.finite.value, _SURE).rising:
            return True
    return False


def _tasks(run: Run, name: tuple[str, ...], among: list[int]) -> dict[int, str]:
    """The evaluations (``split/task``) of each term: by name, and the one left over to the one term left over."""
    keys = {key: evaluations[0].task.lower() for key, evaluations in run.of_kind().items() if key[:6] != "train/"}
    found: dict[int, str] = {}
    for k in among:
        term = name[k].lower()
        near = [key for key, task in keys.items() if min(len(task), len(term)) > 2 and (task in term or term in task)]
        same = [key for key in near if keys[key] == term] or near
        if same:
            found[k] = same[0]
    free = [key for key in keys if keys[key] not in {keys[taken] for taken in found.values()}]
    left = [k for k in among if k not in found]
    return found | {left[0]: free[0]} if len(left) == len({keys[key] for key in free}) == 1 else found


def _skill(evaluations: list[Evaluation]) -> stats.Interval | None:
    """Interval of the share of the way from chance to perfect that these evaluations show; None if they cannot.

    Chance is the largest class for classes, a correlation of 0 for a regression. The size is that of one evaluation
    where they share their samples, which cannot be known, so it is the mean size always.
    """
    counts = [e.confusion for e in evaluations if e.confusion is not None and e.confusion.n]
    if counts and len({c.classes for c in counts}) == 1:
        n = sum(c.n for c in counts)
        chance = float(np.sum([c.support for c in counts], axis=0).max()) / n
        hits, size = sum(int(c.correct.sum()) for c in counts) / len(counts), n / len(counts)
        low, high = stats.wilson(hits, size)
        return ((low - chance) / (1 - chance), (high - chance) / (1 - chance)) if chance < _RARE else None
    moments = [e.moments[0] for e in evaluations if e.moments]
    if not moments:
        return None
    low, high = stats.fisher_interval(float(np.mean([m.r for m in moments])), float(np.mean([m.n for m in moments])))
    return (low, high) if low <= high else None


def _rises(evaluated: list[Evaluation]) -> bool:
    """Whether the score of a task goes up over its evaluations."""
    scores = np.array([(e.step, _score(e)) for e in evaluated], dtype=np.float64).reshape(-1, 2)
    scores = scores[np.isfinite(scores[:, 1])]
    return stats.trend(scores[:, 0], scores[:, 1], _SURE).rising


def _learned(evaluated: list[Evaluation]) -> bool:
    """Whether the last evaluation of a task is better than its first, beyond both intervals."""
    first, last = _skill(evaluated[:1]), _skill(evaluated[-1:])
    return first is not None and last is not None and last[0] > first[1]


def _score(evaluation: Evaluation) -> float:
    if evaluation.confusion is not None and evaluation.confusion.n:
        return float(evaluation.confusion.correct.sum() / evaluation.confusion.n)
    return evaluation.moments[0].r if evaluation.moments else float("nan")


def _fell(part: Terms, k: int, improvement: float) -> bool:
    """Whether a term fell by more than ``improvement``: by its trend, or from its first calls to its last."""
    if _change(part, k)[1] < -improvement:
        return True
    value = np.abs(part.value[:, k])
    first, last = stats.mean_interval(value[:_BLOCK]), stats.mean_interval(value[-2 * _BLOCK :])
    return last[1] < (1 - improvement) * first[0]


def _finding(reign: Reign, others: list[int], stuck: list[Evidence], outcome: str) -> Finding:
    part, mine, weight = reign.part, reign.part.name[reign.term], float(reign.part.weight[reign.term])
    last, started, at = part.value[-1], int(part.step[0]), int(part.step[-1])
    percent = f"{100 * reign.share:.{2 if reign.share < 0.9999 else 5}f}"
    of = "loss" if reign.seen.startswith("train/loss") else "trunk's gradient"
    weighted = "" if abs(weight - 1) < 1e-3 else f" (weight {weight:.3g})"
    neglected = ", ".join(part.name[k] for k in others)
    against = ", ".join(f"{last[k]:.3g} for {part.name[k]}" for k in others)
    return Finding(
        f"{mine}{weighted} has {percent} % of the {of} over the {at - started + 1} calls since step {started} "
        f"({last[reign.term]:.3g} against {against}), and {neglected} {outcome}",
        subject=mine,
        step=started,
        evidence=(
            Evidence(reign.seen, reign.last, reign.at, text=f"{percent} % of the {of}, median over these calls"),
            *stuck,
        ),
        remedies=(
            Remedy(f"Standardise the targets of {mine}, or weight the terms so that each begins near 1"),
            Remedy("Weight the terms by their gradient norms at the trunk"),
        ),
    )


def _why(stuck: list[Evidence]) -> str:
    falls = [e.interval[0] for e in stuck if e.interval and not e.source.startswith("evaluation:")]
    said = [f"a fall by more than {max(0.0, -100 * min(falls)):.2g} % is ruled out"] if falls else []
    for e in stuck:
        if e.interval and e.source.startswith("evaluation:"):
            key, share = e.source.partition(":")[2], 100 * max(0.0, e.interval[1])
            said.append(f"{key} is at most {share:.2g} % of the way from chance to perfect")
    return "; ".join(said)
