"""DAT006 degenerate-input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Evaluation, Run, Series
from tocsin.stats import wilson

SAMPLES = 20  # of an evaluation: fewer may well hold one class
SPLITS = ("train", "val", "valid", "validation", "dev", "eval", "evaluation", "test")
IN_WORDS = {"train": "training", "eval": "evaluation"}
REMEDIES = (
    Remedy("Look at one batch as the model gets it: minimum, maximum, NaN, the targets' distinct values"),
    Remedy("Check the decoding, the division by a zero sd or range, and the mask that selects the samples"),
)


@rule(
    "DAT006",
    needs=("input/nonfinite/* | input/constant_frac/* | evaluations",),
    explains=(
        "AMP003", "EVL001", "EVL004", "EVL006", "GEN002", "GEN004", "OBJ009", "PRD002", "PRD003", "PRD009", "PRD010",
        "PRD012", "RUN004",
    ),
    live=True,
)  # fmt: skip
def degenerate_input(
    run: Run, *, forwards: int = 8, much: float = 0.25, evaluations: int = 3
) -> Iterator[Finding | NotChecked]:
    """The data say nothing: inputs that are NaN or all alike, evaluations whose targets are all the same.

    ## What it does
    On the first forwards of each epoch and evaluation, by mode:

    - *not finite*: k of n forwards hold NaN or infinite entries. Rings when k >= 2 and the lower end of the 95 %
      Wilson interval of k / n exceeds 1 %: an error where losses are then not finite either, else a note (models that
      take NaN for "missing" are fine).
    - *constant*: in each of the last `forwards` forwards no feature varies within the batch: all samples are the same.
      A note where this holds for more than the share `much` of the features in each of them.

    On the evaluations of one split and task, in each of the last `evaluations` (all where the run is over and has
    fewer): all of at least 20 samples have one target class, or the variance of every target is exactly 0. Left out: a
    split of another name than val, test and the like beside others of its task, as when each class has its own.

    ## Why is this bad?
    What does not vary carries no information. A constant input leaves the mean prediction as the best; one target
    class makes any score either perfect or nothing; one NaN reaches every weight in a single step.

    ## Example
    ```python
    step = np.arange(1, 41)
    series = {"train/loss": np.full(40, 0.7), "input/constant_frac/train": np.ones(40)}
    run = Run.of(series=series | {"input/nonfinite/train": np.zeros(40)})
    ```
    Use instead:
    ```python
    step = np.arange(1, 41)
    series = {"train/loss": 0.7 / step**0.5, "input/constant_frac/train": np.zeros(40)}
    run = Run.of(series=series | {"input/nonfinite/train": np.zeros(40)})
    ```

    ## Fix
    - **safe** Look at one batch as the model gets it.
    - **unsafe** Repair the decoding, the normalisation or the mask that made it so; evaluate on all classes.

    ## Options
    - `forwards` (8): as many as are measured in an epoch.
    - `much` (0.25): of the features. Flattened images have constant borders, one-hot inputs rare columns.
    - `evaluations` (3): in a row.

    ## Known limits
    Inputs at the ends of their range (over-exposed images) are not measured. Token ids are not looked at. The first
    floating input only.

    ## References
    Breck et al. 2019, "Data validation for machine learning", section 3 (schema and anomalies).
    """
    looked = False
    for mode in IN_WORDS:
        bad, constant = run.get(f"input/nonfinite/{mode}"), run.get(f"input/constant_frac/{mode}")
        looked |= constant is not None and len(constant.finite) >= forwards
        if bad is not None and len(bad) >= forwards:
            looked = True
            yield from _nonfinite(run, bad, mode)
        if constant is not None and len(constant.finite) >= forwards:
            yield from _constant(constant.finite, mode, forwards, much)
    for key, all_of in run.of_kind().items():
        trained = [e for e in all_of if e.step > 0 and e.n >= SAMPLES]
        enough = len(trained) >= evaluations or (run.exit != "running" and bool(trained))
        looked |= enough
        if enough and all(_one_target(e) for e in trained[-evaluations:]) and not _by_class(run, trained[-1]):
            yield _targets(key, trained)
    if not looked:
        yield NotChecked(f"fewer than {forwards} forwards and {evaluations} evaluations of {SAMPLES} samples")


def _nonfinite(run: Run, bad: Series, mode: str) -> Iterator[Finding]:
    hit = np.flatnonzero(bad.value > 0)
    low, high = wilson(hit.size, len(bad))
    if hit.size < 2 or not low > 0.01:
        return
    begin = int(bad.step[hit[0]])
    loss = run.get("train/loss")
    after = loss.value[loss.step >= begin] if loss is not None else np.ones(1)
    harmed = mode == "train" and bool(np.mean(~np.isfinite(after)) > 0.5)
    severity: Severity = "error" if harmed else "note"
    last = hit[-1]
    message = (
        f"{bad.value[last]:.0f} entries of the {IN_WORDS[mode]} input are NaN or infinite at step "
        f"{int(bad.step[last])}; so in {hit.size} of {len(bad)} forwards, since step {begin}"
    )
    message += ", and the loss is not finite since" if harmed else ""
    evidence = (Evidence(bad.name, float(bad.value[last]), int(bad.step[last]), 0.0, (low, high)),)
    yield Finding(message, f"nonfinite/{mode}", begin, evidence, REMEDIES, severity=severity)


def _constant(part: Series, mode: str, forwards: int, much: float) -> Iterator[Finding]:
    last = part.value[-forwards:]
    if not last.min() > much or last.max() > 1:
        return
    whole = bool(np.all(last == 1))
    other = np.flatnonzero(part.value < 1 if whole else part.value <= much)
    begin = int(part.step[other[-1] + 1 if other.size else 0])
    which = "no feature" if whole else f"only {1 - last[-1]:.0%} of the features"
    message = (
        f"{which} of the {IN_WORDS[mode]} input varies within a batch, in each of the last {forwards} forwards "
        f"measured, since step {begin}"
    )
    evidence = (Evidence(part.name, float(last[-1]), int(part.step[-1]), 1.0 if whole else much),)
    yield Finding(message, f"constant/{mode}", begin, evidence, REMEDIES, severity="warning" if whole else "note")


def _one_target(e: Evaluation) -> bool:
    """Whether all samples have the same target."""
    if e.confusion is not None and e.kind in ("classes", "ids", "binary"):
        return int(np.count_nonzero(e.confusion.support)) == 1 and e.confusion.classes > 1
    if e.kind == "regression" and e.moments:
        return all(m.var_target == 0 for m in e.moments)
    return False


def _by_class(run: Run, e: Evaluation) -> bool:
    """Whether the split may be meant to hold one class: it has a name of its own, and others exist."""
    return e.split not in SPLITS and any(o.task == e.task and o.split != e.split for o in run.evaluations)


def _targets(key: str, trained: list[Evaluation]) -> Finding:
    stretch = 0
    for e in reversed(trained):
        if not _one_target(e):
            break
        stretch += 1
    first, last = trained[-stretch], trained[-1]
    if last.confusion is not None:
        which = int(np.flatnonzero(last.confusion.support)[0])
        same, value = f"are of class {which}", float(which)
    else:
        value = float(last.moments[0].mean_target)
        same = f"are {value:.6g}"
    message = f"all {last.n} targets of {key} {same}, so in {stretch} evaluations since step {first.step}"
    evidence = (Evidence(f"evaluation:{key}", value, last.step, text="the only target"),)
    return Finding(message, key, first.step, evidence, REMEDIES, severity="warning")
