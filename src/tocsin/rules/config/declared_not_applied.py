"""CFG003 declared-not-applied."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import declared
from tocsin.declared import Setting
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_OTHER_RATES = frozenset(("min", "end", "final", "decay", "scale", "scaling", "mult", "multiplier", "factor", "ratio"))
_OTHER_RATES |= frozenset(("scheduler", "schedule", "policy", "type", "warmup", "step", "steps", "patience", "gamma"))
_OTHER_RATES |= frozenset(("power", "config", "layer", "find", "finder", "auto", "drop", "milestones", "restart"))
_OTHER_RATES |= frozenset(("cycle", "eta", "floor", "bias", "kwargs"))
_SCALED = frozenset(("scale", "scaling", "scaled", "blr", "mult", "multiplier", "muparam", "mup", "nbs"))
_OWN_RATE = ("adafactor", "prodigy", "dadapt", "noam", "schedulefree", "rsqrt")
_PLAIN = frozenset(
    ("lr", "learning", "rate", "base", "init", "initial", "max", "peak", "start", "train", "training", "main", "model")
)
_PLAIN |= frozenset(("optimizer", "optim", "opt", "adam", "adamw", "sgd", "muon", "0", "value"))
_OTHER_LIMITS = frozenset(("steps", "iters", "iterations", "updates", "update", "time", "hours", "minutes", "tokens"))
_SWITCHES = (("enable",), ("enabled",), ("use",))
_SOUGHT = frozenset(("find", "finder", "auto", "tune", "tuner"))
_DEVICES = (
    "world_size", "num_gpus", "n_gpu", "n_gpus", "ngpu", "gpus", "num_devices", "devices", "nproc_per_node",
    "num_processes", "num_nodes", "nnodes", "nodes"
)  # fmt: skip
_DEVICE_LISTS = frozenset(("gpus", "gpu", "gpu_ids", "devices", "device", "device_ids", "cuda_visible_devices"))
_ACCUMULATION = (
    "gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum", "grad_accum_steps", "accumulation_steps",
    "accum_iter", "update_freq",
)  # fmt: skip
_BATCH = ("batch_size", "train_batch_size", "per_device_train_batch_size", "global_batch_size", "samples_per_gpu", "bs")
_NEAR = 0.05
_MEETING = 4.5  # a linear warm-up and a linear fall, both over the whole run, meet at a quarter of the rate


@dataclass(frozen=True)
class Shown:
    """What the log shows of one parameter group's learning rate."""

    group: str
    series: Series

    @property
    def at(self) -> int:
        return int(np.argmax(self.series.value))

    @property
    def peak(self) -> float:
        return float(self.series.value[self.at])

    @property
    def reach(self) -> float:
        """The highest rate that the records may hide: the fall after the peak, drawn back.

        Linearly to the start of the run (a warm-up within which the fall begins has hidden all of it), as an
        exponential and as a power of the step to the record before, or to the first step.
        """
        value, step = self.series.value, self.series.step
        later = np.flatnonzero(value < self.peak)
        later = later[later > self.at]
        if not later.size or step[later[0]] == step[self.at]:
            return self.peak
        top, low, fallen = float(step[self.at]), float(step[later[0]]), float(value[later[0]])
        before = max(float(step[self.at - 1]) if self.at else 1.0, 1.0)
        linear = self.peak + (self.peak - fallen) / (low - top) * top
        parts = (
            (top - before) / (low - top),
            math.log(max(top / before, 1)) / math.log(max(low / max(top, 1), 1 + 1e-9)),
        )
        growth = max(*parts, 0.0) * math.log(self.peak / fallen)
        return max(linear, self.peak * math.exp(min(growth, 50)))

    def hides(self, rate: float) -> bool:
        """Whether a higher rate cannot be excluded: it may yet have risen, had fallen before, or few records rise."""
        value, step = self.series.value, self.series.step
        if rate <= self.peak:
            return False
        rising = bool(value[-1] == self.peak and value[0] < self.peak) and self.at >= 0.8 * (len(value) - 1)
        every = float(np.median(np.diff(step))) if len(step) > 1 else math.inf
        late = self.at == 0 and float(step[0]) > 2 * every
        return rising or late or (self._pointed and rate <= _MEETING * self.peak)

    @property
    def _pointed(self) -> bool:
        """Whether fewer than 5 records rise and the next falls: a fall that began within the warm-up looks so."""
        at, value = self.at, self.series.value
        return 0 < at < min(5, len(value) - 1) and bool(value[at - 1] < self.peak > value[at + 1])

    def agrees(self, rate: float, scales: Sequence[float]) -> bool:
        """Whether this is the peak, the first or the lowest rate of the group, or the peak in its declared scale."""
        value = self.series.value
        if self.peak == 1 and rate < 1:
            return True  # a factor of the schedule, not the rate
        plain = [self.peak, float(value[0]), float(value.min())]
        if any(_near(rate, v) for v in plain) or any(_near(rate * s, self.peak) for s in scales):
            return True
        return self.peak < rate <= self.reach * (1 + _NEAR)


@rule("CFG003", needs=(), severity="warning", explains=("OPT008", "OPT009"), when="end")
def declared_not_applied(run: Run, *, factor: float = 1.5, powers: int = 4) -> Iterator[Finding | NotChecked]:
    """The log shows another learning rate, or another length, than was declared.

    ## What it does
    Compares the learning rates that the configuration, the command line and the names of the run and its folders
    declare (`lr: 1e-5`, `--lr 1e-5`, `lr_1e-05`) with the log's own. A declared rate `d` agrees if for some parameter
    group it is, within 5 %, the peak `p`, the first or the lowest logged rate, if it lies between `p` and where the
    fall after `p` leads when drawn back (as a line, an exponential, a power of the step), or if `p / d` is the product
    of declared numbers of devices, nodes and accumulated batches (or of these with the batch size over 256 or 512; a
    `base` rate: with the batch size), or a root of one. Rings where no rate of a source agrees, the nearest key means
    the main rate (`lr`, `base_lr`, `max_lr`, not `inner_lr`), and `p / d` is above `factor` or below its inverse; it
    names both numbers, and the source that does agree.

    Rings also where the log counts to another number of epochs than every declared one (and every sum of two), by more
    than 1, unless steps, updates or time are limited, too.

    A warning. A note where the command line overrode the configuration, as command lines do, where the key says that
    the rate is a base (to be scaled), and where `p / d` is a power of two from `powers` on while no number of devices
    is declared (scaling by devices looks like that).

    ## Why is this bad?
    The result is filed under a setting that it was not made with, and the next run is planned on that. In sweeps the
    directory name is often all that is read.

    ## Example
    ```python
    rate = np.minimum(np.arange(1, 101) / 10, 1) * 5e-5
    run = Run.of("adamw-lr1e-5", series={"lr/0": rate}, config={"learning_rate": 1e-5})
    ```
    Use instead:
    ```python
    rate = np.minimum(np.arange(1, 101) / 10, 1) * 1e-5
    run = Run.of("adamw-lr1e-5", series={"lr/0": rate}, config={"learning_rate": 1e-5})
    ```

    ## Fix
    - **safe** Write the configuration as the trainer holds it after all overrides, and name folders from that.
    - **unsafe** Let the declared value reach the optimizer: look for a default that wins, a scheduler's own peak, a
      scaling by devices.

    ## Options
    - `factor` = 1.5: ratio of the two rates that matters. A choice, above what rounding in a log of few digits makes.
    - `powers` = 4: the least power of two that passes for scaling by an undeclared number of devices.

    ## Known limits
    Silent where the log covers only a part of the warm-up, has fewer than 5 records of a rise that a fall ends, or
    begins late, and for higher rates where it was resumed; where trainer or optimizer choose the rate (`optimizer:
    auto`, a finder, Adafactor, Prodigy, Noam, roots of the step), where a key speaks of scaling the rate or of a decay
    by layers, where the log's highest is exactly 1 (a factor of the schedule), and on a log that rounds the rate to 0.
    Batch sizes cannot be compared: logs do not show them.

    ## References
    Goyal et al. 2017 (linear scaling). A public log: lr 1e-5 in the folder's name, 5e-5 in the log.
    """
    rates, lengths = list(_rates(run)), list(_lengths(run))
    shown = [Shown(g, s) for g, s in _groups(run) if _enough(run, s)]
    plan = run.environment.get("planned")
    counted = plan.get("epochs") if isinstance(plan, dict) else None
    if not (rates and shown) and not (lengths and counted):
        yield NotChecked("needs a declared learning rate and at least 3 logged ones, or declared and counted epochs")
        return
    if rates and shown and not _chosen_elsewhere(run):
        yield from _compare(run, rates, shown, factor, powers)
    if lengths and isinstance(counted, int | float) and counted > 0:
        yield from _length(run, lengths, float(counted))


def _groups(run: Run) -> Iterator[tuple[str, Series]]:
    for group, series in run.family("lr").items():
        seen = series.finite
        keep = seen[np.flatnonzero(seen.value > 0)]
        if len(keep):
            yield group, keep


def _enough(run: Run, series: Series) -> bool:
    """Three records; our own records hold a rate when it changes, so one of them covers the steps since."""
    own = run.source in ("tocsin", "memory") and run.last_step >= 3
    return len(series) >= 3 or own


def _rates(run: Run) -> Iterator[tuple[Setting, float]]:
    """The declared learning rates: positive, at most 100; from names only what is written as a small number."""
    for setting in declared.settings(run):
        words = declared.key_of_name(setting) if setting.where == "name" else setting.words
        rate = "lr" in words or ("learning" in words and "rate" in words)
        if not rate or _OTHER_RATES & set(words) or setting.parents & _OTHER_RATES - {"config"}:
            continue
        small = setting.where != "name" or any(mark in str(setting.value).lower() for mark in (".", "e-"))
        for value in declared.numbers_of(setting.value):
            if small and 0 < value <= (100 if setting.where != "name" else 1):
                yield setting, value


def _lengths(run: Run) -> Iterator[tuple[Setting, float]]:
    keys = ("epochs", "num_epochs", "max_epochs", "total_epochs", "n_epochs", "num_train_epochs", "train_epochs")
    for setting in declared.settings(run):
        if "_".join(setting.words) in keys and setting.where != "name" and (setting.number or 0) > 0:
            yield setting, setting.number or 0.0


def _chosen_elsewhere(run: Run) -> bool:
    """Whether the optimizer or trainer finds the rate itself, or a key says that the rate is scaled."""
    told = declared.settings(run)
    off = tuple(s.path.rpartition(".")[0] + "." for s in told if s.words in _SWITCHES and s.value is False)
    for setting in (s for s in told if not ("." in s.path and s.path.startswith(off))):
        said = str(setting.value).lower().replace("_", "").replace("-", "") if isinstance(setting.value, str) else ""
        chooser = {"optimizer", "optim", "name", "type", "scheduler", "schedule", "policy", "opt"} & {*setting.words}
        if said.startswith(_OWN_RATE) or (chooser and said == "auto"):
            return True
        words = {*setting.words, *setting.parents}
        rate = "lr" in words or "learning" in words
        about = "blr" in words or "nbs" in words or "llrd" in words or (rate and bool(words & (_SCALED | _SOUGHT)))
        about |= bool(words & {"layerwise", "noam"}) or {"layer", "decay"} <= {*setting.words}
        if about and (setting.value is True or setting.value not in (None, 0, 1, "false", "False")):
            return True
    return False


def _scales(run: Run) -> tuple[float, ...]:
    """What a rate may have been multiplied by: products of declared devices and accumulation, and batches by 256."""
    sizes, batches = [], [1.0]
    for setting in declared.settings(run):
        key, number = "_".join(setting.words), setting.number
        listed = _listed(setting) if key in _DEVICE_LISTS else 0
        if listed > 1:
            sizes.append(float(listed))
        elif number is not None and number > 0 and key in _DEVICES + _ACCUMULATION:
            sizes.append(number)
        elif number is not None and number > 0 and key in _BATCH:
            batches.append(number)
    sizes = sizes[:6]
    products = {math.prod(part) for n in range(len(sizes) + 1) for part in itertools.combinations(sizes, n)}
    by_batch = {p * b / base for p in products for b in batches[1:6] for base in (256, 512)}
    return tuple(f for s in products | by_batch for f in (s, 1 / s, math.sqrt(s), 1 / math.sqrt(s)))


def _listed(setting: Setting) -> int:
    """How many devices a list of them names: ``[0, 1]``, ``"0,1,2,3"``."""
    if isinstance(setting.value, list | tuple):
        return len(setting.value)
    text = setting.value if isinstance(setting.value, str) else ""
    return text.count(",") + 1 if re.fullmatch(r"(?:cuda:)?\d+(?:\s*,\s*\d+){1,63}", text) else 0


def _compare(
    run: Run, rates: list[tuple[Setting, float]], shown: list[Shown], factor: float, powers: int
) -> Iterator[Finding]:
    scales, resumed = _scales(run), _resumed(run)
    right = [s for s, rate in rates if any(one.agrees(rate, scales) for one in shown)]
    for where in dict.fromkeys(s.where for s, _ in rates):
        if any(s.where == where for s in right):
            continue
        told = [(s, r) for s, r in rates if s.where == where]
        hidden = any(
            o.hides(r) or _by_batch(run, s, o.peak / r) or (resumed and r > o.peak) for s, r in told for o in shown
        )
        apart = [(abs(math.log(o.peak / r)), s, r, o) for s, r in told for o in shown if _plain(s)]
        if apart and not hidden:
            distance, setting, rate, one = min(apart, key=lambda a: a[0])
            if distance > math.log(factor):
                scaled = "base" in setting.words
                calm = scaled or _overridden(setting, right) or _by_devices(run, one.peak / rate, powers)
                yield _finding(run, setting, rate, one, right, calm)


def _resumed(run: Run) -> bool:
    """Whether it was continued: then the log may show the end of a schedule alone."""
    for setting in declared.settings(run):
        words = {*setting.words}
        if words & {"resume", "resumed"} and setting.value not in (
            False,
            None,
            0,
            "",
            "false",
            "False",
            "None",
            "never",
        ):
            return True
        if {"start", "epoch"} <= words and (setting.number or 0) > 1:
            return True
    return False


def _plain(setting: Setting) -> bool:
    """Whether its key means the main rate of the training, and not that of an inner loop, a head or another stage."""
    words = declared.key_of_name(setting) if setting.where == "name" else setting.words
    return set(words) <= _PLAIN


def _by_batch(run: Run, setting: Setting, ratio: float) -> bool:
    """Whether a base rate was multiplied by the batch size and a whole number of devices and batches."""
    if "base" not in setting.words or ratio < 1:
        return False
    batches = [s.number or 0.0 for s in declared.settings(run) if "_".join(s.words) in _BATCH]
    return any(b > 1 and ratio / b <= 64.5 and _close(ratio / b) for b in batches)


def _close(ratio: float) -> bool:
    return round(ratio) >= 1 and abs(ratio - round(ratio)) <= 0.01


def _overridden(setting: Setting, right: list[Setting]) -> bool:
    return setting.where == "config" and any(s.where == "command" for s in right)


def _by_devices(run: Run, ratio: float, powers: int) -> bool:
    """Whether this may be scaling by a number of devices that is declared nowhere."""
    if any("_".join(setting.words) in _DEVICES for setting in declared.settings(run)):
        return False
    nearest = 2.0 ** round(math.log2(ratio)) if 1e-9 < ratio < 1e9 else math.nan
    return nearest >= powers and _near(nearest, ratio)


def _finding(run: Run, setting: Setting, rate: float, one: Shown, right: list[Setting], calm: bool) -> Finding:
    step = int(one.series.step[one.at])
    agreeing = f"; {right[0].said} agrees with the log" if right else ""
    name = f"lr/{one.group}"
    return Finding(
        f"{setting.said} is declared, but the log's learning rate peaks at {one.peak:.3g} (step {step}), "
        f"{one.peak / rate:.3g} times that{agreeing}",
        subject=setting.path,
        severity="note" if calm else None,
        evidence=(
            declared.cited(run, setting) if setting.where == "config" else _text(run, setting, name, one, step),
            Evidence(name, one.peak, step, limit=rate, text="the highest logged rate"),
        ),
        remedies=(
            Remedy("Write the configuration and the names from what the trainer holds after all overrides", safe=True),
            Remedy(f"If {rate:g} was meant: find what sets {one.peak:.3g} in its place"),
        ),
    )


def _text(run: Run, setting: Setting, name: str, one: Shown, step: int) -> Evidence:
    if setting.where == "command":
        return declared.cited(run, setting)
    return Evidence(name, one.peak, step, text=f"the name of the run or its folder says {setting.path}")


def _length(run: Run, lengths: list[tuple[Setting, float]], counted: float) -> Iterator[Finding]:
    """The log counts "n / N" to another N than is declared; a resumed count is left alone."""
    starts = [float(np.nanmin(s.epoch)) for s in run.series.values() if np.isfinite(s.epoch).any()]
    if any(abs(n - counted) <= 1 for n in _counts(run)) or min(starts, default=0.0) > 2 or _limited(run):
        return
    setting, _ = lengths[-1]
    yield Finding(
        f"{setting.said} is declared, but the log counts to {counted:g} epochs",
        subject=setting.path,
        evidence=(declared.cited(run, setting, f"the log counts to {counted:g}"),),
        remedies=(Remedy("Write the configuration from what the trainer holds after all overrides", safe=True),),
    )


def _counts(run: Run) -> list[float]:
    """Every declared number of epochs, and the sums of two: stages that the log counts through."""
    told = [s.number for s in declared.settings(run) if {"epoch", "epochs"} & {*s.words} and (s.number or 0) > 0]
    single = [n for n in told if n is not None][:50]
    return single + [sum(pair) for pair in itertools.combinations(single, 2)]


def _limited(run: Run) -> bool:
    """Whether a positive limit in steps, updates or time is declared, too: trainers derive the epochs from that."""
    for setting in declared.settings(run):
        words = {*setting.words}
        limit = words & _OTHER_LIMITS and (words & {"max", "total", "train", "training", "budget"} or len(words) == 1)
        if limit and not words & {"warmup", "warm"} and (setting.number or 0) > 0:
            return True
    return False


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= _NEAR * max(abs(one), abs(other))
