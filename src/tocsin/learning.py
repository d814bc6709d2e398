"""What losses and metrics say about progress: levels through noise, how far they fell, where a loss says nothing."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tocsin import names, stats
from tocsin.run import Floats, Run, Series

_WORD = re.compile(r"[a-z0-9]+")
_REINFORCED = frozenset(
    _WORD.findall("reward rewards return returns episode policy advantage advantages actor critic rollout")
)
_ADVERSARIAL = frozenset(_WORD.findall("discriminator generator disc adversarial adv gan lossd lossg dloss gloss"))
_TUNED = re.compile(
    r"fine[-_ ]?tun|\bfinetun|(?:^|[^a-z])(?:q?lora|peft|sft|dpo|adapter|dreambooth|instruct)(?:[^a-z]|$)",
    re.IGNORECASE,
)
_TUNED_KEYS = frozenset(
    re.findall(
        r"\w+",
        "pretrained load_from resume resume_from resume_from_checkpoint finetune init_checkpoint model_name_or_path "
        "pretrained_model_name_or_path restore_file lora_r lora_rank peft_config init_from",
    )
)
_FROM_NOTHING = frozenset({"", "none", "false", "null", "no", "0", "scratch", "random", "nan"})
_SHARES = frozenset(
    _WORD.findall("acc accuracy ap auc auroc dice f1 iou map mcc miou precision r2 recall top1 top5 kappa")
)


@dataclass(frozen=True)
class Level:
    """Where a noisy series stood: its robust level over a part, and that level's standard error."""

    value: float
    error: float
    step: int


def level(series: Series) -> Level:
    """The median of a part of a series and its standard error (1.2533 sd / sqrt(n), widened for autocorrelation).

    The scatter is that of successive differences, so that a trend inside the part does not count as noise; the error
    is NaN below 3 points.
    """
    y = series.value
    if not y.size:
        return Level(math.nan, math.nan, 0)
    error = 1.2533 * scatter(y) / math.sqrt(stats.effective_size(y)) if y.size >= 3 else math.nan
    return Level(float(np.median(y)), error, int(series.step[-1]))


def scatter(y: Floats) -> float:
    """Robust sd of the noise about a slow trend: 1.4826 MAD of the successive differences over sqrt(2)."""
    return stats.robust_level(np.diff(y))[1] / math.sqrt(2) if y.size >= 3 else math.nan


def ends(series: Series, share: float = 0.1, least: int = 1) -> tuple[Level, Level]:
    """The levels of the first and the last ``share`` of the points (at least ``least`` of them)."""
    k = min(max(least, round(share * len(series))), max(1, len(series) // 2))
    return level(series[:k]), level(series[len(series) - k :])


def fallen(series: Series) -> float:
    """How far a loss fell from its first to its last tenth, as a share of where it began; NaN below 2 points."""
    if len(series) < 2:
        return math.nan
    first, last = ends(series)
    return (first.value - last.value) / abs(first.value) if first.value else math.nan


def blocks(series: Series, most: int) -> Series:
    """The series as medians of at most ``most`` consecutive parts, each at the step of its last point."""
    if len(series) <= most:
        return series
    edges = np.linspace(0, len(series), most + 1).astype(int)
    last = edges[1:] - 1
    medians = np.array([np.median(series.value[a:b]) for a, b in itertools.pairwise(edges)])
    return Series(series.name, series.step[last], medians, series.epoch[last], series.time[last])


def unlike_progress(run: Run) -> str:
    """Why the run's loss need not fall though it learns: "reinforcement learning", "adversarial training" or ""."""
    words = [set(_WORD.findall(name.lower())) for name in run.series]
    said = {word for one in words for word in one}
    if said & _REINFORCED:
        return "reinforcement learning"
    terms = {term.lower() for term in run.family("train/loss")}
    if said & _ADVERSARIAL or {"d", "g"} <= terms or {"dis", "gen"} <= terms:
        return "adversarial training"
    return ""


def begins_late(run: Run) -> str:
    """Why the first loss is not that of the start: "the run was resumed", "its record begins at step n"; else ""."""
    if any(event.kind == "resume" for event in run.events):
        return "the run was resumed"
    loss = run.get("train/loss")
    if loss is not None and len(loss) > 2:
        gap = max(1.0, float(np.median(np.diff(loss.step))))
        if loss.step[0] > 20 * gap and loss.step[0] > 0.2 * (loss.step[-1] - loss.step[0]):
            return f"its record begins at step {loss.step[0]}"
    return ""


def fine_tuned(run: Run) -> bool:
    """Whether the run says that it starts from a trained model, or comes from a trainer that mostly does."""
    where = "/".join(run.path.parts[-3:]) if run.path is not None else ""
    told = " ".join([run.name, where, str(run.environment.get("command") or "")])
    tuned = bool(_TUNED.search(told)) or any(_tuned(k, v) for k, v in _leaves(run.config))
    return tuned or run.source.startswith("hf")


def _tuned(key: str, value: Any) -> bool:
    return key.lower() in _TUNED_KEYS and str(value).strip().lower() not in _FROM_NOTHING


def _leaves(config: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Last keys and values, at most 6 levels down."""
    if isinstance(config, Mapping) and depth < 6:
        for name, value in config.items():
            yield from _leaves(value, str(name), depth + 1)
    elif not isinstance(config, Mapping):
        yield key, config


def share(name: str, series: Series) -> Series | None:
    """A metric whose best value is 1 (accuracy, F1, AUC, ...) as a fraction, from percent too; None for another."""
    if not set(_WORD.findall(name.rpartition("/")[2].lower())) & _SHARES:
        return None
    known = series.finite
    if not len(known) or known.value.min() < -1 or known.value.max() > 100:
        return None
    scale = 100.0 if known.value.max() > 1.5 else 1.0
    return Series(name, known.step, known.value / scale, known.epoch, known.time)


def improves(values: Series, sign: int, least: float = 0.02) -> bool:
    """Whether a metric or loss got better (``sign`` 1: higher is) by ``least`` of its size, beyond its scatter.

    Below 5 points the last has to beat the first; from 5 on the Theil-Sen interval decides, or the best of the later
    half against the first value where that is 3 times the scatter away.
    """
    y = sign * values.finite.value
    if y.size < 2:
        return False
    size = least * max(abs(float(y[0])), abs(float(np.median(y))))
    gain = float(y[1:].max() - y[0])
    if y.size < 5:
        return bool(y[-1] - y[0] > size)
    slope = stats.trend(values.finite.step, y)
    moved = slope.slope * float(values.finite.step[-1] - values.finite.step[0])
    return bool((slope.rising and moved > size) or gain > max(size, 3 * scatter(y) * math.sqrt(2)))


def curves(run: Run) -> tuple[Series | None, Series | None]:
    """What is trained on and its evaluation: the training loss and the main evaluation loss, finite points.

    Where one of the two has no series called loss, the first lower-is-better metric that both splits have (logloss,
    RMSE, perplexity, ...). Where several evaluation sets have it and training none, the first of them stands for
    training if it ends below half of the next: boosting libraries evaluate the training set under such a name.
    """
    main = next(iter(names.eval_losses(run.series)), "")
    if run.get("train/loss") is not None and main:
        return finite(run, "train/loss"), finite(run, main)
    for name in names.eval_metrics(run.series):
        split, measure = names.split_of(name), name.partition("/")[2]
        if names.direction(name) > 0 or not split:
            continue
        if run.get(f"train/{measure}") is not None:
            return finite(run, f"train/{measure}"), finite(run, name)
        if run.get(f"{split}_1/{measure}") is not None and _stands_for_training(run, name, f"{split}_1/{measure}"):
            return finite(run, name), finite(run, f"{split}_1/{measure}")
    train = finite(run, "train/loss") if run.get("train/loss") is not None else None
    return train, finite(run, main) if main else None


def _stands_for_training(run: Run, name: str, other: str) -> bool:
    first, second = finite(run, name).value, finite(run, other).value
    return bool(first.size == second.size > 0 and first[-1] < 0.5 * second[-1])


def summed(run: Run, split: str) -> Series | None:
    """The sum of the terms that this split and training have at each of its records, named ``<split>/loss``.

    For loggers that print the terms and no total (the YOLO family), whose terms carry their weights already. None for
    fewer than 2 such terms, and where they were recorded at different steps.
    """
    shared = sorted(set(run.family("train/loss")) & set(run.family("val/loss")))
    parts = [run.series[f"{split}/loss/{term}"].finite for term in shared]
    if len(parts) < 2 or any(not np.array_equal(p.step, parts[0].step) for p in parts):
        return None
    return replace(parts[0], name=f"{split}/loss", value=np.sum([p.value for p in parts], axis=0))


@dataclass(frozen=True)
class Gap:
    """A score that training reaches and the evaluation does not.

    Attributes:
        train, held: Names of the two series, each a fraction of 1.
        before, after: The training score first and last; ``was``, ``now`` the evaluation's.
        size: ``after - now``, ``low`` the lower end of its 99 % interval (NaN below 5 evaluations).
        step: The first evaluation.
    """

    train: str
    held: str
    before: float
    after: float
    was: float
    now: float
    low: float
    step: int

    @property
    def size(self) -> float:
        return self.after - self.now


def memorised(run: Run, least: float = 0.3) -> Gap | None:
    """The widest gap of a score that rose by ``least`` in training, by less than a tenth of that in the evaluation.

    First and last are the first value and the median of the last 3 (the last alone below 5). None where the evaluation
    improved beyond its scatter, or the gap is below ``least``.
    """
    found = []
    for name in names.eval_metrics(run.series):
        of_training = f"train/{name.partition('/')[2]}"
        if names.direction(name) < 0 or not names.split_of(name) or run.get(of_training) is None:
            continue
        train, held = share(of_training, run.series[of_training]), share(name, run.series[name])
        if train is not None and held is not None and len(held) >= 2 and len(train) >= 2:
            gap = _gap(train, held)
            rose = gap.after - gap.before
            calm = gap.now - gap.was < 0.1 * rose and not improves(held, 1, 0.1)
            if calm and rose >= least and gap.size >= least:
                found.append(gap)
    return max(found, key=lambda gap: gap.size, default=None)


def _gap(train: Series, held: Series) -> Gap:
    n = len(held)
    after, now = (float(np.median(s.value[-3:] if len(s) >= 5 else s.value[-1:])) for s in (train, held))
    noise = float(held.value.std(ddof=1)) * math.sqrt(1 / 3 + 1 / n)
    low = after - now - stats.t_of(0.99, n - 1) * noise if n >= 5 else math.nan
    before, was = float(train.value[0]), float(held.value[0])
    return Gap(train.name, held.name, before, after, was, now, low, int(held.step[0]))


def finite(run: Run, name: str) -> Series:
    """The finite points of a recorded series, under its own name."""
    return replace(run.series[name].finite, name=name)


def eval_series(run: Run) -> Iterable[tuple[str, Series, int]]:
    """Evaluation losses and metrics of a run with finite points: name, points, direction in which better lies."""
    for name in names.eval_losses(run.series):
        if len(run.series[name].finite):
            yield name, finite(run, name), -1
    for name in names.eval_metrics(run.series):
        if len(run.series[name].finite):
            yield name, finite(run, name), names.direction(name)
