"""OPT001 frozen-parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.movement import bias_cancels
from tocsin.run import Floats, Ints, Parameter, Run, Series
from tocsin.stats import trend

HALF_TYPES = {"bfloat16", "float16"}
LARGE, MOST = 0.1, 0.5  # shares of the trainable entries
NEGLIGIBLE = 1e-5  # some hundred float32 roundings
BITS = {"bfloat16": 8, "float16": 11, "float64": 53}
LEFT = 0.01  # share of what the loss fell by: what it may still gain when it counts as converged


@dataclass(frozen=True)
class Frozen:
    """A tensor whose bytes have been the same since the sample before ``begin``."""

    parameter: Parameter
    changed: Series
    before: int
    begin: int
    last: int
    completed: int
    skipped: int
    moved: bool
    cause: str = ""


@dataclass(frozen=True)
class Cause:
    """Why tensors stand still, in words, and what to do about it."""

    text: str
    remedies: tuple[Remedy, ...]


CAUSES = {
    "skipped": Cause(
        "the GradScaler skipped every step",
        (Remedy("Look at what overflows first (AMP001, AMP003); lower init_scale only if it falls in the end"),),
    ),
    "left out": Cause(
        "no optimizer holds them",
        (
            Remedy("Give the optimizer model.parameters(), after the whole model is built and moved"),
            Remedy("If they are frozen on purpose, say so: parameter.requires_grad_(False)", safe=True),
        ),
    ),
    "no loss": Cause(
        "the training loss is exactly 0 in {zeros} of {calls} steps since: no gradient is left to learn from",
        (Remedy("Nothing, if the evaluation is good: the training could have stopped there", safe=True),),
    ),
    "converged": Cause(
        "the training loss had stopped falling before, at its lowest ({level:.4g}, from {start:.4g}): converged",
        (Remedy("Nothing, if the evaluation is good: the training could have stopped there", safe=True),),
    ),
    "decayed": Cause(
        "the learning rate has fallen to {rate:.2g} (from {peak:.2g}): its updates are below the rounding of {dtype}",
        (Remedy("End the run, or the schedule, where the learning rate no longer moves anything", safe=True),),
    ),
    "no gradient": Cause(
        "they received no gradient, or exactly 0",
        (
            Remedy("Look for detach(), no_grad(), .data or argmax between these tensors and the loss"),
            Remedy("If they are frozen on purpose, say so: parameter.requires_grad_(False)", safe=True),
        ),
    ),
    "unused": Cause(
        "no sample routed a gradient to them (embedding or expert)",
        (Remedy("Nothing, if this part is not meant to be used", safe=True),),
    ),
    "idle": Cause(
        "why is not known, as no gradient was sampled since; it may be that no sample is routed to them any more "
        "(embedding or expert)",
        (Remedy("Look at the router's balance if these experts are meant to be used", safe=True),),
    ),
    "masked overflow": Cause(
        "their raw gradient is NaN or inf and something replaces it before the step",
        (Remedy("Remove the sanitiser (nan_to_num) and let the GradScaler skip the step and lower its scale"),),
    ),
    "cleared": Cause(
        "their gradient is gone when the optimizer steps",
        (Remedy("Call zero_grad before backward, never between backward and step"),),
    ),
    "cancels": Cause(
        "the gradients that arrive add up to exactly 0, while the weight of the same module has one: the loss depends "
        "on differences of its output (a ranking, a critic)",
        (Remedy("Drop the bias there: bias=False", safe=True),),
    ),
    "negligible": Cause(
        "their gradient is below 1e-5 of the whole: the loss does not depend on them (a bias before a normalisation), "
        "or the gradient vanishes on its way to them",
        (
            Remedy("Drop the bias of a layer that a normalisation follows", safe=True),
            Remedy("Look at depth, saturated activations and initial scale if whole layers are named"),
        ),
    ),
    "rounds": Cause(
        "the update is smaller than the rounding of {dtype} ({bits} significant bits)",
        (
            Remedy("Raise the learning rate"),
            Remedy("If they are not float32: keep them so and use autocast, or float32 master weights"),
        ),
    ),
    "written back": Cause(
        "the optimizer moves them, and something writes the old values back",
        (Remedy("Look for load_state_dict, copy_ or an EMA copied back in the loop"),),
    ),
    "unexplained": Cause(
        "gradients arrive and steps complete: the update is below rounding, or something writes old values back",
        (Remedy("Look for load_state_dict or an EMA copied back in the loop, and at the size of the learning rate"),),
    ),
    "unknown": Cause(
        "why is not known, as no gradient was sampled since",
        (Remedy("Sample the gradients there: watch(every=...), or a larger budget", safe=True),),
    ),
}
FINISHED = ("no loss", "converged", "decayed")
HARMLESS = (*FINISHED, "unused", "idle")
SMALL_MATTERS = ("cancels", "negligible", "unexplained", "unknown")  # harmless in a small part


@rule(
    "OPT001",
    needs=("param/changed/*", "count/optimizer", "parameters"),
    severity="error",
    explains=(
        "EVL002", "GEN002", "GEN004", "OBJ001", "OBJ002", "OBJ003", "OBJ009", "PRD001", "PRD002", "PRD003", "PRD004",
        "PRD006", "PRD007", "PRD008", "PRD009", "PRD010", "PRD011", "PRD012", "RUN004",
    ),
    live=True,
)  # fmt: skip
def frozen_parameters(run: Run, *, steps: int = 20) -> Iterator[Finding | NotChecked]:
    """Trainable parameters do not change although the optimizer steps.

    ## What it does
    Takes each tensor with `requires_grad` and its latest stretch of samples in which not one byte changed. It fires
    when the optimizers completed N >= `steps` steps within that stretch at a learning rate > 0, and N > 3 times the
    longest earlier stretch that ended (a head that is used now and then). Bytes are compared exactly, so there is no
    sampling error and no interval. When no step completed at all it fires after 2 `steps` skipped ones: a loss scale
    of 2^24 falls below 1 in 25.

    The cause is told apart, one finding each: every step skipped; in no optimizer; no gradient, or exactly 0; gradients
    of a bias that add up to exactly 0 while the weight of its module has one; masked overflow (raw gradient NaN or inf
    in most samples, see AMP002); gradient cleared before the step; a gradient below 1e-5 of the whole; an update that
    rounds to nothing; an update that something takes back; not known, when no gradient was sampled within the stretch
    (the parameters are also compared at every evaluation). Tensors are grouped by module. It is an error when they hold
    >= 10 % of the trainable entries, else a warning, and a note where the cause is harmless: a negligible gradient or
    one that cancels, or no cause found, in a small part; an embedding or expert that no sample routed a gradient to.
    Tensors without gradient that hold less than half of the entries (an unused pooler, a head whose turn has not come),
    and those of which no gradient was sampled, must stand still for 5 `steps`, or to the run's end.

    Tensors that moved before and have finished are a note as well, when over the stretch (L: training loss, L0: the
    smallest of its first 3 values, fall: L0 - median of L over the later half of the stretch)

    - L = 0 exactly in more than half of the steps, and never above 1 % of L0 > 0; or
    - L had been flat before, at its lowest: over the second half of the steps until the last change, each end of the
      95 % interval of the Theil-Sen slope amounts to <= 1 % of the fall, and the median differs by no more; or
    - the learning rate fell, and max(`update/ratio` sampled before x lr now / lr then) <= 2^-24 (2^-8 in bfloat16).

    A tensor that is NaN does not change either: once parameters are NaN or inf, only what came before is judged
    (AMP003 has the rest).

    ## Why is this bad?
    The network you train is not the network you built: the loss still falls, because the rest adapts to random
    features. No framework says anything; a step on a tensor whose gradient is None is silently skipped.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model[2].parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(40, 16, 4):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(40, 16, 4):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Restore the path, or hand the tensors to the optimizer: the network then learns something else, as
      intended.
    - **safe** Where freezing is intended, set `requires_grad_(False)`: same training, less memory and time, and silent
      here.

    ## Options
    - `steps` (20): completed optimizer steps without a change. An Adam step moves each weight by about the learning
      rate; float32 loses a step below 3e-8 of the weight, and 20 in a row for every entry are no accident.

    ## Known limits
    Silent at learning rate 0 (CFG002 and OPT009 judge that), and about tensors without another visible cause while
    any group is at learning rate 0: which tensor is in which group is not recorded. With several optimizers stepped
    in stages, the one that waits rings until its first step, then the finding heals to a note. A change that leaves
    the sum of all bit patterns equal is missed; it takes two opposite changes of the same size. A tensor is known as
    an expert by its name (`experts.3`, `expert_2`, `moe`), or as one of n equal modules beside a linear layer of n
    outputs (a router); a stack of n layers beside a head of n classes looks the same, unless activation modules
    inside show that it ran. A fault that begins after the loss became flat is called converged.

    ## References
    Micikevicius et al. 2018, "Mixed precision training", section 3.1 (updates that round to zero).
    """
    ended = _finite_until(run)
    if ended is not None:
        run = replace(run.prefix(ended), exit=run.exit)
    moving_from = _lr_above_zero_from(run)
    if moving_from is None and (stopped := _lr_at_zero_from(run)) > 1:  # the schedule is over: what came before counts
        run = replace(run.prefix(stopped - 1), exit=run.exit)
        moving_from = _lr_above_zero_from(run)
    if moving_from is None:
        yield NotChecked("every learning rate is 0")
        return
    trainable = [p for p in run.parameters if p.requires_grad and run.get(f"param/changed/{p.name}") is not None]
    frozen = [f for p in trainable if (f := _frozen(run, p, steps, moving_from)) is not None]
    seen = max((_seen(run, p) for p in trainable), default=0)
    if seen < steps:
        why = (
            "train longer, or watch(every=1)" if ended is None else f"the parameters are not finite after step {ended}"
        )
        yield NotChecked(f"the samples span {seen} optimizer steps, {steps} are needed: {why}")
    subjects: set[str] = set()
    for cause in CAUSES:
        group = [f for f in frozen if f.cause == cause]
        share = sum(f.parameter.size for f in group) / max(1, sum(p.size for p in trainable))
        may_come = cause == "unknown" or (cause == "no gradient" and share < MOST)
        if may_come and run.exit == "running":
            group = [f for f in group if f.completed >= 5 * steps]
        if group:
            subject = "" if cause in FINISHED else _prefix([f.parameter.name for f in group])
            subject = f"{subject} ({cause})" if subject in subjects else subject
            subjects.add(subject)
            yield _finding(run, subject, cause, group, trainable)


def _frozen(run: Run, p: Parameter, steps: int, moving_from: int) -> Frozen | None:
    """The tensor's current stretch without a change, if it is long enough to judge and has a cause."""
    changed = run.series[f"param/changed/{p.name}"]
    if changed.value[-1] != 0:
        return None
    moved = np.flatnonzero(changed.value != 0)
    first = int(moved[-1]) + 1 if moved.size else 0
    while first < len(changed) and changed.step[first] < moving_from:
        first += 1
    if first == len(changed):
        return None
    begin, last = int(changed.step[first]), int(changed.step[-1])
    before = int(changed.step[first - 1]) if first else begin
    completed, skipped = (_grown(run.get(f"count/{k}"), before, last) for k in ("optimizer", "skipped"))
    if completed < steps and not (completed == 0 and skipped >= 2 * steps):
        return None
    if moved.size and completed <= 3 * _longest_rest(run, changed):
        return None
    stretch = Frozen(p, changed, before, begin, last, completed, skipped, moved.size > 0)
    cause = _cause(run, stretch)
    return replace(stretch, cause=cause) if cause else None


def _finite_until(run: Run) -> int | None:
    """The last sampled step before the parameters became NaN or inf and stayed so; None when they are finite."""
    bad = run.get("param/nonfinite")
    if bad is None or bad.value[-1] == 0:
        return None
    good = np.flatnonzero(bad.value == 0)
    return int(bad.step[good[-1]]) if good.size else 0


def _seen(run: Run, p: Parameter) -> int:
    """Optimizer steps, completed or skipped, between the first and the last sample of a tensor."""
    step = run.series[f"param/changed/{p.name}"].step
    return sum(_grown(run.get(f"count/{kind}"), int(step[0]), int(step[-1])) for kind in ("optimizer", "skipped"))


def _lr_above_zero_from(run: Run) -> int | None:
    """First step of the latest stretch in which some group has a learning rate > 0; None while all are 0."""
    groups = run.family("lr")
    if not groups:
        return 0
    steps = np.unique(np.concatenate([s.step for s in groups.values()]))
    idle = np.flatnonzero(np.max([_held(s, steps) for s in groups.values()], axis=0) <= 0)
    if not idle.size:
        return 0
    return int(steps[idle[-1] + 1]) if idle[-1] + 1 < steps.size else None


def _lr_at_zero_from(run: Run) -> int:
    """First step of the latest stretch in which every learning rate is 0."""
    groups = run.family("lr")
    steps = np.unique(np.concatenate([s.step for s in groups.values()]))
    moves = np.flatnonzero(np.max([_held(s, steps) for s in groups.values()], axis=0) > 0)
    return int(steps[moves[-1] + 1]) if moves.size else 0


def _held(series: Series, steps: Ints) -> Floats:
    """The latest values at ``steps`` of a series that is recorded when it changes; 0 before its first point."""
    at = np.searchsorted(series.step, steps, side="right") - 1
    return np.where(at >= 0, series.value[at.clip(0)], 0.0)


def _grown(counter: Series | None, after: int, until: int) -> int:
    """How much a counter grew between the ends of two steps."""
    if counter is None:
        return 0
    old, new = _held(counter, np.array([after, until]))
    return int(new - old) if np.isfinite(new - old) else 0


def _longest_rest(run: Run, changed: Series) -> float:
    """Most completed optimizer steps before or between the samples at which the tensor moved."""
    ends = np.concatenate([changed.step[:1], changed.step[changed.value != 0]])
    return float(np.diff(_held(run.series["count/optimizer"], ends)).max())


def _cause(run: Run, f: Frozen) -> str:
    """Key into ``CAUSES``; "" where a learning rate of 0 may explain it."""
    p = f.parameter
    counts, norms = _within(run, "grad/count", f), _within(run, "grad/norm", f)
    if f.completed == 0:
        return "skipped"
    if not p.in_optimizer:
        return "left out"
    if f.moved and (finished := _finished(run, f)):
        return finished
    cancels = bias_cancels(run, p, f.begin, f.last)
    if (counts.size and not counts.any()) or (norms.size and not norms.any()):
        return "unused" if p.role and not _ran(run, f) else "cancels" if cancels else "no gradient"
    if norms.size and np.mean(~np.isfinite(norms)) > 0.5:
        return "masked overflow"
    zeros = _within(run, "grad/zero_frac", f)  # absent where the optimizer found no gradient
    if (norms > 0).any() and (zeros == 1).all():
        return "cancels" if cancels else "cleared"
    whole = _between(run.get("grad/norm"), f)
    if norms.size and whole.size and norms.max() < NEGLIGIBLE * whole.max():
        return "negligible"
    if any((s.value <= 0).any() for s in run.family("lr").values()):
        return ""
    return _by_update(run, f) if norms.size else "idle" if p.role else "unknown"


def _by_update(run: Run, f: Frozen) -> str:
    """The cause that the updates tell, where gradients arrive: the optimizer's own, before anything else writes."""
    update = _within(run, "update/ratio", f)
    update = update[np.isfinite(update)]
    if update.size:
        return "written back" if (update > 0).any() else "rounds"
    return "rounds" if f.parameter.dtype in HALF_TYPES else "unexplained"


def _ran(run: Run, f: Frozen) -> bool:
    """Whether an activation module inside this one of several equal parts was seen to run in the stretch."""
    parts = f.parameter.name.split(".")
    part = next((".".join(parts[: k + 1]) for k in range(1, len(parts)) if parts[k].isdigit()), None)
    if part is None or f.parameter.role != "expert":
        return False
    return any(name.startswith(f"{part}.") and _between(s, f).size for name, s in run.family("act/rms").items())


def _finished(run: Run, f: Frozen) -> str:
    """Why a tensor that moved before has nothing left to learn, as a key into ``CAUSES``; "" where it has."""
    loss = run.get("train/loss")
    if loss is not None and np.isfinite(loss.value).all():
        still, start = _between(loss, f), float(loss.value[:3].min())
        if start > 0 and still.size and np.mean(still == 0) > 0.5 and np.abs(still).max() <= LEFT * start:
            return "no loss"
        if still.size and _flat_at_lowest(loss.until(f.before), still, start):
            return "converged"
    return "decayed" if _decayed(run, f) else ""


def _flat_at_lowest(moving: Series, still: Floats, start: float) -> bool:
    """Whether the loss could gain at most ``LEFT`` of its fall when the tensor stopped, and gained no more since."""
    window = moving[len(moving) // 2 :]
    level = float(np.median(still[still.size // 2 :]))
    slack = LEFT * (start - level)
    slope = trend(window.step, window.value)
    if not (slack > 0 and np.isfinite(slope.slope)):
        return False
    drift = max(abs(slope.low), abs(slope.high)) * float(window.step[-1] - window.step[0])
    return drift <= slack and abs(float(np.median(window.value)) - level) <= slack


def _decayed(run: Run, f: Frozen) -> bool:
    """Whether the learning rate has fallen so far that the updates sampled before would now round to nothing."""
    update = run.get(f"update/ratio/{f.parameter.name}")
    groups = run.family("lr").values()
    if update is None or not groups:
        return False
    update = update.until(f.before)
    size = np.where(np.isfinite(update.value), update.value, 1.0)  # a bias that was 0: no weight moves by more
    reach = 0.0
    for rate in groups:
        now = max(float(_held(rate, np.array([f.before + 1]))[0]), *_between(rate, f).tolist(), 0.0)
        then = _held(rate, update.step)
        if now >= rate.value.max() or not (then > 0).any():
            return False
        reach = max(reach, float((size * now / then)[then > 0].max()))
    return reach <= 2.0 ** -BITS.get(f.parameter.dtype, 24)


def _within(run: Run, stem: str, f: Frozen) -> Floats:
    return _between(run.get(f"{stem}/{f.parameter.name}"), f)


def _between(series: Series | None, f: Frozen) -> Floats:
    """Values of the samples in the stretch."""
    return np.zeros(0) if series is None else series.value[(series.step >= f.begin) & (series.step <= f.last)]


def _prefix(tensors: list[str]) -> str:
    """The longest module path that all these tensors share; a single tensor's own name."""
    parts = [name.split(".") for name in tensors]
    shared = 0
    while all(len(p) > shared for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    return ".".join(parts[0][:shared])


def _finding(run: Run, subject: str, cause: str, group: list[Frozen], trainable: list[Parameter]) -> Finding:
    entries, of = sum(f.parameter.size for f in group), sum(p.size for p in trainable)
    first = min(group, key=lambda f: f.begin)
    how = CAUSES[cause]
    done = f"{first.completed} completed" if first.completed else f"{first.skipped} skipped"
    dtype = first.parameter.dtype
    message = (
        f"{_groups([f.parameter.name for f in group], [p.name for p in trainable], subject)} "
        f"({entries:,} of {of:,} trainable entries) did not change in {done} optimizer steps since step {first.begin}: "
        f"{how.text.format(dtype=dtype, bits=BITS.get(dtype, 24), **_facts(run, first))}"
    )
    severity: Severity = "error" if entries >= LARGE * of else "warning"
    small = cause in SMALL_MATTERS or (cause == "rounds" and dtype not in HALF_TYPES)
    if cause in HARMLESS or (severity == "warning" and small):
        severity = "note"
    return Finding(message, subject, first.begin, tuple(_evidence(run, group, cause)), how.remedies, severity)


def _facts(run: Run, f: Frozen) -> dict[str, float]:
    """Numbers for the texts of ``CAUSES``."""
    loss, rates = run.get("train/loss"), list(run.family("lr").values())
    still = _between(loss, f)
    facts: dict[str, float] = {"zeros": int((still == 0).sum()), "calls": still.size}
    if loss is not None and still.size:
        facts |= {"level": float(np.median(still[still.size // 2 :])), "start": float(loss.value[:3].min())}
    if rates:
        facts |= {"rate": max(float(s.value[-1]) for s in rates), "peak": max(float(s.value.max()) for s in rates)}
    return facts


def _groups(frozen: list[str], trainable: list[str], subject: str) -> str:
    """Which modules stand still: "backbone: 12 of 12 tensors, head: 1 of 4 tensors"."""
    if len(frozen) == len(trainable):
        return f"All {len(frozen)} trainable tensors"
    if subject in frozen:
        return f"{subject}: 1 tensor"
    depth = len(subject.split(".")) if subject else 1
    here, everywhere = (Counter(".".join(n.split(".")[:depth]) for n in names) for names in (frozen, trainable))
    named = [f"{module}: {n} of {everywhere[module]} tensors" for module, n in here.most_common(4)]
    return ", ".join(named) + (f" and {len(here) - 4} more modules" if len(here) > 4 else "")


def _evidence(run: Run, group: list[Frozen], cause: str) -> Iterator[Evidence]:
    for f in group[:3]:
        yield Evidence(f.changed.name, 0.0, f.last, text=f"unchanged in every sample since step {f.begin}")
        if cause == "left out":
            yield Evidence(f"parameter:{f.parameter.name}", text="requires_grad, in no optimizer")
    stems = {
        "no gradient": "grad/count",
        "unused": "grad/count",
        "masked overflow": "grad/norm",
        "cleared": "grad/norm",
    }
    counter = "count/skipped" if cause == "skipped" else "count/optimizer"
    stem = stems.get(cause, "update/ratio")
    told = {"no loss": "train/loss", "converged": "train/loss", "decayed": next(iter(run.family("lr")), "")}
    told["decayed"] = f"lr/{told['decayed']}"
    for name in (counter, told.get(cause, f"{stem}/{group[0].parameter.name}")):
        series = run.get(name)
        if series is not None:
            yield Evidence(name, float(series.value[-1]), int(series.step[-1]))
