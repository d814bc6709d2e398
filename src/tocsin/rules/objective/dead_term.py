"""OBJ003 dead-term."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tocsin import learning, metrics, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run, Series

_WORD = re.compile(r"[a-z]+|\d+")
_MAY_STAND_STILL = frozenset(
    _WORD.findall(
        "reg regularization regularisation regulariser regularizer decay l l1 l2 weight penalty balance balancing aux "
        "load router z orth orthogonal sparsity commit commitment vq codebook entropy kl kld temperature scale logit "
        "coef d g disc discriminator gen generator adv adversarial gan real fake fm lr beta alpha policy value critic "
        "actor reward"
    )
)
_NO_LABELS = re.compile(
    r"\b(?:no (?:labels?|annotations?|targets?|boxes|masks)|empty (?:labels?|annotations?))\b", re.I
)
_MATCHED = frozenset(("box", "bbox", "iou", "giou", "ciou", "dfl"))  # terms that only matched boxes feed
_RECORDS = 5
_REMEDIES = (
    Remedy("Check that the term's targets reach it: file, column, mask, ignore index, one batch printed", True),
    Remedy(
        "Check that its head is in the graph and in the optimizer: no detach, no argmax, no swallowed exception", True
    ),
)


@dataclass(frozen=True)
class Term:
    """A loss term beside the others of its split.

    Attributes:
        name: Of the series; ``series`` its finite points.
        level: Mean of its last half.
        low, high: 95 % interval of its change over the whole run, as a share of its level.
        mover: The total or the other term that fell, with its first and last level.
    """

    name: str
    series: Series
    level: float
    low: float
    high: float
    mover: Series
    before: float
    after: float


@rule("OBJ003", needs=(), explains=("OBJ002", "PRD009", "PRD011"), when="end")
def dead_term(
    run: Run, *, points: int = 20, evaluations: int = 5, still: float = 0.03, fall: float = 0.2
) -> Iterator[Finding | NotChecked]:
    """One term of the loss never moves while the others fall.

    ## What it does
    Judged at the end. A term of at least `points` training values (`evaluations` of an evaluation loss) is judged when
    the total, or else another term of the split, fell meanwhile, from its first tenth to its last (medians): by
    `fall` of its first level and by 3 times the scatter of successive values. The term rings when it is

    - exactly constant and not 0, with at least three digits in print;
    - or flat at ln k from its first tenth on (k = 2 to 20): the 95 % interval of its change over the whole run lies
      within `still` of its level, and the level is so near to ln k that a level anywhere between two neighbouring ln k
      would be in less than 10 % of cases;
    - or flat in the same sense at any other level, when it is at least a quarter of the last total, does not exceed
      it, and the others fell by half. Terms with a gradient path recorded as absent are left to OBJ007.

    Two more ring where nothing need fall: all terms of a detector that only matched boxes feed (box, bbox, IoU, DFL)
    are exactly 0 in each of 5 records or more while another term is not (a note in 2 to 4); the training loss and all
    its terms are exactly 0 in each of 5 records or more (a note: few digits in print look the same).

    A term that is exactly 0 throughout is a note (weight 0, one class only, margin never violated), or a warning where
    a message of the run says that there are no labels. Terms that may stand still by right (regularisers, load
    balancing, KL, entropy, commitment, adversarial and policy terms) are left alone.

    ## Why is this bad?
    That task is not learned: its labels, its head or its gradient are missing. The total falls all the same, so nobody
    notices.

    ## Example
    ```python
    steps = np.arange(400)
    kind = 1.8 * np.exp(-steps / 90) + 0.2
    side = 0.6931 + 0.003 * np.sin(steps * 1.7)
    run = Run.of(series={"train/loss": kind + side, "train/loss/kind": kind, "train/loss/side": side})
    ```
    Use instead:
    ```python
    steps = np.arange(400)
    kind = 1.8 * np.exp(-steps / 90) + 0.2
    side = 0.6931 * np.exp(-steps / 200)
    run = Run.of(series={"train/loss": kind + side, "train/loss/kind": kind, "train/loss/side": side})
    ```

    ## Fix
    - **safe** Print targets and predictions of that term for one batch.
    - **safe** Backpropagate that term alone and look at the gradient of its head.
    - **unsafe** Raise its weight, if it is there but starved by the others.

    ## Options
    - `points` (20), `evaluations` (5): the shortest series whose trend interval is worth something.
    - `still` (.03): ln k and ln (k + 1) are 4 % apart at k = 10.
    - `fall` (.2): the others must learn, or the whole run is at fault.

    ## Known limits
    A term that had converged before the run (fine-tuning) stands still, too: only a large one rings. Silent where all
    terms stand still.

    ## References
    Caruana 1997, Multitask learning (tasks compete for the shared representation).
    """
    found = _all_zero(run) or _nothing_matched(run)
    if found is not None:
        yield found
        return
    judged = False
    done: set[str] = set()
    for split in ("train", "val", "test"):
        terms = {t: s.finite for t, s in run.family(f"{split}/loss").items()}
        least = points if split == "train" and max(map(len, terms.values()), default=0) >= points else evaluations
        for term, series in terms.items():
            mover = _mover(run, split, term, terms, fall) if len(series) >= least else None
            if mover is not None and term not in done:
                judged = True
                finding = _dead(run, term, series, mover, still)
                if finding is not None:
                    done.add(term)
                    yield finding
    if not judged:
        yield NotChecked(f"needs a term with {points} values ({evaluations} of evaluations) beside losses that fell")


def _zeros(run: Run) -> tuple[list[Series], list[Series]]:
    """The training losses that are exactly 0 throughout, and the others."""
    names = ["train/loss", *(f"train/loss/{term}" for term in run.family("train/loss"))]
    known = [replace(run.series[n].finite, name=n) for n in names if n in run.series]
    zero = [s for s in known if len(s) == len(run.series[s.name]) and not np.any(s.value)]
    return zero, [s for s in known if s not in zero]


def _all_zero(run: Run) -> Finding | None:
    zero, other = _zeros(run)
    norm = run.get("grad/norm")
    if other or not zero or len(zero[0]) < _RECORDS or learning.unlike_progress(run):
        return None
    if norm is not None and not np.isfinite(norm.value).all():
        return None  # AMP004: a loss that is no number, recorded as 0
    return _nothing_there(zero, "nothing reaches the loss, or it is printed with too few digits", "note")


def _nothing_matched(run: Run) -> Finding | None:
    zero, other = _zeros(run)
    boxes = [s for s in (*zero, *other) if _MATCHED & set(_WORD.findall(s.name.rpartition("/")[2].lower()))]
    rest = [s for s in other if s.name != "train/loss"]
    if not boxes or not rest or any(s in other for s in boxes) or min(map(len, boxes)) < 2:
        return None
    few = min(map(len, boxes)) < _RECORDS
    return _nothing_there(boxes, f"no box was matched, while {rest[0].name} is not", "note" if few else "warning")


def _nothing_there(zero: list[Series], meaning: str, severity: Severity) -> Finding:
    listed = ", ".join(s.name for s in zero[:4])
    return Finding(
        f"{listed} {'are' if len(zero) > 1 else 'is'} exactly 0 in all {len(zero[0])} records: {meaning}",
        subject=zero[0].name.removeprefix("train/loss/"),
        step=int(zero[0].step[0]),
        evidence=tuple(Evidence(s.name, 0.0, int(s.step[-1]), text="exactly 0 throughout") for s in zero[:4]),
        remedies=_REMEDIES,
        severity=severity,
    )


def _mover(
    run: Run, split: str, term: str, terms: Mapping[str, Series], fall: float
) -> tuple[Series, float, float] | None:
    """The total, or the largest other term, that fell over the same steps, and its first and last level."""
    others = [s for t, s in terms.items() if t != term]
    total = run.get(f"{split}/loss")
    for series in ([total.finite] if total is not None else []) + sorted(others, key=_size, reverse=True):
        if len(series) < 5:
            continue
        before, after = _ends(series)
        scatter = stats.robust_level(np.diff(series.value))[1] / math.sqrt(2)
        if before - after > max(fall * abs(before), 3 * scatter):
            return series, before, after
    return None


def _size(series: Series) -> float:
    return float(np.median(np.abs(series.value))) if len(series) else 0.0


def _ends(series: Series) -> tuple[float, float]:
    """Medians of the first and the last tenth, at least one value each."""
    tenth = max(1, len(series) // 10)
    return float(np.median(series.value[:tenth])), float(np.median(series.value[-tenth:]))


def _dead(run: Run, name: str, series: Series, mover: tuple[Series, float, float], still: float) -> Finding | None:
    level = float(series.value[len(series) // 2 :].mean())
    term = Term(name, series, level, math.nan, math.nan, *mover)
    if np.ptp(series.value) == 0:
        return _constant(run, term)
    path = run.get(f"loss/path/{name}")
    if (
        _MAY_STAND_STILL & set(_WORD.findall(name.lower()))
        or (path is not None and not np.any(path.value))
        or not level
    ):
        return None
    part = series[len(series) // 10 :]
    slope, span = stats.trend(part.step, part.value), float(part.step[-1] - part.step[0])
    term = Term(name, series, level, slope.low * span / abs(level), slope.high * span / abs(level), *mover)
    if not (-still < term.low <= 0 <= term.high < still):
        return None
    classes = _chance(part, level)
    return _finding(term, f"flat at ln {classes}", math.log(classes)) if classes else _flat(run, term)


def _constant(run: Run, term: Term) -> Finding | None:
    """A term with one and the same value throughout."""
    if term.level == 0:
        said = [e for e in run.events if e.kind in ("warning", "message") and _NO_LABELS.search(e.text)]
        found = _finding(term, "exactly 0", 0.0, "warning" if said else "note")
        extra = tuple(Evidence(f"event:{e.kind}", None, text=e.text[:200]) for e in said[:1])
        return Finding(**{**found.__dict__, "evidence": (*found.evidence, *extra)})
    coarse = abs(term.level) < 200 * metrics.half_unit([term.series.value, term.mover.value])
    if coarse or _MAY_STAND_STILL & set(_WORD.findall(term.name.lower())):
        return None
    return _finding(term, "exactly constant", None)


def _chance(part: Series, level: float) -> int:
    """The k of 2 to 20 whose ln k the level is, 0 where that may be chance."""
    low, high = stats.mean_interval(part.value)
    error = ((high - low) / 2 if math.isfinite(low) else float(part.value.std())) + metrics.half_unit([part.value])
    k = round(math.exp(level)) if 0 < level < 3.05 else 0
    if not 2 <= k <= 20 or abs(math.log(k) - level) > error + 0.002:
        return 0
    return k if 2 * (error + 0.002) / (math.log(k + 1) - math.log(k)) < 0.1 else 0


def _flat(run: Run, term: Term) -> Finding | None:
    """Flat at no special level: only where it is a large part of a total that otherwise fell by half."""
    total, own = run.get(term.mover.name), term.level
    is_total = total is not None and term.mover.name.endswith("/loss")
    before, after = (term.before - own, term.after - own) if is_total else (term.before, term.after)
    share = own / term.after if is_total and term.after else own / (own + term.after)
    if own > 0 and len(term.series) >= 20 and 0.25 <= share <= 1 and after < before / 2:
        return _finding(term, "flat", None)
    return None


def _finding(term: Term, how: str, limit: float | None, severity: str = "warning") -> Finding:
    series, mover = term.series, term.mover
    change = f" (change {100 * term.low:+.1f} to {100 * term.high:+.1f} %)" if math.isfinite(term.low) else ""
    return Finding(
        f"{series.name} is {how} at {term.level:.4g} over {len(series)} values{change} while {mover.name} fell from "
        f"{term.before:.4g} to {term.after:.4g}",
        subject=term.name,
        step=int(series.step[0]),
        evidence=(
            Evidence(
                series.name,
                float(series.value[-1]),
                int(series.step[-1]),
                limit,
                (term.low, term.high) if math.isfinite(term.low) else None,
                "the last; change over the run as a share of the level [interval]",
            ),
            Evidence(mover.name, float(mover.value[-1]), int(mover.step[-1]), text="fell meanwhile"),
        ),
        remedies=_REMEDIES,
        severity="note" if severity == "note" else None,
    )
