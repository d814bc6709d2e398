"""OPT011 dead-relu."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.learning import fallen
from tocsin.movement import starved
from tocsin.run import Run, Series

WHOLE = 0.99  # all units but one in a hundred
CALLS = 64  # training losses that a verdict about their trend needs
EARLY = 16  # the first forwards are not measured: the hooks wait until they know that the model is not compiled
CUT_OFF = 0.1  # share of the trainable entries: as in OPT001 and OPT002
LEARNED = 0.1  # of the first loss: a run that has lost so much of it has learned something
REMEDIES = (
    Remedy("Lower the learning rate, or lengthen its warm-up: one large step can push a whole layer below zero"),
    Remedy(
        "Check the scale and the bias of the layer before it (He initialisation, bias 0) and the scale of its input"
    ),
    Remedy("LeakyReLU or GELU in place of ReLU: their gradient does not vanish"),
)


@rule(
    "OPT011",
    needs=("act/dead_frac/*", "train/loss"),
    explains=("GEN002", "GEN004", "OBJ009", "OPT001", "OPT002", "OPT006", "PRD002", "PRD009", "PRD011", "RUN004"),
    live=True,
)
def dead_relu(run: Run, *, share: float = 0.9, samples: int = 8, moved: float = 0.1) -> Iterator[Finding | NotChecked]:
    """The units of a ReLU layer are 0 for every input, and the loss stands still.

    ## What it does
    d = share of a ReLU's units (or channels) that are exactly 0 for all samples of a batch. A layer is *dead* when d
    >= 0.99 in each of its last `samples` samples, and *mostly dead* when d exceeds `share` in each of them (were the
    median of d lower, the chance of that would be 2^-8; their least and largest value bound the median at 99 %).
    Rings when, in addition, the training loss has stood still since d became so large: the Theil-Sen interval of its
    slope over the calls since then contains 0, or its fall is below `moved` of its level. For a layer that is mostly
    dead the loss must also have fallen by less than a tenth in the whole run: sparse codes leave most units silent in
    a batch, and learn. A dead layer is an error where nothing was learned before it died, and a note where the loss
    falls in spite of it (a branch that nothing uses yet, a residual block). It is an error, too, if it was dead from
    the start and a tenth or more of the trainable entries got exactly no gradient in any of >= 8 samples: the loss may
    then still fall, to what the last biases alone can reach.

    ## Why is this bad?
    The derivative of ReLU is 0 below 0: a unit that is silent for every input receives no gradient and cannot come
    back. Of a whole layer nothing before it learns any more; what comes after it sees a constant.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    nn.init.constant_(model[0].bias, -20.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=8) as watched:
        for x in torch.randn(128, 64, 8):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=8) as watched:
        for x in torch.randn(128, 64, 8):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** A lower learning rate or a longer warm-up.
    - **unsafe** He initialisation with bias 0; inputs of mean 0 and sd 1.
    - **unsafe** LeakyReLU or GELU.

    ## Options
    - `share` (0.9): healthy sparse networks have 30 to 50 % of their units silent in one batch, wide ones more.
    - `samples` (8): as many as the dense start has.
    - `moved` (0.1): of the loss level; what an early plateau may leave undecided.

    ## Known limits
    Sees `nn.ReLU` and `nn.ReLU6`, not the functions, and nothing under `torch.compile`. Which units are silent is not
    recorded: 95 % that change from batch to batch look like 95 % dead. Batches that give a unit fewer than 16 values
    are not measured.

    ## References
    Lu et al. 2020, "Dying ReLU and Initialization", section 3. He et al. 2015 (initialisation).
    """
    found = {name: s.finite for name, s in run.family("act/dead_frac").items() if len(s.finite) >= samples}
    if not found or len(run.series["train/loss"].finite) < CALLS:
        yield NotChecked(f"needs {samples} samples of act/dead_frac and {CALLS} training losses")
        return
    for name, s in found.items():
        last = s.value[-samples:]
        whole = bool(np.all(last >= WHOLE))
        if not (whole or last.min() > share) or last.max() > 1:
            continue
        begin = _begin(s, WHOLE if whole else share)
        still, learned = _stands_still(run, begin, moved), fallen(run.series["train/loss"].finite) > LEARNED
        severity: Severity = "note" if not still else "warning" if learned else "error"
        outcome = "the training loss has stood still since" if still else "the loss falls all the same"
        if whole and begin == 0 and severity != "error" and (cut := _cut_off(run)) >= CUT_OFF:
            severity, outcome = "error", f"{cut:.0%} of the trainable entries never got a gradient"
        if whole or (still and not learned):
            ends = float(last.min()), float(last.max())
            yield _finding(name, s, begin, ends, severity if whole else "warning", outcome)


def _cut_off(run: Run) -> float:
    """Share of the trainable entries that got exactly no gradient in any sample."""
    trained = sum(p.size for p in run.parameters if p.requires_grad and p.in_optimizer)
    return sum(p.size for p in starved(run)) / trained if trained else 0.0


def _begin(s: Series, level: float) -> int:
    """Step where the stretch at ``level`` or more began that lasts to the end: 0 where no early sample is below it."""
    below = np.flatnonzero(s.value < level)
    first = min(below[-1] + 1 if below.size else 0, len(s) - 1)
    return int(s.step[first]) if first or s.step[0] > EARLY else 0


def _stands_still(run: Run, begin: int, moved: float) -> bool:
    """Whether the training loss has not fallen since ``begin``, or by less than ``moved`` of its level."""
    loss = run.series["train/loss"].finite
    loss = loss[np.flatnonzero(loss.step >= begin)]
    if len(loss) < CALLS:
        return False
    line = stats.trend(loss.step, loss.value)
    span = float(loss.step[-1] - loss.step[0])
    return not line.falling or bool(-line.slope * span < moved * abs(float(np.median(loss.value))))


def _finding(
    name: str, s: Series, begin: int, interval: tuple[float, float], severity: Severity, outcome: str
) -> Finding:
    n = int(np.sum(s.step >= begin))
    message = (
        f"{s.value[-1]:.0%} of the units of the ReLU {name} are 0 for every sample of the batch at step "
        f"{int(s.step[-1])}, about as many in each of {n} samples since step {begin}; {outcome}"
    )
    evidence = (
        Evidence(
            f"act/dead_frac/{name}", float(s.value[-1]), int(s.step[-1]), interval=interval, text="share of units"
        ),
    )
    return Finding(message, name, begin, evidence, REMEDIES, severity=severity)
