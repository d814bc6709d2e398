"""GEN005 volatile-class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tocsin import learning, metrics, schedules, stats, tallies
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Run, Series

_ANNEALED = 0.1  # of the peak rate
_REMEDIES = (
    Remedy("Report the class over several late evaluations, or average the last weights (EMA, SWA)", True),
    Remedy("Let the learning rate fall to the end before the class is judged"),
    Remedy("Give the class more samples, in training and in the evaluation"),
)


@dataclass(frozen=True)
class Table:
    """Hits and samples of each class at late evaluations.

    Attributes:
        subject: For messages and identity.
        labels: The K classes.
        step: (E,).
        hits, support: (E, K).
        sources: What the evidence of a class cites.
    """

    subject: str
    labels: tuple[str, ...]
    step: Ints
    hits: Floats
    support: Floats
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Swing:
    """The widest fall of one class between two late evaluations.

    Attributes:
        label: The class.
        support: Its samples.
        before, after: Its score, at ``rows`` of the table.
        low: Lower bound of the fall.
        overall: How far all samples together fell meanwhile.
        last: Whether the last step from one evaluation to the next is as wide, up or down; and the last but one.
    """

    label: str
    support: int
    before: float
    after: float
    rows: tuple[int, int]
    low: float
    overall: float
    last: tuple[bool, bool]


@rule("GEN005", needs=(), when="end")
def volatile_class(
    run: Run, *, late: int = 6, fall: float = 0.2, level: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """A class's score swings between late evaluations far more than its samples allow.

    ## What it does
    Judged at the end, on the last `late` evaluations (at most the last half, at least 4). For each class with at least
    20 samples the recall of each pair of evaluations, the earlier above the later, is compared; it rings when

    - the recall falls by at least `fall`, its lower bound by half of that: Newcombe's interval at `level` over classes
      times pairs (the same samples are scored each time, so that it is too wide, never too narrow);
    - the class goes its own way: all samples together fall by less than half as much; and
    - it swings: at another of these evaluations it rises by at least `fall` / 2, with a lower bound above 0. A fall
      without a rise is forgetting, or the end of a divergence.

    A warning where one of the last 2 evaluations falls or rises by as much from the one before it, so that the outcome
    hangs on when the run was stopped; of the last one alone where the learning rate had come down to a tenth of its
    peak by then, which quietens swings. Else a note. From logs: recall or F1 by class with the class's support
    (`<split>/support/<class>`).

    ## Why is this bad?
    "Class c has .63" and "class c has .28" are both true of this run, one epoch apart. Conclusions about single classes
    are conclusions about the epoch that was kept.

    ## Example
    ```python
    found = [60, 62, 61, 28, 59, 63, 27]  # of 100 samples of the first class
    evaluations = [
        Evaluation("val", "main", s, "classes", 300, confusion=Confusion.of([[k, 100 - k, 0], [10, 85, 5], [2, 8, 90]]))
        for s, k in enumerate(found, 1)
    ]
    run = Run.of(evaluations=tuple(evaluations), exit="finished")
    ```
    Use instead:
    ```python
    found = [60, 62, 61, 58, 59, 63, 60]
    evaluations = [
        Evaluation("val", "main", s, "classes", 300, confusion=Confusion.of([[k, 100 - k, 0], [10, 85, 5], [2, 8, 90]]))
        for s, k in enumerate(found, 1)
    ]
    run = Run.of(evaluations=tuple(evaluations), exit="finished")
    ```

    ## Fix
    - **safe** Average the weights of the last epochs, or report the mean and range over them.
    - **unsafe** Anneal the learning rate before the end; rebalance the class.

    ## Options
    - `late` (6): evaluations that count as the end.
    - `fall` (.2): what changes a conclusion about a class; a published run went from .627 to .278.
    - `level` (.01): shared by classes and pairs.

    ## Known limits
    Needs 4 late evaluations and supports of 20. The F1 of a log is taken for a share of its support, which it is only
    nearly. Silent on classes that are still being learned, and on a run that diverges as a whole.

    ## References
    Newcombe 1998, method 10 (difference of proportions).
    """
    judged = False
    if not learning.unlike_progress(run):
        for table in _tables(run, late):
            judged = True
            swings = _swings(table, fall, level)
            if swings:
                annealed = schedules.share_of_peak(run, int(table.step[-1])) <= _ANNEALED
                at_stop = any(any(s.last[:1] if annealed else s.last) for s in swings)
                yield _finding(table, swings, at_stop)
    if not judged:
        yield NotChecked("needs 4 late evaluations of classes, or recall and support by class at as many")


def _tables(run: Run, late: int) -> Iterator[Table]:
    for key, kept in run.of_kind("classes", "ids", "binary").items():
        tail = [e.confusion for e in kept if e.confusion is not None and e.step > 0]
        steps = [e.step for e in kept if e.confusion is not None and e.step > 0]
        count = min(late, len(tail) // 2 if len(tail) > 8 else len(tail))
        same = {c.classes for c in tail[-count:]} if count >= 4 else set()
        if len(same) == 1:
            part = tail[-count:]
            labels = tuple(part[-1].label(c) for c in range(part[-1].classes))
            hits, support = (np.array([getattr(c, k) for c in part], np.float64) for k in ("correct", "support"))
            sources = dict.fromkeys(labels, f"evaluation:{key}")
            yield Table(key, labels, np.array(steps[-count:], np.int64), hits, support, sources)
    recorded = {e.split for e in run.own_evaluations}
    for report in tallies.reports(run):
        if report.split not in recorded:
            yield from _of_report(report, late, "recall")
    yield from _of_f1(run, late, recorded)


def _of_report(report: tallies.Report, late: int, measure: str) -> Iterator[Table]:
    size = len(report.step)
    count = min(late, size // 2 if size > 8 else size)
    if count < 4:
        return
    support, recall = report.support[-count:], report.recall[-count:]
    sources = {c: f"{report.split}/{measure}/{c}" for c in report.classes}
    steps = report.step[-count:].astype(np.int64)
    yield Table(report.split, tuple(report.classes), steps, np.round(recall * support), support, sources)


def _of_f1(run: Run, late: int, recorded: set[str]) -> Iterator[Table]:
    """F1 by class with supports, where no recall by class was logged."""
    found: dict[str, dict[str, tuple[Series, Series]]] = {}
    for name, series in run.series.items():
        head, _, label = name.rpartition("/")
        split, _, measure = head.rpartition("/")
        samples = run.get(f"{split}/support/{label}")
        if measure == "f1" and split and samples is not None and run.get(f"{split}/recall/{label}") is None:
            found.setdefault(split, {})[label] = (series.finite, samples.finite)
    for split, by in found.items():
        labels = sorted(by)
        step, columns = metrics.aligned(*(by[c][0] for c in labels), *(by[c][1] for c in labels))
        if split in recorded | {"train"} or len(labels) < 2 or step.size < 4:
            continue
        f1, support = np.column_stack(columns[: len(labels)]), np.column_stack(columns[len(labels) :])
        scale = 100.0 if metrics.is_percent(f1) else 1.0
        report = tallies.Report(split, labels, support, f1 / scale, step.astype(np.float64))
        yield from _of_report(report, late, "f1")


def _swings(table: Table, fall: float, level: float) -> list[Swing]:
    """The classes that swing, the widest first."""
    count, kinds = table.hits.shape
    sure = 1 - level / (kinds * count * (count - 1) / 2)
    total = table.hits.sum(axis=1) / np.maximum(table.support.sum(axis=1), 1)
    found = []
    for c in range(kinds):
        k, m = table.hits[:, c], table.support[:, c]
        if not np.all((m >= 20) & (k >= 0) & (k <= m)):
            continue
        swing = _widest(table.labels[c], k, m, total, sure, fall)
        if (
            swing.before - swing.after < fall
            or swing.low < fall / 2
            or swing.overall > 0.5 * (swing.before - swing.after)
        ):
            continue
        if _rises(k, m, fall / 2, sure):
            found.append(swing)
    return sorted(found, key=lambda swing: swing.after - swing.before)


def _widest(label: str, k: Floats, m: Floats, total: Floats, sure: float, fall: float) -> Swing:
    """The widest fall of a class; of equals the last."""
    p, last = k / m, len(k) - 1
    pairs = [(i, j) for i in range(len(p)) for j in range(i + 1, len(p))]
    i, j = max(pairs, key=lambda pair: (p[pair[0]] - p[pair[1]], pair[1], pair[0]))
    ends = _as_wide(k, m, last, sure, fall), _as_wide(k, m, last - 1, sure, fall)
    overall = float(total[i] - total[j])
    return Swing(label, int(m[j]), float(p[i]), float(p[j]), (i, j), _fall(k, m, i, j, sure), overall, ends)


def _as_wide(k: Floats, m: Floats, end: int, sure: float, fall: float) -> bool:
    """Whether an evaluation is that far below or above the one before it."""
    high, low = sorted((end - 1, end), key=lambda row: -k[row] / m[row])
    return bool(k[high] / m[high] - k[low] / m[low] >= fall and _fall(k, m, high, low, sure) >= fall / 2)


def _fall(k: Floats, m: Floats, before: int, after: int, sure: float) -> float:
    """The lower bound of how far the recall of one evaluation is above that of another."""
    pair = [(float(k[i]), float(m[i])) for i in (before, after)]
    return stats.proportion_difference(*pair[0], *pair[1], sure)[0]


def _rises(k: Floats, m: Floats, least: float, sure: float) -> bool:
    p = k / m
    pairs = [(i, j) for i in range(len(p)) for j in range(i + 1, len(p))]
    return any(p[j] - p[i] >= least and _fall(k, m, j, i, sure) > 0 for i, j in pairs)


def _finding(table: Table, swings: list[Swing], at_stop: bool) -> Finding:
    said = "; ".join(
        f"{s.label} ({s.support} samples) went from {s.before:.3g} at step {table.step[s.rows[0]]} to {s.after:.3g} at "
        f"step {table.step[s.rows[1]]} (by {s.low:.2g} at least)"
        for s in swings[:3]
    )
    more = f"; and {len(swings) - 3} more" if len(swings) > 3 else ""
    return Finding(
        f"{table.subject}: {said}{more}, and back, while all samples together moved by {abs(swings[0].overall):.2g}",
        subject=table.subject,
        step=int(table.step[min(s.rows[0] for s in swings)]),
        evidence=tuple(_evidence(table, s) for s in swings[:5]),
        remedies=_REMEDIES,
        severity=None if at_stop else "note",
    )


def _evidence(table: Table, swing: Swing) -> Evidence:
    i, j = swing.rows
    source = table.sources[swing.label]
    return Evidence(
        source,
        swing.after if source.startswith("evaluation:") else None,
        int(table.step[j]),
        limit=swing.before,
        interval=(swing.low, 1.0),
        text=f"score of {swing.label}, against step {table.step[i]}; fall [interval]",
    )
