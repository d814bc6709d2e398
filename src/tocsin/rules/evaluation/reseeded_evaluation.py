"""EVL009 reseeded-evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_FIRST = 5
_NAME, _INPUT = "rng/fingerprint/train", "input/fingerprint/train"
_REMEDIES = (
    Remedy("Give the evaluation a generator of its own, or restore the global state after it (torch.random.fork_rng)"),
    Remedy("Seed once, before training; where an epoch must be repeatable, seed with seed + epoch"),
)


@dataclass(frozen=True)
class Epoch:
    """The random state before the first forwards of one epoch, and what these forwards were given."""

    step: int
    state: float
    after: tuple[float, ...]
    inputs: tuple[float, ...]
    between: set[float] = field(default_factory=set)


@rule("EVL009", needs=(_NAME,), severity="warning", explains=("DAT003",), live=True)
def reseeded_evaluation(run: Run, *, epochs: int = 3) -> Iterator[Finding | NotChecked]:
    """Every epoch of training draws the same random numbers: something sets the random state back.

    ## What it does
    Each epoch e gives `s_e`, the fingerprint of the global random states (torch, numpy, `random`) before its first
    training forward; further fingerprints are taken before the second one and before the evaluations. The state was set
    back between two epochs d < e if `s_d = s_e` though another fingerprint was seen in between: generators of this
    kind come back by themselves once in 2^128 draws and more. It fires when that happened so that `epochs` epochs began
    with the same state, and training uses it:

    - training forwards or what lies between them draw numbers (the state before the second forward differs from that
      before the first): dropout masks, noise or augmentation repeat; or
    - the first 5 inputs of these epochs are the same, in the same order, and earlier epochs that began with another
      state (where there are any) had others; epochs of fewer batches are exempt.

    Else silent, above all where nothing draws from the global state, and where each *evaluation* begins with the same
    state while training goes on with its own: a fixed evaluation is good practice.

    ## Why is this bad?
    `seed_everything(42)` at the top of `evaluate()` makes evaluations comparable, and restarts the shuffle, the
    augmentation and the dropout of training after each of them: the network sees one fixed sequence of batches and
    crops in every epoch. The training loss then falls faster than it should, and the evaluations do not follow.

    ## Example
    ```python
    model, data = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1)), torch.randn(40, 4)
    optimizer = torch.optim.Adam(model.parameters())
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for epoch in range(4):
            torch.manual_seed(42)
            for x in data[torch.randperm(40)].split(5):
                loss = (model(x) - 1).square().mean()
                optimizer.zero_grad(); loss.backward(); optimizer.step()
                watched.losses(total=loss)
            watched.end_epoch()
    run = run_dir
    ```
    Use instead:
    ```python
    model, data = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1)), torch.randn(40, 4)
    optimizer = torch.optim.Adam(model.parameters())
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for epoch in range(4):
            torch.manual_seed(42 + epoch)
            for x in data[torch.randperm(40)].split(5):
                loss = (model(x) - 1).square().mean()
                optimizer.zero_grad(); loss.backward(); optimizer.step()
                watched.losses(total=loss)
            watched.end_epoch()
    run = run_dir
    ```

    ## Fix
    - **unsafe** Give the evaluation its own `torch.Generator`, or wrap it in `torch.random.fork_rng()`.
    - **unsafe** Seed once before training, or with `seed + epoch`.

    ## Options
    - `epochs` = 3: epochs with the same state. One repetition may be a restart from a checkpoint that keeps the state.

    ## Known limits
    Needs `run.end_epoch()` and 3 epochs; a loop without epochs is not checked. Sees the global generators of the
    process that trains: a `generator=` of your own and the workers of a data loader have others. A model under
    `torch.compile` gives no fingerprints. Where every epoch begins with the same state, data that are never shuffled
    look like a shuffle that repeats.

    ## References
    PyTorch, "Reproducibility" (notes on randomness). Picard 2021, torch.manual_seed(3407) is all you need.
    """
    seen = _epochs(run)
    if len(seen) < epochs:
        yield NotChecked(f"needs {epochs} epochs, told by run.end_epoch(), it has {len(seen)}")
        return
    repeated = _first_to_repeat(seen, epochs)
    if repeated is None:
        return
    draws = all(e.after and e.after[0] != e.state for e in repeated)
    first, before = repeated[0], seen[: seen.index(repeated[-1])]
    same = bool(first.inputs) and all(e.inputs == first.inputs for e in repeated)
    same = same and all(e.inputs != first.inputs for e in before if e.state != first.state)
    if draws or same:
        yield _finding(run, seen, repeated, draws, same)


def _epochs(run: Run) -> list[Epoch]:
    """The epochs of the record in order, each with every state that was seen from its first forward to the next's."""
    train = run.series[_NAME].finite
    marks = [train] + ([other.finite] if (other := run.get("rng/fingerprint/eval")) is not None else [])
    found: list[Epoch] = []
    for e in np.unique(train.epoch[np.isfinite(train.epoch)]):
        mine = train[np.flatnonzero(train.epoch == e)]
        first, last = int(mine.step[0]), _end(train, float(e))
        between = {float(v) for s in marks for v in s.value[(s.step >= first) & (s.step <= last)]}
        after = tuple(float(v) for v in mine.value[1:2])
        found.append(Epoch(first, float(mine.value[0]), after, _inputs(run, float(e)), between))
    return found


def _end(train: Series, epoch: float) -> float:
    """The step before the first forward of the next epoch."""
    later = train.step[train.epoch > epoch]
    return float(later[0]) - 1 if later.size else np.inf


def _inputs(run: Run, epoch: float) -> tuple[float, ...]:
    """Fingerprints of the first inputs of an epoch; empty where fewer than ``_FIRST`` differ: they may be all."""
    inputs = run.get(_INPUT)
    values = () if inputs is None else tuple(float(v) for v in inputs.value[inputs.epoch == epoch][:_FIRST])
    return values if len(set(values)) == _FIRST else ()


def _first_to_repeat(seen: list[Epoch], least: int) -> list[Epoch] | None:
    """The first ``least`` epochs that begin with one state, which was set back each time; None if none was."""
    found: dict[float, list[Epoch]] = {}
    moved: dict[float, bool] = {}
    for epoch in seen:
        same = found.setdefault(epoch.state, [])
        if not same or moved[epoch.state]:
            same.append(epoch)
        moved = {**moved, epoch.state: False}
        moved = {s: m or epoch.between != {s} for s, m in moved.items()}
        if len(same) == least:
            return same
    return None


def _finding(run: Run, seen: list[Epoch], repeated: list[Epoch], draws: bool, same: bool) -> Finding:
    first, again = repeated[0], repeated[1]
    what = " and ".join(
        ["training draws from it between its forwards (dropout, noise, augmentation)"] * draws
        + [f"the first {_FIRST} inputs are the same in each of them"] * same
    )
    own = seen[0].state == first.state
    where = (
        "each epoch begins by setting it" if own else "something sets it after the first epoch, as an evaluation may"
    )
    evaluated = run.get("rng/fingerprint/eval")
    fixed = evaluated is not None and len(np.unique(evaluated.value)) < len(evaluated) / 2
    also = "; the evaluations begin with one state too" if fixed else ""
    often = sum(e.state == first.state for e in seen)
    message = (
        f"{often} of {len(seen)} epochs begin with the same random state ({where}), though it moved in between; "
        f"{what}{also}"
    )
    evidence = tuple(
        Evidence(_NAME, e.state, e.step, text="fingerprint before the first training forward") for e in repeated[:3]
    )
    return Finding(message, "", again.step, evidence, _REMEDIES)
