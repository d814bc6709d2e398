"""What two runs were asked: whether their scores answer one question, and what is left of them beyond chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin import declared, metrics, siblings
from tocsin.run import Run

_QUESTION = frozenset({"dataset", "datasets", "task", "fold", "target", "targets", "metric", "split"})
_PLAIN = frozenset(("name", "names", "id", "column", "col", "key", "val", "test", "eval", "score", "main"))
_RANGE = frozenset(("range", "subset"))
_OF_DATA = frozenset(
    {
        *("data", "dataset", "datasets", "task", "label", "labels", "target", "targets", "class", "classes", "input"),
        *("snr", "date", "dates", "year", "years", "age", "ages"),
    }
)


def apart(mine: Run, other: Run) -> dict[str, tuple[str, str]]:
    """What says that the questions differ, by key, with the values of both."""
    found = _classes(mine, other)
    classes = {key.partition(":")[2] for key in found}
    for key, (a, b) in siblings.differences([mine, other]).items():
        if _asks(key) and not siblings.is_seed(key) and "none" not in (a, b) and key not in classes:
            found[f"config:{key}"] = (a, b)
    return found


def asks(run: Run) -> frozenset[tuple[str, str]]:
    """What a run tells of its question: its label spaces, and the settings that say what is asked."""
    told = {
        s.path: siblings.text_of(s) for s in declared.settings(run) if _asks(s.path) and not siblings.is_seed(s.path)
    }
    return frozenset({**told, **{key: str(k) for key, k in siblings.label_spaces(run).items()}}.items())


def _asks(key: str) -> bool:
    """Whether a setting says what is asked: ``dataset``, ``task_name``, a range of the data; not ``target_modules``."""
    words = set(declared.words_of(key.rpartition(".")[2]))
    return (len(words & _QUESTION) == 1 and words <= _QUESTION | _PLAIN) or bounds_data(key)


def bounds_data(key: str) -> bool:
    """Whether a setting bounds the data: ``snr_range``, ``data.subset``; not ``lr_range`` or ``crop_range``."""
    return bool(set(declared.words_of(key.rpartition(".")[2])) & _RANGE and set(declared.words_of(key)) & _OF_DATA)


def _classes(mine: Run, other: Run) -> dict[str, tuple[str, str]]:
    mine_has, other_has = siblings.label_spaces(mine), siblings.label_spaces(other)
    return {key: (str(k), str(other_has[key])) for key, k in mine_has.items() if other_has.get(key, k) != k}


def beyond_chance(mine: Run, other: Run, apart: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Accuracies beyond chance of both, for each label space that differs and the score that it belongs to."""
    spaces = {key: pair for key, pair in apart.items() if key in siblings.label_spaces(mine)}
    shared = siblings.shared_metrics([mine, other])
    for metric in shared:
        known = metrics.read(metric)
        if known is None or known.measure != "accuracy" or known.average:
            continue
        pair = _space_of(metric, spaces, shared)
        a, b = siblings.score(mine, metric), siblings.score(other, metric)
        if pair is not None and a is not None and b is not None:
            beyond = [_above_chance(score.fraction, int(k)) for score, k in zip((a, b), pair, strict=True)]
            yield f"{metric} {a.value:.4g} against {b.value:.4g} is {beyond[0]:.3f} against {beyond[1]:.3f}"


def _space_of(metric: str, spaces: dict[str, tuple[str, str]], shared: Sequence[str]) -> tuple[str, str] | None:
    """The label space that a metric is about: the one that shares a word with it; else the only one, if of no task."""
    fitting = [pair for key, pair in spaces.items() if _about(metric) & set(declared.words_of(key))]
    if fitting:
        return fitting[0]
    if len(spaces) != 1 or _about(metric):
        return None
    ((key, pair),) = spaces.items()
    return None if any(_about(other) & set(declared.words_of(key)) for other in shared) else pair


def _about(metric: str) -> set[str]:
    """The words of a metric's name that name a task."""
    return set(declared.words_of(metric)) - {"val", "test", "accuracy", "acc", "classes"}


def _above_chance(share: float, classes: int) -> float:
    return (share - 1 / classes) / (1 - 1 / classes)
