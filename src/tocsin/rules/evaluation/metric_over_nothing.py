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
_BOX = re.compile(r"(?:^|[._/])(?:(?:loss_)?(?:[gdc]?iou|bbox|box|dfl|bbox_reg|box_reg|rpn_bbox|loc)(?:_loss)?)$")
_KIND = re.compile(r"(?:^|[._/])(?:loss_)?(?:cls|class|classes|obj|objectness|conf|rpn_cls)(?:_loss)?$")
_FEWEST = 3
_REMEDIES = (
    Remedy("Count the targets that the evaluation sees: samples, positives, entities or boxes, by class", True),
    Remedy(
        "Look at the way of the labels: file, tag scheme, class ids, masking, filters, truncation, last-batch rule",
        True,
    ),
)


@rule(
    "EVL006",
    needs=(),
    severity="error",
    explains=("EVL001", "OBJ003", "PRD002", "PRD003", "PRD010", "PRD012"),
    when="end",
)
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
    - a metric of training is NaN in every one of 3 values and more, while the training loss and the same metric of
      another split are finite: a warning;
    - the box terms of a detector's loss, two and more (`box` and `dfl`, `iou`, ...), are exactly 0 in every record
      beside a term of classes that never is: in training and evaluation alike, an error; in the evaluations with every
      score 0, or in 3 records of training and more, a warning. Only matched boxes feed these terms;
    - an accuracy is exactly 1 in 2 evaluations and more and later exactly 0 in 3 and more, the last among them: the
      evaluated data hold one class, on which a constant scores all or nothing. A warning;
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
    for finding in (_no_box(run), _one_class(run)):
        if finding is not None:
            judged = True
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
    for metric in metrics.of_training(run.series):
        judged |= len(run.series[metric.name]) >= _FEWEST
        if metric.group not in told and (finding := _undefined_in_training(run, metric)) is not None:
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


def _undefined_in_training(run: Run, metric: metrics.Metric) -> Finding | None:
    """A metric of training that is NaN in every value although the same metric of another split is known."""
    series, tail = run.series[metric.name], metric.name.removeprefix(f"{metric.split}/")
    loss = run.get("train/loss")
    if len(series) < _FEWEST or not np.isnan(series.value).all() or loss is None or not np.isfinite(loss.value).all():
        return None
    others = [s for split in ("val/", "test/", "") if (s := run.get(split + tail)) is not None and len(s.finite)]
    if not others:
        return None
    return Finding(
        f"{metric.name} is NaN in all {len(series)} values while {loss.name} is finite ({loss.value[-1]:.4g}), and "
        f"{others[0].name} too ({others[0].finite.value[-1]:.4g}): 0/0, a root or a logarithm in one batch of an epoch",
        subject=metric.name,
        step=int(series.step[0]),
        evidence=(
            Evidence(metric.name, float("nan"), int(series.step[-1]), text="undefined throughout"),
            Evidence(others[0].name, float(others[0].finite.value[-1]), int(others[0].finite.step[-1]), text="defined"),
            Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), text="finite"),
        ),
        remedies=_REMEDIES,
        severity="warning",
    )


def _no_box(run: Run) -> Finding | None:
    """Terms of a detector that only matched boxes feed, exactly 0 in every record beside a term of classes that is not.

    In the evaluations, with scores that are all 0; or in training and evaluation alike; or in 3 epochs of training.
    """
    empty = {split: terms for split in ("val", "train") if (terms := _empty_boxes(run, split))}
    scores = [m for m in metrics.of_evaluations(run.series) if m.measure in _OF_HITS]
    found = [m.name for m in scores if m.measure != "iou" and np.nanmax(run.series[m.name].value, initial=0) > 0]
    long = all(len(term) >= _FEWEST for terms in empty.values() for term in terms)
    if not empty or (found and "val" in empty) or not ("val" in empty or long):
        return None
    terms = [term for each in empty.values() for term in each]
    named, times = ", ".join(term.name for term in terms), max(len(term) for term in terms)
    none = f", and {', '.join(m.name.rpartition('/')[2] for m in scores[:4])} are 0" if scores and not found else ""
    return Finding(
        f"{named} are exactly 0 in all {times} records{none}: no box was matched, as without labels",
        subject=terms[0].name,
        step=int(terms[0].step[0]),
        evidence=tuple(Evidence(t.name, 0.0, int(t.step[-1]), text="exactly 0 throughout") for t in terms[:6]),
        remedies=_REMEDIES,
        severity="error" if len(empty) == 2 and not found else "warning",
    )


def _empty_boxes(run: Run, split: str) -> list[Series]:
    """The box terms of a split's loss if there are two and more, all 0 throughout, and a term of classes is not."""
    terms = {name: term for name, term in run.family(f"{split}/loss").items() if len(term)}
    boxes = [term for name, term in terms.items() if _BOX.search(name)]
    kinds = [term for name, term in terms.items() if _KIND.search(name)]
    nothing = len(boxes) >= 2 and not any(np.any(term.value) for term in boxes)
    return boxes if nothing and any(np.all(term.value != 0) for term in kinds) else []


def _one_class(run: Run) -> Finding | None:
    """An accuracy that goes from exactly 1 to exactly 0 and stays: what a constant scores on data of one class."""
    for metric in metrics.of_evaluations(run.series):
        series = run.series[metric.name].finite
        if metric.measure != "accuracy" or not metric.plain or len(series) < 5:
            continue
        value = series.value / (100 if metrics.is_percent(series.value) else 1)
        ones, zeros = np.flatnonzero(value == 1), np.flatnonzero(value == 0)
        between = np.any((value > 0) & (value < 1))
        if ones.size >= 2 and zeros.size >= 3 and zeros[-1] == value.size - 1 and between and ones[-1] < zeros[0]:
            return Finding(
                f"{metric.name} is exactly 1 in {ones.size} evaluations, then exactly 0 in the last {zeros.size}: all "
                "right and all wrong at once is what data of one class score",
                subject=metric.name,
                step=int(series.step[ones[0]]),
                evidence=(
                    Evidence(metric.name, float(series.value[ones[-1]]), int(series.step[ones[-1]]), text="all right"),
                    Evidence(metric.name, 0.0, int(series.step[-1]), text="all wrong"),
                ),
                remedies=_REMEDIES,
                severity="warning",
            )
    return None


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
