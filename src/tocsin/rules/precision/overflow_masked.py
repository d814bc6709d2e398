"""AMP002 overflow-masked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Run, Series
from tocsin.stats import Interval, wilson

REMEDIES = (
    Remedy("Remove nan_to_num on gradients: GradScaler skips the step and halves its scale until nothing overflows"),
    Remedy("If the loss itself is NaN or inf, mend that first: no scale repairs it (AMP003)"),
)


@dataclass(frozen=True)
class Judged:
    """Samples that hold a completed or skipped optimizer step, and whether it was masked: shape (n,) each."""

    step: Ints
    masked: NDArray[np.bool_]


@rule(
    "AMP002",
    needs=("grad/nonfinite", "count/optimizer", "amp/scale"),
    severity="error",
    explains=(
        "AMP003", "GEN002", "OBJ002", "OPT001", "OPT003", "PRD001", "PRD002", "PRD003", "PRD004", "PRD007", "PRD010",
        "PRD012",
    ),
    live=True,
)  # fmt: skip
def overflow_masked(run: Run, *, least: int = 3, share: float = 0.01) -> Iterator[Finding | NotChecked]:
    """Overflowing gradients are replaced before the GradScaler sees them, so the loss scale never falls.

    ## What it does
    At a sampled step, the raw gradient (as backward left it) holds n > 0 NaN or inf entries. A scaler must then skip
    the step. The sample is *masked* when the optimizer step that used this gradient was completed all the same, none
    was skipped, and both the loss and the gradient that the optimizer used are finite. Counted since the scale last
    fell or a step was last skipped (a scaler that backs off sees its overflows), it fires when

    masked >= `least` and the lower end of the 95 % Wilson interval of masked / judged samples > `share`.

    Fewer masked samples are a note at the end of the run. Under gradient accumulation a sample spans the calls of one
    optimizer step, and the gradient is the accumulated one.

    ## Why is this bad?
    An overflow is how the GradScaler learns that its scale is too high. `nan_to_num` on the gradients hides it: the
    scale stays (or grows), every later step overflows too, and the optimizer is fed zeros, or a sea of equal
    numbers divided by the scale. `nan=0.0` alone masks as well, since inf - inf and 0 * inf are NaN.

    ## Example
    ```python
    model, cast = nn.Linear(4, 1), torch.autocast("cpu", dtype=torch.float16)
    optimizer, scaler = torch.optim.Adam(model.parameters()), torch.amp.GradScaler("cpu", init_scale=2.0**24)
    with tocsin.watch(model, optimizer, run_dir=run_dir, scaler=scaler, every=1) as watched:
        for x in torch.randn(40, 16, 4):
            with cast:
                loss = (model(x) - 1).square().mean()
            optimizer.zero_grad(); scaler.scale(loss).backward()
            for p in model.parameters():
                p.grad.nan_to_num_(nan=0.0, posinf=1.0, neginf=-1.0)
            scaler.step(optimizer); scaler.update()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model, cast = nn.Linear(4, 1), torch.autocast("cpu", dtype=torch.float16)
    optimizer, scaler = torch.optim.Adam(model.parameters()), torch.amp.GradScaler("cpu", init_scale=2.0**24)
    with tocsin.watch(model, optimizer, run_dir=run_dir, scaler=scaler, every=1) as watched:
        for x in torch.randn(40, 16, 4):
            with cast:
                loss = (model(x) - 1).square().mean()
            optimizer.zero_grad(); scaler.scale(loss).backward()
            scaler.step(optimizer); scaler.update()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Remove the sanitiser: the first steps are skipped, then training differs, as intended.
    - **unsafe** If it must stay for another reason, run it after `scaler.unscale_(optimizer)`, which looks for
      overflow first; the scaler then still skips the step.

    ## Options
    - `least` (3): masked samples; a single one may be a batch that was cleared by hand.
    - `share` (0.01): a healthy scaler meets one overflow in each growth interval of 2000 steps (.0005); the limit is
      twenty times that.

    ## Known limits
    Judges mixed precision only: without a GradScaler there is no `amp/scale`, and a sanitiser at work in bfloat16 or
    float32 is not looked for. A loss that is itself NaN or inf is AMP003, masked or not. Silent where a second
    optimizer skips in the same step. Non-finite gradients of tensors that no scaled optimizer holds look masked. A
    sanitiser inside a tensor hook runs before the raw gradient is read and cannot be seen.

    ## References
    Micikevicius et al. 2018, "Mixed precision training", section 3.2 (loss scaling; skip the update on overflow).
    """
    judged = _judge(run)
    if judged is None:
        yield NotChecked("no sample holds an optimizer step: count/optimizer does not advance there")
        return
    since = _last_back_off(run)
    first = np.flatnonzero(judged.masked & (judged.step > since))
    if not first.size:
        return
    step, masked = judged.step[first[0] :], judged.masked[first[0] :]
    hits, n = int(masked.sum()), int(masked.size)
    interval = wilson(hits, n)
    loud = hits >= least and interval[0] > share
    if loud or run.exit != "running":
        last = int(step[np.flatnonzero(masked)[-1]])
        message = _message(run, hits, n, interval, int(step[0]), since)
        yield Finding(message, "", int(step[0]), _evidence(run, last, interval), REMEDIES, "error" if loud else "note")


def _judge(run: Run) -> Judged | None:
    """Which sampled overflows were followed by a completed step; None when no sample can be judged."""
    raw, scale = run.series["grad/nonfinite"], run.series["amp/scale"]
    done, skipped = (_grown(run.get(f"count/{name}"), raw.step) for name in ("optimizer", "skipped"))
    # On an accelerator a skip shows in the scale only at the next row, so the last sample waits for one.
    known = (done + skipped > 0) & (raw.step < scale.step[-1])
    if not known.any():
        return None
    applied = run.get("grad/applied_nonfinite")
    reached = applied.step[applied.value != 0] if applied is not None else []
    overflow = raw.value != 0  # NaN counts: it is not 0
    masked = overflow & (done > 0) & (skipped == 0) & ~np.isin(raw.step, reached)
    loss = run.get("train/loss")
    if loss is not None:  # a loss that is itself NaN or inf is no overflow of the scale
        masked &= ~np.isin(raw.step, loss.step[~np.isfinite(loss.value)])
    return Judged(raw.step[known], masked[known])


def _grown(counter: Series | None, steps: Ints) -> Floats:
    """By how much a count grew in each of ``steps``."""
    if counter is None:
        return np.zeros(steps.size)
    before, after = (np.searchsorted(counter.step, at, side="right") for at in (steps - 1, steps))
    values = np.concatenate([[0.0], counter.value])
    grown: Floats = values[after] - values[before]
    return grown


def _last_back_off(run: Run) -> int:
    """The last step at which the scale fell or a step was skipped; 0 if never."""
    scale = run.series["amp/scale"]
    falls = scale.step[1:][np.diff(scale.value) < 0]
    skipped = run.get("count/skipped")
    skips = np.zeros(0, np.int64) if skipped is None else skipped.step[np.diff(skipped.value, prepend=0.0) > 0]
    return int(max([0, *falls.tolist()[-1:], *skips.tolist()[-1:]]))


def _message(run: Run, hits: int, n: int, interval: Interval, begin: int, since: int) -> str:
    scale = run.series["amp/scale"]
    kept = "never fell" if not since else f"has not fallen since step {since}"
    return (
        f"{hits} of {n} samples since step {begin} ({hits / n:.0%} [{interval[0]:.0%}, {interval[1]:.0%}]) had NaN or "
        f"inf in the raw gradient, yet the optimizer stepped on finite numbers each time and none was skipped: "
        f"something replaces them before the scaler looks, and its scale of {scale.value[-1]:.4g} {kept}"
    )


def _evidence(run: Run, last: int, interval: Interval) -> tuple[Evidence, ...]:
    raw, scale, done = run.series["grad/nonfinite"], run.series["amp/scale"], run.series["count/optimizer"]
    at = int(np.flatnonzero(raw.step == last)[-1])
    return (
        Evidence(raw.name, float(raw.value[at]), last, 0.0, interval, "entries; interval: share of masked samples"),
        Evidence(scale.name, float(scale.value[-1]), int(scale.step[-1]), text="loss scale, not backed off"),
        Evidence(done.name, float(done.value[-1]), int(done.step[-1]), text="completed optimizer steps"),
    )
