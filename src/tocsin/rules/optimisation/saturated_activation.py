"""OPT012 saturated-activation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.learning import fallen
from tocsin.run import Run, Series

CALLS = 256  # training losses: a warm-up, during which nothing moves, is over by then
EARLY = 16  # the first forwards are not measured: the hooks wait until they know that the model is not compiled
LEARNED = 0.1  # of the first loss: a run that has lost so much of it has learned something
REMEDIES = (
    Remedy("Scale the inputs to mean 0 and sd 1, and initialise for this activation (Xavier)"),
    Remedy("Lower the learning rate: large steps drive the activations to their bounds"),
    Remedy("Put a normalisation before the activation"),
)


@rule(
    "OPT012",
    needs=("act/saturated_frac/*", "train/loss"),
    explains=("GEN002", "GEN004", "OBJ009", "OPT006", "PRD002", "PRD009", "PRD011", "RUN004"),
    live=True,
)
def saturated_activation(
    run: Run, *, share: float = 0.9, samples: int = 8, moved: float = 0.1
) -> Iterator[Finding | NotChecked]:
    """The outputs of a bounded activation sit at its bounds, and nothing is learned.

    ## What it does
    f = share of the outputs of a tanh, sigmoid, softsign, hard sigmoid or hard tanh within 1 % of its range of one of
    its bounds. Rings when f exceeds `share` in each of the last `samples` samples (were the median of f not above it,
    the chance of that would be 2^-8; their least and largest value bound the median at 99 %), the training loss has
    stood still since f became so large (the Theil-Sen interval of its slope over the calls since then leaves room for
    a fall of less than `moved` of its level), and it has fallen by less than a tenth in the whole run. A classifier
    that is sure of itself saturates its last sigmoid, too, after its loss came down.

    ## Why is this bad?
    At a bound the derivative is next to 0 (tanh at 0.98: 0.04; sigmoid at 0.99: 0.01), so the layers before it receive
    hardly any gradient; several such layers leave none.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1), nn.Tanh())
    nn.init.normal_(model[2].weight, std=500.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=16) as watched:
        for x in torch.randn(320, 64, 8):
            loss = (model(x) - 0.3 * x[:, :1].sign()).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1), nn.Tanh())
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=16) as watched:
        for x in torch.randn(320, 64, 8):
            loss = (model(x) - 0.3 * x[:, :1].sign()).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Standardise the inputs; initialise for the activation; normalise before it.
    - **unsafe** A lower learning rate.

    ## Options
    - `share` (0.9): of standard normal inputs tanh has 2 % in this range, sigmoid none; inputs of sd 10 give 82 %.
    - `samples` (8): as many as the dense start has.
    - `moved` (0.1): of the loss level; what an early plateau may leave undecided.

    ## Known limits
    Sees modules, not functions such as `torch.tanh`, and nothing under `torch.compile`. Silent about gates that are
    meant to be open or shut, as long as the loss falls, and about saturated features from which the layers after them
    still learn.

    ## References
    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", section 3.
    """
    found = {name: s.finite for name, s in run.family("act/saturated_frac").items() if len(s.finite) >= samples}
    loss = run.series["train/loss"].finite
    if not found or len(loss) < CALLS:
        yield NotChecked(f"needs {samples} samples of act/saturated_frac and {CALLS} training losses")
        return
    if not fallen(loss) <= LEARNED:
        return
    for name, s in found.items():
        last = s.value[-samples:]
        begin = _begin(s, share)
        if last.min() > share and last.max() <= 1 and _stands_still(loss, begin, moved):
            yield _finding(name, s, begin, (float(last.min()), float(last.max())))


def _begin(s: Series, level: float) -> int:
    """Step where the stretch at ``level`` or more began that lasts to the end: 0 where no early sample is below it."""
    below = np.flatnonzero(s.value < level)
    first = min(below[-1] + 1 if below.size else 0, len(s) - 1)
    return int(s.step[first]) if first or s.step[0] > EARLY else 0


def _stands_still(loss: Series, begin: int, moved: float) -> bool:
    """Whether the training loss cannot have fallen by ``moved`` of its level since ``begin``."""
    since = loss[np.flatnonzero(loss.step >= begin)]
    if len(since) < CALLS:
        return False
    line = stats.trend(since.step, since.value)
    span = float(since.step[-1] - since.step[0])
    return bool(-line.low * span < moved * abs(float(np.median(since.value))))


def _finding(name: str, s: Series, begin: int, interval: tuple[float, float]) -> Finding:
    n = int(np.sum(s.step >= begin))
    message = (
        f"{s.value[-1]:.0%} of the outputs of {name} are within 1 % of the range of a bound at step {int(s.step[-1])} "
        f"({interval[0]:.0%} to {interval[1]:.0%} in the last samples), so in {n} samples since step {begin}; "
        f"the training loss has stood still since"
    )
    source = f"act/saturated_frac/{name}"
    evidence = (Evidence(source, float(s.value[-1]), int(s.step[-1]), interval=interval, text="share of outputs"),)
    return Finding(message, name, begin, evidence, REMEDIES)
