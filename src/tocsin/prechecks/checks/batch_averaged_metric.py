"""EVL010 before the run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.loss_looks import FEWEST, Floats
from tocsin.prechecks.metric_probes import Probe, probes_of
from tocsin.prechecks.over_batches import batch_interval

_FEWEST_DRAWS, _SECONDS = 5, 1.0


@rule("EVL010", needs=("metrics", "predict"), severity="note", scope="setup")
def batch_averaged_metric(
    bench: Bench, *, difference: float = 0.01, wrong: float = 0.3, repeats: int = 12, confidence: float = 0.99
) -> Iterator[Finding | NotChecked]:
    """A metric is no mean over samples: averaged over batches it would be another number.

    ## What it does
    Predictions are made from the targets of the first batches (of the evaluation, if there is one): perfect but for a
    share `wrong` that stand at other samples, drawn `repeats` times. For each draw, the mean over the batches of the
    metric of each batch, less the metric of all samples together. A note where the `confidence` interval of the mean of
    that difference excludes 0, and the mean is at least `difference` of the way from wrong orders to perfect
    predictions (F1, AUC, R2, correlation: each batch lacks classes, or has a mean of its own). Only a note, since a
    metric function does not tell whether the loop averages it.

    Silent for means over samples (accuracy, MSE) in batches of one size, whose difference is 0 but for rounding.

    ## Options
    - `difference` (.01): as in the rule, what seldom changes a conclusion.
    - `wrong` (.3): a fair model; perfect predictions hide the difference, as do bad ones.
    - `repeats` (12; as many as 1 s allows, 5 at least), `confidence` (.99).

    ## Known limits
    The size is that of made-up predictions on the first batches; a batch in which the metric is undefined is left out.
    """
    probes, _ = probes_of(bench)
    if not probes:
        yield NotChecked("needs a metric that takes the targets and predictions of one task")
    for probe in probes:
        if len(probe.sizes) < FEWEST or not probe.varied:
            yield NotChecked(f"{probe.name}: needs {FEWEST} batches whose targets differ")
            continue
        finding = _judged(probe, difference, wrong, repeats, confidence)
        if finding is not None:
            yield finding


def _judged(probe: Probe, difference: float, wrong: float, repeats: int, confidence: float) -> Finding | None:
    pooled, averaged = (np.array(v) for v in zip(*_draws(probe, wrong, repeats), strict=True))
    perfect = probe.score(probe.target, probe.answer(probe.target))
    span = abs(perfect - probe.score(probe.target, probe.shuffled(0)))
    gap: Floats = averaged - pooled
    if not (np.isfinite(gap).all() and math.isfinite(span) and span > 0):
        return None
    low, high = batch_interval(gap, confidence)
    if abs(float(gap.mean())) < difference * span or low <= 0 <= high:
        return None
    return Finding(
        f"{probe.name} is no mean over samples: with {wrong:.0%} of the answers wrong, the mean over "
        f"{len(probe.sizes)} batches of {max(probe.sizes)} is {averaged.mean():.4g}, all {len(probe.target)} samples "
        f"together give {pooled.mean():.4g} (difference {gap.mean():+.4f} [{low:+.4f}, {high:+.4f}]). Compute it once, "
        "over the whole evaluation",
        subject=probe.name,
        severity="note",
        evidence=(
            Evidence(
                f"setup:metrics/{probe.name}",
                float(averaged.mean()),
                0,
                float(pooled.mean()),
                (low, high),
                "difference",
            ),
        ),
        remedies=(Remedy("Collect all targets and predictions of the evaluation, and compute the metric once", True),),
    )


def _draws(probe: Probe, wrong: float, repeats: int) -> Iterator[tuple[float, float]]:
    started = time.perf_counter()
    for k in range(repeats):
        if k < _FEWEST_DRAWS or time.perf_counter() - started < _SECONDS:
            yield _both(probe, wrong, k)


def _both(probe: Probe, wrong: float, seed: int) -> tuple[float, float]:
    """The metric of all samples, and its mean over the batches where it is defined."""
    prediction = probe.shuffled(seed, wrong)
    ends = np.minimum(np.cumsum(probe.sizes), len(probe.target))
    starts = np.concatenate([[0], ends[:-1]])
    each = np.array(
        [probe.score(probe.target[a:b], prediction[a:b]) for a, b in zip(starts, ends, strict=True) if b > a]
    )
    kept = each[np.isfinite(each)]
    return probe.score(probe.target, prediction), float(kept.mean()) if kept.size else math.nan
