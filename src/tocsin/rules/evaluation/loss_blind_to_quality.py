"""EVL002 loss-blind-to-quality."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, metrics, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Run

_REMEDIES = (
    Remedy("Select and stop by the metric, with the loss as a second opinion", True),
    Remedy("Check that both are computed on the same samples, in the same mode and with the same weights", True),
    Remedy("Train with a loss that follows the metric: class weights, calibration, a ranking or overlap term"),
)


@dataclass(frozen=True)
class Pair:
    """An evaluation loss and a score of the same evaluations; ``quality`` is the score, higher is better."""

    loss_name: str
    score_name: str
    step: Ints
    loss: Floats
    score: Floats
    quality: Floats


@rule("EVL002", needs=(), explains=("EVL003",), when="end")
def loss_blind_to_quality(
    run: Run, *, evaluations: int = 8, drop: float = 0.03, confidence: float = 0.99
) -> Iterator[Finding | NotChecked]:
    """The evaluation loss calls epochs better that the metric calls worse.

    ## What it does
    Judged at the end on the main evaluation loss l and the summary scores q of its split (accuracy, F1, AUC, IoU, Dice,
    mAP, R2, correlation, BLEU, error rates, ...; not precision or recall, which trade places), over the last half
    and over all of at least `evaluations` evaluations. Rings when

    - the `confidence` trend interval of q lies on its worse side, and q lost at least `drop` (of 1, or of its largest
      size where 1 does not bound it) and 3 times its own scatter;
    - l does not get worse with it: its trend interval does not lie above 0, and its level at the end is at most 2 %
      above the level at the beginning of the stretch;
    - the interval of their rank correlation lies below 0 where l falls beyond noise (agreement would be +1);
    - no other score of the split improves beyond noise.

    Where no evaluation loss was logged, the training loss stands for it: rings when two summary scores of one split and
    more all get worse beyond noise, one of them by `drop`, while the training loss ends lower. What is minimised is
    then not what is wanted, from the start on.

    The reverse, a loss that rises while the score improves, is a note: over-confident, yet better, decisions.

    ## Why is this bad?
    Early stopping, checkpoints and searches that follow the loss then keep the worse model.

    ## Example
    ```python
    e = np.arange(16)
    loss, r2 = 0.53 - 0.0012 * e + 0.0008 * (e % 2), -0.02 - 0.012 * e + 0.004 * (e % 3)
    run = Run.of(series={"val/loss": loss, "val/r2": r2})
    ```
    Use instead:
    ```python
    e = np.arange(16)
    loss, r2 = 0.53 - 0.012 * e + 0.0008 * (e % 2), 0.02 + 0.012 * e + 0.004 * (e % 3)
    run = Run.of(series={"val/loss": loss, "val/r2": r2})
    ```

    ## Fix
    - **safe** Select by the metric that the work is judged by.
    - **safe** Check that loss and metric see the same samples, masks and weights.
    - **unsafe** Another loss.

    ## Options
    - `evaluations` (8): fewer pairs give no rank correlation worth an interval.
    - `drop` (.03): smaller losses of quality rarely change a decision.
    - `confidence` (.99): two stretches and several scores are tried.

    ## Known limits
    Compares trends: single evaluations that differ are left to EVL003. Silent where the score is flat.

    ## References
    Guo et al. 2017, On calibration of modern neural networks, section 3. A public study: losses of .51 to .53 with R2
    from -.02 to -.20.
    """
    pairs = list(_pairs(run, evaluations))
    if not pairs and (unwatched := _beside_training(run, evaluations)):
        worse = _all_worse(unwatched, drop, confidence)
        if worse is not None:
            yield _finding(worse, stats.trend(worse.step, worse.quality, confidence), None)
        return
    if not pairs:
        yield NotChecked(f"needs {evaluations} evaluations with a loss and a score of the same split")
    for whole in (True, False):
        stretches = [_part(pair, 0 if whole else len(pair.step) // 2) for pair in pairs]
        views = [
            (p, stats.trend(p.step, p.quality, confidence)) for p in stretches if len(p.step) >= evaluations // 2 + 1
        ]
        better = [p for p, slope in views if slope.rising]
        for pair, slope in views:
            if slope.falling and not better and _lost(pair, drop) and _loss_content(pair, confidence):
                yield _finding(pair, slope, None)
                return
        for pair in better:
            if whole and stats.trend(pair.step, pair.loss, confidence).rising and _rises(pair):
                yield _finding(pair, stats.trend(pair.step, pair.quality, confidence), "note")
                return


def _pairs(run: Run, evaluations: int) -> Iterator[Pair]:
    """The first main loss that has scores beside it, with each of them."""
    for main in names.eval_losses(run.series):
        loss, split = run.series[main].finite, main.rpartition("/")[0]
        found = []
        for metric in metrics.of_evaluations(run.series):
            if metric.measure in metrics.SUMMARY and metric.plain and metric.split == split:
                step, (own, score) = metrics.aligned(loss, run.series[metric.name].finite)
                sign = names.direction(metric.name)
                if step.size >= evaluations and sign:
                    found.append(Pair(main, metric.name, step, own, score, sign * score))
        if found:
            yield from found
            return


def _beside_training(run: Run, evaluations: int) -> list[Pair]:
    """The summary scores of the first split that has some, each with the training loss at its evaluations."""
    loss = run.get("train/loss")
    if loss is None or learning.unlike_progress(run):
        return []
    found: dict[str, list[Pair]] = {}
    for metric in metrics.of_evaluations(run.series):
        score, sign = run.series[metric.name].finite, names.direction(metric.name)
        if metric.measure in metrics.SUMMARY and metric.plain and sign and len(score) >= evaluations:
            at = np.clip(np.searchsorted(loss.finite.step, score.step, side="right") - 1, 0, None)
            if len(loss.finite):
                own = loss.finite.value[at]
                pair = Pair("train/loss", metric.name, score.step, own, score.value, sign * score.value)
                found.setdefault(metric.split, []).append(pair)
    return next(iter(found.values()), [])


def _all_worse(pairs: list[Pair], drop: float, confidence: float) -> Pair | None:
    """The score that lost most where two and more all get worse beyond noise while the training loss falls."""
    slopes = [stats.trend(pair.step, pair.quality, confidence) for pair in pairs]
    lost = [pair for pair in pairs if _lost(pair, drop)]
    before, after = _ends(pairs[0].loss)
    if len(pairs) < 2 or not lost or not all(s.falling for s in slopes) or not after < before:
        return None
    return max(lost, key=lambda pair: _ends(pair.quality)[0] - _ends(pair.quality)[1])


def _part(pair: Pair, start: int) -> Pair:
    return Pair(
        pair.loss_name, pair.score_name, pair.step[start:], pair.loss[start:], pair.score[start:], pair.quality[start:]
    )


def _ends(values: Floats) -> tuple[float, float]:
    quarter = max(2, len(values) // 4)
    return float(np.median(values[:quarter])), float(np.median(values[-quarter:]))


def _scale(pair: Pair) -> float:
    """What a whole of the score is: 1, 100 in percent, or its largest size."""
    metric = metrics.read(pair.score_name)
    bounded = metric is not None and metric.measure in metrics.BOUNDED | metrics.SIGNED | {"r2"}
    if bounded:
        return 100.0 if metrics.is_percent(pair.score) and not np.any(pair.score < -1.5) else 1.0
    return float(np.max(np.abs(pair.score))) or 1.0


def _lost(pair: Pair, drop: float) -> bool:
    before, after = _ends(pair.quality)
    _, scatter = stats.robust_level(np.diff(pair.quality))
    return before - after >= max(drop * _scale(pair), 3 * scatter / math.sqrt(2))


def _loss_content(pair: Pair, confidence: float) -> bool:
    """Whether the loss does not see the fall: it falls, against the score beyond noise, or stays."""
    slope = stats.trend(pair.step, pair.loss, confidence)
    before, after = _ends(pair.loss)
    if slope.rising or after > before + 0.02 * abs(before):
        return False
    return not slope.falling or stats.fisher_interval(*_agreement(pair), confidence)[1] < 0


def _rises(pair: Pair) -> bool:
    before, after = _ends(pair.loss)
    return after > before + 0.05 * abs(before)


def _agreement(pair: Pair) -> tuple[float, float]:
    """Spearman's correlation of -loss and quality, and the number of independent pairs behind it."""
    a, b = _ranks(-pair.loss), _ranks(pair.quality)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0, 0.0
    return float(np.clip(np.corrcoef(a, b)[0, 1], -0.9999, 0.9999)), stats.paired_size(*map(_detrended, (a, b)))


def _ranks(values: Floats) -> Floats:
    """Ranks from 0, ties at their mean."""
    _, at, times = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(times)
    means: Floats = (ends - (times + 1) / 2)[at]
    return means


def _detrended(values: Floats) -> Floats:
    x = np.arange(values.size) - (values.size - 1) / 2
    left: Floats = values - values.mean() - x * float(x @ values) / float(x @ x)
    return left


def _finding(pair: Pair, slope: stats.Trend, severity: str | None) -> Finding:
    span = float(pair.step[-1] - pair.step[0])
    (l0, l1), (s0, s1), (r, _) = _ends(pair.loss), _ends(pair.score), _agreement(pair)
    verb = "improves" if severity else "gets worse"
    return Finding(
        f"{pair.score_name} {verb} from {s0:.4g} to {s1:.4g} over {len(pair.step)} evaluations while {pair.loss_name} "
        f"goes from {l0:.4g} to {l1:.4g}: rank agreement {r:+.2f}",
        subject=pair.score_name,
        step=int(pair.step[0]),
        evidence=(
            Evidence(
                pair.score_name,
                float(pair.score[-1]),
                int(pair.step[-1]),
                interval=(slope.low * span, slope.high * span),
                text="the last; change of quality over the stretch [interval]",
            ),
            Evidence(pair.loss_name, float(pair.loss[-1]), int(pair.step[-1]), text="the last"),
        ),
        remedies=_REMEDIES,
        severity="note" if severity else None,
    )
