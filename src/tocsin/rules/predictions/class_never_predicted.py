"""PRD003 class-never-predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from tocsin import learning, metrics, names, stats, tallies
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Confusion, Evaluation, Run, Series, in_each, in_last

_OF_HITS = frozenset(("f1", "recall", "dice", "iou"))
_LEARNED = 0.5  # a best class at this score shows that the model learns something
_REMEDIES = (
    Remedy("Count this class among the training targets as the loss sees them: mapped, masked and cropped", True),
    Remedy("Look at how its scores rank (its AUC): where that is good, only the decision rule leaves it out", True),
    Remedy("Weight the loss by class, or sample the class more often"),
)


@dataclass(frozen=True)
class Scores:
    """A score by class, ``<stem>/<class>``, at the evaluations that all classes share.

    Attributes:
        stem: Common name.
        split: The split it is of, "" where the name does not say.
        series: The series by class.
    """

    stem: str
    split: str
    series: Mapping[str, Series]

    @property
    def dead(self) -> list[str]:
        """Classes whose score is exactly 0 at the last evaluation."""
        return [name for name, series in self.series.items() if series.value[-1] == 0]

    @property
    def best(self) -> float:
        """The highest of the last scores, as a fraction."""
        last = [float(series.value[-1]) for series in self.series.values()]
        percent = metrics.is_percent(np.concatenate([series.finite.value for series in self.series.values()]))
        return max(last) / (100 if percent else 1)

    def zeros(self, name: str) -> int:
        """How many of the last evaluations of a class are exactly 0, without a break."""
        value = self.series[name].value
        others = np.flatnonzero(value != 0)
        return value.size - (int(others[-1]) + 1 if others.size else 0)


@rule("PRD003", needs=(), explains=("PRD010",))
def class_never_predicted(
    run: Run, *, recall: float = 0.1, share: float = 0.5, evaluations: int = 6
) -> Iterator[Finding | NotChecked]:
    """A class that the data hold is never predicted.

    ## What it does
    Judges settled predictions: the last 3 evaluations of a task once the evaluation loss no longer falls or the run is
    over. Rings when in each of them class c of support m has no prediction at all and the 95 % Wilson upper bound of
    its recall, 0 of m, lies below `recall` (m >= 35). A warning if m is at least `share` of the mean support of the
    classes that its samples are predicted as, else a note: beside classes much more frequent than itself, a class
    loses every argmax by right of its prior, and a model of the best accuracy never names it.

    From a log with a score by class (`<split>/f1/<class>`, recall, Dice, IoU), at its end: classes whose score is
    exactly 0 in at least the last `evaluations` evaluations and in half of them, while the best class has .5 and more
    and the mean over the classes rose by less than .02 in the last third. A note where it is too early to say, and at
    least a third of the classes were 0 in all of 2 evaluations or more. A class whose logged support is below 35 is
    left out. Where recall and support of each class were reported, the only report (of more, the last 3) is judged as
    recorded predictions are: recall 0 of m targets, m beside the support of the class that a target has on average;
    two reports are a note. All classes but one at 0 is a constant (PRD002).

    ## Why is this bad?
    The question about this class cannot be answered by this run, and an accuracy or a weighted mean hides it.

    ## Example
    ```python
    unseen = Confusion.of([[50, 10, 0], [8, 52, 0], [30, 30, 0]], labels=("cat", "dog", "fox"))
    evaluations = [Evaluation("val", "main", step, "classes", 180, confusion=unseen) for step in (100, 200, 300)]
    run = Run.of(evaluations=tuple(evaluations), exit="finished")
    ```
    Use instead:
    ```python
    seen = Confusion.of([[50, 7, 3], [8, 48, 4], [9, 8, 43]], labels=("cat", "dog", "fox"))
    evaluations = [Evaluation("val", "main", step, "classes", 180, confusion=seen) for step in (100, 200, 300)]
    run = Run.of(evaluations=tuple(evaluations), exit="finished")
    ```

    ## Fix
    - **safe** Check that the class reaches the loss: label map, ignored index, crops that never contain it.
    - **safe** Check the decision rule: a threshold or a prior may leave the class out although its score ranks well.
    - **unsafe** Class weights, oversampling, a loss of overlap.

    ## Options
    - `recall` (.1): what "never" means; fixes the smallest support that can prove it, 35.
    - `share` (.5): log-odds of ln 2 are all that a prior may contribute, as in PRD001. A model of the best accuracy
      that never names a class beside one twice as frequent tells the two apart with an area under the ROC curve of
      .75 at most (1 - `share` / 2, see PRD012).
    - `evaluations` (6): small structures of healthy segmentation runs came after half of the evaluations or earlier.

    ## Known limits
    Cannot tell an unlearnable class from a lost one. From a log without supports, a class that the evaluated data do
    not hold looks the same where its score is given as 0 and not as NaN.

    ## References
    Wilson 1927 (interval).
    """
    judged = False
    look, told = partial(_unseen, recall=recall), partial(_unseen, recall=2.0)
    for key, found in run.of_kind("classes", "ids", "binary").items():
        judged |= bool(run.settled(found))
        signs, stretch = run.persisting(found, in_each(look), in_last(told))
        if signs and (counts := stretch[-1].confusion) is not None:
            yield _finding(key, signs, counts, stretch, share)
    if run.exit != "running":
        for scores in _by_class(run):
            judged = True
            finding = _from_scores(run, scores, evaluations)
            if finding is not None:
                yield finding
        for report in tallies.reports(run):
            judged = True
            finding = _from_report(report, recall, share)
            if finding is not None:
                yield finding
    if not judged:
        yield NotChecked(f"needs {SETTLED}, or a score by class")


def _from_report(report: tallies.Report, recall: float, share: float) -> Finding | None:
    """Classes with targets enough in the only report, or the last 3, of which not one was found; not all but one."""
    least = min(3, len(report.step))
    dead = {
        c: m
        for c, (m, count) in tallies.unseen(report).items()
        if count >= least and stats.wilson(0, float(m))[1] < recall
    }
    kinds, support = len(report.classes), report.support[-1]
    n = float(support.sum())
    if not dead or len(tallies.unseen(report)) >= kinds - 1:
        return None
    common = any(m >= share * float(support @ support) / n for m in dead.values())
    listed = ", ".join(f"{c} ({m} targets)" for c, m in list(dead.items())[:4])
    more = f" and {len(dead) - 4} more" if len(dead) > 4 else ""
    step, first = int(report.step[-1]), int(report.step[len(report.step) - least])
    return Finding(
        f"{report.split}: {len(dead)} of {kinds} classes are never found, by the report of {n:.0f} targets: "
        f"{listed}{more}",
        subject=report.split,
        step=first,
        evidence=tuple(
            Evidence(
                f"{report.split}/recall/{c}", 0.0, step, interval=stats.wilson(0, float(m)), text=f"of {m} targets"
            )
            for c, m in list(dead.items())[:5]
        ),
        remedies=_REMEDIES,
        severity=None if common and len(report.step) != 2 else "note",  # two: a training that has only begun
    )


def _unseen(evaluation: Evaluation, *, recall: float) -> dict[int, int]:
    """The support of each class that is never predicted, large enough to say so; none where one class gets all."""
    counts = evaluation.confusion
    if counts is None or np.count_nonzero(counts.predicted) < 2:
        return {}
    never = np.flatnonzero((counts.predicted == 0) & (counts.support > 0))
    return {int(c): int(counts.support[c]) for c in never if stats.wilson(0, float(counts.support[c]))[1] < recall}


def _finding(key: str, signs: list[int], counts: Confusion, stretch: list[Evaluation], share: float) -> Finding:
    support = {c: int(counts.support[c]) for c in signs}
    kinds = int(np.count_nonzero(counts.support))
    common = any(m >= share * counts.rivals(c) for c, m in support.items())
    listed = ", ".join(f"{counts.label(c)} ({m} samples)" for c, m in list(support.items())[:4])
    more = f" and {len(signs) - 4} more" if len(signs) > 4 else ""
    return Finding(
        f"{key}: {len(signs)} of {kinds} classes never predicted over {counts.n} inputs: {listed}{more}; "
        f"{since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(
            Evidence(
                f"evaluation:{key}",
                0.0,
                stretch[-1].step,
                interval=stats.wilson(0, float(m)),
                text=f"recall of {counts.label(c)}, {m} samples",
            )
            for c, m in list(support.items())[:5]
        ),
        remedies=_REMEDIES,
        severity=None if common else "note",
    )


def _by_class(run: Run) -> Iterator[Scores]:
    """Scores by class of splits whose predictions were not recorded, of at least 3 classes and 2 evaluations."""
    recorded = {evaluation.split for evaluation in run.own_evaluations}
    stems: dict[str, dict[str, Series]] = {}
    for name, series in run.series.items():
        stem, slash, last = name.rpartition("/")
        metric = metrics.read(stem) if slash else None
        if metric is not None and metric.measure in _OF_HITS and metric.split not in recorded | {"train"}:
            stems.setdefault(stem, {})[last] = series
    for stem, found in stems.items():
        split = names.split_of(stem)
        told = {c: s for c, s in found.items() if len(s) >= 2 and not _is_average(c) and _held(run, split, c)}
        kept = {c: s for c, s in told.items() if np.isfinite(s.value[-1])}
        if len(kept) >= 3 and len({int(series.step[-1]) for series in kept.values()}) == 1:
            yield Scores(stem, split, kept)


def _is_average(last: str) -> bool:
    return last.lower() in ("macro", "micro", "weighted", "mean", "avg", "average", "all", "overall")


def _held(run: Run, split: str, label: str) -> bool:
    """Whether the evaluated data are not known to hold too few of a class."""
    support = run.get(f"{split}/support/{label}")
    return support is None or stats.wilson(0, float(support.value[-1]))[1] < 0.1


def _from_scores(run: Run, scores: Scores, evaluations: int) -> Finding | None:
    if learning.unlike_progress(run) or not scores.dead or scores.best < _LEARNED:
        return None
    long = [c for c in scores.dead if scores.zeros(c) >= max(evaluations, len(scores.series[c]) / 2)]
    early = [c for c in scores.dead if scores.zeros(c) == len(scores.series[c])]
    if long and _stands(scores):
        return _told(scores, long, None)
    if 3 * len(early) >= len(scores.series):
        return _told(scores, early, "note")
    return None


def _stands(scores: Scores) -> bool:
    """Whether the mean over the classes rose by less than .02 over the last third of the evaluations."""
    shortest = min(len(series) for series in scores.series.values())
    mean = np.mean([series.value[-shortest:] for series in scores.series.values()], axis=0)
    part = mean[-max(3, shortest // 3) :]
    whole = 100 if max(series.value.max() for series in scores.series.values()) > 1.5 else 1
    return bool(np.median(part[-2:]) - np.median(part[:2]) < 0.02 * whole)


def _told(scores: Scores, dead: list[str], severity: str | None) -> Finding:
    fewest = min(scores.zeros(c) for c in dead)
    first = scores.series[dead[0]]
    listed = ", ".join(dead[:6]) + (f" and {len(dead) - 6} more" if len(dead) > 6 else "")
    early = ", too few to say that they never will be" if severity else ""
    return Finding(
        f"{scores.stem}: {len(dead)} of {len(scores.series)} classes are exactly 0 in the last {fewest} evaluations"
        f"{early} ({listed}), the best is at {scores.best:.3g}",
        subject=scores.stem,
        step=int(first.step[len(first) - fewest]),
        evidence=tuple(
            Evidence(f"{scores.stem}/{c}", 0.0, int(scores.series[c].step[-1]), text="not one hit") for c in dead[:5]
        ),
        remedies=_REMEDIES,
        severity="note" if severity else None,
    )
