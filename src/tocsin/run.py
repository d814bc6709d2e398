"""The one data model: what a training run left behind, whoever recorded it.

A ``Run`` holds named ``Series``, ``Evaluation``s, ``Event``s, the trainable ``Parameter``s and the configuration.
Readers, the record and the live recorder all build this; rules see nothing else. Steps count from 1; step 0 is
"before training". All arrays are read-only views by convention: nothing here writes into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tocsin import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sign = TypeVar("Sign", bound=Hashable)
Exit = Literal["finished", "failed", "interrupted", "killed", "running", "unknown"]
Kind = Literal["classes", "ids", "binary", "multilabel", "regression"]
AUC_ROWS, AUC_CELLS, AUC_CLASSES = 2048, 2**18, 1024  # of the sample of scores that ``Evaluation.auc`` rests on


@dataclass(frozen=True, eq=False)
class Series:
    """One recorded quantity over the steps of a run.

    Attributes:
        name: Canonical slash key (``names.py``), e.g. ``train/loss``.
        step: Step of each point, shape (n,), ascending; repeated steps are allowed (several evaluations at one step).
        value: Recorded value, shape (n,), in the unit of the name; NaN and inf are kept as recorded.
        epoch: Epoch of each point counted from 1, shape (n,), NaN where unknown.
        time: Seconds since the start of the run, shape (n,), NaN where unknown.
    """

    name: str
    step: Ints
    value: Floats
    epoch: Floats
    time: Floats

    @classmethod
    def of(cls, name: str, value: Any, step: Any = None, *, epoch: Any = None, time: Any = None) -> Series:
        """Build a series from plain sequences; steps default to 1..n, epoch and time to NaN.

        Raises:
            ValueError: The columns differ in length.
        """
        values = np.asarray(value, dtype=np.float64).reshape(-1)
        n = values.size
        steps = np.arange(1, n + 1, dtype=np.int64) if step is None else np.asarray(step, dtype=np.int64).reshape(-1)
        epochs = np.full(n, np.nan) if epoch is None else np.asarray(epoch, dtype=np.float64).reshape(-1)
        times = np.full(n, np.nan) if time is None else np.asarray(time, dtype=np.float64).reshape(-1)
        if not n == steps.size == epochs.size == times.size:
            raise ValueError(f"series {name!r}: columns of {n}, {steps.size}, {epochs.size}, {times.size} points")
        return cls(name, steps, values, epochs, times)

    def __len__(self) -> int:
        return self.value.size

    def until(self, step: int) -> Series:
        """The points at or before ``step``."""
        if not len(self) or self.step[-1] <= step:  # at a look, nearly every series
            return self
        return self[: int(np.searchsorted(self.step, step, side="right"))]

    def __getitem__(self, part: slice | Ints) -> Series:
        return Series(self.name, self.step[part], self.value[part], self.epoch[part], self.time[part])

    @property
    def finite(self) -> Series:
        """The points with a finite value."""
        keep = np.isfinite(self.value)
        if keep.all():
            return self
        return Series(self.name, self.step[keep], self.value[keep], self.epoch[keep], self.time[keep])


@dataclass(frozen=True, eq=False)
class Confusion:
    """Sparse confusion counts of one evaluation.

    Attributes:
        classes: Number of classes K.
        target, prediction, count: The non-zero cells, each shape (m,): ``count[i]`` samples of class ``target[i]``
            were predicted as ``prediction[i]``.
        labels: The K class names in class order, or empty. Numeric labels ("28 dB") say that the classes are ordered.
    """

    classes: int
    target: Ints
    prediction: Ints
    count: Ints
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, dense: Any, labels: tuple[str, ...] = ()) -> Confusion:
        """Build from a dense [K, K] matrix of counts, rows = target, columns = prediction."""
        matrix = np.asarray(dense, dtype=np.int64)
        target, prediction = np.nonzero(matrix)
        return cls(matrix.shape[0], target, prediction, matrix[target, prediction], labels)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.count.sum())

    @cached_property
    def support(self) -> Ints:
        """Samples of each target class, shape (K,)."""
        return np.bincount(self.target, weights=self.count, minlength=self.classes).astype(np.int64)

    @cached_property
    def predicted(self) -> Ints:
        """Samples predicted as each class, shape (K,)."""
        return np.bincount(self.prediction, weights=self.count, minlength=self.classes).astype(np.int64)

    @cached_property
    def correct(self) -> Ints:
        """Correctly predicted samples of each class, shape (K,)."""
        hit = self.target == self.prediction
        return np.bincount(self.target[hit], weights=self.count[hit], minlength=self.classes).astype(np.int64)

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """``stats.class_scores`` of these counts; several rules ask at each look."""
        return stats.class_scores(self.support, self.predicted, self.correct)

    def rivals(self, index: int) -> float:
        """Mean support of the classes that the samples of class ``index`` are predicted as; NaN without samples."""
        cells = self.target == index
        given = self.count[cells]
        of = float(given.sum())
        return float(given @ self.support[self.prediction[cells]]) / of if of else float("nan")

    def dense(self) -> Ints:
        """The [K, K] matrix, rows = target."""
        matrix = np.zeros((self.classes, self.classes), dtype=np.int64)
        matrix[self.target, self.prediction] = self.count
        return matrix

    def label(self, index: int) -> str:
        """The name of class ``index``."""
        return self.labels[index] if index < len(self.labels) else f"class {index}"


@dataclass(frozen=True, eq=False)
class Moments:
    """Joint moments of target t and prediction p over one evaluation, for one output.

    ``var_*`` and ``cov`` are population moments (divided by n). ``sample_target`` and ``sample_prediction`` are a
    bounded systematic subsample in evaluation order (every ``stride``-th finite pair): it serves for quantiles and
    for tests that must respect autocorrelation.
    """

    n: int
    mean_target: float
    mean_prediction: float
    var_target: float
    var_prediction: float
    cov: float
    min_target: float
    max_target: float
    min_prediction: float
    max_prediction: float
    sample_target: Floats
    sample_prediction: Floats
    stride: int = 1

    @classmethod
    def of(cls, target: Any, prediction: Any, stride: int = 1) -> Moments:
        """Moments of two [N] arrays, float64; pairs with a non-finite member are dropped."""
        t, p = np.asarray(target, np.float64).reshape(-1), np.asarray(prediction, np.float64).reshape(-1)
        keep = np.isfinite(t) & np.isfinite(p)
        t, p = t[keep], p[keep]
        if not t.size:
            nan = float("nan")
            return cls(0, nan, nan, nan, nan, nan, nan, nan, nan, nan, t, p, stride)
        with np.errstate(over="ignore", invalid="ignore"):  # values near the largest float have infinite moments
            dt, dp = t - t.mean(), p - p.mean()
            return cls(
                int(t.size), float(t.mean()), float(p.mean()), float((dt**2).mean()), float((dp**2).mean()),
                float((dt * dp).mean()), float(t.min()), float(t.max()), float(p.min()), float(p.max()), t, p, stride,
            )  # fmt: skip

    @property
    def r(self) -> float:
        """Pearson correlation; NaN when either side is constant."""
        scale = float(np.sqrt(self.var_target * self.var_prediction))
        return float(np.clip(self.cov / scale, -1.0, 1.0)) if scale > 0 else float("nan")

    @property
    def s(self) -> float:
        """Ratio of standard deviations sd(p)/sd(t); NaN when the target is constant."""
        return float(np.sqrt(self.var_prediction / self.var_target)) if self.var_target > 0 else float("nan")

    @property
    def b(self) -> float:
        """Mean shift (mean(p) - mean(t)) in target standard deviations; NaN when the target is constant."""
        sd = float(np.sqrt(self.var_target))
        return (self.mean_prediction - self.mean_target) / sd if sd > 0 else float("nan")

    @property
    def r2(self) -> float:
        """R^2 = r^2 - (s - r)^2 - b^2 (Murphy 1988, eq. 11-12); with s = 0 the first two terms vanish."""
        if self.var_target <= 0:
            return float("nan")
        return 1.0 - (self.var_target + self.var_prediction - 2 * self.cov) / self.var_target - self.b * self.b


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predictions of one (split, task), with no training step between them.

    Attributes:
        split, task: As given to ``run.evaluate``.
        step: Last training step before it (0 = none).
        kind: How the predictions were read.
        n: Samples used; ``nonfinite`` rows were counted and left out.
        confusion: For ``classes``, ``ids`` and ``binary``.
        labels_confusion: For ``multilabel``: counts [K, 4] = tp, fp, fn, tn per label.
        moments: For ``regression``: one per output.
        metrics: The user's own numbers logged while it was open, by their full name.
        baseline: Name of the recorded baseline whose predictions these are; "" for the model's own.
        batchwise: Non-additive metrics averaged over the batches as they came, by name (``f1_macro``, ``r2``).
        auc: One-vs-rest area under the ROC curve of each class, shape (K,), NaN where unknown; from every 2^k-th row,
            such that at most ``AUC_ROWS`` rows and ``AUC_CELLS`` scores are kept.
    """

    split: str
    task: str
    step: int
    kind: Kind
    n: int
    epoch: float = float("nan")
    time: float = float("nan")
    nonfinite: int = 0
    confusion: Confusion | None = None
    labels_confusion: Ints | None = None
    moments: tuple[Moments, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline: str = ""
    batchwise: Mapping[str, float] = field(default_factory=dict)
    auc: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        """``split/task``, the identity of a sequence of evaluations."""
        return f"{self.split}/{self.task}"


Window = tuple[Evaluation, ...]


def in_each(look: Callable[[Evaluation], Mapping[Sign, object]]) -> Callable[[Window], Mapping[Sign, object]]:
    """What the newest evaluation of a window has and every other of it has, too; ``look`` sees one evaluation."""

    def shared(window: Window) -> dict[Sign, object]:
        others = [look(evaluation) for evaluation in window[:-1]]
        return {sign: what for sign, what in look(window[-1]).items() if all(sign in other for other in others)}

    return shared


def in_last(look: Callable[[Evaluation], Mapping[Sign, object]]) -> Callable[[Window], Mapping[Sign, object]]:
    """What the newest evaluation of a window has."""
    return lambda window: look(window[-1])


@dataclass(frozen=True)
class Event:
    """Something said once: a warning, an exception, a framework message, an epoch's end.

    ``data`` holds JSON values only.
    """

    kind: str
    text: str = ""
    step: int = 0
    time: float = float("nan")
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """One parameter tensor of the model as it stood when last scanned.

    ``index`` is its place in ``model.named_parameters()``; ``role`` is "embedding" or "expert" where a part of it
    may legitimately never move, else "".
    """

    name: str
    size: int
    requires_grad: bool
    in_optimizer: bool
    module: str = ""
    dtype: str = "float32"
    role: str = ""


@dataclass(frozen=True, eq=False)
class Run:
    """Everything known about one training run.

    Attributes:
        name: Short name for messages.
        series: Series by canonical name.
        evaluations: In order of closing.
        events: In order of time.
        parameters: Tensors of the model and their place in the optimizers, as last scanned (our own records only).
        tables: The table of parameters each time that it changed, with the step from which it holds.
        config: The configuration as given, nested; ``config_typed`` is False where the source keeps only text.
        environment: Versions, device, command, seeds.
        exit: How it ended; "running" while it is watched, "killed" without an exit record.
        path: Where it was read from.
        source: Format, e.g. ``tocsin``.
        unread: What could not be read, a sentence each.
        digests: Of an ``outline``: the digest of each series as it was before it was thinned.
    """

    name: str
    series: Mapping[str, Series] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    events: tuple[Event, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    config_typed: bool = True
    environment: Mapping[str, Any] = field(default_factory=dict)
    exit: Exit = "unknown"
    path: Path | None = None
    source: str = "memory"
    unread: tuple[str, ...] = ()
    tables: tuple[tuple[int, tuple[Parameter, ...]], ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str = "run", /, *, series: Mapping[str, Any] | None = None, **fields: Any) -> Run:
        """Build a run from plain arrays: ``Run.of(series={"train/loss": [3, 2, 1]})``; steps are 1..n."""
        made = {k: replace(v, name=k) if isinstance(v, Series) else Series.of(k, v) for k, v in (series or {}).items()}
        return cls(name, made, **fields)

    @property
    def foreign(self) -> bool:
        """Whether somebody else's logger recorded it."""
        return self.source not in ("tocsin", "memory")

    def get(self, name: str) -> Series | None:
        """The series ``name`` if it has a point."""
        found = self.series.get(name)
        return found if found is not None and len(found) else None

    def family(self, stem: str) -> dict[str, Series]:
        """The series below ``stem/`` by what follows it: ``family("train/loss")`` gives the terms."""
        return dict(self._families.get(stem, {}))

    @cached_property
    def _families(self) -> dict[str, dict[str, Series]]:
        """Series by each stem of their names, since rules ask for hundreds of families at each look."""
        found: dict[str, dict[str, Series]] = {}
        for name, series in self.series.items():
            if len(series):
                for at in (k for k, letter in enumerate(name) if letter == "/"):
                    found.setdefault(name[:at], {})[name[at + 1 :]] = series
        return found

    @cached_property
    def own_evaluations(self) -> tuple[Evaluation, ...]:
        """The model's own evaluations, in order: those of recorded baselines left out."""
        return tuple(e for e in self.evaluations if not e.baseline)

    def of_kind(self, *kinds: Kind) -> dict[str, list[Evaluation]]:
        """The model's evaluations of these kinds (all when none is named), in order, by ``split/task``."""
        found: dict[str, list[Evaluation]] = {}
        for evaluation in self.evaluations:
            if evaluation.n and not evaluation.baseline and (not kinds or evaluation.kind in kinds):
                found.setdefault(evaluation.key, []).append(evaluation)
        return found

    def baselines(self, key: str) -> dict[str, list[Evaluation]]:
        """The recorded baselines of one ``split/task``, in order, by their name."""
        return {name: list(found) for name, found in self._baselines.get(key, {}).items()}

    @cached_property
    def _baselines(self) -> dict[str, dict[str, list[Evaluation]]]:
        found: dict[str, dict[str, list[Evaluation]]] = {}
        for evaluation in self.evaluations:
            if evaluation.n and evaluation.baseline:
                found.setdefault(evaluation.key, {}).setdefault(evaluation.baseline, []).append(evaluation)
        return found

    def has(self, need: str) -> bool:
        """Whether a rule's need is met: see ``findings.rule`` for the grammar."""
        return any(self._has_one(option.strip()) for option in need.split("|"))

    def _has_one(self, need: str) -> bool:
        if need.startswith("evaluations"):
            _, _, kind = need.partition(":")
            return any(e.n and not e.baseline and kind in ("", e.kind) for e in self.evaluations)
        if need in ("config", "parameters", "events"):
            return bool(getattr(self, need))
        if need.endswith("/*"):
            return bool(self.family(need[:-2]))
        return self.get(need) is not None

    def settled(self, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
        """The last 3 of one ``split/task``'s evaluations if their predictions have settled, else none.

        Settled: the run is over, or the loss of that split stopped falling: the trend interval of its last
        max(8, half) points contains 0. A run that was cut short needs 3 evaluations, one that finished (or whose end
        is unknown) gives what it has. Evaluations before the first step never count: nothing was learned yet.
        """
        last = [e for e in evaluations if e.step > 0][-3:]
        if self.exit in ("finished", "unknown"):
            return last
        if len(last) < 3 or (self.exit == "running" and not self._stopped_falling(last[-1])):
            return []
        return last

    def persisting(
        self,
        evaluations: Sequence[Evaluation],
        shows: Callable[[Window], Mapping[Sign, object]],
        holds: Callable[[Window], Mapping[Sign, object]],
    ) -> tuple[list[Sign], list[Evaluation]]:
        """The signs that settled evaluations of one ``split/task`` have shown and that hold since then.

        Evidence once given is not lost because a later, smaller or luckier evaluation gives less of it: a sign stands
        while its effect holds without a break from a window that showed it, when the predictions had settled, to now.

        Args:
            evaluations: All of one ``split/task``, in order.
            shows: What a window, the last 3 evaluations or fewer, proves, by sign.
            holds: What a window has by its estimates alone, by sign; to be no narrower than ``shows``.

        Returns:
            The signs in the order of the last window, and the evaluations of the unbroken stretch of windows, each
            named by its last one, in which all of them hold (both empty where nothing stands).
        """
        trained = [evaluation for evaluation in evaluations if evaluation.step > 0]
        windows = [tuple(trained[max(0, end - 3) : end]) for end in range(len(trained), 0, -1)]
        first = list(holds(windows[0])) if windows else []
        holding, stands = first, set[Sign]()
        for window in windows:
            held = holds(window)
            holding = [sign for sign in holding if sign in held]
            open_ = [sign for sign in holding if sign not in stands]
            if not open_:
                break
            shown = shows(window)
            if any(sign in shown for sign in open_) and self._had_settled(window, trained):
                stands |= {sign for sign in open_ if sign in shown}
        signs = [sign for sign in first if sign in stands]
        length = sum(1 for _ in takewhile(stands.issubset, map(holds, windows))) if signs else 0
        return signs, trained[len(trained) - length :]

    def _had_settled(self, window: Window, trained: Sequence[Evaluation]) -> bool:
        """Whether the predictions had settled when the last of a window was the last of all."""
        if window[-1] is trained[-1]:
            return bool(self.settled(trained))
        return len(window) == 3 and self._stopped_falling(window[-1], until=window[-1].step)

    def _stopped_falling(self, evaluation: Evaluation, until: int | None = None) -> bool:
        split, task = evaluation.split, evaluation.task
        loss = self.get(f"{split}/loss/{task}") or self.get(f"{split}/loss")
        if loss is None:
            return False
        seen = (loss if until is None else loss.until(until)).finite
        tail = seen[-max(8, len(seen) // 2) :]
        if len(tail) < 8:
            return False
        return stats.trend(tail.step, tail.value).flat

    def digest(self, name: str) -> str:
        """Digest of all points (step and value) of a series, "" where there is none; equal series have equal ones."""
        if name in self.digests:
            return self.digests[name]
        series = self.get(name)
        if series is None:
            return ""
        return hashlib.blake2b(series.step.tobytes() + series.value.tobytes(), digest_size=16).hexdigest()

    def outline(self, most: int = 128) -> Run:
        """The run with at most ``most`` evenly spread points a series, digests of the whole ones, the last evaluations.

        What the rules of scope "runs" are given, so that thousands of runs fit into memory.
        """
        return replace(
            self,
            series={name: s[_spread(len(s), most)] if len(s) > most else s for name, s in self.series.items()},
            digests={name: self.digest(name) for name in self.series},
            evaluations=tuple(e for kept in self.of_kind().values() for e in kept[-3:]),
            parameters=(),
            tables=(),
        )

    @cached_property
    def last_step(self) -> int:
        """The largest step anything was recorded at."""
        ends = [int(s.step[-1]) for s in self.series.values() if len(s)]
        return max([0, *ends, *(e.step for e in self.evaluations)])

    @cached_property
    def trained(self) -> bool:
        """Whether a training step left a trace: a point of training, or anything recorded after step 0."""
        return self.last_step > 0 or any(
            len(s) and name.startswith(("train/", "lr/", "grad/")) for name, s in self.series.items()
        )

    def prefix(self, step: int) -> Run:
        """The run as it stood when ``step`` was over: all that was recorded at or before it."""
        return replace(
            self,
            series={name: cut for name, s in self.series.items() if len(cut := s.until(step))},
            evaluations=tuple(e for e in self.evaluations if e.step <= step),
            events=tuple(e for e in self.events if e.step <= step and e.kind not in ("exit", "exception", "stop")),
            parameters=next((table for at, table in reversed(self.tables) if at <= step), self.parameters),
            exit="running",
        )

    def looks(self) -> list[int]:
        """The steps after which the rules look: a function of the record alone, never of the clock.

        Each step that ends with an evaluation of the model (the first 64, then the 64 * 2^(k/4)-th), and the call
        counts 32 * 2^(k/2). Nobody was there to look at a foreign log while it grew: it has none, but for its end.
        """
        if self.foreign:
            return []
        evaluated = sorted({e.step for e in self.own_evaluations})
        at_evaluation = {step for k, step in enumerate(evaluated, 1) if looks_at_evaluation(k)}
        at_count = set(_COUNTS[: int(np.searchsorted(_COUNTS, self.last_step, side="right"))])
        return sorted(at_evaluation | at_count)


def _spread(n: int, most: int) -> Ints:
    """``most`` evenly spread indices of n, both ends among them."""
    return np.unique(np.linspace(0, n - 1, most).round().astype(np.int64))


_COUNTS = [round(32 * 2 ** (k / 2)) for k in range(90)]
_COUNT_SET = frozenset(_COUNTS)
_EVALUATIONS = {round(64 * 2 ** (k / 4)) for k in range(1, 120)}


def looks_at_evaluation(ordinal: int) -> bool:
    """Whether the rules look after the ``ordinal``-th evaluated step (from 1)."""
    return ordinal <= 64 or ordinal in _EVALUATIONS


def looks_at_count(step: int) -> bool:
    """Whether ``step`` is one of the call counts 32, 45, 64, 91, 128, ... at which the rules look."""
    return step in _COUNT_SET
