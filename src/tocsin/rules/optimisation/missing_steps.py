"""OPT015 missing-steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import declared, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.movement import held
from tocsin.run import Floats, Ints, Run

_FEWEST, _SURE = 3, 0.99
_LEAST_BATCHES = 4
_NEAR = 0.15
_SAMPLES = re.compile(
    r"(n|num|number_of)_train(ing)?(_(samples|examples|rows|images|items))?|train(ing)?_(size|samples|examples|rows)"
    r"|train(ing)?_set_size|(n|num)_(samples|examples)|(train_)?(dataset|data)_(size|length|len)"
)
_BATCH = re.compile(r"((per_device_)?train(ing)?_)?batch(_?size)?|bs")
_REMEDIES = (
    Remedy("Move loss.backward() and optimizer.step() into the loop over batches"),
    Remedy("If one step is meant to use many batches, say so (gradient accumulation) and plan the steps by it", True),
)


@dataclass(frozen=True)
class Epochs:
    """Counts in each whole epoch, shape (n,): ``run.losses`` calls, training forwards, backward passes, steps."""

    begin: int
    calls: Floats
    forwards: Floats
    backward: Floats
    steps: Floats


@dataclass(frozen=True)
class Plan:
    """What the configuration declares: the settings of it, batches an epoch, batches a step (None: not declared)."""

    settings: tuple[declared.Setting, ...]
    batches: int
    accumulate: int | None


@rule(
    "OPT015",
    needs=("count/optimizer", "count/backward", "events"),
    severity="warning",
    explains=(
        "EVL002", "GEN002", "GEN003", "GEN004", "OBJ006", "OBJ009", "OPT004", "OPT008", "OPT009", "OPT014", "PRD001",
        "PRD002", "PRD003", "PRD004", "PRD007", "PRD008", "PRD009", "PRD010", "PRD012", "RUN004",
    ),
    live=True,
)  # fmt: skip
def missing_steps(run: Run, *, share: float = 0.5) -> Iterator[Finding | NotChecked]:
    """Far fewer optimizer steps are made in an epoch than its batches call for.

    ## What it does
    Counts, between two `run.end_epoch()` calls, the `run.losses` calls, the training forwards, the backward passes and
    the optimizer steps (completed, or skipped by the GradScaler). The configuration plans b = ceil(n / batch size)
    batches an epoch, and one step for each `accumulate` of them. Where the loop really goes through b batches (calls or
    forwards an epoch are within 15 % of it, so that it is not one of many processes), it fires when the 99 % Wilson
    interval of steps over planned steps, summed over at least 3 epochs, lies below `share`, and

    - backward passes are as few: the loss is closed outside the loop over batches, and most of them teach nothing; or
    - the configuration says how many batches make a step, and more of them do.

    Without a plan, calls or forwards that outnumber the backward passes of an epoch four to one, in each epoch, are a
    note: losses may be summed over the epoch, or a recurrent network called in a loop.

    ## Why is this bad?
    With `loss.backward(); optimizer.step()` one indentation too far left, an epoch of 16 batches makes a single step,
    from the last batch. The reported training loss is then of another size than that of the evaluation, schedules
    counted in steps never arrive, and "more epochs" is the wrong cure.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    config = {"n_train": 256, "batch_size": 16}
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1, config=config) as watched:
        for epoch in range(8):
            for x in torch.randn(16, 16, 4):
                loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
            watched.end_epoch()
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    config = {"n_train": 256, "batch_size": 16}
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1, config=config) as watched:
        for epoch in range(8):
            for x in torch.randn(16, 16, 4):
                loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
                optimizer.zero_grad(); loss.backward(); optimizer.step()
                watched.losses(total=loss)
            watched.end_epoch()
    run = run_dir
    ```

    ## Fix
    - **unsafe** Move backward and step into the loop over batches: the run then makes as many steps as planned, and the
      learning rate may have to be chosen anew.
    - **safe** Where one step an epoch is meant, declare the accumulation in the configuration.

    ## Options
    - `share` = 0.5: half of the planned steps. Dropping a last batch costs one step in an epoch; a choice.

    ## Known limits
    Needs 3 epochs ended by `run.end_epoch()`, and 4 planned steps in each. The size of the training set and the batch
    are known by the usual keys (`n_train`, `train_size`, `num_samples`, `batch_size`, ...). Forwards are not counted
    under `torch.compile`. Other people's logs are not checked: their step axis often counts epochs.

    ## References
    None: a count.
    """
    epochs = _epochs(run)
    if epochs is None:
        yield NotChecked(f"needs {_FEWEST} epochs that run.end_epoch() ended; steps outside of them are not planned")
        return
    scale = run.get("amp/scale")
    if scale is not None and (scale.value == 0).any():
        yield NotChecked("the loss scale fell to 0 (AMP001): skipped steps are not counted from there on")
        return
    plan = _plan(run, epochs)
    if plan is not None:
        found = _against(run, plan, epochs, share)
        if found is not None:
            yield found
    elif (note := _unplanned(run, epochs)) is not None:
        yield note


def _epochs(run: Run) -> Epochs | None:
    """The whole epochs of this record, None below ``_FEWEST``; the part of one before a resumed record is none."""
    ends = np.array(sorted({e.step for e in run.events if e.kind == "end_epoch" and e.step > 0}), dtype=np.int64)
    loss = run.get("train/loss") or run.series["count/backward"]
    first = int(loss.step[0]) - 1
    edges = np.append(first, ends[ends > first]) if first == 0 else ends[ends > first]
    if edges.size <= _FEWEST:
        return None
    grown = {kind: _grown(run, kind, edges) for kind in ("forward", "backward", "optimizer", "skipped")}
    return Epochs(
        int(edges[0]), np.diff(edges).astype(np.float64), grown["forward"], grown["backward"],
        grown["optimizer"] + grown["skipped"],
    )  # fmt: skip


def _grown(run: Run, kind: str, edges: Ints) -> Floats:
    counter = run.get(f"count/{kind}")
    if counter is None or not len(counter.finite):
        return np.zeros(edges.size - 1)
    values = np.clip(held(counter.finite, edges), 0.0, 2.0**53)
    return np.maximum(np.diff(values), 0.0)


def _plan(run: Run, epochs: Epochs) -> Plan | None:
    """The declared plan whose batches are those that the loop goes through, as far as known."""
    said = [(s, "_".join(s.words), s.number) for s in declared.settings(run)]
    whole = [(s, key, int(n)) for s, key, n in said if n is not None and 1 <= n < 2**53 and n == int(n)]
    sizes = [(s, n) for s, key, n in whole if _SAMPLES.fullmatch(key)]
    batches = [(s, n) for s, key, n in whole if _BATCH.fullmatch(key) and not {"eval", "val", "test"} & s.parents]
    accumulated = next((s for s, key, _ in whole if key.startswith(("accum", "gradient_accum", "grad_accum"))), None)
    for size, n in sizes:
        for batch, b in batches:
            per_epoch = -(-n // b)
            if per_epoch >= _LEAST_BATCHES and _goes_through(epochs, per_epoch):
                settings = (size, batch, *([accumulated] if accumulated else []))
                each = None if accumulated is None else int(accumulated.number or 1)
                return Plan(settings, per_epoch, each)
    return None


def _goes_through(epochs: Epochs, batches: int) -> bool:
    """Whether an epoch has about so many calls or forwards."""
    seen = [float(np.median(counts)) for counts in (epochs.calls, epochs.forwards)]
    return any(abs(n - batches) <= max(1.0, _NEAR * batches) for n in seen)


def _against(run: Run, plan: Plan, epochs: Epochs, share: float) -> Finding | None:
    n = epochs.steps.size
    planned = plan.batches / (plan.accumulate or 1)
    if planned < _LEAST_BATCHES:
        return None
    made, wanted = float(epochs.steps.sum()), planned * n
    low, high = stats.wilson(min(made, wanted), wanted, _SURE)
    few_passes = float(np.median(epochs.backward)) <= share * plan.batches
    if not high < share or not (few_passes or plan.accumulate is not None):
        return None
    said = ", ".join(s.said for s in plan.settings)
    where = (
        f"{_per(epochs.backward, 'backward pass')} an epoch: the loss is closed outside the loop over batches"
        if few_passes
        else "fewer than declared, though each batch has its backward pass"
    )
    return _finding(
        run,
        f"{_per(epochs.steps, 'optimizer step')} an epoch, {planned:.4g} planned ({said}): {made / wanted:.1%} "
        f"[{low:.1%}, {high:.1%}] over {n} epochs; {where}",
        epochs, made, wanted, (low, high), "warning",
        tuple(declared.cited(run, setting) for setting in plan.settings),
    )  # fmt: skip


def _unplanned(run: Run, epochs: Epochs) -> Finding | None:
    """A note where each epoch has at least ``_LEAST_BATCHES`` times as many calls or forwards as backward passes."""
    many = np.maximum(epochs.calls, epochs.forwards)
    if not ((epochs.backward >= 1) & (many >= 2 * _LEAST_BATCHES) & (many >= _LEAST_BATCHES * epochs.backward)).all():
        return None
    made, seen = float(epochs.backward.sum()), float(many.sum())
    what = "run.losses call" if epochs.calls.sum() >= epochs.forwards.sum() else "training forward"
    interval = stats.wilson(made, seen, _SURE)
    return _finding(
        run,
        f"{_per(epochs.backward, 'backward pass')} for {_per(many, what)} in each of {many.size} epochs: unless the "
        "losses are summed on purpose, only the last batch is learned from",
        epochs, made, seen, interval, "note", (),
    )  # fmt: skip


def _per(counts: Floats, what: str) -> str:
    n = float(np.median(counts))
    return f"{n:.4g} {what}" if n == 1 else f"{n:.4g} {what}{'es' if what.endswith('ss') else 's'}"


def _finding(
    run: Run,
    message: str,
    epochs: Epochs,
    made: float,
    wanted: float,
    interval: stats.Interval,
    severity: Severity,
    more: tuple[Evidence, ...],
) -> Finding:
    name = "count/backward" if severity == "note" else "count/optimizer"
    last = run.series[name]
    text = f"{made:.0f} in these epochs, {wanted:.0f} called for; the share of them [interval]"
    counted = Evidence(name, float(last.value[-1]), int(last.step[-1]), interval=interval, text=text)
    return Finding(message, step=epochs.begin, evidence=(counted, *more), remedies=_REMEDIES, severity=severity)
