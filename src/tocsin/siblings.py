"""Several runs beside each other: which are of one study, in which settings they differ, and what each scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import declared, metrics, names, stats
from tocsin.declared import Setting
from tocsin.findings import Evidence
from tocsin.run import Run

# Settings that need not change what is learned: where things are written, how it is run, how long, how it is scored.
_IDLE = frozenset(
    {
        *("path", "paths", "dir", "dirs", "directory", "folder", "file", "files", "filename", "out", "output", "root"),
        *("id", "ids", "uuid", "time", "timestamp", "date", "created", "started", "host", "hostname", "port", "home"),
        *("device", "devices", "gpu", "gpus", "cuda", "workers", "threads", "pin", "prefetch", "local", "world"),
        *("log", "logs", "logging", "logger", "verbose", "verbosity", "debug", "print", "plot", "save", "saving"),
        *("keep", "checkpoint", "checkpoints", "ckpt", "tag", "tags", "notes", "note", "comment", "project", "entity"),
        *("wandb", "tensorboard", "mlflow", "version", "commit", "hash", "sha", "sha256", "git", "user", "cwd", "pid"),
        *("url", "resume"),
        *("eval", "evaluation", "test", "val", "valid", "validation", "predict", "patience", "stop", "stopping"),
        *("epoch", "epochs", "run", "job", "trial", "exp", "experiment", "index"),
    }
)
TOLD_IN = frozenset(
    {
        *("notes", "note", "description", "comment", "comments", "claim", "claims", "conclusion", "summary", "tags"),
        *("tag", "finding", "findings", "insight", "remark", "remarks", "verdict"),
    }
)
_STARTS = frozenset(("resume", "resumed", "checkpoint", "ckpt", "init", "pretrained"))
_IDLE_ABOVE = frozenset(
    {"logger", "logging", "wandb", "env", "environment", "paths", "hydra", "system", "eval", "mlflow"}
)
_SEED = frozenset(("seed", "seeds"))
_STUDY = ("sweep", "sweep_id", "study", "study_name", "group", "run_group", "comparison")
_SIZES = frozenset(("n", "num", "size", "samples", "count"))
_EVALUATED = ("val", "valid", "validation", "eval", "test", "dev")
_ERRORS = frozenset(("rmse", "mse", "mae"))


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The declared settings in which the runs differ, with the value of each run ("none" where it has none)."""
    told = [{_key(s): text_of(s) for s in declared.settings(run)} for run in runs]
    every = dict.fromkeys(key for each in told for key in each)
    values = {key: [each.get(key, "none") for each in told] for key in every}
    return {key: each for key, each in values.items() if len(set(each)) > 1}


def factors(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Those of the differences that may change what is learned, what a run starts from among them; seeds are none.

    A setting that one run does not tell is no difference, for its default may be the other's value: unless it is a
    switch that is on, or what a run starts from.
    """
    differ = {key: each for key, each in differences(runs).items() if not is_seed(key)}
    return {key: each for key, each in differ.items() if _starts(key, each) or (not is_idle(key) and _told(each))}


def told_by_one(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Settings that may change what is learned and that not all of the runs tell: whether they differ is not known."""
    differ = {key: each for key, each in differences(runs).items() if not is_seed(key) and not is_idle(key)}
    return {key: each for key, each in differ.items() if "none" in each}


def tells(run: Run) -> frozenset[tuple[str, str]]:
    """All settings that may change what is learned, as it tells them; what it starts from among them, seeds not."""
    told = {_key(setting): text_of(setting) for setting in declared.settings(run)}
    return frozenset(
        (key, value) for key, value in told.items() if not is_seed(key) and (not is_idle(key) or _starts(key, [value]))
    )


def _told(values: Sequence[str]) -> bool:
    """Whether the values differ by what was told, or by a switch that is on in some run and unknown in another."""
    told = {value for value in values if value.lower() != "none"}
    return len(told) > 1 or told == {"True"}


def _starts(key: str, values: Sequence[str]) -> bool:
    """Whether a setting names what is resumed from in some run: a file, no switch or interval."""
    words = set(Setting("config", key, 0).words)
    named = any("." in value or "/" in value for value in values)
    return bool(words & _STARTS) and not words & {"dir", "every", "save", "keep"} and named


def is_idle(key: str) -> bool:
    """By the words of the key itself (drop_path is no path, and a model's name is no run's), or what is above it."""
    setting = Setting("config", key, 0)
    words = set(setting.words)
    return bool(
        (words & (_IDLE | TOLD_IN) and "drop" not in words)
        or setting.parents & _IDLE_ABOVE
        or key == "name"
        or key.lower() in _STUDY
    )


def is_seed(key: str) -> bool:
    """Whether the setting is a seed."""
    return bool(set(Setting("config", key, 0).words) & _SEED)


def _key(setting: Setting) -> str:
    return "_".join(declared.key_of_name(setting)) if setting.where == "name" else setting.path


def text_of(setting: Setting) -> str:
    """The value in words, the same for 1e-3 and 0.001."""
    number = setting.number
    return f"{number:.12g}" if number is not None else str(setting.value)[:80]


def studies(runs: Sequence[Run]) -> list[list[int]]:
    """Places of runs that say themselves that they belong together: one sweep, study or group; two or more each."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, run in enumerate(runs):
        for room in (run.config, run.environment):
            said = {str(key).lower(): value for key, value in room.items()}
            for key in _STUDY:
                if isinstance(said.get(key), str | int) and str(said[key]).strip():
                    found[(key, str(said[key]))].append(k)
    together = dict.fromkeys(tuple(dict.fromkeys(places)) for places in found.values())
    return [list(places) for places in together if len(places) > 1]


@dataclass(frozen=True)
class Score:
    """The best value of one metric in a run.

    Attributes:
        metric: The series.
        value: As recorded; ``fraction`` the same with percents as fractions.
        step: Where it stands.
        n: Samples that it was computed on, 0 where nothing says.
    """

    metric: str
    value: float
    fraction: float
    step: int
    n: int

    @property
    def error(self) -> float:
        """Standard error by the samples alone, of ``fraction``; NaN where unknown.

        A share of hits is binomial. A mean of squares of normal errors has the relative error sqrt(2 / n), an R2 the
        same times 1 - R2, a root half of it; a mean of absolute ones .756 / sqrt(n).
        """
        known, p = metrics.read(self.metric), self.fraction
        if known is None or self.n < 2:
            return float("nan")
        if known.measure in ("accuracy", "recall", "precision", "specificity"):
            return float(np.sqrt(max(p * (1 - p), 0.0) / self.n))
        relative = {"mse": np.sqrt(2), "rmse": np.sqrt(0.5), "mae": 0.756, "r2": np.sqrt(2)}.get(known.measure)
        scale = 1 - p if known.measure == "r2" else p
        return float("nan") if relative is None else float(relative * abs(scale) / np.sqrt(self.n))

    def cited(self, text: str = "") -> Evidence:
        """The evidence of this value."""
        return Evidence(self.metric, self.value, self.step, text=text)


def shared_metrics(runs: Sequence[Run]) -> list[str]:
    """The scores that all of the runs have: those of whole evaluations first, then those of tasks or classes."""
    each = [{m.name: m for m in metrics.of_evaluations(run.series) if is_score(m)} for run in runs]
    both = set.intersection(*map(set, each)) if each else set()
    order = sorted((each[0][name] for name in both), key=rank)
    return [metric.name for metric in order]


def is_score(metric: metrics.Metric) -> bool:
    """Whether a metric sums up how good a run is, and which way it is better is known."""
    return metric.measure in metrics.SUMMARY | _ERRORS and way(metric.name) != 0


def way(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where unknown."""
    known = metrics.read(metric)
    if known is not None and known.measure in metrics.SUMMARY - {"wer", "cer"}:
        return 1
    return -1 if known is not None and known.measure in _ERRORS else names.direction(metric)


def rank(metric: metrics.Metric) -> tuple[bool, bool, bool, str]:
    """Sorts scores: those of whole evaluations first, errors after them, those of evaluations before others."""
    return (not metric.plain, metric.measure in _ERRORS, metric.split not in _EVALUATED, metric.name)


def score(run: Run, metric: str) -> Score | None:
    """The best recorded value of a metric, None without a finite point."""
    series = run.series[metric].finite if metric in run.series else None
    if series is None or not len(series):
        return None
    at = int(np.argmax(way(metric) * series.value))
    known = metrics.read(metric)
    percent = known is not None and known.measure in metrics.BOUNDED and metrics.is_percent(series.value)
    value = float(series.value[at])
    return Score(metric, value, value / 100 if percent else value, int(series.step[at]), samples(run, metric))


def samples(run: Run, metric: str) -> int:
    """Samples of the evaluations that a metric is computed on: recorded, or declared; 0 where nothing says."""
    split = names.split_of(metric) or "val"
    recorded = [e.n for e in run.evaluations if e.split == split and not e.baseline]
    if recorded:
        return int(recorded[-1])
    for setting in declared.of_config(run.config):
        words = set(setting.words)
        number = setting.number
        if split in words | setting.parents and words & _SIZES and number is not None and number >= 2:
            return int(number) if number == int(number) else 0
    return 0


def spread_of_seeds(runs: Sequence[Run], metric: str) -> tuple[float, int]:
    """Standard deviation of the score between runs that differ in nothing but their seed, and its degrees of freedom.

    Pooled over all such sets; NaN and 0 where there is none.
    """
    sets: dict[tuple[tuple[str, str], ...], list[float]] = defaultdict(list)
    for run in runs:
        told = {_key(s): text_of(s) for s in declared.settings(run)}
        found = score(run, metric)
        if found is not None and any(is_seed(key) for key in told):
            same = sorted((key, value) for key, value in told.items() if not is_idle(key) and not is_seed(key))
            sets[tuple(same)].append(found.fraction)
    squares = [(float(np.var(values, ddof=1)), len(values) - 1) for values in sets.values() if len(values) > 1]
    freedom = sum(n for _, n in squares)
    if not freedom:
        return float("nan"), 0
    return float(np.sqrt(sum(v * n for v, n in squares) / freedom)), freedom


def interval_of_difference(a: Score, b: Score, confidence: float = 0.95) -> tuple[float, float] | None:
    """Interval of a - b by the samples alone, as fractions: Newcombe's for shares of hits, else normal; else None."""
    known = metrics.read(a.metric)
    if known is not None and known.measure == "accuracy" and a.n > 1 and b.n > 1 and min(a.fraction, b.fraction) >= 0:
        return stats.proportion_difference(a.fraction * a.n, a.n, b.fraction * b.n, b.n, confidence)
    error = float(np.hypot(a.error, b.error))
    if not np.isfinite(error):
        return None
    half = stats.z_of(confidence) * error
    return a.fraction - b.fraction - half, a.fraction - b.fraction + half


def config_evidence(run: Run, keys: Sequence[str], text: str) -> list[Evidence]:
    """The evidence that a run declares these settings, as far as its configuration has them."""
    told = {s.path: s for s in declared.of_config(run.config)}
    return [declared.cited(run, told[key], text) for key in keys if key in told]


def label_spaces(run: Run) -> Mapping[str, int]:
    """Number of classes by what says it: ``evaluation:<split>/<task>`` or a key of the configuration."""
    found = {f"evaluation:{e.key}": e.confusion.classes for e in run.evaluations if e.confusion is not None}
    for setting in declared.of_config(run.config):
        words = set(setting.words)
        if not words & {"classes", "labels"} or words & {"weights", "weight", "smoothing", "per", "names"}:
            continue
        if isinstance(setting.value, list | tuple):
            found[f"config:{setting.path}"] = len(setting.value)
        elif setting.number is not None and setting.number >= 2 and setting.number == int(setting.number):
            found[f"config:{setting.path}"] = int(setting.number)
    return found
