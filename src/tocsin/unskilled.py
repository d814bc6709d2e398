"""Logs of whole runs in which nothing is learned: accuracies of guesses, losses that stay where no skill stands.

For runs whose predictions were not recorded; what is known is one value an epoch, or an evaluation, of any split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import guessing, learning, metrics, names, stats
from tocsin.findings import Evidence
from tocsin.run import Floats, Run, Series

_SMALL = range(2, 11)  # numbers of classes that a level alone may tell
_BY_LEVEL = 0.01  # of ln k: how far a loss that says k by itself may lie from it
_OF_GAP = 0.05  # and of the way to the next ln k, so that one level in ten lies so near to some ln k by luck
_AT_ONE = 0.005  # one loss in some hundreds lies so near to 1, if they are spread over two decades
_SKILL = 0.08  # a score so far above 1/k is no guess


@dataclass(frozen=True)
class Told:
    """What a log tells: of which series, from which step on, in words, and by which values."""

    subject: str
    step: int
    message: str
    evidence: tuple[Evidence, ...]


def guesses(run: Run, window: float) -> Told | None:
    """A plain accuracy of at least 6 values about 1/k beside a loss that ends at ln k, or up to 15 % above it.

    The loss may have come down to ln k: an untrained model that is sure of its guesses pays more than one that is not.
    """
    if learning.unlike_progress(run):
        return None
    for metric in [*metrics.of_evaluations(run.series), *metrics.of_training(run.series)]:
        seen = run.series[metric.name].finite
        loss = run.get(f"{metric.split}/loss") or run.get("train/loss")
        if metric.measure != "accuracy" or not metric.plain or metric.average or loss is None:
            continue
        if len(seen) < 6 or len(loss.finite) < 5 or not _late(seen):
            continue
        values = seen.value / 100 if metrics.is_percent(seen.value) else seen.value
        for k in [*guessing.known_classes(run), *_SMALL]:
            pinned = _comes_to(loss.finite, math.log(k), window)
            if _about(values, k, pinned) and (pinned or _at_or_above(loss.finite, math.log(k), window)):
                return _guessed(seen, metric.name, values, loss, k)
    return None


def _guessed(seen: Series, name: str, values: Floats, loss: Series, k: int) -> Told:
    low, high = stats.mean_interval(values)
    last = loss.finite
    return Told(
        name,
        int(seen.step[0]),
        f"{name} varies about {values.mean():.4g} over {len(seen)} values (mean within {low:.4g} to {high:.4g}) and "
        f"{loss.name} ends at {last.value[-1]:.4g}, not below ln {k} = {math.log(k):.4g}: guesses among {k} classes",
        (
            Evidence(name, float(seen.value[-1]), int(seen.step[-1]), 1 / k, (low, high), "mean accuracy"),
            Evidence(loss.name, float(last.value[-1]), int(last.step[-1]), math.log(k), text="no lower"),
        ),
    )


def _late(seen: Series) -> bool:
    """Whether training is far enough on that something might have been learned."""
    return float(np.nan_to_num(seen.epoch[-1])) >= 3 or int(seen.step[-1]) >= 1000


def _about(values: Floats, k: int, pinned: bool) -> bool:
    """Whether accuracies, as fractions, are those of guesses among k classes: by their own scatter, without a rise."""
    low, high = stats.mean_interval(values)
    width = 0.2 * (1 / k - 1 / (k + 1)) if not pinned else min(0.04, 0.2 / k)
    below = values.max() < 1 / k + min(0.05, 1 / (3 * k))
    slack = metrics.half_unit([values]) + 0.03 / k if pinned else 0.0
    near = low - slack <= 1 / k <= high + slack and high - low <= width
    varies = np.ptp(values) > 0 or pinned
    return bool(near and below and varies and not stats.trend(np.arange(values.size), values).rising)


def _at_or_above(loss: Series, level: float, window: float) -> bool:
    """Whether a loss stands, without a fall, at a level or up to 15 % above it."""
    before, after = _thirds(loss.value)
    middle = float(np.median(loss.value))
    return (1 - window) * level <= middle <= 1.15 * level and before - after < window * before


def _comes_to(loss: Series, level: float, window: float) -> bool:
    """Whether a loss ends within a window of a level, was never below it, over 5 epochs and more or evaluations."""
    span = float(loss.epoch[-1] - loss.epoch[0])
    long = span >= 5 if span == span else names.split_of(loss.name) not in ("", "train")
    _, after = _thirds(loss.value)
    low = float(np.quantile(loss.value, 0.1))
    return long and low >= (1 - window / 2) * level and after <= (1 + window) * level


def _thirds(value: Floats) -> tuple[float, float]:
    third = max(1, value.size // 3)
    return float(np.median(value[:third])), float(np.median(value[-third:]))


def _main(run: Run) -> list[Series]:
    """The main evaluation loss and that of training, where each value is of another epoch or evaluation."""
    found = []
    for name in (next(iter(names.eval_losses(run.series)), ""), "train/loss"):
        series = run.get(name)
        if series is not None and len(series.finite) >= 3:
            found.append(Series(name, *(getattr(series.finite, p) for p in ("step", "value", "epoch", "time"))))
    return [loss for loss in found if guessing.by_epoch(loss)]


def never_left(run: Run) -> Told | None:
    """Losses of training and evaluation, of at least 8 epochs, that stay within 1 % of ln k, k <= 10, throughout.

    Nearer still where the next k is near. None where a score ends above 1/k by .08, or rises by .02.
    """
    losses = _main(run)
    if len(losses) < 2 or learning.unlike_progress(run) or min(map(len, losses)) < 8:
        return None
    k = round(math.exp(min(5.0, float(np.median(losses[0].value)))))
    if k not in _SMALL or _skilled(run, 1 / k + _SKILL):
        return None
    level = math.log(k)
    within = min(_BY_LEVEL * level, _OF_GAP * (math.log(k + 1) - level))
    for loss in losses:
        late = loss.value[max(1, len(loss) // 10) :]
        if np.any(np.abs(late - level) > within) or abs(float(late.mean()) - level) > within / 2:
            return None
    spans = ", ".join(f"{loss.name} {loss.value[0]:.4g} to {loss.value[-1]:.4g}" for loss in losses)
    return Told(
        losses[0].name,
        int(losses[0].step[0]),
        f"the losses never leave ln {k} = {level:.4g} by more than {within:.2g} in {len(losses[0])} epochs ({spans}): "
        f"equal guesses among {k} classes",
        _last_of(losses, level, "ln k"),
    )


def _last_of(losses: list[Series], level: float, text: str) -> tuple[Evidence, ...]:
    return tuple(Evidence(s.name, float(s.value[-1]), int(s.step[-1]), level, text=text) for s in losses)


def _skilled(run: Run, least: float) -> bool:
    """Whether some plain score out of 1 ends above this, or rises by .02 and beyond noise."""
    for metric in [*metrics.of_evaluations(run.series), *metrics.of_training(run.series)]:
        score = learning.share(metric.name, run.series[metric.name]) if metric.plain else None
        if score is None or not len(score):
            continue
        before, after = _thirds(score.value)
        if after > least or (after > before + 0.02 and stats.trend(score.step, score.value).rising):
            return True
    return False


def at_one(run: Run) -> Told | None:
    """Losses of training and evaluation that stay within .005 of 1 from the first epoch on, of at least 4.

    What no skill costs where the loss is normalised: the variance of a standardised target, a hinge or Dice loss, one
    minus a cosine. None where a score out of 1 gets better, or where 1 is all that was ever printed.
    """
    losses = _main(run)
    if len(losses) < 2 or learning.unlike_progress(run) or min(map(len, losses)) < 4:
        return None
    values = np.concatenate([loss.value for loss in losses])
    if metrics.decimals(values) < 3 or np.any(np.abs(values - 1) > _AT_ONE):
        return None
    scores = [learning.share(n, s) for n, s in run.series.items() if metrics.read(n) is not None]
    if any(score is not None and learning.improves(score, 1) for score in scores):
        return None
    return Told(
        losses[0].name,
        int(losses[0].step[0]),
        f"{losses[0].name} and {losses[1].name} are 1 within {np.abs(values - 1).max():.2g} in each of "
        f"{len(losses[0])} epochs: what one answer for every input costs where the target is standardised, or the loss "
        "normalised",
        _last_of(losses, 1.0, "no skill"),
    )


def hardly_better(run: Run) -> Told | None:
    """At least 20 epochs that gain next to nothing on guesses among k classes: an accuracy says k, the losses agree.

    The evaluation loss began within 2 % of ln k, ends where it began (medians of 3) and its last third is no more than
    2.5 % below that, training no more than 5 %; the accuracies began at 1/k (within a third) and end below 1.6/k and
    1/k + .06, those of training 2/k and 1/k + .1, k up to 10.
    """
    losses = _main(run)
    if len(losses) < 2 or learning.unlike_progress(run) or min(map(len, losses)) < 20:
        return None
    held, train = losses
    for k in [*guessing.known_classes(run), *_SMALL]:
        level = math.log(k)
        before, after = _thirds(held.value)
        last = float(np.median(train.value[-3:]))
        stays = abs(before - level) <= 0.02 * level and after >= 0.975 * level and last >= 0.95 * level
        gained = np.median(held.value[-3:]) < 0.995 * np.median(held.value[:3])
        if stays and not gained and (scores := list(_poor(run, k))):
            return Told(
                held.name,
                int(held.step[0]),
                f"in {len(held)} epochs {held.name} goes from {before:.4g} to {after:.4g} (medians of thirds), "
                f"{train.name} to {last:.4g}, where guesses among {k} classes cost ln {k} = {level:.4g}; "
                + ", ".join(f"{e.source} ends at {e.value:.3g}" for e in scores),
                (*_last_of(losses, level, "ln k"), *scores),
            )
    return None


def _poor(run: Run, k: int) -> Iterator[Evidence]:
    """Accuracies that began at 1/k and end little above it; none if one of them is better."""
    found = []
    for metric in [*metrics.of_evaluations(run.series), *metrics.of_training(run.series)]:
        score = learning.share(metric.name, run.series[metric.name])
        if metric.measure != "accuracy" or not metric.plain or score is None or len(score) < 10:
            continue
        times, above = (2.0, 0.1) if metric.split == "train" else (1.6, 0.06)
        after = _thirds(score.value)[1]
        if abs(float(score.value[:3].mean()) - 1 / k) > 1 / (3 * k) or after > min(times / k, 1 / k + above):
            return
        found.append(Evidence(metric.name, float(score.value[-1]), int(score.step[-1]), 1 / k, text="1/k"))
    yield from found
