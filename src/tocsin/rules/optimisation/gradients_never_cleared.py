"""OPT016 gradients-never-cleared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.movement import held
from tocsin.run import Run, Series

_FEWEST, _STARTS, _SURE = 32, 64, 0.99
_HALF = 0.5


@rule(
    "OPT016",
    needs=("count/carried", "count/backward"),
    severity="warning",
    explains=(
        "AMP003", "EVL001", "EVL002", "GEN001", "GEN002", "GEN004", "OBJ009", "OPT004", "OPT005", "OPT007", "OPT010",
        "OPT011", "OPT012", "PRD001", "PRD002", "PRD003", "PRD004", "PRD007", "PRD008", "PRD009", "PRD010", "PRD012",
        "RUN004",
    ),
    live=True,
)  # fmt: skip
def gradients_never_cleared(run: Run, *, share: float = 0.2) -> Iterator[Finding | NotChecked]:
    """Gradients that an optimizer step has used are used again: nothing clears them in between.

    ## What it does
    The recorder follows one parameter tensor. A backward pass is *carried* when it adds to a gradient that a completed
    step of the tensor's own optimizer has used already, and the next step then uses the sum. That the gradient was
    untouched in between is told by its identity and version counter at each pass, and confirmed by its values on
    sampled steps. Of n passes since some step, k were carried. It fires when the 99 % Wilson interval of k / n lies
    above `share`, and is an error when it lies above one half.

    Gradients accumulated over several batches before a step, and those that another network's loss leaves behind and
    that are cleared before the next step (adversarial training), are not counted.

    ## Why is this bad?
    The optimizer then follows the sum of all gradients since the start instead of the latest. It is a momentum that
    never decays: the loss falls at first, then oscillates and blows up, and a smaller learning rate only delays that.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(64, 16, 4):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(64, 16, 4):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward(); optimizer.step(); optimizer.zero_grad()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Call `optimizer.zero_grad()` after each step (or before the first backward pass of each). The learning
      rate may have been tuned to the sum: look at it again.

    ## Options
    - `share` = 0.2: one step in five on stale gradients. A choice; a healthy loop has none.

    ## Known limits
    Needs 32 backward passes. One tensor is followed: a parameter group that alone is never cleared goes unseen unless
    the tensor is in it. Nothing is counted where looks at the values contradict each other.

    ## References
    None: a count.
    """
    carried, backward = run.series["count/carried"].finite, run.series["count/backward"].finite
    if not len(carried) or not len(backward) or backward.value[-1] < _FEWEST:
        yield NotChecked(f"needs {_FEWEST} counted backward passes")
        return
    grown = carried.step[np.flatnonzero(np.diff(carried.value, prepend=0.0) > 0)]
    starts = grown[np.linspace(0, grown.size - 1, min(_STARTS, grown.size)).astype(int)] if grown.size else grown
    for start in [0, *starts.tolist()]:
        passes, used = _since(backward, start), _since(carried, start)
        low, high = stats.wilson(min(used, passes), passes, _SURE) if passes >= _FEWEST else stats.NAN
        if low > share:
            yield _finding(carried, start, passes, min(used, passes), (low, high))
            return


def _since(counter: Series, start: int) -> int:
    before = float(held(counter, np.array([start]))[0])
    grown = float(counter.value[-1]) - before
    return int(max(0.0, grown)) if np.isfinite(grown) and grown < 2**53 else 0


def _finding(carried: Series, start: int, passes: int, used: int, interval: stats.Interval) -> Finding:
    low, high = interval
    since = f"since step {start}" if start else "so far"
    return Finding(
        f"{used} of {passes} backward passes {since} ({used / passes:.0%} [{low:.0%}, {high:.0%}]) added to a gradient "
        "that an optimizer step had used already: the gradients are not cleared",
        step=start,
        evidence=(
            Evidence(
                carried.name, float(carried.value[-1]), int(carried.step[-1]), interval=interval,
                text="share of the backward passes that added to a used gradient",
            ),
        ),
        remedies=(Remedy("Call optimizer.zero_grad() after each step; look at the learning rate again"),),
        severity="error" if low > _HALF else "warning",
    )  # fmt: skip
