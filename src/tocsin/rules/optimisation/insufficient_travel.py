"""OPT009 insufficient-travel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, movement, schedules
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run, Series

_LEAST_STEPS = 20
_PER_STEP = {"adagrad": 1.0, "adamax": 1.0, "lion": 1.0, "rmsprop": 10.0, "adam": 3.2}  # the most, in learning rates
_REMEDIES = (
    Remedy("Compare the learning rate that runs with the one that was meant: a division, a unit, a schedule's factor"),
    Remedy("Raise the learning rate by 10 until the loss moves, then find the largest that is stable"),
)


@dataclass(frozen=True)
class Reach:
    """How far the parameters can have gone: as a share of their size at the start, and by which bound."""

    share: float
    words: str


@rule(
    "OPT009",
    needs=("param/norm", "parameters", "count/optimizer"),
    severity="error",
    when="end",
    explains=(
        "GEN002", "GEN004", "OBJ003", "OBJ009", "OPT004", "PRD001", "PRD002", "PRD003", "PRD010", "PRD012", "PRD004",
        "PRD009", "EVL002", "RUN004",
    ),
    live=True,
)  # fmt: skip
def insufficient_travel(run: Run, *, share: float = 0.03) -> Iterator[Finding | NotChecked]:
    """The learning rates of all steps together cannot have moved the parameters far enough to learn.

    ## What it does
    With `r_i` the learning rate of the completed optimizer step i (of the group where it is largest), `N` their number
    and `theta_0` the trainable parameters at the first sample, it bounds how far a parameter can have gone:

    - Adam and its kin: `T = c sum r_i`, with c = (1 - b1) / sqrt(1 - b2) = 3.2 (AdaGrad, Adamax, Lion: 1; RMSprop: 10);
    - SGD: `T = sum r_i g_i / (1 - m) / sqrt(n)`, from the norms `g_i` of the applied gradients at the samples around
      step i (the larger one) and, for want of the momentum, m = 0.9.

    It fires when `T < share * RMS(theta_0)` and the training loss stands still: the 95 % interval of its Theil-Sen
    change over the run excludes a fall of 5 %, the estimate one of 2 %, and no evaluation improved. A learning rate of
    exactly 0 in all groups and all of N >= 20 steps needs no loss beside it. A note where the run starts from a trained
    model, which may have nothing left to learn.

    ## Why is this bad?
    A network whose parameters end where they began computes what it computed before training: the curves are flat, the
    predictions constant, and every other cause is looked for first. A rate divided by 1000 (by the number of
    batches, a unit, a factor that was applied twice) does it, and so does a schedule that is 0.

    ## Example
    ```python
    norm = Series.of("", [7.0, 7.0], step=[1, 400])
    run = Run.of(
        series={"lr/0": [1e-6], "param/norm": norm, "count/optimizer": np.arange(1, 401),
                "train/loss": 2.3 + 0.05 * np.sin(np.arange(400))},
        parameters=(Parameter("weight", 10_000, True, True),),
        environment={"optimizers": ["AdamW"]}, exit="finished",
    )
    ```
    Use instead:
    ```python
    norm = Series.of("", [7.0, 9.0], step=[1, 400])
    run = Run.of(
        series={"lr/0": [1e-3], "param/norm": norm, "count/optimizer": np.arange(1, 401),
                "train/loss": 0.3 + 2 * np.exp(-np.arange(400) / 90)},
        parameters=(Parameter("weight", 10_000, True, True),),
        environment={"optimizers": ["AdamW"]}, exit="finished",
    )
    ```

    ## Fix
    - **safe** Compare the rate that ran with the one that was meant.
    - **unsafe** Raise the learning rate by 10 until the loss moves.

    ## Options
    - `share` = 0.03: in the limit of lazy training the weights of a layer of n units still move by 1 / sqrt(n) of their
      size (Chizat et al. 2019); n = 1000. The bounds are worst cases: real travel is several times smaller.

    ## Known limits
    Needs 16 values of the loss and 20 completed steps. The size of the parameters is one number for all, so large
    normalisation weights hide small ones. Optimizers without a bound above are not checked unless their rate is 0.
    Silent where the loss is too noisy to exclude a fall of 5 %. A rate of 0 in some groups only is taken for freezing.

    ## References
    Kingma & Ba 2015, Adam, section 2.1 (the bound). Chizat, Oyallon & Bach 2019, On lazy training. Sen 1968.
    """
    done, size = movement.completed(run), _size(run)
    if done < _LEAST_STEPS:
        yield NotChecked(f"needs {_LEAST_STEPS} completed optimizer steps, it has {done}")
        return
    rates = run.family("lr").values()
    if rates and all((s.value == 0).all() for s in rates):
        yield _never_above_zero(run, done)
        return
    rate, stands = schedules.main_rate(run), movement.standing(run)
    if stands is None or rate is None or not size > 0:
        yield NotChecked(f"needs {movement.FEWEST} values of a loss that is to fall, a rate, and the parameters' norm")
        return
    reach = _reach(run, rate, size)
    if reach is None:
        known = ", ".join(movement.optimizers(run)) or "an optimizer that is not known"
        yield NotChecked(f"no bound on the steps of {known}")
    elif reach.share < share and stands.still:
        yield _too_short(run, rate, reach, stands, done, share)


def _size(run: Run) -> float:
    """RMS of the trainable parameters at the first sample."""
    norm, n = run.series["param/norm"].finite, sum(p.size for p in run.parameters if p.requires_grad)
    return float(norm.value[0]) / math.sqrt(n) if len(norm) and n else math.nan


def _reach(run: Run, rate: Series, size: float) -> Reach | None:
    names = movement.optimizers(run)
    if names and all(name == "sgd" for name in names):
        return _of_sgd(run, rate, size)
    each = [next((c for word, c in _PER_STEP.items() if word in name), math.nan) for name in names]
    if not each or not math.isfinite(sum(each)):
        return None
    far = max(each) * movement.path(run, rate)
    return Reach(far / size, f"at most {max(each):g} learning rates a step, {far:.3g} in all")


def _of_sgd(run: Run, rate: Series, size: float) -> Reach | None:
    applied, n = run.get("grad/applied_norm"), sum(p.size for p in run.parameters if p.requires_grad)
    if applied is None or not len(applied.finite):
        return None
    known = applied.finite
    larger = np.maximum(known.value, np.append(known.value[1:], known.value[-1]))
    steps = larger * np.maximum(movement.held(rate, known.step), rate.value.min())
    far = movement.path(run, Series.of("", steps, step=known.step)) / (1 - 0.9) / math.sqrt(n)
    return Reach(far / size, f"rates times applied gradients, {far:.3g} in all with a momentum of 0.9")


def _never_above_zero(run: Run, done: int) -> Finding:
    name, rate = next((f"lr/{group}", s) for group, s in run.family("lr").items())
    message = f"the learning rate is 0 in all {done} completed optimizer steps: nothing can be learned"
    counter = run.series["count/optimizer"]
    return Finding(
        message,
        step=int(rate.step[0]),
        evidence=(
            Evidence(name, 0.0, int(rate.step[0]), text="learning rate"),
            Evidence(counter.name, float(counter.value[-1]), int(counter.step[-1]), text="completed optimizer steps"),
        ),
        remedies=_REMEDIES,
    )


def _too_short(run: Run, rate: Series, reach: Reach, stands: movement.Standing, done: int, limit: float) -> Finding:
    peak = int(np.argmax(rate.value))
    norm = run.series["param/norm"].finite
    message = (
        f"{done} optimizer steps at a learning rate of at most {rate.value[peak]:.3g} can have moved "
        f"the parameters by {reach.share:.2g} of their size ({reach.words}); {stands.words}"
    )
    severity: Severity | None = "note" if learning.fine_tuned(run) else None
    return Finding(
        message,
        step=int(rate.step[0]),
        severity=severity,
        evidence=(
            Evidence(rate.name, float(rate.value[peak]), int(rate.step[peak]), text="the largest learning rate"),
            Evidence(
                norm.name, float(norm.value[0]), int(norm.step[0]), limit, text=f"norm; travel {reach.share:.2g} of it"
            ),
            Evidence("train/loss", stands.value, stands.step, 0.0, (stands.low, stands.high), "relative change"),
        ),
        remedies=_REMEDIES,
    )
