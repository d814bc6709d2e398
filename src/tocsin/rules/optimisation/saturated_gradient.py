"""OPT003 saturated-gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Parameter, Run
from tocsin.stats import wilson

SAMPLED = 16384  # entries of a tensor that the probe looks at
QUANTA = 16 * 2.0**-24  # 16 times the smallest subnormal of float16
REMEDIES = (
    Remedy("If it is clip_grad_value_, use clip_grad_norm_: it keeps the direction"),
    Remedy("If it is nan_to_num(posinf=...), remove it: the value is made up, and the scaler cannot see the overflow"),
)


@dataclass(frozen=True)
class Sampled:
    """One tensor's samples: ``step`` and whether a mass of its entries sat at the largest magnitude."""

    parameter: Parameter
    hits: dict[int, float]


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
    sampled = [Sampled(p, _hits(run, p, share)) for p in eligible]
    steps = sorted({step for s in sampled for step in s.hits})
    bad = np.array([sum(s.hits[t] > 0 for s in sampled if t in s.hits) >= tensors for t in steps], dtype=bool)
    late = bad[-samples:]
    if late.size < samples or not wilson(float(late.sum()), late.size)[0] > 0.5:
        return
    begin = _begin(bad, samples)
    last = int(begin + np.flatnonzero(bad[begin:])[-1])
    hit = [s for s in sampled if s.hits.get(steps[last], 0) > 0]
    yield _finding(hit, len(eligible), steps[begin], steps[last], bad[begin:], share)


def _hits(run: Run, p: Parameter, share: float) -> dict[int, float]:
    """By step of each sample that can be judged: the share at the largest magnitude where saturated, else 0."""
    top, zeros = run.series[f"grad/at_max_frac/{p.name}"], _by_step(run, f"grad/zero_frac/{p.name}")
    raw, scale = _by_step(run, f"grad/norm/{p.name}"), _by_step(run, "amp/scale")
    overflow, broken = _by_step(run, "grad/nonfinite"), _by_step(run, "grad/applied_nonfinite")
    looked = min(p.size, SAMPLED)
    hits = {}
    for step, f in zip(top.step.tolist(), top.value.tolist(), strict=True):
        m = looked * (1 - zeros.get(step, 0.0))
        masked = overflow.get(step, 0.0) > 0
        if not 0 <= f <= 1 or not m >= 1 or broken.get(step, 0.0) != 0:
            continue
        low = wilson(f * m, m)[0]
        one_size = f == 1 and not masked
        largest = raw.get(step, math.inf) / math.sqrt(max(1.0, f * p.size)) * scale.get(step, 1.0)
        hits[step] = f if low > share and not one_size and not largest < QUANTA else 0.0
    return hits


def _by_step(run: Run, name: str) -> dict[int, float]:
    series = run.get(name)
    return {} if series is None else dict(zip(series.step.tolist(), series.value.tolist(), strict=True))


def _begin(bad: NDArray[np.bool_], samples: int) -> int:
    """Index of the first bad sample after the last ``samples`` good ones in a row."""
    good = 0
    begin = 0
    for i, is_bad in enumerate(bad):
        if is_bad and (good >= samples or i == good):
            begin = i
        good = 0 if is_bad else good + 1
    return begin


def _finding(hit: list[Sampled], of: int, begin: int, last: int, bad: NDArray[np.bool_], share: float) -> Finding:
    largest = max(hit, key=lambda s: s.hits[last])
    low, high = wilson(float(bad.sum()), bad.size)
    message = (
        f"{largest.hits[last]:.0%} of the non-zero gradient entries of {largest.parameter.name} have exactly the "
        f"largest magnitude at step {last} (a continuous gradient has one); {len(hit)} of {of} tensors are so, in "
        f"{int(bad.sum())} of {bad.size} samples since step {begin} [{low:.0%}, {high:.0%}]: "
        f"a clamp, or a value put in for inf"
    )
    evidence = tuple(
        Evidence(f"grad/at_max_frac/{s.parameter.name}", s.hits[last], last, share, (low, high), "interval: of samples")
        for s in sorted(hit, key=lambda s: -s.hits[last])[:3]
    )
    return Finding(message, "", begin, evidence, REMEDIES)
