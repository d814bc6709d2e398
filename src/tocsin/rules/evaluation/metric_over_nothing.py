"""EVL006 metric-over-nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tocsin import metrics
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_OF_HITS = ("f1", "precision", "recall", "map", "iou", "dice")
_UNDEFINED = {
    "correlation": "constant predictions or targets",
    "r2": "a constant target",
    "auc": "targets of one class only",
}
_REWARD = re.compile(r"ep(?:isode)?_?(?:rew(?:ard)?|return)_?mean", re.IGNORECASE)
_ENDED = re.compile(r"(?:num_)?episodes(?:_this)?(?:_iter)?$", re.IGNORECASE)
_REMEDIES = (
    Remedy("Count the targets that the evaluation sees: samples, positives, entities or boxes, by class", True),
    Remedy(
        "Look at the way of the labels: file, tag scheme, class ids, masking, filters, truncation, last-batch rule",
        True,
    ),
)


@rule("EVL006", needs=(), severity="error", explains=("EVL001", "PRD002", "PRD003"), when="end")
def metric_over_nothing(run: Run, *, repeats: int = 2) -> Iterator[Finding | NotChecked]:
    """A metric is computed over an empty set: nothing to find, no positive, no sample.

    ## What it does
    Judged at the end. Rings where

    - the support (`<split>/support`: targets, phrases, boxes) of an evaluation is 0 in the last one; an error if it is
      0 in all of them, else a warning;
    - the supports of all classes (`<split>/support/<class>`) are 0 in the last evaluation;
    - a metric is NaN in every one of at least `repeats` evaluations, while the loss of that split, or where that was
      not logged the training loss, is finite; of metrics of one class or one size (`val/f1/boat`) only if all are;
    - mAP or recall is -1 in every one of at least `repeats` evaluations: what COCO's code and taggers of the NCRF++
      family say when there is no ground truth (one finding for all metrics of a split);
    - the mean reward of the episodes is NaN in every record while the number of episodes that ended is 0: a warning
      from the fifth record on, before that a note;
    - the evaluation loss is exactly 0 in every one of at least `repeats` evaluations while the training loss never is
      and no metric of that split is perfect: the mean over no batch, or all labels masked. A warning.

    ## Why is this bad?
    0/0 is shown as 0, NaN or -1, and reads as "the model finds nothing". No training can change it: the fault is in
    the data that the metric is given.

    ## Example
    ```python
    run = Run.of(series={"val/f1": [0.0], "val/support": [0], "val/predicted": [0], "val/accuracy": [69.18]})
    ```
    Use instead:
    ```python
    run = Run.of(series={"val/f1": [71.3], "val/support": [512], "val/predicted": [498], "val/accuracy": [93.2]})
    ```

    ## Fix
    - **safe** Print the targets of one evaluation batch as the metric sees them, after masking and truncation.
    - **safe** Compare the label names of the data with those that the metric expects (`B-PER` against `PER`, ids
      shifted by one, `O` as the class of padding).
    - **safe** Compute the metric over the pooled evaluation, not over batches that may hold no positive.

    ## Options
    - `repeats` (2): one NaN may be a sanity check before training; a support of 0 needs no repetition.

    ## Known limits
    A correlation, R2 or AUC can be undefined because the predictions are constant or hold NaN, too: the message says
    so. Silent where a metric skips empty classes by itself, and on a single class without support.

    ## References
    scikit-learn, `zero_division`. COCO API: a mean over no category is -1. A public log: "processed 2330 tokens with
    0 phrases; found: 0 phrases", F1 0.00 at an accuracy of 69.18 %.
    """
    judged = False
    for split in _splits(run):
        finding = _nothing_to_find(run, split) or _no_class(run, split) or _zero_loss(run, split, repeats)
        judged |= run.get(f"{split}/support") is not None
        if finding is not None:
            yield finding
    if (unended := _no_episode(run)) is not None:
        judged = True
        yield unended
    told = set[str]()
    for metric in metrics.of_evaluations(run.series):
        series = run.series[metric.name]
        judged |= len(series) >= repeats
        if metric.plain and len(series) >= repeats and metric.group not in told:
            finding = _undefined(run, metric, series)
            if finding is not None:
                told.add(metric.group)
                yield finding
    if not judged:
        yield NotChecked(f"needs metrics of at least {repeats} evaluations, or their support")


def _splits(run: Run) -> list[str]:
    """What stands before ``/support`` or ``/loss``, but train."""
    ends = ("/support", "/loss")
    heads = {name.removesuffix(end) for name in run.series for end in ends if name.endswith(end)}
    heads |= {name.partition("/support/")[0] for name in run.series if "/support/" in name}
    return sorted(heads - {"train"})


def _nothing_to_find(run: Run, split: str) -> Finding | None:
    support = run.get(f"{split}/support")
    if support is None or support.value[-1] != 0:
        return None
    empty = support.value == 0
    first = int(support.step[len(empty) - int(np.argmin(empty[::-1]))]) if not empty.all() else int(support.step[0])
    times = f"in all {len(support)} evaluations" if len(support) > 1 else "in the only evaluation"
    where = times if empty.all() else f"since step {first}"
    said, evidence = _scores(run, split)
    return Finding(
        f"{split}: there is nothing to find in the evaluated data: support 0 {where}{said}",
        subject=split,
        step=first,
        evidence=(Evidence(support.name, 0.0, int(support.step[-1]), text="targets"), *evidence),
        remedies=_REMEDIES,
        severity=None if empty.all() else "warning",
    )


def _scores(run: Run, split: str) -> tuple[str, list[Evidence]]:
    """What the split's scores and counts say at their end, in words and as evidence."""
    names = [f"{split}/predicted"] + [
        m.name for m in metrics.of_evaluations(run.series) if m.plain and m.group == split
    ]
    found = [(name, series) for name in names if (series := run.get(name)) is not None]
    words = ", ".join(f"{name.rpartition('/')[2]} {series.value[-1]:.4g}" for name, series in found[:6])
    evidence = [Evidence(name, float(s.value[-1]), int(s.step[-1]), text="logged") for name, s in found[:6]]
    return (f" ({words})" if words else ""), evidence


def _no_class(run: Run, split: str) -> Finding | None:
    each = run.family(f"{split}/support")
    if run.get(f"{split}/support") is not None or not each:
        return None
    last = max(int(s.step[-1]) for s in each.values())
    if any(s.value[-1] != 0 or s.step[-1] != last for s in each.values()):
        return None
    name, series = next(iter(each.items()))
    return Finding(
        f"{split}: none of {len(each)} classes has a target in the evaluated data at step {last}",
        subject=split,
        step=last,
        evidence=(Evidence(series.name, 0.0, last, text=f"targets of {name}"),),
        remedies=_REMEDIES,
    )


def _undefined(run: Run, metric: metrics.Metric, series: Series) -> Finding | None:
    """A metric that is NaN, or COCO's -1, at every evaluation although the loss is finite."""
    missing = bool(np.isnan(series.value).all())
    if not missing and not (metric.measure in ("map", "recall") and bool(np.all(series.value == -1))):
        return None
    loss = run.get(f"{metric.group or 'val'}/loss") or run.get("train/loss")
    if missing and (loss is None or not np.isfinite(loss.value).all()):
        return None
    value, why = float(series.value[-1]), _UNDEFINED.get(metric.measure, "no positive, no sample, or 0/0 in a batch")
    beside = () if loss is None else (Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), text="finite"),)
    return Finding(
        f"{metric.name} is {'NaN' if missing else -1} in all {len(series)} evaluations"
        + (f" while {loss.name} is finite ({loss.value[-1]:.4g})" if loss is not None else "")
        + f": it is undefined for {why if missing else 'data without ground truth'}",
        subject=metric.name,
        step=int(series.step[0]),
        evidence=(Evidence(metric.name, value, int(series.step[-1]), text="undefined"), *beside),
        remedies=_REMEDIES,
        severity="warning",
    )


def _no_episode(run: Run) -> Finding | None:
    """Mean rewards of no episode: none ever ended."""
    counts = {n: s for n, s in run.series.items() if _ENDED.search(n) and len(s) and not np.any(s.value)}
    means = {n: s for n, s in run.series.items() if _REWARD.search(n) and len(s) and np.isnan(s.value).all()}
    if not counts or not means:
        return None
    (count, ended), (name, reward) = next(iter(counts.items())), next(iter(means.items()))
    return Finding(
        f"{name} is NaN in all {len(reward)} records and {count} is 0: no episode ended, there is nothing to average",
        subject=name,
        step=int(reward.step[0]),
        evidence=(
            Evidence(name, float("nan"), int(reward.step[-1]), text="undefined"),
            Evidence(count, 0.0, int(ended.step[-1]), text="episodes that ended"),
        ),
        remedies=(
            Remedy("Compare the length of an episode with the steps of one record; look for the end of one", True),
            *_REMEDIES[:1],
        ),
        severity="warning" if len(reward) >= 5 else "note",
    )


def _zero_loss(run: Run, split: str, repeats: int) -> Finding | None:
    """An evaluation loss that is exactly 0 throughout while the training loss never is."""
    loss, train = run.get(f"{split}/loss"), run.get("train/loss")
    if loss is None or train is None or len(loss) < repeats or np.any(loss.value != 0):
        return None
    scores = [run.series[m.name] for m in metrics.of_evaluations(run.series) if m.split == split]
    seen = train.finite.value
    perfect = any(np.nanmax(s.value, initial=0) >= 0.99 for s in scores)
    if not seen.size or np.median(seen) < 0.01 or np.min(np.abs(seen)) == 0 or perfect:
        return None
    return Finding(
        f"{loss.name} is exactly 0 in all {len(loss)} evaluations while train/loss stands at "
        f"{np.median(seen[-9:]):.4g}: the mean over no batch, or all labels masked",
        subject=loss.name,
        step=int(loss.step[0]),
        evidence=(
            Evidence(loss.name, 0.0, int(loss.step[-1]), text="exactly 0 throughout"),
            Evidence("train/loss", float(train.finite.value[-1]), int(train.finite.step[-1]), text="never 0"),
        ),
        remedies=_REMEDIES,
        severity="warning",
    )
