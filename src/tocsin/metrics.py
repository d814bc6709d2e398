"""What a metric's name says, how finely its values were printed, and several series brought to the same evaluations.

For rules that read logged scores: of any spelling, as fractions or percent, rounded or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from tocsin import names
from tocsin.run import Floats, Ints, Series

_WORD = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])|\d+")
_MEASURES = {
    **dict.fromkeys(("accuracy", "acc", "acc1", "accu"), "accuracy"),
    **dict.fromkeys(("precision", "prec", "ppv"), "precision"),
    **dict.fromkeys(("recall", "sensitivity", "tpr"), "recall"),
    **dict.fromkeys(("specificity", "tnr"), "specificity"),
    **dict.fromkeys(("f1", "fscore", "fmeasure", "fb1", "f1score"), "f1"),
    **dict.fromkeys(("auc", "auroc", "rocauc", "auprc"), "auc"),
    **dict.fromkeys(("iou", "miou", "jaccard"), "iou"),
    **dict.fromkeys(("dice", "dsc"), "dice"),
    **dict.fromkeys(("map", "map50", "ap", "ap50"), "map"),
    **dict.fromkeys(("mcc", "matthews"), "mcc"),
    **dict.fromkeys(("kappa", "qwk"), "kappa"),
    **dict.fromkeys(("pearson", "spearman", "pearsonr", "spearmanr", "correlation"), "correlation"),
    **dict.fromkeys(("ppl", "perplexity"), "perplexity"),
    **{word: word for word in ("nmi", "ari", "ami")},  # of clusterings
    **{word: word for word in ("r2", "rmse", "mse", "mae", "bleu", "wer", "cer", "ssim", "psnr")},
}
_SPELLED = (  # capitals within an abbreviation, the first of k guesses, two words for one measure
    (re.compile(r"mAP"), "map"),
    (re.compile(r"(m?)IoU", re.I), r"\1iou"),
    (re.compile(r"(?<![A-Za-z])(?:acc|accuracy|prec|precision)(?:@|[_/ -]*top[@_-]?)1(?![\d.])", re.I), "acc1"),
    (re.compile(r"(?<![A-Za-z])top[@_-]?1(?![\d.])", re.I), "acc1"),
    (re.compile(r"matthews[_ ]?(?:corr\w*)?", re.I), "mcc"),
    (re.compile(r"\br\^2\b", re.I), "r2"),
)
_LETTERS = {"p": "precision", "r": "recall", "f": "f1"}
_AVERAGES = frozenset(("macro", "micro", "weighted", "binary", "balanced"))
_NEUTRAL = frozenset(
    _WORD.findall(
        "score avg average mean epoch overall total categorical sparse multiclass roc b m p corrcoef coef coefficient "
        "cohen pct percent top1 metrics metric entity all squared r"
    )
)
_OTHER_QUANTITY = frozenset(
    _WORD.findall(
        "loss std sd var variance delta diff difference gain count num number n time log neg negative error err best "
        "max min target threshold thr weight weights steps step grad gradient accum accumulation correct lr params "
        "param ratio improvement change support predicted size id reward bits mixed interval ci low high upper lower"
    )
)
BOUNDED = frozenset(_WORD.findall("accuracy precision recall specificity f1 auc iou dice map"))  # within [0, 1]
SIGNED = frozenset(_WORD.findall("mcc kappa correlation nmi ari ami"))  # within [-1, 1]
SUMMARY = frozenset(_WORD.findall("accuracy f1 auc iou dice map mcc kappa correlation r2 bleu wer cer nmi ari ami"))


@dataclass(frozen=True)
class Metric:
    """A metric's name, understood.

    Attributes:
        name: The series.
        split: ``val``, ``test``, ... or "" where the name does not say.
        group: All of the name but its last part: metrics of one group are of the same evaluation and task.
        measure: ``accuracy``, ``f1``, ...
        average: ``macro``, ``micro``, ``weighted``, ``binary``, ``balanced`` or "".
        rest: Words that say something else (a class, a task, ``top5``); a plain metric has none.
    """

    name: str
    split: str
    group: str
    measure: str
    average: str
    rest: frozenset[str]

    @property
    def plain(self) -> bool:
        """Whether the name says a measure and an averaging and nothing else."""
        return not self.rest


@lru_cache(maxsize=16384)
def read(name: str) -> Metric | None:
    """What the name of a metric says; None where it is none, or another quantity about one (its spread, its best)."""
    split, (group, _, last) = names.split_of(name), name.rpartition("/")
    words = [word.lower() for word in _WORD.findall(_spelled(last))]
    above = frozenset(word.lower() for word in _WORD.findall(group.partition("/")[2] if split else group))
    measures = [_MEASURES[word] for word in words if word in _MEASURES]
    if not measures and {"r", "2"} <= set(words):
        measures = ["r2"]
    if not measures or len(set(measures)) > 1 or _OTHER_QUANTITY & (set(words) | above):
        parent = _MEASURES.get(group.rpartition("/")[2])  # <split>/f1/<class>
        if measures or parent is None or _OTHER_QUANTITY & (set(words) | above):
            return None
        of_average = last.lower() in _AVERAGES  # val/f1/macro
        rest = frozenset() if of_average else frozenset({last.lower()})
        return Metric(name, split, group.rpartition("/")[0], parent, last.lower() if of_average else "", rest)
    average = next((word for word in words if word in _AVERAGES), "")
    rest = frozenset(w for w in words if w not in _MEASURES and w not in _AVERAGES and w not in _NEUTRAL)
    return Metric(name, split, group, measures[0], average, rest)


def _spelled(last: str) -> str:
    for pattern, plain in _SPELLED:
        last = pattern.sub(plain, last)
    return last


def of_evaluations(series: Mapping[str, Series]) -> list[Metric]:
    """The metrics among these series that are not of training, in the order of their names; without points: none."""
    return [metric for metric in _known(series) if metric.split != "train"]


def of_training(series: Mapping[str, Series]) -> list[Metric]:
    """The metrics of training among these series, in the order of their names; without points: none."""
    return [metric for metric in _known(series) if metric.split == "train"]


def _known(series: Mapping[str, Series]) -> list[Metric]:
    return list(_of_names(tuple(sorted(name for name, points in series.items() if len(points))), tuple(series)))


@lru_cache(maxsize=64)
def _of_names(recorded: tuple[str, ...], every: tuple[str, ...]) -> tuple[Metric, ...]:
    return tuple(m for name in recorded if (m := read(name) or _letter(name, every)) is not None)


def _letter(name: str, series: Iterable[str]) -> Metric | None:
    """A score called p, r or f: only where all three stand side by side."""
    group, slash, last = name.rpartition("/")
    measure = _LETTERS.get(last.lower())
    if measure is None:
        return None
    kin = {other.rpartition("/")[2].lower() for other in series if other.rpartition("/")[:2] == (group, slash)}
    if not kin >= set("prf"):
        return None
    return Metric(name, names.split_of(name), group, measure, "", frozenset())


def is_percent(values: ArrayLike) -> bool:
    """Whether values of a score bounded by 1 are in percent: some lie between 1.5 and 100, none above."""
    seen = np.abs(np.asarray(values, np.float64))
    seen = seen[np.isfinite(seen)]
    return bool(seen.size) and 1.5 < float(seen.max()) <= 100 + 1e-6


def decimals(values: ArrayLike, most: int = 7) -> int:
    """Decimals that all finite values were printed with, at most ``most`` (then they were hardly rounded)."""
    seen = np.asarray(values, np.float64)
    seen = seen[np.isfinite(seen)]
    for d in range(most):
        if np.all(np.abs(np.round(seen, d) - seen) <= 1e-9 * np.maximum(1.0, np.abs(seen))):
            return d
    return most


def half_unit(columns: Iterable[ArrayLike]) -> float:
    """Half a unit of the last decimal that any of these columns was printed with: the rounding error of a value."""
    return 0.5 * 10.0 ** -max((decimals(column) for column in columns), default=0)


def fractions(columns: Mapping[str, Floats]) -> tuple[dict[str, Floats], float]:
    """Score columns as fractions, and their common rounding error; each may be in percent, one of zeros as the rest."""
    percent = {name: is_percent(column) for name, column in columns.items()}
    some = any(percent.values())
    percent = {name: percent[name] or (some and not np.any(column)) for name, column in columns.items()}
    error = max(
        (
            half_unit(c for n, c in columns.items() if percent[n] == p) / (100 if p else 1)
            for p in set(percent.values())
        ),
        default=0.0,
    )
    return {name: column / 100 if percent[name] else column for name, column in columns.items()}, error


def aligned(*series: Series) -> tuple[Ints, list[Floats]]:
    """The values of several series at the evaluations they share: steps (m,) and one column (m,) each.

    Joined by step; where fewer than half of the shortest meet, by epoch; else by ordinal if all are equally long
    (m = 0 if not). The last of several values at one step counts.
    """
    shortest = min((len(s) for s in series), default=0)
    by_step = [dict(zip(s.step.tolist(), range(len(s)), strict=True)) for s in series]
    by_epoch = [{e: i for i, e in enumerate(s.epoch.tolist()) if e == e} for s in series]
    for places in (by_step, by_epoch):
        shared = sorted(set.intersection(*(set(place) for place in places))) if places else []
        if shortest and 2 * len(shared) >= shortest:
            at = [np.array([place[key] for key in shared], np.int64) for place in places]
            return series[0].step[at[0]], [s.value[i] for s, i in zip(series, at, strict=True)]
    if shortest and len({len(s) for s in series}) == 1:
        return series[0].step, [s.value for s in series]
    return np.empty(0, np.int64), [np.empty(0) for _ in series]
