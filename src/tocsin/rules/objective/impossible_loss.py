"""OBJ004 impossible-loss."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from tocsin import metrics
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_WORD = re.compile(r"[a-z]+\d*|\d+")
_POSITIVE = {
    "cross-entropy": "ce bce xent crossentropy celoss bceloss bcewithlogits bcewithlogitsloss nce ntxent infonce "
    "supcon logloss focal focalloss ctc ctcloss crossentropyloss softmaxcrossentropy",
    "squared or absolute error": "mse rmse mae l1 l2 smoothl1 huber logcosh msle rmsle l1loss mseloss mae1",
    "IoU loss": "iou giou diou ciou",
    "hinge or margin": "hinge triplet",
    "divergence": "kl kld kldiv",
}
_FAMILY = {word: family for family, words in _POSITIVE.items() for word in words.split()}
_PAIRS = {
    ("cross", "entropy"): "cross-entropy",
    ("log", "loss"): "cross-entropy",
    ("mean", "squared"): "squared or absolute error",
    ("mean", "absolute"): "squared or absolute error",
}
_ONLY_AS_LOSS = frozenset(
    ("l1", "l2", "ce", "kl", "kld", "iou", "giou", "diou", "ciou", "nce", "ctc", "focal", "hinge")
)
_NOT_PLAIN = frozenset(
    _WORD.findall(
        "neg negative log delta diff gap change improvement reward weight weights coef approx adv gan g gen generator "
        "critic elbo advantage return score norm penalty step lambda clip ratio grad target"
    )
)
_SAMPLED = frozenset(_WORD.findall("reward rewards policy ppo grpo rollout actor critic episode objective"))
_CONFIG_KEYS = frozenset(("loss", "criterion", "loss_fn", "loss_function", "loss_type", "loss_name", "objective"))
_NEUTRAL = frozenset(
    _WORD.findall("binary categorical sparse with logits logit loss losses nn torch keras smooth tf f")
)
_CLASSIFIES = frozenset(("accuracy", "f1", "auc"))
_SHARE = "0 to 1, or 0 to 100 %"
_ABSURD = 1e12
_SUM = 200.0  # a share of 100 % that is wrong by a little is at fault, one of many hundred is a count or a sum
_REMEDIES = (
    Remedy("Print the range of targets and predictions that enter it: [0, 1] for BCE, ids for cross-entropy", True),
    Remedy("Look for a sign, a negative weight, or a quantity that was to be maximised", True),
)


@rule(
    "OBJ004",
    needs=(),
    severity="error",
    explains=("EVL001", "EVL002", "EVL004", "GEN001", "GEN002", "OPT010", "PRD009"),
)
def impossible_loss(
    run: Run, *, points: int = 2, tolerance: float = 1e-3, runaway: float = 1e6
) -> Iterator[Finding | NotChecked]:
    """A loss or metric has a value that what it is called cannot have.

    ## What it does
    Rings where at least `points` values

    - of a loss whose name (or, for the total, the configured `loss` or `criterion`) says cross-entropy, BCE, focal,
      CTC, InfoNCE, squared, absolute, Huber, IoU (also `box` beside the other terms of the YOLO family), hinge, triplet
      or KL are below -`tolerance`: none of these can be negative. An error if the last value is below -1, else a
      warning. A KL estimated from samples, as in reinforcement learning, may be negative and is left alone; others must
      be negative in most values;
    - of a loss end below -1e12: no sum of likelihoods is as large;
    - of a plain loss are negative beyond `runaway` in size and more than ten times further down in the last third than
      in the first: nothing bounds it. -20 is enough where accuracy, F1 or AUC say that it is a classifier;
    - of accuracy, precision, recall, F1, AUC, IoU, Dice or mAP lie above 100, or below 0 (but for -1, a default); a
      note where they reach 200 and more: a sum over batches, or a count;
    - of a correlation, MCC or kappa lie outside [-100, 100]; of R2 above 1 in a series that is not in percent; of
      perplexity between 0 and 1;
    - of one such metric are fractions and percent in turn: at least 2 values up to 1 after the first above 20, and 100
      times their median within the range of the others. A warning.

    ## Why is this bad?
    The number is not what its name says. Targets outside [0, 1] make a BCE fall without end (-1.96e13 in a public log);
    the optimizer obliges, and a falling curve looks like success.

    ## Example
    ```python
    steps = np.arange(1, 41)
    run = Run.of(series={"train/loss/bce": 0.7 - 0.02 * steps**2.0, "train/loss": 0.9 - 0.02 * steps**2.0})
    ```
    Use instead:
    ```python
    steps = np.arange(1, 41)
    run = Run.of(series={"train/loss/bce": 0.7 / steps**0.5, "train/loss": 0.9 / steps**0.5})
    ```

    ## Fix
    - **safe** Print the range of targets and predictions that enter the loss: [0, 1] for BCE, class ids for
      cross-entropy, log-probabilities for NLL and CTC.
    - **safe** Look for a sign: `-loss`, a maximised quantity, a weight below 0.
    - **unsafe** Rescale the targets, or use a loss for their range (squared error instead of BCE).

    ## Options
    - `points` (2): one odd value may be a misread line.
    - `tolerance` (.001): clipping and half precision leave -1e-7 to -1e-4 where a cross-entropy is 0.
    - `runaway` (1e6): log-densities of images reach -1e4, total energies of molecules -1e5, and they settle.

    ## Known limits
    A plain "loss", NLL, ELBO, energy, Dice (some take its logarithm or its negative), Wasserstein or policy loss may be
    negative: silent but for the runaway form. Upper ends of losses are not judged: weights and sums are unknown.
    Accuracies between 1 and 1.5 may be percent: silent.

    ## References
    Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.1 (cost functions). Schulman 2020, Approximating
    KL divergence (why estimates from samples go below 0).
    """
    judged = False
    for series in run.series.values():
        seen = series.finite
        judged |= len(seen) >= points
        if len(seen) >= points:
            finding = _negative(run, seen, points, tolerance, runaway) or _out_of_range(run, seen, points)
            if finding is not None:
                yield finding
    if not judged:
        yield NotChecked(f"needs at least {points} finite values of a loss or a metric")


def _negative(run: Run, series: Series, points: int, tolerance: float, runaway: float) -> Finding | None:
    low = series.value < -tolerance
    if np.count_nonzero(low) < points:
        return None
    family, source = _family(run, series.name)
    if _dashes(run) or (family == "divergence" and (2 * np.count_nonzero(low) <= len(series) or _is_sampled(run))):
        return None
    if family:
        return _below_zero(series, low, family, source)
    return _running_away(run, series, runaway) if series.name.endswith("/loss") else None


def _family(run: Run, name: str) -> tuple[str, Evidence | None]:
    """The family of non-negative losses that a series' name, or the configuration, says; "" for none."""
    parts = name.lower().split("/")
    is_loss = "loss" in _WORD.findall(name.lower())
    if parts[-1] != "loss":
        said = _said(_words(parts[-1]), is_loss)
        return said or ("IoU loss" if is_loss and _is_box_of_a_detector(run, parts) else ""), None
    for key, value in _leaves(run.config):
        words = _words(value)
        if key.rpartition(".")[2].lower() in _CONFIG_KEYS and set(words) - _NEUTRAL - _FAMILY.keys() <= {
            "cross",
            "entropy",
        }:
            family = _said(words, is_loss=True)
            if family:
                return family, Evidence(f"config:{key}", value, text="the configured loss")
    return "", None


def _is_box_of_a_detector(run: Run, parts: list[str]) -> bool:
    """Whether it is the box term of the YOLO family, known by the terms beside it: 1 - IoU of the boxes."""
    beside = {name.lower().rpartition("/")[2] for name in run.series if name.lower().startswith("/".join(parts[:-1]))}
    return parts[-1] == "box" and "cls" in beside and bool({"dfl", "obj"} & beside)


def _words(text: str) -> list[str]:
    """Lower-case words; CamelCase is split."""
    return _WORD.findall(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text).lower())


def _said(words: list[str], is_loss: bool) -> str:
    for pair in pairwise(words):
        if pair in _PAIRS and not _NOT_PLAIN & (set(words) - {"log"}):
            return _PAIRS[pair]
    if _NOT_PLAIN & set(words):
        return ""
    return next((_FAMILY[w] for w in words if w in _FAMILY and (is_loss or w not in _ONLY_AS_LOSS)), "")


def _leaves(config: Any, head: str = "", depth: int = 5) -> Iterator[tuple[str, str]]:
    """Texts of a configuration by their dotted key."""
    if isinstance(config, str):
        yield head, config[:200]
    elif isinstance(config, Mapping) and depth:
        for key, value in list(config.items())[:500]:
            yield from _leaves(value, f"{head}.{key}" if head else str(key), depth - 1)


def _dashes(run: Run) -> bool:
    """Whether scores that cannot be negative all are: the minus is a dash between name and number."""
    bounded = [
        run.series[m.name].finite.value for m in metrics.of_evaluations(run.series) if m.measure in metrics.BOUNDED
    ]
    return any(v.size > 0 and bool(np.all((v < 0) & (v != -1))) for v in bounded)


def _is_sampled(run: Run) -> bool:
    """Whether the run is one of reinforcement learning, whose divergences are estimates from samples."""
    return any(_SAMPLED & set(_words(name)) for name in run.series)


def _below_zero(series: Series, low: Any, family: str, source: Evidence | None) -> Finding:
    first, lowest = int(np.argmax(low)), int(np.argmin(series.value))
    evidence = [
        Evidence(series.name, float(series.value[first]), int(series.step[first]), 0.0, text="the first below 0"),
        Evidence(series.name, float(series.value[lowest]), int(series.step[lowest]), 0.0, text="the lowest"),
    ]
    what = (
        "a cross-entropy"
        if family == "cross-entropy"
        else f"a {family}"
        if family[0] not in "aeiouI"
        else f"an {family}"
    )
    return Finding(
        f"{series.name} is negative in {np.count_nonzero(low)} of {len(series)} values since step "
        f"{series.step[first]}, down to {series.value[lowest]:.4g}: {what} cannot be",
        subject=series.name,
        step=int(series.step[first]),
        evidence=(*evidence, *([source] if source else [])),
        remedies=_REMEDIES,
        severity=None if series.value[-1] < -1 else "warning",
    )


def _running_away(run: Run, series: Series, runaway: float) -> Finding | None:
    """A plain loss far below 0 and ever faster."""
    third = len(series) // 3
    if not third:
        return _absurd(series)
    before, after = float(np.median(series.value[:third])), float(np.median(series.value[-third:]))
    measures = {m.measure for m in map(metrics.read, run.series) if m is not None}
    limit = 20.0 if _CLASSIFIES & measures and not {"dice", "iou"} & measures else runaway
    if not (after < -limit and after < 10 * min(before, 0) and series.value[-1] <= after / 2):
        return _absurd(series)
    first = int(np.argmax(series.value < 0))
    scores = f" although {', '.join(sorted(_CLASSIFIES & measures))} say a classifier" if limit < runaway else ""
    return Finding(
        f"{series.name} falls without end: {before:.4g} in the first third, {after:.4g} in the last, "
        f"{series.value[-1]:.4g} at step {series.step[-1]}{scores}: no lower bound holds it",
        subject=series.name,
        step=int(series.step[first]),
        evidence=(
            Evidence(series.name, float(series.value[first]), int(series.step[first]), 0.0, text="the first below 0"),
            Evidence(series.name, float(series.value[-1]), int(series.step[-1]), -limit, text="the last"),
        ),
        remedies=_REMEDIES,
    )


def _absurd(series: Series) -> Finding | None:
    """A loss whose last two values are negative beyond any sum of likelihoods."""
    if len(series) < 2 or series.value[-2:].max() > -_ABSURD:
        return None
    first, lowest = int(np.argmax(series.value < -_ABSURD)), int(np.argmin(series.value))
    return Finding(
        f"{series.name} is {series.value[first]:.3g} at step {series.step[first]}, down to {series.value[lowest]:.3g}: "
        "no lower bound holds it",
        subject=series.name,
        step=int(series.step[first]),
        evidence=(
            Evidence(series.name, float(series.value[first]), int(series.step[first]), -_ABSURD, text="the first"),
            Evidence(series.name, float(series.value[lowest]), int(series.step[lowest]), -_ABSURD, text="the lowest"),
        ),
        remedies=_REMEDIES,
    )


def _out_of_range(run: Run, series: Series, points: int) -> Finding | None:
    metric = metrics.read(series.name)
    if metric is None or _dashes(run):
        return None
    bad, why = _impossible(run, metric, series.value)
    if np.count_nonzero(bad) >= points:
        return _beyond(series, bad, why)
    if metric.measure in metrics.BOUNDED and _is_mixed(series.value):
        return _beyond(series, series.value <= 1, "fractions and percent in turn")
    return None


def _impossible(run: Run, metric: metrics.Metric, v: Any) -> tuple[Any, str]:
    """Which values the metric cannot have, and its range in words."""
    if metric.measure in metrics.BOUNDED:
        return (v > 100 + 1e-6) | ((v < -1e-6) & (v != -1)), _SHARE
    if metric.measure in metrics.SIGNED:
        return np.abs(v) > 100 + 1e-6, "-1 to 1, or -100 to 100 %"
    if metric.measure == "r2" and not _is_rouge(run, metric) and np.median(v) <= 1.5:
        return v > 1 + 1e-6, "at most 1"
    if metric.measure == "perplexity":
        return (v > 0) & (v < 1 - metrics.half_unit([v]) - 1e-6), "at least 1"
    return np.zeros(np.shape(v), bool), ""


def _is_rouge(run: Run, metric: metrics.Metric) -> bool:
    """Whether ``r2`` is short for ROUGE-2: there is an ``r1`` or ``rl`` beside it."""
    head = metric.name[: -len(metric.name.rpartition("/")[2])]
    return any(f"{head}{other}" in run.series for other in ("r1", "rl", "rouge1", "rougel"))


def _is_mixed(v: Any) -> bool:
    """Whether one score is given in percent and, later on, as fractions of the same size."""
    large = np.flatnonzero(v > 20)
    if large.size < 2 or v.max() > 100:
        return False
    late = v[large[0] :]
    small = late[(late > 0) & (late <= 1)]
    big = late[late > 20]
    return small.size >= 2 and bool(0.8 * big.min() <= 100 * np.median(small) <= 1.1 * big.max())


def _beyond(series: Series, bad: Any, why: str) -> Finding:
    first, worst = int(np.argmax(bad)), int(np.argmax(np.where(bad, np.abs(series.value), -1)))
    return Finding(
        f"{series.name} is {series.value[worst]:.4g} at step {series.step[worst]}, and impossible in "
        f"{np.count_nonzero(bad)} of {len(series)} values: {why}",
        subject=series.name,
        step=int(series.step[first]),
        evidence=(
            Evidence(series.name, float(series.value[first]), int(series.step[first]), text=f"expected {why}"),
            Evidence(series.name, float(series.value[worst]), int(series.step[worst]), text="the largest of them"),
        ),
        remedies=_REMEDIES,
        severity="note" if why == _SHARE and series.value[worst] >= _SUM else "warning",
    )
