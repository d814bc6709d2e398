"""Losses, accuracies and error rates that stand where knowing nothing stands: ln k, 1/k, an empty transcript."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin import identities, learning, metrics, names, stats
from tocsin.findings import Evidence
from tocsin.run import Run, Series

_CLASS_KEYS = frozenset(
    (
        "num_classes",
        "n_classes",
        "nclasses",
        "num_class",
        "nb_classes",
        "num_labels",
        "n_class",
        "classes",
        "vocab_size",
    )
)

_DIGITS = 5e-4  # a loss that converges comes as near as .004 to ln 2 by luck


@dataclass(frozen=True)
class Chance:
    """A loss that stands where knowing nothing stands.

    Attributes:
        loss: The judged points, the last half.
        first: Step from which the loss stood there.
        classes: Number of classes k with ln k the level.
        level, error: Mean of the points, half the width of its interval plus rounding.
        known: Evidence of k, None where only the level says it.
        accuracy: The last accuracy, if it is at 1/k.
    """

    loss: Series
    first: int
    classes: int
    level: float
    error: float
    known: Evidence | None
    accuracy: Evidence | None


def flat(loss: Series, window: float) -> tuple[Series, float, float] | None:
    """The last half of a loss that no longer moves and never was lower, its mean and half the mean's interval."""
    tail = loss[len(loss) // 2 :] if len(loss) >= 10 else loss[-5:]
    level, sd, third = float(tail.value.mean()), float(tail.value.std()), max(1, len(tail) // 3)
    slope = stats.trend(tail.step, tail.value)
    moved = abs(float(np.median(tail.value[:third]) - np.median(tail.value[-third:])))
    best = float(np.quantile(loss.value, 0.1))
    if not (slope.flat and moved < window * abs(level) and best >= level - window * abs(level) - 3 * sd):
        return None
    low, high = stats.mean_interval(tail.value)
    half = (high - low) / 2 if math.isfinite(low) else 2 * sd
    return tail, level, half + metrics.half_unit([loss.value])


def at_chance(run: Run, loss: Series, window: float, coincidence: float) -> Chance | None:
    settled = flat(loss, window)
    if settled is None:
        return None
    tail, level, error = settled
    known = known_classes(run)
    classes = min((k for k in known), key=lambda k: abs(math.log(k) - level), default=0)
    if not classes or abs(math.log(classes) - level) > error + 0.002:
        classes = round(math.exp(level)) if 0 < level < 7 else 0
    if classes < 2 or error > window * level / 2 or abs(math.log(classes) - level) > error + 0.002:
        return None
    above, accuracy = _accuracy(run, tail, classes)
    odds = 2 * (error + 0.002) / (math.log(classes + 1) - math.log(classes))
    named = known.get(classes)
    alone = classes <= 10 and odds < coincidence and _from_the_start(loss, level, window)
    if above or not (named or accuracy or alone):
        return None
    first = int((loss if _from_the_start(loss, level, window) else tail).step[0])
    return Chance(tail, first, classes, level, error, named, accuracy)


def _from_the_start(loss: Series, level: float, window: float) -> bool:
    """Whether the loss stood there already in the first third, the first tenth left out, and began near by."""
    early = loss.value[len(loss) // 10 : max(len(loss) // 3, 2)]
    return abs(float(np.median(early)) - level) < window * level and float(loss.value[0]) < 1.5 * level


def known_classes(run: Run) -> dict[int, Evidence]:
    """Numbers of classes that the configuration states."""
    found: dict[int, Evidence] = {}
    for key, value in _leaves(run.config):
        if key.rpartition(".")[2].lower() in _CLASS_KEYS:
            count = len(value) if isinstance(value, list | tuple) else _whole(value)
            if count >= 2:
                found[count] = Evidence(f"config:{key}", None, text=f"{count} classes")
    return found


def _whole(value: Any) -> int:
    text = str(value)
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 9 else 0


def _leaves(config: Any, head: str = "", depth: int = 5) -> Iterator[tuple[str, Any]]:
    for key, value in list(config.items())[:500] if isinstance(config, Mapping) and depth else ():
        name = f"{head}.{key}" if head else str(key)
        yield name, value
        yield from _leaves(value, name, depth - 1)


def _accuracy(run: Run, tail: Series, classes: int) -> tuple[bool, Evidence | None]:
    """Whether an accuracy of the loss's split and task contradicts chance, and the evidence where it confirms it."""
    split, base = names.split_of(tail.name), 1 / classes
    task = tail.name.partition("/loss/")[2]
    for name, series in run.series.items():
        metric = metrics.read(name)
        if metric is None or metric.measure != "accuracy" or metric.split not in (split, ""):
            continue
        if metric.rest != ({task} if task else set()):
            continue
        seen = series.finite.until(int(tail.step[-1]))
        values = (seen.value / 100 if metrics.is_percent(series.value) else seen.value)[-max(1, len(seen) // 2) :]
        above = values.size and np.median(values) > base + max(0.02, min(base / 3, 0.05))
        if above and (np.ptp(values) > 0 or values.size < 3):
            return True, None
        if values.size >= 3 and np.all(np.abs(values - base) <= 0.02) and np.all(values < base * 4 / 3):
            return False, Evidence(name, float(seen.value[-1]), int(seen.step[-1]), base, text="at 1/k")
    return False, None


def to_the_digits(run: Run, coincidence: float) -> Chance | None:
    """A loss, or a term with an accuracy of its own, whose last values are ln k to more digits than luck would give.

    The last 3 epochs or evaluations, of batch losses the last 4 values, the first of the record left out. No model
    that still learns repeats a level so. The chance that a level lies so near to some ln k is below ``coincidence``,
    by epoch below half of it; k = 2 has to be reached beyond epoch 2, since preferences and twin inputs begin there.
    Never far from ln k before, either.
    """
    if learning.unlike_progress(run) or _rate_at_rest(run):
        return None
    losses = [n for n in [*names.eval_losses(run.series), "train/loss", *_terms(run)] if run.get(n) is not None]
    for name in losses:
        loss = Series(name, *(getattr(run.series[name].finite, part) for part in ("step", "value", "epoch", "time")))
        found = _digits(run, loss, coincidence)
        if found is not None:
            return found
    return None


def _terms(run: Run) -> list[str]:
    """Terms of a loss that are a batch loss of their own, or of a task whose accuracy is logged."""
    metered = [m for name in run.series if (m := metrics.read(name)) is not None]
    own = [f"{m.split or 'train'}/loss/{t}" for m in metered if (t := identities.task_of(m, run.series))]
    return [*dict.fromkeys(own), *(n for n in run.series if n.endswith("/loss_loss"))]


def _rate_at_rest(run: Run) -> bool:
    """Whether a learning rate is known and still, or again, 0."""
    rates = [s for s in run.family("lr").values() if len(s)]
    return bool(rates) and all(float(s.value.max()) == 0 for s in rates)


def _digits(run: Run, loss: Series, coincidence: float) -> Chance | None:
    epochs = by_epoch(loss)
    tail = loss[-max(3, len(loss) // 4) :] if epochs else loss[max(1, len(loss) - max(4, len(loss) // 4)) :]
    if len(tail) < (3 if epochs else 4) or not 0.6 < tail.value[-1] < 12:
        return None
    classes = round(math.exp(float(np.clip(np.median(tail.value), 0.6, 12.0))))
    error = max(float(np.abs(tail.value - math.log(classes)).max()), metrics.half_unit([loss.value]))
    luck = 2 * error / math.log((classes + 1) / classes)
    known = known_classes(run).get(classes)
    above, accuracy = _accuracy(run, tail, classes)
    begun = float(np.nan_to_num(tail.epoch[-1])) > 2 or known is not None or accuracy is not None
    left = np.any(np.abs(loss.value[1:] - math.log(classes)) > 0.01 * math.log(classes))
    if above or luck > coincidence / (2 if epochs else 1) or error > _DIGITS or left or (classes == 2 and not begun):
        return None
    return Chance(tail, int(tail.step[0]), classes, float(tail.value.mean()), error, known, accuracy)


def by_epoch(loss: Series) -> bool:
    """Whether each value is of another whole epoch, or of an evaluation."""
    epoch = loss.epoch
    whole = bool(np.isfinite(epoch).all() and np.all(epoch == np.round(epoch)) and np.unique(epoch).size == epoch.size)
    return whole or names.split_of(loss.name) not in ("", "train")


_ERROR_RATE = re.compile(
    r"(?<![a-z])(?:[wct]er|(?:word|char(?:acter)?|token)[_ ]?(?:err(?:or)?(?:[_ ]?rate)?))(?![a-z])", re.IGNORECASE
)
_ERRORS_OF = re.compile(r"(?<![a-z])(?:char|word)$")  # Tesseract: "char train=1.2%, word train=4.1%"


_NO_RATE = re.compile(r"best|worst|loss", re.IGNORECASE)


def error_rates(run: Run) -> list[Series]:
    """Word, character and token error rates as fractions; what exceeds 20 is in percent."""
    found = []
    for name, series in run.series.items():
        rate = series.finite
        told = (_ERROR_RATE.search(name) or _ERRORS_OF.search(name)) and not _NO_RATE.search(name)
        if told and len(rate) and rate.value.min() >= 0:
            percent = 100.0 if rate.value.max() > 20 else 1.0
            found.append(Series(name, rate.step, rate.value / percent, rate.epoch, rate.time))
    return found


def empty_transcripts(run: Run) -> list[Series]:
    """Error rates of .99 and more throughout although training is far on and nothing else improves; none else.

    An empty transcript makes an error of each word, so 1. Such rates are the rule in the first epochs of healthy
    training, too, while others (of characters) fall. So the rates stand there in at least 5 values beyond step 1000 or
    epoch 5, or the epoch is beyond 20; others do not fall either and no evaluation loss does. Where there are no
    others, a training loss that falls by a fifth shows that words may still come.
    """
    rates = error_rates(run)
    high = [r for r in rates if r.value.min() >= 0.99]
    words = [r for r in rates if re.search(r"(?<![a-z])w(?:er|ord)", r.name, re.IGNORECASE)] or rates
    if not high or any(r.value.min() < 0.99 for r in words):
        return []
    losses = [run.series[n].finite for n in names.eval_losses(run.series)]
    falls = any(_falls(series) for series in [*rates, *losses])
    longest = max(high, key=len)
    epoch, step = float(np.nan_to_num(longest.epoch[-1])), int(longest.step[-1])
    train = run.get("train/loss")
    alone = len(high) == len(rates) and train is not None and len(train.finite) and _falls(train.finite, 0.2)
    if falls or (len(longest) < 5 and epoch <= 20) or (alone and epoch <= 20):
        return []
    return high if epoch > 5 or step >= 1000 else []


def _falls(series: Series, share: float = 0.03) -> bool:
    """Whether a series ends by ``share`` and more below where it began; of two values and more."""
    third = max(1, len(series) // 3)
    before, after = float(np.median(series.value[:third])), float(np.median(series.value[-third:]))
    return len(series) >= 2 and after < (1 - share) * before


def at_a_half(run: Run) -> Series | None:
    """The last tenth, 5 values and more, of a main loss that came down to 1/4 and stays there, within 1e-4.

    The squared error of one half for every input where 0 and 1 are equally frequent. None beside an accuracy, which
    says more, and in adversarial training, where 1/4 is the equilibrium of least squares.
    """
    if learning.unlike_progress(run) or any((m := metrics.read(n)) and m.measure == "accuracy" for n in run.series):
        return None
    for name in [*names.eval_losses(run.series), "train/loss"]:
        loss = run.get(name)
        if loss is None or len(loss.finite) < 20 or metrics.decimals(loss.finite.value) < 4:
            continue
        tail = loss.finite[-max(5, len(loss.finite) // 10) :]
        if np.all(np.abs(tail.value - 0.25) <= 1e-4) and loss.finite.value.min() > 0.25 - 2e-4:
            return Series(name, tail.step, tail.value, tail.epoch, tail.time)
    return None
