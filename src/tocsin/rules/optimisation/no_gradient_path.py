"""OPT002 no-gradient-path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.movement import bias_cancels, held
from tocsin.run import Ints, Parameter, Run, Series

_SAMPLES, _LONG, _REST = 8, 5, 3
_LARGE, _MOST = 0.1, 0.5  # shares of the trainable entries
_CUT = (
    Remedy("Look for detach(), no_grad(), .data, argmax or .item() between these tensors and the loss"),
    Remedy("If they are frozen on purpose, say so: parameter.requires_grad_(False)", safe=True),
)
_UNUSED = (Remedy("Leave them out of the model, or requires_grad_(False): same training, less memory", safe=True),)
_CANCELS = (Remedy("Drop the bias there: bias=False", safe=True),)
_LOST = (Remedy("Nothing, if this part was switched off on purpose", safe=True),)


@dataclass(frozen=True)
class Without:
    """A tensor and its latest stretch of ``samples`` without gradient: since ``begin`` (0: always), until ``last``."""

    parameter: Parameter
    begin: int
    last: int
    samples: int
    completed: int
    zero: bool
    kind: str


KINDS = {
    "cut": ("their modules run in training, but no gradient comes back: the path to the loss is cut", _CUT),
    "unknown": ("whether their modules run was not seen", _CUT),
    "routed": ("embeddings or experts that no sample may have needed", _UNUSED),
    "cancels": (
        "what arrives adds up to 0, while the weight of the same module has a gradient: the loss depends on "
        "differences of its output (a ranking, a critic)",
        _CANCELS,
    ),
    "lost": ("they had one before", _LOST),
    "unused": ("their modules never ran in a training forward", _UNUSED),
}


@rule(
    "OPT002",
    needs=("grad/count/*", "grad/norm", "count/optimizer", "parameters"),
    severity="error",
    explains=(
        "EVL002", "GEN002", "GEN004", "OBJ001", "OBJ002", "OBJ003", "OBJ009", "OPT001", "PRD001", "PRD002", "PRD003",
        "PRD004", "PRD007", "PRD008", "PRD009", "PRD010", "PRD011", "PRD012", "RUN004",
    ),
    live=True,
)  # fmt: skip
def no_gradient_path(run: Run, *, steps: int = 20) -> Iterator[Finding | NotChecked]:
    """Trainable parameters get no gradient, or exactly 0, while others do.

    ## What it does
    On each sampled step the recorder counts how often each tensor received a gradient, over all micro-batches of the
    step, and takes its norm. A tensor with `requires_grad` that an optimizer holds is without gradient in a sample when
    it received none, or its norm is exactly 0, although the model's whole gradient is above 0. It fires when this is so
    in each of m >= 8 samples up to now, across >= `steps` completed optimizer steps; a stretch that follows others must
    be 3 times as long as the longest of them. With 0 of m, the share of steps that give it a gradient is below the
    upper end of the 95 % Wilson interval, which the finding states.

    Tensors that hold less than half of the trainable entries (a head whose turn has not come) must stay without for
    5 `steps`, or to the run's end; those below a tenth always to the end. What they
    are is told apart, one finding each:

    - cut: their module runs in training forwards, but nothing comes back. An error when they hold >= 10 % of the
      trainable entries, else a warning;
    - unknown: nobody saw whether the module runs (the model is compiled). A warning from 10 % on, else a note;
    - unused: the module never ran; or it is an embedding or expert; or it had gradients before. A note;
    - cancels: a bias whose gradients add up to exactly 0 while the weight of its module has one. A note.

    ## Why is this bad?
    A branch behind `detach()`, `argmax` or `no_grad()` keeps its random weights. The optimizer skips tensors whose
    gradient is None without a word, the loss falls because the rest adapts, and the network is not the one you built.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(40, 16, 4):
            loss = (model[2](model[:2](x).detach()) - x.sum(1, keepdim=True)).square().mean()
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
            loss = (model[2](model[:2](x)) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Restore the path: these parameters then learn, as intended.
    - **safe** Where they are meant to stay as they are, set `requires_grad_(False)`: same training, and silent here.

    ## Options
    - `steps` (20): completed optimizer steps, as in OPT001. A zero-initialised gate gives what is behind it no gradient
      in its first step, and one from the second.

    ## Known limits
    Whether a module runs is looked at on sampled steps after one that found no gradient. A module whose parameters are
    used without calling it counts as unused. A tensor in no optimizer is OPT001's. A task that is switched on after
    more than 5 `steps` rings before, then heals to a note.

    ## References
    None: exact zeros.
    """
    trainable = [p for p in run.parameters if p.requires_grad and p.in_optimizer]
    seen = {p.name: s for p in trainable if (s := run.get(f"grad/count/{p.name}")) is not None}
    most = max((len(s) for s in seen.values()), default=0)
    if most < _SAMPLES:
        yield NotChecked(f"needs {_SAMPLES} samples of the gradients; there are {most}")
        return
    found = [w for p in trainable if p.name in seen and (w := _without(run, p, seen[p.name], steps)) is not None]
    entries = sum(p.size for p in trainable)
    for kind in KINDS:
        group = [w for w in found if w.kind == kind]
        share = sum(w.parameter.size for w in group) / max(1, entries)
        if share < _MOST and run.exit == "running":
            group = [w for w in group if w.completed >= _LONG * steps and share >= _LARGE]
        if group and len(group) < len(trainable):
            yield _finding(run, kind, group, len(trainable), entries)


def _without(run: Run, p: Parameter, counts: Series, steps: int) -> Without | None:
    """The tensor's current stretch without gradient, if it is long enough."""
    whole, norm = run.series["grad/norm"], run.get(f"grad/norm/{p.name}")
    if counts.value.all() and (norm is None or norm.value.all()):  # the common case
        return None
    there = np.isin(counts.step, whole.step[np.isfinite(whole.value) & (whole.value > 0)])
    counts = counts[np.flatnonzero(there)]
    if not len(counts):
        return None
    none = counts.value == 0
    zero = _exactly_zero(norm, counts.step)
    had = np.flatnonzero(~(none | zero))
    first = int(had[-1]) + 1 if had.size else 0
    samples = len(counts) - first
    if samples < _SAMPLES:
        return None
    done = run.series["count/optimizer"]
    start, last = int(counts.step[first]), int(counts.step[-1])
    completed = float(np.diff(held(done, np.array([start - 1, last])))[0])
    if not completed >= steps or (had.size and completed <= _REST * _longest_rest(done, counts.step[had])):
        return None
    kind = _kind(run, p, had.size > 0, start, last)
    return Without(p, start if had.size else 0, last, samples, int(min(completed, 2**53)), not none[first:].all(), kind)


def _exactly_zero(norm: Series | None, steps: Ints) -> NDArray[np.bool_]:
    """At which of the sampled steps the tensor's gradient was there and exactly 0."""
    at = norm.step[norm.value == 0] if norm is not None else np.zeros(0, np.int64)
    return np.isin(steps, at)


def _longest_rest(done: Series, at: Ints) -> float:
    """Most completed steps before or between the samples that had a gradient."""
    return float(np.diff(held(done, np.concatenate([[0], at]))).max())


def _kind(run: Run, p: Parameter, had: bool, start: int, last: int) -> str:
    """What this tensor is, as a key into ``KINDS``."""
    if p.role:
        return "routed"
    if had:
        return "lost"
    if bias_cancels(run, p, start, last):
        return "cancels"
    ran = run.get(f"module/ran/{p.module}") if p.module else None
    values = ran.value[ran.step >= start] if ran is not None else np.zeros(0)
    return "unknown" if not values.size else "cut" if (values == 1).any() else "unused"


def _finding(run: Run, kind: str, group: list[Without], of: int, entries: int) -> Finding:
    size = sum(w.parameter.size for w in group)
    first = min(group, key=lambda w: (w.begin, -w.parameter.size))
    names = [w.parameter.name for w in group]
    high = stats.wilson(0, first.samples)[1]
    how = "exactly 0" if all(w.zero for w in group) else "no gradient"
    since = f"since step {first.begin}" if first.begin else "so far"
    what, remedies = KINDS[kind]
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    message = (
        f"{listed} ({len(names)} of {of} tensors, {size:,} of {entries:,} trainable entries) got {how} in "
        f"{first.samples} of {first.samples} samples {since}, {first.completed} optimizer steps (in less than "
        f"{high:.0%} of all, 95 %): {what}"
    )
    return Finding(
        message,
        subject=_prefix(names) if kind == "cut" else f"{_prefix(names)} ({kind})".strip(),
        step=first.begin,
        evidence=tuple(_evidence(run, group)),
        remedies=remedies,
        severity=_severity(kind, size >= _LARGE * entries),
    )


def _severity(kind: str, large: bool) -> Severity:
    if kind == "cut":
        return "error" if large else "warning"
    return "warning" if kind == "unknown" and large else "note"


def _evidence(run: Run, group: list[Without]) -> Iterator[Evidence]:
    for w in group[:3]:
        name = f"grad/norm/{w.parameter.name}" if w.zero else f"grad/count/{w.parameter.name}"
        series = run.series[name].until(w.last)
        interval = stats.wilson(0, w.samples)
        text = "share of samples with a gradient [interval]"
        yield Evidence(name, float(series.value[-1]), int(series.step[-1]), interval=interval, text=text)
    whole = run.series["grad/norm"]
    yield Evidence("grad/norm", float(whole.value[-1]), int(whole.step[-1]), text="of all parameters together")


def _prefix(tensors: list[str]) -> str:
    """The longest module path that all these tensors share; a single tensor's own name."""
    parts = [name.split(".") for name in tensors]
    shared = 0
    while all(len(p) > shared for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    return ".".join(parts[0][:shared])
