"""PRD011 constant-head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Evaluation, Moments, Run, Window

_LEAST = 20
_BOUND = 0.95  # of the sample at one value: a head that sits there
_REMEDIES = (
    Remedy("Look at the head's input and last layer: a bound, a dead unit, a detached branch, a mask", True),
    Remedy(
        "Record a baseline for this output: run.evaluate(..., baseline='ridge'); without information it is right", True
    ),
    Remedy("Start the head's bias at the target's mean, inside its bounds, and give its loss term weight"),
)


@dataclass(frozen=True)
class Head:
    """One output that hardly answers to its input.

    Attributes:
        moments: Its moments.
        ratio: sd(prediction) / sd(target), ``high`` its upper 99 % bound.
        bound: The value at which nearly all predictions sit, NaN where there is none.
        share: Share of the sample at the bound, ``low`` its lower 99 % bound.
    """

    moments: Moments
    ratio: float
    high: float
    bound: float
    share: float
    low: float


@rule("PRD011", needs=("evaluations:regression",), explains=("OBJ009", "PRD004", "PRD006", "PRD007"))
def constant_head(run: Run, *, spread: float = 0.02, working: float = 0.2) -> Iterator[Finding | NotChecked]:
    """One output of several is nearly constant while others work.

    ## What it does
    Judges settled predictions: the last 3 evaluations once the evaluation loss no longer falls or the run is over. The
    heads are the outputs of all regression tasks of one split, at least 2. Rings when in each of these evaluations one
    of them

    - has sd(prediction) < `spread` sd(target), the upper 99 % bound of the ratio below 2 `spread`; or
    - sits at its bound: 95 % of the sampled predictions and more (99 % Wilson lower bound above .8) are exactly the
      largest or the smallest one, where fewer than half of the targets are that value;

    while another head works: its correlation with the target is above 0 (99 % Fisher interval) and it has at least
    `working` of the target's spread.

    A head that sits at a bound is a warning. Without information, shrinking to a constant is right, so a head of small
    spread is a warning only where a recorded baseline of the task has skill on that output (correlation above 0, 99 %
    Fisher interval); else it is a note. Heads without any spread are PRD002's, which explains this.

    ## Why is this bad?
    The mean over the outputs hides that one of them was never learned: its loss term only adds a constant.

    ## Example
    ```python
    t, e = np.random.default_rng(0).normal(size=(2, 300))
    works, stuck = Moments.of(t, 0.8 * t + 0.3 * e), Moments.of(np.abs(e), np.maximum(0.0, t - 2.4))
    run = Run.of(evaluations=[Evaluation("val", "q", s, "regression", 300, moments=(works, stuck)) for s in (1, 2, 3)])
    ```
    Use instead:
    ```python
    t, e = np.random.default_rng(0).normal(size=(2, 300))
    works, also = Moments.of(t, 0.8 * t + 0.3 * e), Moments.of(np.abs(e), 0.5 * np.abs(e) + 0.4)
    run = Run.of(evaluations=[Evaluation("val", "q", s, "regression", 300, moments=(works, also)) for s in (1, 2, 3)])
    ```

    ## Fix
    - **safe** Look at the head: a clamp or ReLU at its bound has no gradient there.
    - **safe** Record a baseline for the output; without information a constant is the right answer.
    - **unsafe** Replace the bound by a smooth one, start the bias at the target's mean, raise the term's weight.

    ## Options
    - `spread` (.02): shrunken heads that still held an answer gave .03 and more; collapsed ones 7e-5 and 0.
    - `working` (.2): correct shrinkage at r = .2.

    ## Known limits
    Heads are compared within a split. Needs 20 sampled pairs. Classification heads are judged by PRD002 and PRD009.

    ## References
    Wilson 1927 (interval); Fisher 1921 (correlation); sd ratio by its normal log, sd sqrt(1 / (n - 1)).
    """
    judged = False
    groups = run.of_kind("regression")
    for key, evaluations in groups.items():
        others = [kept for other, kept in groups.items() if other != key and kept[0].split == evaluations[0].split]
        settled = run.settled(evaluations)
        heads = len(settled[-1].moments) + sum(len(kept[-1].moments) for kept in others) if settled else 0
        judged |= heads >= 2 and any(len(m.sample_target) >= _LEAST for m in settled[-1].moments)
        look = partial(_alone, others=others, spread=spread, working=working)
        signs, stretch = run.persisting(evaluations, partial(look, sure=True), partial(look, sure=False))
        if signs:
            yield _finding(run, key, signs, stretch, spread)
    if not judged:
        yield NotChecked(f"needs {SETTLED} of at least 2 regression outputs")


def _alone(
    window: Window, *, others: list[list[Evaluation]], spread: float, working: float, sure: bool
) -> Mapping[int, Head]:
    """The stuck heads, where another one of the newest evaluation works; ``sure``: in each evaluation, by interval."""
    newest = window[-1]
    looked = window if sure else (newest,)
    found = [_stuck(evaluation, spread, sure) for evaluation in looked]
    signs = {i: head for i, head in found[-1].items() if all(i in each for each in found)}
    beside = [e for kept in others for e in kept if e.step == newest.step]
    working_here = [i for i, m in enumerate(newest.moments) if i not in signs and _works(m, working)]
    return signs if working_here or any(_works(m, working) for e in beside for m in e.moments) else {}


def _works(moments: Moments, working: float) -> bool:
    return _skill(moments) and moments.s >= working


def _skill(moments: Moments) -> bool:
    """Whether its correlation with the target is above 0, autocorrelation allowed for."""
    size = stats.paired_size(moments.sample_target, moments.sample_prediction)
    return stats.fisher_interval(moments.r, size, 0.99)[0] > 0


def _stuck(evaluation: Evaluation, spread: float, sure: bool) -> dict[int, Head]:
    heads = {i: _head(m) for i, m in enumerate(evaluation.moments) if len(m.sample_target) >= _LEAST and m.s >= 0}
    return {i: head for i, head in heads.items() if _is_stuck(head, spread, sure)}


def _is_stuck(head: Head, spread: float, sure: bool) -> bool:
    if not math.isnan(head.bound) and (not sure or head.low > 0.8):
        return True
    return head.ratio < spread and (not sure or head.high < 2 * spread)


def _head(m: Moments) -> Head:
    size = max(2.0, stats.effective_size(m.sample_prediction))
    high = m.s * math.exp(stats.z_of(0.99) / math.sqrt(size - 1))
    ends = {v: int(np.sum(m.sample_prediction == v)) for v in (m.min_prediction, m.max_prediction)}
    bound = max(ends, key=ends.__getitem__)
    n, at = len(m.sample_prediction), ends[bound]
    sits = at >= _BOUND * n and np.mean(m.sample_target == bound) < 0.5 and m.min_prediction < m.max_prediction
    return Head(m, m.s, high, bound if sits else math.nan, at / n, stats.wilson(at, n, 0.99)[0])


def _finding(run: Run, key: str, signs: list[int], stretch: list[Evaluation], spread: float) -> Finding:
    last = stretch[-1]
    heads = {i: _head(last.moments[i]) for i in signs}
    skilled = {i: name for i in signs if (name := _skilled(run, key, i))}
    bounded = [i for i in signs if not math.isnan(heads[i].bound)]
    said = "; ".join(_said(i, heads[i], last, skilled.get(i, "")) for i in signs[:3])
    more = f"; and {len(signs) - 3} more outputs" if len(signs) > 3 else ""
    return Finding(
        f"{key}: {said}{more}, while other outputs work; {since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(_evidence(key, last.step, i, heads[i], spread) for i in signs[:5]),
        remedies=_REMEDIES,
        severity=None if bounded or skilled else "note",
    )


def _skilled(run: Run, key: str, index: int) -> str:
    """The first recorded baseline of the task that has skill on this output; "" for none."""
    for name, kept in run.baselines(key).items():
        moments = kept[-1].moments
        if index < len(moments) and len(moments[index].sample_target) >= _LEAST and _skill(moments[index]):
            return name
    return ""


def _said(index: int, head: Head, last: Evaluation, baseline: str) -> str:
    name = f"output {index}" if len(last.moments) > 1 else "its output"
    also = f" (the baseline {baseline} has skill there)" if baseline else ""
    if not math.isnan(head.bound):
        return f"{name} sits at its bound {head.bound:.4g} for {100 * head.share:.3g} % of the inputs{also}"
    return f"{name} has {head.ratio:.2g} of its target's spread (at most {head.high:.2g}){also}"


def _evidence(key: str, step: int, index: int, head: Head, spread: float) -> Evidence:
    if not math.isnan(head.bound):
        return Evidence(
            f"evaluation:{key}",
            head.share,
            step,
            limit=0.5,
            interval=(head.low, 1.0),
            text=f"output {index} at its bound",
        )
    return Evidence(
        f"evaluation:{key}", head.ratio, step, limit=spread, interval=(0.0, head.high), text=f"output {index}: sd ratio"
    )
