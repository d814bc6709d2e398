"""CFG002 impossible-hyperparameter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import declared, stats
from tocsin.declared import Setting
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run

_OPTIMIZER = frozenset(("optim", "optimizer", "optimizers", "adam", "adamw", "lamb", "lion", "nadam", "radam"))
_FROZEN = frozenset(
    ("frozen", "freeze", "backbone", "encoder", "pretrained", "embedding", "embeddings", "mult", "groups")
)
_OTHER_RATES = frozenset(("scale", "layer", "step", "scheduler", "type"))
_OTHER_RATES |= frozenset(
    ("min", "end", "final", "stop", "decay", "warmup", "mult", "factor", "ratio", "gamma", "power")
)
_SOUGHT = frozenset(("find", "finder", "auto", "tune", "tuner"))


@dataclass(frozen=True)
class Domain:
    """The values that a hyperparameter can have.

    Attributes:
        name: In words.
        key: Pattern of the whole key, its words joined by ``_``.
        low, high: Ends of the domain, both within it unless ``open_high``.
        sentinel: Whether -1 means "off" or "automatic" for such a key.
        severity: Error where no trainer can mean the value.
        why: What the value does.
    """

    name: str
    key: str
    low: float = 0.0
    high: float = math.inf
    open_high: bool = False
    sentinel: bool = False
    severity: Severity = "error"
    why: str = ""

    def holds(self, value: float) -> bool:
        if self.sentinel and value == -1:
            return True
        return self.low <= value < self.high if self.open_high else self.low <= value <= self.high

    @property
    def said(self) -> str:
        if math.isinf(self.high):
            return f"at least {self.low:g}"
        return f"from {self.low:g} to {'below ' if self.open_high else ''}{self.high:g}"


_WHO = (
    r"(?:(?:adam|adamw|sgd|optim|optimizer|base|init|initial|peak|max|start|train|g|d|head|generator|discriminator)_)*"
)
_COUNTED = r"(?:n|num|mc|multi|multisample|sample|samples|frame|packet|call)_"  # dropouts, not their share
_SHARE = r"(?:split|ratio|frac|fraction|proportion|portion)"
_DOMAINS: tuple[Domain, ...] = (
    Domain("learning rate", rf"{_WHO}(?:lr|learning_rate)(?:_0|_init|_initial|_g|_d)?", sentinel=True, why="it climbs"),
    Domain("beta", rf"{_WHO}(?:beta_?[12]|betas)", high=1.0, open_high=True, why="its running mean diverges"),
    Domain(
        "epsilon", rf"{_WHO}(?:(?:layer_|rms_|batch_)?norm_)?(?:eps|epsilon)", sentinel=True, why="a root of it is lost"
    ),
    Domain(
        "momentum",
        rf"{_WHO}(?:bn_|batch_norm_|warmup_)?momentum",
        high=1.0,
        sentinel=True,
        why="the velocity grows without end",
    ),
    Domain(
        "dropout",
        rf"(?:(?!{_COUNTED})[a-z]+_){{0,3}}(?:dropout|pdrop|drop_path|droppath)(?:_(?:rate|prob|probability|p|ratio))?"
        r"|(?:(?:attn|attention|proj|path|pos|head|hidden|ffn|mlp|model)_)*drop_rate",
        high=1.0,
        sentinel=True,
        why="it is a probability",
    ),
    Domain("weight decay", rf"{_WHO}(?:weight_decay|wd)", sentinel=True, why="weights grow instead of shrinking"),
    Domain(
        "label smoothing", r"label_smooth(?:ing)?(?:_(?:factor|eps|epsilon))?", high=1.0, sentinel=True, why="a share"
    ),
    Domain(
        "warm-up share",
        r"(?:lr_)?warmup_(?:ratio|fraction|frac|proportion|prop)",
        high=1.0,
        sentinel=True,
        why="a share",
    ),
    Domain(
        "warm-up", r"(?:num_|n_|lr_)*warmup_(?:steps|iters|iterations|updates|epochs)", sentinel=True, why="a count"
    ),
    Domain(
        "batch size",
        r"(?:train|training|per_device_train|per_gpu_train)_batch_size|samples_per_gpu",
        low=1e-9,
        sentinel=True,
        why="no sample is drawn",
    ),
    Domain("batch size", r"(?:(?:micro|global|mini|total)_)*batch_size", sentinel=True),  # 0: whole set, or automatic
    Domain("length", r"(?:num_|n_|max_|total_|train_)+(?:epochs|steps|iters|iterations)|epochs", sentinel=True),
    Domain("accumulation", r"(?:gradient_|grad_)?accum\w*_(?:steps|batches|iter|iters)", sentinel=True),
    Domain(
        "temperature",
        r"(?:softmax_|contrastive_|kd_|infonce_)?temperature",
        sentinel=True,
        why="it turns the order",
    ),
    Domain(
        "share of a split",
        rf"(?:train|val|valid|validation|test|eval|dev|holdout)_{_SHARE}",
        sentinel=True,
        why="a share",
    ),
    Domain("masking share", r"mlm_(?:probability|prob)|masked_lm_prob(?:ability)?", high=1.0, sentinel=True),
    Domain(
        "gradient clipping",
        r"(?:max_grad_norm|(?:gradient|grad)_clip(?:ping)?(?:_(?:val|value|norm))?|clip_grad(?:_norm)?|clip_norm)",
        sentinel=True,
        severity="warning",
        why="a negative bound turns the gradient round, where it is not taken for off",
    ),
    Domain("EMA decay", r"(?:model_)?ema_(?:decay|momentum)", high=1.0, severity="warning"),
)
_PATTERNS = tuple((domain, re.compile(domain.key)) for domain in _DOMAINS)
_WARMUP = re.compile(r"(?:num_|n_|lr_)*warmup_(steps|iters|iterations|updates|epochs)")
_TOTAL = re.compile(
    r"(?:num_|n_|max_|total_|train_|training_)*(?:max_|total_|train_|training_)(steps|iters|iterations|updates|update)"
    r"|num_(iterations|updates)|(?:num_|n_|max_|total_|train_|training_)*(epochs)"
)
_UNIT = {"steps": "steps", "updates": "steps", "update": "steps", "iters": "iters", "iterations": "iters"}
_UNIT["epochs"] = "epochs"  # Decision Transformer's iterations hold many steps: these two are not compared
_ACCUMULATION = re.compile(r"(?:gradient_|grad_)?accum\w*_(?:\w+_)?(?:steps|batches|iter|iters)|update_freq")
_REFUSED = re.compile(
    r"Invalid (?P<what>learning rate|beta parameter at index \d|momentum value|weight_decay value|epsilon value)\s*:\s*"
    r"(?P<value>-?[\d.]+(?:e[-+]?\d+)?|-?inf|nan)|(?P<drop>dropout probability) (?:has to be|must be) .{0,40}but got "
    r"(?P<rate>-?[\d.]+)"
)


@rule(
    "CFG002",
    needs=("config | lr/* | events",),
    severity="error",
    explains=("AMP003", "OPT008", "OPT009", "OPT010", "GEN002", "PRD002", "PRD009", "RUN001", "RUN003"),
    when="end",
)
def impossible_hyperparameter(run: Run, *, records: int = 5) -> Iterator[Finding | NotChecked]:
    """A hyperparameter has a value that it cannot have.

    ## What it does
    Reads the leaves of the configuration, the command line, what the log says of its optimizer and what an exception
    refused, and rings where a value lies outside the domain of its key, in any spelling: learning rate, epsilon, weight
    decay, warm-up, lengths, accumulation, temperature and shares of splits below 0, training batch size not above 0,
    betas outside [0, 1), momentum, dropout, label smoothing, masked-token and warm-up shares outside [0, 1]; NaN in
    any of them. An error. A warning for a negative clipping bound, an EMA decay above 1, and where

    - the declared warm-up is longer than the declared run (in the same unit, against the longest length declared,
      times the declared accumulation; a note where that is 3 epochs or fewer: a trial under a default),
    - the learning rate is declared 0 and no other one is declared, or it is 0 at all of `records` or more records,
      while the training loss does not fall.

    In the log's own learning rates, a negative one is an error, and so are 3 NaN at the end. -1 is taken for "off" or
    "automatic", 0 for "off"; 0 at the ends of a schedule or in one parameter group is fine. Names of folders are not
    judged: there `dropout50` is 0.5.

    ## Why is this bad?
    Some optimizers refuse such a value, others compute with it: a beta below 0 makes the running mean alternate, a
    warm-up that is longer than the run never reaches the learning rate that was chosen.

    ## Example
    ```python
    run = Run.of(config={"optimizer": {"name": "adamw", "lr": 3e-4, "betas": [0.9, -0.6]}})
    ```
    Use instead:
    ```python
    run = Run.of(config={"optimizer": {"name": "adamw", "lr": 3e-4, "betas": [0.9, 0.96]}})
    ```

    ## Fix
    - **unsafe** Give the value that was meant: look for a slipped sign, digit, exponent or unit (percent).
    - **safe** Read the configuration through a typed schema with bounds.

    ## Options
    - `records` = 5: learning rates of 0 that count as "always", where the log does not say that it changes. A choice.

    ## Known limits
    Keys are told by their words, and only those are judged that mean one thing in all common trainers (`mask_ratio` is
    a share in one and a factor of resolution in another, `n_steps` a length or a rollout). Values that are only unwise
    (a learning rate of 10) are left alone. A log that rounds 1e-5 to `0.0000` shows a rate of 0: hence a warning, and
    silence while the loss falls.

    ## References
    Kingma & Ba 2015 (betas in [0, 1)); the argument checks of torch.optim. A public log: Adam with beta2 = -0.6.
    """
    if run.trained or run.config or run.events:
        found = {finding.subject: finding for finding in (*_outside(run), *_refused(run), *_columns(run, records))}
        for more in (*_never_warm(run), *_zero(run)):
            found.setdefault(more.subject, more)
        yield from found.values()


def _outside(run: Run) -> Iterator[Finding]:
    for setting in (*declared.settings(run), *declared.of_events(run)):
        domain = _domain("_".join(setting.words)) if setting.where != "name" else None
        bad = [v for v in declared.numbers_of(setting.value) if domain and not domain.holds(v)]
        if domain is not None and bad and not _another_thing(setting, bad[0]):
            yield _finding(run, domain, setting, bad[0])


def _domain(key: str) -> Domain | None:
    return next((domain for domain, pattern in _PATTERNS if pattern.fullmatch(key)), None)


def _another_thing(setting: Setting, value: float) -> bool:
    """Whether the value speaks against the meaning: degrees, coefficients, weights of a loss, a noise schedule."""
    if setting.words == ("temperature",):
        return value <= -1 and not setting.parents & _OPTIMIZER
    if not setting.words[-1].startswith("beta") and "beta" not in setting.words:
        return False
    numbers = declared.numbers_of(setting.value)
    pair = len(numbers) == 2 and 0 < numbers[0] < 1
    if abs(value) >= 1 and not pair and not setting.parents & _OPTIMIZER and not set(setting.words) & _OPTIMIZER:
        return True
    return len(numbers) > 3 or bool(setting.parents & {"diffusion", "noise", "scheduler", "schedule", "sampler"})


def _finding(run: Run, domain: Domain, setting: Setting, value: float) -> Finding:
    why = f": {domain.why}" if domain.why else ""
    return Finding(
        f"{setting.said}: {value:g} is no possible {domain.name}, which is {domain.said}{why}",
        subject=setting.path,
        severity=domain.severity,
        evidence=(declared.cited(run, setting, f"{domain.name} {value:g}, possible {domain.said}"),),
        remedies=(Remedy(f"Give the {domain.name} that was meant ({domain.said})"),),
    )


def _refused(run: Run) -> Iterator[Finding]:
    """What the optimizer or layer itself refused."""
    for event in run.events:
        match = _REFUSED.search(event.text) if event.kind == "exception" else None
        if match is not None:
            what, value = match["what"] or match["drop"], match["value"] or match["rate"]
            yield Finding(
                f"{what} = {value} was refused, and the run ended by it",
                subject=what,
                step=min(event.step, run.last_step),
                evidence=(Evidence(f"event:{event.kind}", value, event.step, text=match[0]),),
                remedies=(Remedy(f"Give the {what} that was meant"),),
            )


def _columns(run: Run, records: int) -> Iterator[Finding]:
    """The learning rates of the log itself."""
    for group, series in run.family("lr").items():
        values = series.value
        scale = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
        below = np.flatnonzero(values < -1e-6 * scale)
        finite = np.flatnonzero(~np.isnan(values))
        lost = len(values) - (int(finite[-1]) + 1 if finite.size else 0)
        at, what = (int(below[0]), "negative") if below.size else (len(values) - lost, "NaN to the end")
        if below.size or lost >= 3:
            step = int(series.step[at])
            yield Finding(
                f"the learning rate of group {group} is {values[at]:.3g} at step {step}, {what}",
                subject=f"lr/{group}",
                step=step,
                evidence=(
                    Evidence(f"lr/{group}", float(values[at]), step, 0.0, text=f"a learning rate that is {what}"),
                ),
                remedies=(Remedy("Correct the schedule: it is evaluated past its end, or divides by 0"),),
            )
    rates = list(run.family("lr").values())
    known = run.exit != "running" and all(len(s) >= records for s in rates)
    if rates and known and all(bool(np.all(s.value == 0)) for s in rates) and not _learns(run):
        name, n = rates[0].name, len(rates[0])
        yield _warning(
            f"the logged learning rate is 0 at all {n} records, and the training loss does not fall",
            "learning rate 0",
            (Evidence(name, 0.0, int(rates[0].step[0]), text=f"0 in all {n} records"),),
            "Look for the schedule's factor, or log the rate in full (1e-05, not 0.0000)",
        )


def _learns(run: Run) -> bool:
    loss = run.get("train/loss")
    if loss is None:
        return False
    seen = loss.finite
    return len(seen) >= 5 and stats.trend(seen.step, seen.value).falling


def _never_warm(run: Run) -> Iterator[Finding]:
    told = [s for s in declared.settings(run) if s.where != "name" and (s.number or 0) > 0]
    for setting in told:
        match = _WARMUP.fullmatch("_".join(setting.words))
        total = _longest(run, told, match[1]) if match else None
        if match and total is not None and (setting.number or 0) > total:
            trial = match[1] == "epochs" and total <= 3
            yield _warning(
                f"{setting.said}: the warm-up is longer than the whole run of {total:g} {match[1]}; the learning rate "
                "never reaches its peak",
                setting.path,
                (declared.cited(run, setting, f"the run has {total:g} {match[1]}"),),
                "Shorten the warm-up, or count it in the unit that the schedule uses (steps, not epochs)",
                "note" if trial else "warning",
            )


def _longest(run: Run, told: list[Setting], unit: str) -> float | None:
    """The longest length declared in this unit, or reached; None where none is declared."""
    totals = [s.number or 0.0 for s in told if (m := _TOTAL.fullmatch("_".join(s.words))) and _UNIT[unit] == _unit(m)]
    epochs = unit == "epochs"
    plan = run.environment.get("planned")
    said = plan.get("epochs" if epochs else "steps") if isinstance(plan, dict) else None
    totals += [float(said)] if isinstance(said, int | float) else []
    if not totals:
        return None
    reached = max((float(np.nanmax(s.epoch, initial=0)) for s in run.series.values()), default=0.0)
    if epochs:
        return max(*totals, reached)
    parts = [s.number or 1.0 for s in told if _ACCUMULATION.fullmatch("_".join(s.words))]  # may count batches
    return max(max(totals) * max(1.0, *parts, 1.0), float(run.last_step))


def _unit(total: re.Match[str]) -> str:
    return _UNIT[next(group for group in total.groups() if group)]


def _zero(run: Run) -> Iterator[Finding]:
    """A main learning rate that is declared 0, where neither the log nor the configuration has another one."""
    if any(bool(np.any(s.value > 0)) for s in run.family("lr").values()) or _learns(run):
        return
    told = declared.settings(run)
    if any(_rate_elsewhere(setting) for setting in told):
        return
    for setting in told:
        plain = "_".join(setting.words) in ("lr", "learning_rate", "lr_0", "base_lr", "init_lr", "initial_lr")
        if plain and setting.where != "name" and setting.number == 0 and not setting.parents & _FROZEN:
            yield _warning(
                f"{setting.said}: with a learning rate of 0 nothing is learned",
                setting.path,
                (declared.cited(run, setting),),
                "Give the learning rate that was meant; freeze parameters by requires_grad=False",
            )


def _rate_elsewhere(setting: Setting) -> bool:
    """Whether another learning rate is set, or sought by a finder; frozen parts have one of 0."""
    words = {*setting.words}
    if not ("lr" in words or {"learning", "rate"} <= words):
        return False
    sought = bool(words & _SOUGHT) and setting.value not in (False, None, "false", "False")
    return sought or (not words & _OTHER_RATES and any(n != 0 for n in declared.numbers_of(setting.value)))


def _warning(
    message: str, subject: str, evidence: tuple[Evidence, ...], cure: str, severity: Severity = "warning"
) -> Finding:
    return Finding(message, subject=subject, severity=severity, evidence=evidence, remedies=(Remedy(cure),))
