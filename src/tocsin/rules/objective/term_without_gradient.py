"""OBJ007 term-without-gradient."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.movement import starved
from tocsin.run import Floats, Ints, Parameter, Run, Series
from tocsin.stats import Weight, weight_in_sum

ZERO_SAMPLES = 8
COPY = 1e-5  # of each value: some hundred float32 roundings
DIFFERENTIABLE = (
    Remedy("Write the term with a differentiable quantity: the expectation over the probabilities, not argmax"),
    Remedy("Pass to run.losses the same tensor that is added to the loss, before any .item() or .detach()", safe=True),
)


@dataclass(frozen=True)
class Table:
    """Loss values of the calls since a step: ``total`` shape (n,), ``terms`` shape (n, k), columns as ``names``."""

    step: Ints
    total: Floats
    names: list[str]
    terms: Floats

    def part(self, rows: slice) -> Table:
        """Some of the calls."""
        return Table(self.step[rows], self.total[rows], self.names, self.terms[rows])

    def without(self, names: Collection[str]) -> Table:
        """The table less some terms."""
        kept = [k for k, name in enumerate(self.names) if name not in names]
        return Table(self.step, self.total, [self.names[k] for k in kept], self.terms[:, kept])

    def column(self, name: str) -> Floats:
        """Values of ``total`` or of one term."""
        return self.total if name == "total" else self.terms[:, self.names.index(name)]


@dataclass(frozen=True)
class Suspect:
    """A term without a gradient path: its samples without one, and the calls ``table`` since ``begin``."""

    name: str
    samples: Series
    begin: int
    had_path: bool
    table: Table

    @property
    def cut(self) -> str:
        """The observation, as the messages begin."""
        n = len(self.samples)
        return f"{self.name} has no gradient path in {n} of {n} samples since step {self.begin}"


@dataclass(frozen=True)
class Membership:
    """What least squares over some calls says about one term's weight in ``whole``."""

    whole: str
    weight: Weight
    calls: int


@rule(
    "OBJ007",
    needs=("loss/path/*",),
    severity="error",
    explains=(
        "EVL002", "OBJ001", "OBJ002", "OBJ003", "OBJ009", "OPT001", "OPT002", "PRD001", "PRD002", "PRD003", "PRD004",
        "PRD006", "PRD007", "PRD008", "PRD009", "PRD010", "PRD011", "PRD012",
    ),
    live=True,
)  # fmt: skip
def term_without_gradient(
    run: Run, *, window: int = 64, least: int = 32, r2: float = 0.999, share: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """A term of the loss has no gradient: it changes the loss you read but teaches the network nothing.

    ## What it does
    A named term l_j passed to `run.losses` is suspect when it is a tensor without a gradient path to a trainable
    parameter at every sampled step so far, while `total` and at least one other term have one. A detached copy
    passed only for logging looks the same, so the rule asks the numbers: over `window` consecutive calls it fits

    total(t) = c(t) + sum_k w_k(t) l_k(t)

    with a quadratic c(t) and weights that are constant, linear or quadratic in t (learned task weights drift). It is
    an **error** when adjusted R2 > `r2`, and the 99.9 % interval of the weight w_j lies above 0 with
    w_j sd(l_j) > `share` sd(total). The same fit with another live term in place of `total` finds a term hidden
    inside a composite one. If the fit is as good and w_j is about 0, the term is only logged: silent. If the terms
    do not account for the total but w_j is still significantly above 0: a **warning**, after 2 `window` calls.
    Otherwise "not checked". Values that are those of `total` or of a live term times a constant, to within 1e-5, are a
    copy for the log: silent.

    A term *with* a path whose gradient at the shared trunk is exactly 0 at every one of >= 8 samples, while another
    term's is not, is a warning if some tensor of an optimizer also receives exactly no gradient, else a note (heads
    on detached features are often deliberate). A term that lost its path after having one is a note, and so is, when
    the run ends, a term that never had a path and never changed. That one is a warning where tensors that bear its
    name (or any, while a task of its name is evaluated) never got a gradient although their module runs in training.

    ## Why is this bad?
    `argmax`, `detach`, `.item()`, `no_grad`, `round`, or an exception handler that returns 0 cut the graph without
    any message. The loss curve still moves, because the term is added to it; a learned task weight then reacts to a
    number that nothing can lower, and takes weight away from the task.

    ## Example
    ```python
    logits, target = nn.Linear(4, 6), torch.randint(0, 6, (1280,))
    optimizer, x = torch.optim.SGD(logits.parameters(), lr=0.1), torch.randn(1280, 4)
    with tocsin.watch(logits, optimizer, run_dir=run_dir, every=1) as watched:
        for xb, yb in zip(x.split(32), target.split(32)):
            p, ce = logits(xb).softmax(1), nn.functional.cross_entropy(logits(xb), yb)
            distance = (p.argmax(1) - yb).abs().float().mean()
            loss = ce + 0.5 * distance
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss, ce=ce, distance=distance)
    run = run_dir
    ```
    Use instead:
    ```python
    logits, target = nn.Linear(4, 6), torch.randint(0, 6, (1280,))
    optimizer, x = torch.optim.SGD(logits.parameters(), lr=0.1), torch.randn(1280, 4)
    with tocsin.watch(logits, optimizer, run_dir=run_dir, every=1) as watched:
        for xb, yb in zip(x.split(32), target.split(32)):
            p, ce = logits(xb).softmax(1), nn.functional.cross_entropy(logits(xb), yb)
            distance = (p * (torch.arange(6) - yb[:, None]).abs()).sum(1).mean()
            loss = ce + 0.5 * distance
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss, ce=ce, distance=distance)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Replace the cut by a differentiable form: expected distance under the softmax instead of argmax, a
      straight-through estimator instead of `round`. This changes the objective, which is the point.
    - **unsafe** Remove the term from the loss: the parameters then learn exactly what they learn now, except for
      learned task weights.
    - **safe** If the term is not part of the loss, log it with `run.metrics`, or pass it as a float.

    ## Options
    - `window` (64): calls of one fit; short enough for a quadratic to follow weights that drift by 1 % a step.
    - `least` (32): calls before the first fit; it leaves 20 degrees of freedom with three terms and drifting weights.
    - `r2` (0.999): the terms account for the total but for a thousandth of its variance: bfloat16 losses pass, a sum
      with one term missing does not.
    - `share` (0.01): below one hundredth of the total's movement a term cannot matter.

    ## Known limits
    Silent when terms are floats, when `total` is a float or detached, when no other term has a path, when fewer than
    `least` calls were made, and when the losses move so smoothly (full-batch training) that the terms cannot be told
    apart. A composite term that hides the cut term is seen only if its other parts are passed too. Wrong when a term is
    passed as a *detached copy* only, beside live terms: pass the term itself. Wrong for a term that cannot
    depend on the parameters by design (the entropy of soft targets): ignore the rule for that run.

    ## References
    Kendall, Gal and Cipolla 2018, "Multi-task learning using uncertainty to weigh losses", eq. 10 (drifting weights).
    Frisch and Waugh 1933, "Partial time regressions as compared with individual trends" (removing c(t)).
    """
    paths = run.family("loss/path")
    total = paths.pop("total", None)
    unable = _unable(total, paths, run)
    if unable:
        yield NotChecked(unable)
        return
    for name, path in paths.items():
        if path.value[-1] == 0:
            yield from _pathless(run, name, paths, window, least, r2, share)
    yield from _zero_at_trunk(run, paths)


def _unable(total: Series | None, paths: dict[str, Series], run: Run) -> str:
    """Why nothing can be said, or ""."""
    if total is None or not total.value.any() or run.get("train/loss") is None:
        return "needs a live total: pass the tensor that backward is called on as run.losses(total=...)"
    if not paths:
        return "needs named terms as tensors: run.losses(total=..., term=...)"
    if not any(path.value.any() for path in paths.values()):
        return "no term was passed with a gradient path while total has one: these are detached copies; pass the terms"
    return ""


def _pathless(
    run: Run, name: str, paths: dict[str, Series], window: int, least: int, r2: float, share: float
) -> Iterator[Finding | NotChecked]:
    suspect = _suspect(run, name, paths[name])
    if suspect is None or suspect.table.step.size < least:
        yield NotChecked(f"{name} has no gradient path: whether it is part of total shows after {least} calls")
        return
    table = suspect.table
    live = {n for n, path in paths.items() if path.value.any()} - {name}
    copies = {n for n in table.names if n not in live and _is_copy(table, n, live)}
    if name in copies:
        return
    if not np.ptp(table.column(name)):
        if not suspect.had_path and run.exit != "running":
            heads = _its_head(run, name)
            yield _finding(run, suspect, _idle_text(suspect, heads), "warning" if heads else "note")
        return
    own = table.without(copies)
    found = [m for rows in _windows(own, window) for m in _memberships(rows, name, live, r2, share)]
    likely = [m for m in found if m.weight.share > share]
    part = max(likely, key=lambda m: m.weight.r2, default=None)
    if part is not None and part.weight.r2 > r2:
        # A part that was frozen on purpose loses its path as well.
        yield _finding(run, suspect, _text(suspect, part), "note" if suspect.had_path else "error", part)
    elif suspect.had_path or any(m.weight.r2 > r2 for m in found if m.whole == "total"):
        return
    elif part is not None and table.step.size >= 2 * window:
        yield _finding(run, suspect, _open_text(suspect, part), "warning", part)
    else:
        yield NotChecked(f"{name} has no gradient path, but the terms passed do not account for total: pass all terms")


def _is_copy(table: Table, name: str, live: Collection[str]) -> bool:
    """Whether ``name`` is total or a live term, times a constant: shown, and trained through the other."""
    mine = table.column(name)
    for other in ("total", *(n for n in table.names if n in live)):
        whole = table.column(other)
        power = float(whole @ whole)
        factor = float(whole @ mine) / power if power > 0 and math.isfinite(power) else 0.0
        if factor and np.ptp(mine) > 0 and bool((np.abs(mine - factor * whole) <= COPY * np.abs(mine)).all()):
            return True
    return False


def _suspect(run: Run, name: str, path: Series) -> Suspect | None:
    """The term since it last had a path, from the first call on if it never had one; None without its values."""
    above = np.flatnonzero(path.value)
    samples = path[int(above[-1]) + 1 if above.size else 0 :]
    table = _table(run, int(samples.step[0]) if above.size else 0)
    if table is None or name not in table.names:
        return None
    begin = int(samples.step[0]) if above.size else int(table.step[0])
    return Suspect(name, samples, begin, bool(above.size), table)


def _table(run: Run, since: int) -> Table | None:
    """Finite rows of total and terms from ``since`` on; a term not passed at a call counts as 0 there."""
    total = run.series["train/loss"]
    terms = {n: s for n, s in run.family("train/loss").items() if n != "total"}
    step, first = np.unique(total.step, return_index=True)
    columns = np.zeros((step.size, len(terms)))
    for k, series in enumerate(terms.values()):
        at, mine, theirs = np.intersect1d(step, series.step, return_indices=True)
        columns[mine, k] = series.value[theirs] if at.size else 0.0
    keep = np.isfinite(columns).all(axis=1) & np.isfinite(total.value[first]) & (step >= since)
    return Table(step[keep], total.value[first][keep], list(terms), columns[keep]) if keep.any() else None


def _windows(table: Table, window: int) -> list[Table]:
    """The first and the last ``window`` calls: once proven by the first, a verdict stays."""
    n = table.step.size
    return [table.part(slice(0, window))] + ([table.part(slice(n - window, n))] if n >= 2 * window else [])


def _memberships(table: Table, name: str, live: Collection[str], r2: float, share: float) -> list[Membership]:
    """Is ``name`` a part of total, or of a live term? Ends at the first proof."""
    moving = [n for n in table.names if np.ptp(table.column(n)) > 0]
    found: list[Membership] = []
    for whole in ["total", *(n for n in moving if n in live and len(moving) > 2)]:
        parts = [n for n in moving if n != whole]
        columns = np.stack([table.column(p) for p in parts], axis=1)
        fits = [weight_in_sum(table.column(whole), columns, parts.index(name), order) for order in (0, 1, 2)]
        best = max((f for f in fits if f is not None), key=lambda f: f.r2, default=None)
        if best is not None:
            found.append(Membership(whole, best, table.step.size))
            if best.r2 > r2 and best.share > share:
                break
    return found


def _zero_at_trunk(run: Run, paths: dict[str, Series]) -> Iterator[Finding]:
    norms = {n: s for n, s in run.family("loss/trunk_norm").items() if n != "total" and n in paths}
    pulling = [n for n, s in norms.items() if (s.value > 0).any()]
    for name, norm in norms.items():
        if len(norm) < ZERO_SAMPLES or norm.value.any() or paths[name].value[-1] == 0 or not pulling:
            continue
        values = run.get(f"train/loss/{name}")
        if values is None or not values.value[np.isin(values.step, norm.step)].any():
            continue  # an inactive term
        idle = starved(run)
        tail = f"; {len(idle)} trainable tensors ({idle[0].name}, ...) receive none either" if idle else ""
        message = (
            f"The gradient of {name} at the shared trunk is exactly 0 in {len(norm)} of {len(norm)} samples since step "
            f"{norm.step[0]}, although it has a graph; {pulling[0]} pulls with {norms[pulling[0]].value[-1]:.3g}{tail}"
        )
        evidence = [_point(norm, "gradient norm at the trunk"), _point(norms[pulling[0]], "another term's")]
        yield Finding(
            message, name, int(norm.step[0]), tuple(evidence), DIFFERENTIABLE[:1], "warning" if idle else "note"
        )


def _its_head(run: Run, name: str) -> list[Parameter]:
    """Tensors that never got a gradient in training forwards and belong to a term: by name, or as it is evaluated."""
    ran = [p for p in starved(run) if (seen := run.get(f"module/ran/{p.module}")) is not None and seen.value.any()]
    evaluated = any(e.task.lower() == name.lower() for e in run.own_evaluations)
    return [p for p in ran if evaluated or name.lower() in p.name.lower().split(".")]


def _text(suspect: Suspect, part: Membership) -> str:
    w, table = part.weight, suspect.table
    mean = float(table.column(part.whole).mean())
    held = w.value * float(table.column(suspect.name).mean()) / mean if mean else math.nan
    tail = "it had one before" if suspect.had_path else "nothing can learn from it"
    return (
        f"{suspect.cut}, yet it is part of {part.whole} with weight {w.value:.3g} [{w.low:.3g}, {w.high:.3g}]"
        f"{f', {held:.0%} of it' if 0 < held < 1 else ''} (R2 = {w.r2:.5f} over {part.calls} calls): {tail}"
    )


def _open_text(suspect: Suspect, part: Membership) -> str:
    w = part.weight
    return (
        f"{suspect.cut} and seems part of {part.whole} (weight {w.value:.3g} [{w.low:.3g}, {w.high:.3g}]), but the "
        f"terms passed account for {part.whole} only to R2 = {w.r2:.3f}: pass all terms to be sure"
    )


def _idle_text(suspect: Suspect, heads: list[Parameter]) -> str:
    value = suspect.table.column(suspect.name)
    why = "switched off, or an exception handler that returns a constant"
    if heads:
        why = f"nothing else trains {heads[0].name} ({len(heads)} tensors without gradient), which runs in training"
    return f"{suspect.cut}, and was exactly {value[0]:.4g} at all {value.size} calls: {why}"


def _finding(run: Run, suspect: Suspect, text: str, severity: Severity, part: Membership | None = None) -> Finding:
    value = run.series[f"train/loss/{suspect.name}"]
    interval = (part.weight.low, part.weight.high) if part else None
    evidence = (
        _point(suspect.samples, "1 with, 0 without a gradient path"),
        Evidence(value.name, float(value.value[-1]), int(value.step[-1]), 0.0, interval, "interval: weight in the sum"),
    )
    begin = suspect.begin if suspect.had_path else 0  # it never had one: written so, before training
    return Finding(text, suspect.name, begin, evidence, DIFFERENTIABLE, severity)


def _point(series: Series, text: str) -> Evidence:
    return Evidence(series.name, float(series.value[-1]), int(series.step[-1]), text=text)
