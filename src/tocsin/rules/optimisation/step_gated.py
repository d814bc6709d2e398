"""OPT013 step-gated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import declared, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.movement import held
from tocsin.run import Ints, Run, Series

_FEWEST, _STARTS, _SURE = 32, 64, 0.99
_HALF = 0.5
_REMEDIES = (
    Remedy("Take optimizer.step() out of the condition, or put zero_grad() into it: clear only what was used"),
    Remedy("To accumulate on purpose, divide the loss by the number of batches and clear once a step", safe=False),
    Remedy("If a GradScaler skips these steps, pass it: watch(..., scaler=scaler)", safe=True),
)


@dataclass(frozen=True)
class Wasted:
    """Backward passes since ``begin`` (0: the start), those cleared unused, and the calls with and without a step."""

    begin: int
    passes: int
    cleared: int
    calls: int
    steps: int

    @property
    def interval(self) -> stats.Interval:
        """Share of the passes whose gradient nothing used, 99 % Wilson interval."""
        return stats.wilson(self.cleared, self.passes, _SURE)

    @property
    def without_step(self) -> float:
        """Share of the calls in which no optimizer step was completed or skipped."""
        return 1 - self.steps / self.calls if self.calls else 0.0


@rule(
    "OPT013",
    needs=("count/cleared", "count/backward", "count/optimizer"),
    severity="warning",
    explains=(
        "EVL002", "GEN002", "GEN003", "GEN004", "OBJ009", "OPT001", "OPT004", "OPT008", "OPT009", "OPT014", "OPT015",
        "PRD001", "PRD002", "PRD003", "PRD004", "PRD007", "PRD008", "PRD009", "PRD010", "PRD012", "RUN004",
    ),
    live=True,
)  # fmt: skip
def step_gated(run: Run, *, share: float = 0.2) -> Iterator[Finding | NotChecked]:
    """Gradients are computed and cleared again before any optimizer step uses them.

    ## What it does
    The recorder follows one parameter tensor and counts the backward passes whose gradient was cleared (set to None or
    zeroed in place) before an optimizer completed a step, or a GradScaler skipped one. Of n passes since some step, k
    were cleared so. It fires when the 99 % Wilson interval of k / n lies above `share`, and more than `share` of the
    `run.losses` calls went by without any optimizer step: a loop that takes extra passes and drops them (adversarial
    examples) still makes its step in each call. It is an error when the interval lies above one half.

    Gradients that are kept until a step uses them are no fault, however many batches they come from, and a step that
    the GradScaler skips has been asked for. So has one that is left out because its loss is not finite (AMP003).

    ## Why is this bad?
    `if step % 10 == 0: optimizer.step()` beside a `zero_grad()` in each iteration throws nine batches of ten away. The
    loss falls, ten times slower; a schedule counted in steps never gets where it should, an average of the weights
    lags, and each conclusion about what the network can learn rests on a tenth of the training.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for k, x in enumerate(torch.randn(64, 16, 4)):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward()
            if k % 10 == 0:
                optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for k, x in enumerate(torch.randn(64, 16, 4)):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean() / 8
            loss.backward()
            if k % 8 == 7:
                optimizer.step(); optimizer.zero_grad()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Step on every batch, or clear only after a step. Either changes how much is learned; the learning rate
      and the schedule may have been tuned to the gate.

    ## Options
    - `share` = 0.2: a fifth of the training thrown away costs as much as a fifth of the data. A choice; guards that
      drop a rare batch (a gradient norm out of bounds, an early stop within a PPO update) stay far below.

    ## Known limits
    Needs 32 backward passes. The counts are absent where the recorder cannot tell: closures (LBFGS), parameters moved
    by hand, under `torch.compile` of the backward pass. Calls of `run.losses` inside the gate hide it. With several
    optimizers a clearing counts only if none of the others steps before the next one.

    ## References
    None: a count.
    """
    cleared, backward, done = (run.series[f"count/{kind}"].finite for kind in ("cleared", "backward", "optimizer"))
    if not len(cleared) or not len(backward) or not len(done) or backward.value[-1] < _FEWEST:
        yield NotChecked(f"needs {_FEWEST} counted backward passes")
        return
    found = _worst(run, cleared, backward, done, share)
    if found is not None:
        yield _finding(run, found, cleared, done)


def _worst(run: Run, cleared: Series, backward: Series, done: Series, share: float) -> Wasted | None:
    """The longest stretch up to now in which more than ``share`` is wasted for sure."""
    grown = cleared.step[np.flatnonzero(np.diff(cleared.value, prepend=0.0) > 0)]
    starts = grown[np.linspace(0, grown.size - 1, min(_STARTS, grown.size)).astype(int)] if grown.size else grown
    skipped = run.get("count/skipped")
    for start in [0, *starts.tolist()]:
        at = np.array([start, backward.step[-1]], dtype=np.int64)
        passes, lost, steps = (_between(s, at) for s in (backward, cleared, done))
        steps += 0 if skipped is None else _between(skipped.finite, at)
        left_out = _without_a_number(run, at)
        steps, lost = steps + left_out, max(0, lost - left_out)
        wasted = Wasted(start, passes, min(lost, passes), int(at[1] - max(at[0], backward.step[0] - 1)), steps)
        if passes >= _FEWEST and wasted.interval[0] > share and wasted.without_step > share:
            return wasted
    return None


def _without_a_number(run: Run, at: Ints) -> int:
    """Losses that are NaN or infinite: a loop that takes no step on them guards its weights."""
    loss = run.get("train/loss")
    if loss is None:
        return 0
    return int(np.sum((loss.step > at[0]) & (loss.step <= at[1]) & ~np.isfinite(loss.value)))


def _between(counter: Series, at: Ints) -> int:
    if not len(counter):
        return 0
    before, after = held(counter, at)
    return int(max(0.0, after - before)) if np.isfinite(after - before) and after - before < 2**53 else 0


def _finding(run: Run, found: Wasted, cleared: Series, done: Series) -> Finding:
    low, high = found.interval
    planned = next((s for s in declared.settings(run) if _accumulates(s)), None)
    detail = f"; {planned.said}, but nothing is accumulated" if planned is not None else ""
    since = f"since step {found.begin}" if found.begin else "so far"
    return Finding(
        f"{found.cleared} of {found.passes} backward passes {since} ({found.cleared / found.passes:.0%} "
        f"[{low:.0%}, {high:.0%}]) were cleared before any optimizer step used them: {found.steps} steps in "
        f"{found.calls} calls{detail}",
        step=found.begin,
        evidence=(
            Evidence(
                cleared.name, float(cleared.value[-1]), int(cleared.step[-1]), interval=(low, high),
                text="share of the backward passes whose gradient nothing used",
            ),
            Evidence(
                done.name, float(done.value[-1]), int(done.step[-1]), text="steps completed so far"
            ),
        ),
        remedies=_REMEDIES,
        severity="error" if low > _HALF else "warning",
    )  # fmt: skip


def _accumulates(setting: declared.Setting) -> bool:
    """Whether a setting declares gradient accumulation over more than one batch."""
    number = setting.number
    return number is not None and number > 1 and any(word.startswith("accum") for word in setting.words)
