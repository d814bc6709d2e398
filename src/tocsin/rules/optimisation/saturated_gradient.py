"""OPT003 saturated-gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Parameter, Run, Series
from tocsin.stats import wilson, z_of

SAMPLED = 1024  # entries of a tensor that the probe looks at
QUANTA = 16 * 2.0**-24  # 16 times the smallest subnormal of float16
REMEDIES = (
    Remedy("If it is clip_grad_value_, use clip_grad_norm_: it keeps the direction"),
    Remedy("If it is nan_to_num(posinf=...), remove it: the value is made up, and the scaler cannot see the overflow"),
)


@rule("OPT003", needs=("grad/at_max_frac/*", "parameters"), explains=("GEN002",), live=True)
def saturated_gradient(
    run: Run, *, share: float = 0.05, entries: int = 256, tensors: int = 2, samples: int = 8
) -> Iterator[Finding | NotChecked]:
    """A mass of gradient entries sits exactly at the largest magnitude: they were clamped or made up.

    ## What it does
    f = share of a tensor's non-zero applied gradient entries whose magnitude equals the largest one exactly, out of
    m entries looked at. A tensor of >= `entries` entries is saturated in a sample when the lower end of the 95 %
    Wilson interval of f (m looked at) exceeds `share`. Fires when >= `tensors` tensors are saturated in the same
    sample, in so many of the last `samples` samples that the lower end of that interval exceeds one half (7 of 8).

    Left out: samples whose applied gradient is not finite; f = 1 (every entry has one size: a sign method, or an L1
    loss on a linear output) unless the raw gradient had NaN or inf; and gradients so small that float16 can only give
    them a few values: a largest entry below 16 subnormal steps of 2^-24, loss scale included. Exact zeros never count.

    ## Why is this bad?
    Clamping by value bends the direction of the step, not only its length; what the clamp removes is the relative
    size of the large entries, which is the part that mattered. After `nan_to_num(posinf=1)` the entries
    are not gradients at all.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(40, 64, 32):
            loss = (model(x) - x.cumsum(1)).square().mean()
            optimizer.zero_grad(); loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), 0.02)
            optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```
    Use instead:
    ```python
    model = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with tocsin.watch(model, optimizer, run_dir=run_dir, every=1) as watched:
        for x in torch.randn(40, 64, 32):
            loss = (model(x) - x.cumsum(1)).square().mean()
            optimizer.zero_grad(); loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.02)
            optimizer.step()
            watched.losses(total=loss)
    run = run_dir
    ```

    ## Fix
    - **unsafe** Clip by norm instead of by value, or raise the limit until it is rarely met.
    - **unsafe** Remove `nan_to_num` from the gradients (AMP002).

    ## Options
    - `share` (0.05): of a continuous gradient, one entry in m is the largest; bfloat16, with 128 values in each
      binade, puts at most about 1 in 128 entries of a flat distribution on it.
    - `entries` (256): smaller tensors repeat a value by chance of structure (biases, one-hot inputs).
    - `tensors` (2): one tensor alone can be built so (the last layer under an L1 loss).
    - `samples` (8): samples looked back on; the dense start has as many.

    ## Known limits
    Silent about a clamp that catches less than `share` of the entries, or every entry. Wrong for binary inputs with
    one sample a batch, where whole rows of a weight gradient are equal, if two such layers exist.

    ## References
    Zhang et al. 2020, "Why gradient clipping accelerates training", section 2 (clipping by norm).
    """
    eligible = [p for p in run.parameters if p.size >= entries and run.get(f"grad/at_max_frac/{p.name}") is not None]
    if len(eligible) < tensors:
        yield NotChecked(f"fewer than {tensors} tensors of {entries} entries or more were measured")
        return
    recent = sorted({int(t) for p in eligible for t in _top(run, p).step[-samples:]})[-4 * samples :]
    _, _, late = _judge(run, eligible, recent[0], share, tensors)
    late = late[-samples:]
    if late.size < samples:
        yield NotChecked(f"{late.size} samples with an optimizer step, {samples} are needed")
        return
    if not wilson(float(late.sum()), late.size)[0] > 0.5:
        return
    hits, steps, bad = _judge(run, eligible, 0, share, tensors)
    begin, last = _begin(bad, samples), int(np.flatnonzero(bad)[-1])
    top = {p: float(_at(h, steps[last : last + 1])[0]) for p, h in hits.items()}
    yield _finding({p: f for p, f in top.items() if f > 0}, len(eligible), steps[[begin, last]], bad[begin:], share)


def _top(run: Run, p: Parameter) -> Series:
    return run.series[f"grad/at_max_frac/{p.name}"]


def _judge(
    run: Run, eligible: list[Parameter], since: int, share: float, tensors: int
) -> tuple[dict[Parameter, Series], Ints, NDArray[np.bool_]]:
    """Hits by tensor, the steps of all samples from ``since`` on, and whether enough tensors were saturated there."""
    hits = {p: _hits(run, p, since, share) for p in eligible}
    steps = np.unique(np.concatenate([h.step for h in hits.values()]))
    count = np.zeros(steps.size, dtype=np.int64)
    for h in hits.values():
        count[np.searchsorted(steps, h.step)] += h.value > 0
    return hits, steps, count >= tensors


def _hits(run: Run, p: Parameter, since: int, share: float) -> Series:
    """The samples that can be judged: the share at the largest magnitude where saturated, else 0."""
    top = _top(run, p)
    top = top[int(np.searchsorted(top.step, since)) :]
    zeros, raw, scale, overflow, broken = (
        _at(run.get(name), top.step, default)
        for name, default in (
            (f"grad/zero_frac/{p.name}", 0.0),
            (f"grad/norm/{p.name}", math.inf),
            ("amp/scale", 1.0),
            ("grad/nonfinite", 0.0),
            ("grad/applied_nonfinite", 0.0),
        )
    )
    f, looked = top.value, min(p.size, SAMPLED) * (1 - zeros)
    # The lower end of a Wilson interval exceeds p0 exactly where the score test rejects p0.
    enough = f - share > z_of(0.95) * np.sqrt(share * (1 - share) / np.maximum(looked, 1))
    one_size = (f == 1) & ~(overflow > 0)
    tiny = raw / np.sqrt(np.maximum(1, f * p.size)) * scale < QUANTA
    judged = (f >= 0) & (f <= 1) & (looked >= 1) & (broken == 0)
    return Series.of("", np.where(enough & ~one_size & ~tiny, f, 0.0)[judged], top.step[judged])


def _at(series: Series | None, steps: Ints, default: float = 0.0) -> Floats:
    """Values recorded at exactly these steps; ``default`` where there is none."""
    if series is None or not len(series):
        return np.full(steps.size, default)
    at = np.searchsorted(series.step, steps).clip(max=len(series) - 1)
    return np.where(series.step[at] == steps, series.value[at], default)


def _begin(bad: NDArray[np.bool_], samples: int) -> int:
    """Index of the first bad sample after the last ``samples`` good ones in a row."""
    at = np.flatnonzero(bad)
    rests = np.flatnonzero(np.diff(at) > samples)
    return int(at[rests[-1] + 1 if rests.size else 0])


def _finding(top: dict[Parameter, float], of: int, span: Ints, bad: NDArray[np.bool_], share: float) -> Finding:
    begin, last = (int(step) for step in span)
    worst = sorted(top, key=lambda p: -top[p])
    low, high = wilson(float(bad.sum()), bad.size)
    message = (
        f"{top[worst[0]]:.0%} of the non-zero gradient entries of {worst[0].name} have exactly the largest magnitude "
        f"at step {last} (a continuous gradient has one); {len(top)} of {of} tensors are so, in {int(bad.sum())} "
        f"of {bad.size} samples since step {begin} [{low:.0%}, {high:.0%}]: a clamp, or a value put in for inf"
    )
    evidence = tuple(
        Evidence(f"grad/at_max_frac/{p.name}", top[p], last, share, (low, high), "interval: of samples")
        for p in worst[:3]
    )
    return Finding(message, "", begin, evidence, REMEDIES)
