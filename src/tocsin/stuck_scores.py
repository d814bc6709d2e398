"""Logged scores that hold a default, or stand still, where the loss beside them says otherwise: by the log alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tocsin import learning, metrics, names, stats
from tocsin.run import Ints, Run, Series

_WORD = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])|\d+")
_MEASURES = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "acc1": "accuracy",
    "f1": "f1",
    "fscore": "f1",
    "precision": "precision",
    "recall": "recall",
    "r2": "r2",
    "rmse": "rmse",
    "mse": "mse",
    "mae": "mae",
}
SCORES = ("accuracy", "f1", "precision", "recall")
_WAYS = frozenset(("macro", "micro", "weighted", "avg", "average", "mean", "balanced", "overall", "score")) | frozenset(
    ("multiclass", "binary", "pct", "percent", "epoch", "top1")
)
_SPLITS = tuple(map(frozenset, (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing"))))
_HELD_OUT = frozenset(("eval", "evaluation"))  # said of any split that is not trained on
DEFAULTS = (0.0, -1.0)
_OF_ODDS = "(?:ctc|ce|nll|bce|softmax|cross_?entropy)"  # losses that are 0 only where the model is perfect
_LIKELIHOOD = re.compile(rf"(?<![a-z]){_OF_ODDS}[_ ]?loss$|loss[_/ ]{_OF_ODDS}$", re.IGNORECASE)
_LEAST_EPOCHS = 5
_SURE = 0.99  # of each look at the loss: there are about four in each doubling of the evaluations
_LOOKS = [4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28] + [round(32 * 2 ** (k / 4)) for k in range(30)]


@dataclass(frozen=True)
class Name:
    """A metric's name, understood: its measure, and the words in it that say neither measure nor averaging."""

    measure: str
    rest: frozenset[str]


def words(text: str) -> list[str]:
    """The words of a name in small letters, those of camelCase apart."""
    return [word.lower() for word in _WORD.findall(text)]


@lru_cache(maxsize=4096)
def read(name: str) -> Name | None:
    """The one measure that a metric's name says, or None."""
    found = words(name)
    measures = {_MEASURES[word] for word in found if word in _MEASURES}
    rest = frozenset(word for word in found if word not in _MEASURES and word not in _WAYS)
    return Name(measures.pop(), rest) if len(measures) == 1 else None


def beyond_split(rest: frozenset[str], split: str) -> frozenset[str]:
    """The words that do not just say ``split``; those of another split stay."""
    own = frozenset(words(split))
    for synonyms in _SPLITS:
        own |= synonyms if own & synonyms else frozenset()
    return rest - own - (frozenset() if "train" in own else _HELD_OUT)


def unattended(run: Run) -> Iterator[Series]:
    """Series of scores of splits whose predictions of classes were not recorded."""
    splits = {e.split for e in run.own_evaluations if not e.moments}
    for name, series in run.series.items():
        said = read(name)
        if said is None or said.measure not in SCORES or not len(series.finite):
            continue
        known = said.rest <= _HELD_OUT.union(*_SPLITS)
        recorded = any(not said.rest or beyond_split(said.rest, split) != said.rest for split in splits)
        if known and not recorded:
            yield series.finite


def trailing_default(series: Series) -> Series:
    """The points at the end that all hold one default value; none where the last is no default."""
    last = series.value[-1]
    if last not in DEFAULTS:
        return series[:0]
    others = np.flatnonzero(series.value != last)
    return series[int(others[-1]) + 1 :] if len(others) else series


def fallen_loss(run: Run, series: Series, stuck: Series) -> Series | None:
    """A loss that has fallen beyond noise since the metric is stuck: of its split, or of the training."""
    head = series.name.rpartition("/")[0]
    since = 0 if len(stuck) == len(series) else int(stuck.step[0])
    for name in dict.fromkeys((f"{head}/loss", "val/loss", "train/loss")):
        loss = run.get(name)
        if loss is not None:
            part = loss.finite.until(int(stuck.step[-1]))
            part = part[int(np.searchsorted(part.step, since)) :]
            if _has_fallen(part, stuck.step):
                return part
    return None


def _has_fallen(loss: Series, looks: Ints) -> bool:
    """Whether the loss fell beyond noise up to one of the looks, and has kept more than half of that fall."""
    for step in (looks[k - 1] for k in _LOOKS if k <= len(looks)):
        then = loss.until(int(step))
        if stats.trend(then.step, then.value, _SURE).falling:
            start, low, now = (float(np.median(v)) for v in (then.value[:3], then.value[-3:], loss.value[-3:]))
            if now < (start + low) / 2:
                return True
    return False


def evaluations(stuck: Series) -> int:
    """How many evaluations points are: as many, but those of a training of known epochs one an epoch."""
    held_out = names.split_of(stuck.name) not in ("", "train")
    whole = np.ceil(stuck.epoch[np.isfinite(stuck.epoch)])
    return len(stuck) if held_out or whole.size < len(stuck) else np.unique(whole).size


def perfect_term(run: Run, stuck: Series) -> Series | None:
    """A likelihood that is exactly 0, as of a perfect model, wherever an accuracy is exactly 0."""
    said = read(stuck.name)
    if not len(stuck) or stuck.value[-1] != 0 or said is None or said.measure != "accuracy":
        return None
    for name, term in run.series.items():
        if _LIKELIHOOD.search(name) and names.split_of(name) in ("train", names.split_of(stuck.name)):
            at = term.value[np.isin(term.step, stuck.step)]
            if at.size >= len(stuck) and not np.any(at):
                return replace(term, name=name)
    return None


def cheap_loss(run: Run, series: Series) -> tuple[Series, Series] | None:
    """The last values of an accuracy that never varies, and a loss far below what so many errors cost."""
    said = read(series.name)
    loss = run.get(f"{names.split_of(series.name) or 'train'}/loss")
    if said is None or said.measure != "accuracy" or loss is None:
        return None
    other = np.flatnonzero(series.value != series.value[-1])
    stuck = series[int(other[-1]) + 1 :] if other.size else series
    share = float(stuck.value[-1]) / (100 if metrics.is_percent(series.value) else 1)
    step, (_, beside) = metrics.aligned(stuck, loss.finite)
    if not 0 <= share <= 0.5 or min(evaluations(stuck), step.size) < _LEAST_EPOCHS:
        return None
    if not np.all((beside > 0) & (beside < 0.05 * math.log(2) * (1 - share))):
        return None
    return stuck, Series.of(loss.name or f"{names.split_of(series.name) or 'train'}/loss", beside, step)


def free_errors(run: Run, series: Series) -> tuple[Series, Series] | None:
    """An accuracy of at most .95 in each of 3 values and more, and a loss beside it that is next to nothing in each.

    Where it is exactly 0 it may have been rounded, but an error in twenty costs .03.
    """
    said = read(series.name)
    loss = run.get(f"{names.split_of(series.name) or 'train'}/loss")
    if said is None or said.measure != "accuracy" or loss is None or learning.unlike_progress(run):
        return None
    step, (share, beside) = metrics.aligned(series, loss.finite)
    share = share / (100 if metrics.is_percent(series.value) else 1)
    if step.size < 3 or evaluations(series) < 3 or np.any(share > 0.95) or np.any((beside < 0) | (beside > 1e-6)):
        return None
    return series, Series.of(loss.name or f"{names.split_of(series.name) or 'train'}/loss", beside, step)


def hopeless(run: Run, stuck: Series) -> Series | None:
    """A loss that no accuracy of exactly 0 throughout goes with; None where there is none, or where it may.

    Either the accuracy of training was 0 throughout, too (2 values of each and more), and the loss of the evaluations,
    not named after another quantity, is below half of ln 2, which an error costs at least. Or the loss of the training
    began at ln k for a k of 3 to 12, within .02, and was a tenth lower since (median): at k classes and random guesses
    4 values of 0 are no luck, and it has learned more than those.
    """
    said, split = read(stuck.name), names.split_of(stuck.name)
    if said is None or said.measure != "accuracy" or not len(stuck) or np.any(stuck.value):
        return None
    if split not in ("", "train") and len(stuck) >= 2 and _zero_in_training(run):
        loss = run.get(f"{split}/loss")
        if loss is not None and len(loss.finite) >= 2 and 0 < loss.finite.value[-1] < 0.5 * math.log(2):
            return replace(loss.finite, name=f"{split}/loss")
    if split in ("", "train") and len(stuck) >= 4:
        return next((loss for name in _losses(run) if _learns_classes(loss := run.series[name].finite)), None)
    return None


def _losses(run: Run) -> list[str]:
    return [n for n in run.series if n in ("train/loss", "train/cross_entropy", "cross_entropy", "train/loss/ce")]


def _learns_classes(loss: Series) -> bool:
    """Whether a loss began at ln k, k of 3 to 12, within .02, and was a tenth lower after that (median)."""
    if len(loss) < 4 or not loss.value[0] > 1:
        return False
    classes = round(math.exp(min(float(loss.value[0]), 5.0)))
    near = 3 <= classes <= 12 and abs(float(loss.value[0]) - math.log(classes)) <= 0.02
    return near and float(np.median(loss.value[1:])) < 0.9 * math.log(classes)


def _zero_in_training(run: Run) -> bool:
    """Whether a plain accuracy of training has 2 values and more, all exactly 0."""
    found = [run.series[m.name].finite for m in metrics.of_training(run.series) if m.measure == "accuracy" and m.plain]
    return any(len(series) >= 2 and not np.any(series.value) for series in found)
