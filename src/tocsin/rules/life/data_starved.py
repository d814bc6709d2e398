"""RUN005 data-starved."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run, Series

_WARM, _SAMPLES, _POINTS = 8, 12, 20
_LOADER = (
    Remedy("Raise num_workers, use persistent_workers, pin_memory and prefetch_factor", safe=True),
    Remedy("Decode and resize once, beforehand; keep small data in memory", safe=True),
)
_LEAK = (
    Remedy("Keep numbers, not tensors with their graph: loss.item(), or detach() before appending", safe=True),
    Remedy("Look for lists, caches and figures that grow with the steps", safe=True),
)


@rule("RUN005", needs=("time/data_s | memory/rss_mib",), severity="warning", when="end", live=True)
def data_starved(
    run: Run, *, share: float = 0.3, wasted_s: float = 600.0, grown: float = 0.25, grown_mib: float = 512.0
) -> Iterator[Finding | NotChecked]:
    """A large part of the run is spent waiting for data, or its memory grows to the end.

    ## What it does
    **Waiting.** With `d_i` the seconds from the end of a step to the next training forward and `s_i` those of the
    whole step, at the sampled steps after the first 8, it fires when the lower end of the 95 % interval of the mean of
    `d_i / s_i` (Student, widened for autocorrelation) is above `share`; a note while the time lost, that share of the
    run's seconds, is below `wasted_s`. tocsin's own time is taken off; on CUDA both are measured on the device.

    **Memory.** With `m` the resident memory in the later half of the run, it fires when the Theil-Sen slope of m is
    positive by its 95 % interval in that half and in each of its two halves, and the lower end of the slope times the
    steps of that half is above `grown_mib` and above `grown` of its level: it does not level off. A note where the
    growth is below 4 times `grown_mib`.

    ## Why is this bad?
    A GPU that waits costs what a working one costs. Memory that grows with the steps ends the run when it is out,
    often after days.

    ## Example
    ```python
    at = np.arange(1, 401, 8)
    run = Run.of(
        series={"time/step_s": Series.of("", np.full(50, 4.0), step=at, time=4.0 * at),
                "time/data_s": Series.of("", 3 + 0.2 * np.sin(at), step=at, time=4.0 * at)},
        exit="finished",
    )
    ```
    Use instead:
    ```python
    at = np.arange(1, 401, 8)
    run = Run.of(
        series={"time/step_s": Series.of("", np.full(50, 1.0), step=at, time=1.0 * at),
                "time/data_s": Series.of("", 0.02 + 0.01 * np.sin(at), step=at, time=1.0 * at)},
        exit="finished",
    )
    ```

    ## Fix
    - **safe** More loader workers, prefetching, data prepared beforehand.
    - **safe** Keep numbers instead of tensors with their graph.

    ## Options
    - `share` = 0.3: of the step; below it, faster loading gains less than the noise between machines.
    - `wasted_s` = 600: ten minutes; what nobody waited for is a note.
    - `grown` = 0.25, `grown_mib` = 512: growth over the later half of the run; caches that fill stop before it.

    ## Known limits
    Needs 12 samples after the first 8, for memory 20 points in the later half. Waiting is seen where the watched
    model's own forward begins a step; under `torch.compile` it is not. A loop that augments on the device, or computes
    anything else before the forward, waits as well by this measure. Loader workers' own memory is not counted.

    ## References
    Mohan et al. 2021, Analyzing and mitigating data stalls in DNN training. Sen 1968.
    """
    ratios = _ratios(run)
    memory = run.get("memory/rss_mib")
    half = memory.finite if memory is not None else None
    half = half[len(half) // 2 :] if half is not None else None
    if ratios is None and (half is None or len(half) < _POINTS):
        yield NotChecked(f"needs {_SAMPLES} sampled waits after the first {_WARM}, or {2 * _POINTS} points of memory")
        return
    if ratios is not None and (found := _waiting(run, ratios, share, wasted_s)):
        yield found
    if half is not None and len(half) >= _POINTS and (found := _growing(half, grown, grown_mib)):
        yield found


def _ratios(run: Run) -> Series | None:
    """Share of each sampled step that was spent waiting; None below ``_SAMPLES``."""
    step, data = run.get("time/step_s"), run.get("time/data_s")
    if step is None or data is None:
        return None
    at, i, j = np.intersect1d(step.step, data.step, return_indices=True)
    whole, waited = step.value[i], data.value[j]
    good = np.isfinite(whole) & np.isfinite(waited) & (whole > 0) & (waited >= 0) & (at > _WARM)
    if good.sum() < _SAMPLES:
        return None
    return Series.of("", np.clip(waited[good] / whole[good], 0, 1), step=at[good])


def _waiting(run: Run, ratios: Series, share: float, wasted_s: float) -> Finding | None:
    mean = float(ratios.value.mean())
    low, high = stats.mean_interval(ratios.value) if np.ptp(ratios.value) else (mean, mean)
    if not low > share:
        return None
    data = run.series["time/data_s"]
    ends = data.time[np.isfinite(data.time)]
    took = float(ends[-1]) if ends.size else math.nan
    lost = mean * took
    cost = f": {_in_words(lost)} of {_in_words(took)} so far" if math.isfinite(lost) else ""
    at = int(np.flatnonzero(data.step == ratios.step[-1])[-1])
    message = (
        f"{mean:.0%} [{low:.0%}, {high:.0%}] of the step time is spent waiting for data (median "
        f"{np.median(data.finite.value):.2g} s a step){cost}"
    )
    evidence = (
        Evidence(data.name, float(data.value[at]), int(data.step[at]), share, (low, high), "share of the step"),
    )
    severity: Severity = "warning" if lost > wasted_s else "note"
    return Finding(message, "waiting", int(ratios.step[0]), evidence, _LOADER, severity)


def _in_words(seconds: float) -> str:
    return f"{seconds / 3600:.2g} h" if seconds >= 3600 else f"{seconds / 60:.2g} min"


def _growing(half: Series, grown: float, grown_mib: float) -> Finding | None:
    parts = (half, half[: len(half) // 2], half[len(half) // 2 :])
    slopes = [stats.trend(p.step, p.value) for p in parts]
    steps = float(half.step[-1] - half.step[0])
    least, level = slopes[0].low * steps, float(np.median(half.value[: max(1, len(half) // 10)]))
    if not (all(s.rising for s in slopes) and least > max(grown_mib, grown * level)):
        return None
    per = 1000 * slopes[0].slope
    message = (
        f"resident memory still grows by {per:,.0f} [{1000 * slopes[0].low:,.0f}, {1000 * slopes[0].high:,.0f}] MiB in "
        f"1000 steps: {level:,.0f} MiB at step {half.step[0]}, {half.value[-1]:,.0f} MiB at step {half.step[-1]}"
    )
    interval = (slopes[0].low, slopes[0].high)
    evidence = (
        Evidence(half.name, float(half.value[-1]), int(half.step[-1]), level, interval, "MiB; interval: MiB a step"),
    )
    severity: Severity = "warning" if least > 4 * grown_mib else "note"
    return Finding(message, "memory", int(half.step[0]), evidence, _LEAK, severity)
