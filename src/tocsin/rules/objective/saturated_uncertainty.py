"""OBJ008 saturated-uncertainty."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin import loss_names, metrics, stats
from tocsin.constant_values import HALF_LOG_2PI
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.movement import starved
from tocsin.reference_losses import number
from tocsin.run import Run, Series

_REMEDIES = (
    Remedy("Print the predicted sigma of one batch: at the bound for every sample, its gradient is 0", True),
    Remedy("Start the scale head at the targets' spread (bias = ln sd of the target), or standardise the targets"),
    Remedy("Bound the scale smoothly (softplus, or a soft clamp) in place of clamp(), which passes no gradient"),
)
_CUSTOMARY = (1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 7.0, 7.5, 10.0)  # ln sigma_max: clamps of ln sigma, or half of ln v
_USUAL = 2.0  # ln sigma <= 2 is so common that its level is known even where the loss is not
_KEY = re.compile(
    r"^(?:(?P<log>log_?)?(?P<of>var(?:iance)?|sigma|std|scale)_?(?:max|clamp|upper)|max_?(?P<log2>log_?)?(?P<of2>var(?:iance)?|sigma|std|scale))$",
    re.I,
)
_SAYS = frozenset(
    re.findall(r"\w+", "nll gnll gaussian gaussiannll likelihood uncertainty aleatoric heteroscedastic")
) - {"nll"}
_SCALE = re.compile(
    r"(?:^|[._])(?:log_?)?(?:var(?:iances?)?|sigmas?|std|sd|stdev|scales?|deviations?|uncertainty)\d*(?:$|[._])", re.I
)
_FEWEST = 5
_GIANT = 100.0  # no cross-entropy begins so high: ln of a vocabulary is below 13


@dataclass(frozen=True)
class Level:
    """What a Gaussian likelihood costs with its scale at the upper bound and no error: ln s_max (+ ln sqrt(2 pi)).

    ``sure``: that the loss is one is said by more than its level.
    """

    value: float
    sigma: float
    told: Evidence | None = None
    sure: bool = True


@rule(
    "OBJ008",
    needs=(),
    severity="warning",
    explains=("GEN002", "GEN004", "OBJ009", "OPT001", "OPT002", "PRD004", "PRD006"),
)
def saturated_uncertainty(
    run: Run, *, share: float = 0.3, near: float = 0.01, spike: float = 5.0
) -> Iterator[Finding | NotChecked]:
    """A Gaussian likelihood sits at the clamp of its predicted scale: the head no longer learns.

    ## What it does
    With a scale s <= s_max and a residual r, the loss of a sample is

        ln s + r^2 / (2 s^2) [+ ln sqrt(2 pi)],   least at the clamp: L0 = ln s_max [+ .9189].

    Judges each loss, total or term, of training or evaluation: the last half of its values, at most 200 and at least 8.
    Rings when

    - at least 5 of them, and of their share the lower end of Wilson's 99 % interval times 2, at least `share`, lie
      within `near` above L0 (rounding of the print apart), and no more than a tenth as many below it;
    - as few as a third of that lie in the next window of the same width above `3 near`: a pile, not a slope;
    - the loss stood `spike` or more above L0 before, or 100 where neither name nor configuration says that it is a
      Gaussian likelihood: the scale was driven up to its bound by likelihoods at a tiny scale. Or, where the scale was
      beyond its bound from the start and no spike is to be seen: a trainable tensor that is called a scale
      (`log_var`, `sigma`, `deviation`, ...) received a gradient in every one of >= 8 samples, and it was exactly 0.

    s_max is told by the configuration (`log_sigma_max`, `max_logvar`, ...). Otherwise customary clamps are tried
    (ln s_max = 1, 2, 2.5, 3, 3.5, 4, 5, 7, 7.5, 10) where the name of the term, or the configured loss, says a
    likelihood; and for any name the one of ln s_max = 2 with its constant: L0 = ln(e^2 sqrt(2 pi)) = 2.9189.

    ## Why is this bad?
    A hard clamp passes no gradient to what is beyond it, and with a scale so large the mean gets next to none either.
    The number looks calm, and the head is dead: in a published run 49 % of the steps were within .01 of 2.9189.

    ## Example
    ```python
    rng = np.random.default_rng(0)
    fall = 3e6 * np.exp(-np.arange(60) / 3.0) + 2.9189
    stuck = 2.9189 + 0.004 * rng.random(200)
    run = Run.of(series={"train/loss/peak_amplitude": np.r_[fall, stuck], "train/loss": np.r_[fall, stuck] + 1})
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(0)
    fall = 30 * np.exp(-np.arange(260) / 12.0)
    run = Run.of(series={"train/loss/peak_amplitude": fall + 0.9 + 0.1 * rng.random(260)})
    ```

    ## Fix
    - **safe** Print the predicted scale: the same bound everywhere says it.
    - **unsafe** Standardise the targets, begin at their spread, bound the scale smoothly.
    - **unsafe** beta-NLL weighs each sample by its scale, so that large scales do not starve the mean.

    ## Options
    - `share` (.3): the published case had .49 over the whole log; a healthy loss passes through a window of .01.
    - `near` (.01): r^2 / (2 s^2) with s = e^2 and standardised targets is .009.
    - `spike` (5): nats. A scale that is too large from the start comes down by its gradient.

    ## Known limits
    Other clamps are found only if the configuration names them. A clamp from below (tiny scales, falling likelihoods)
    is OBJ004's. A likelihood that is summed over outputs, or weighted, has another level.

    ## References
    Nix and Weigend 1994 (Gaussian likelihood with a predicted variance). Seitzer et al. 2022, On the pitfalls of
    heteroscedastic uncertainty estimation (beta-NLL).
    """
    judged, shut = False, _shut(run)
    for name, series in run.series.items():
        if "loss" not in name.split("/") or name.startswith("loss/"):
            continue
        seen = series.finite
        judged |= len(seen) >= 8
        for level in _levels(run, name, shut is not None) if len(seen) >= 8 else ():
            finding = _at(seen, name, level, share, near, spike, shut)
            if finding is not None:
                yield finding
                break
    if not judged:
        yield NotChecked("needs 8 finite values of a loss or one of its terms")


def _levels(run: Run, name: str, shut: bool) -> list[Level]:
    """What to look for: all customary clamps where something says that it is a likelihood, else the one."""
    configured = [
        Level(sigma + c, math.exp(sigma), e) for sigma, e in _configured(run.config) for c in (HALF_LOG_2PI, 0.0)
    ]
    loss = loss_names.loss_of(run, name)
    sure = shut or bool(_SAYS & set(loss_names.words(name))) or (loss is not None and loss.family == "Gaussian NLL")
    if sure or (loss is not None and loss.family == "NLL"):
        return configured + [Level(s + c, math.exp(s), None, sure) for s in _CUSTOMARY for c in (HALF_LOG_2PI, 0.0)]
    return [*configured, Level(_USUAL + HALF_LOG_2PI, math.exp(_USUAL), None, False)]


def _configured(config: Any, head: str = "", depth: int = 5) -> Iterator[tuple[float, Evidence]]:
    """Logarithm of sigma_max as the configuration gives it."""
    for key, value in list(config.items())[:500] if isinstance(config, Mapping) and depth else ():
        dotted = f"{head}.{key}" if head else str(key)
        said = _KEY.match(str(key))
        end = number(value[-1] if isinstance(value, list | tuple) and value else value)
        if said is not None and end is not None:
            is_log, of = said["log"] or said["log2"], (said["of"] or said["of2"]).lower()
            logged = end if is_log else math.log(end) if end > 0 else math.nan
            if -20 < logged < 40:
                text = "the upper bound of the predicted scale"
                yield logged / (2 if of.startswith("var") else 1), Evidence(f"config:{dotted}", None, text=text)
        else:
            yield from _configured(value, dotted, depth - 1)


def _shut(run: Run) -> Series | None:
    """The gradient norm of a tensor that is called a scale, where it is there and exactly 0 in every sample."""
    for p in starved(run):
        count, norm = run.get(f"grad/count/{p.name}"), run.get(f"grad/norm/{p.name}")
        if _SCALE.search(p.name) and norm is not None and count is not None and count.value.all():
            return norm
    return None


def _at(
    series: Series, name: str, level: Level, share: float, near: float, spike: float, shut: Series | None
) -> Finding | None:
    values = series.value
    slack = metrics.half_unit([values]) + 1e-3
    tail = values[-min(200, max(8, len(values) // 2)) :]
    above = tail - level.value
    at = int(np.count_nonzero((above >= -slack) & (above <= near + slack)))
    below = int(np.count_nonzero(above < -slack))
    beyond = int(np.count_nonzero((above > 3 * near) & (above <= 4 * near + 2 * slack)))
    low = stats.wilson(at, tail.size, 0.99)[0]
    if at < _FEWEST or 2 * low < share or at < share * tail.size or 10 * below > at or 3 * beyond > at:
        return None
    within = np.flatnonzero((values - level.value >= -slack) & (values - level.value <= near + slack))
    before = np.flatnonzero(values >= level.value + (spike if level.sure else max(spike, _GIANT)))
    if shut is not None:
        proof = Evidence(shut.name, 0.0, int(shut.step[-1]), text=f"exactly 0 in each of {len(shut)} samples")
        scale = shut.name.removeprefix("grad/norm/")
        first, begin, how = int(within[0]), 0, f"the gradient of {scale} is exactly 0 in each of {len(shut)} samples"
    elif before.size and (within > before[0]).any():
        first, top = int(within[within > before[0]][0]), int(before[np.argmax(values[before])])
        proof = Evidence(name, float(values[top]), int(series.step[top]), text="the spike before")
        begin, how = int(series.step[first]), f"before, it was up to {values[top]:.3g}"
    else:
        return None
    return Finding(
        f"{name}: {at} of its last {tail.size} values are {level.value:.4g} within {near:g}, which is what a Gaussian "
        f"likelihood costs with sigma at a bound of {level.sigma:.4g} and no error; {how}",
        subject=name,
        step=begin,
        evidence=(
            Evidence(
                name, float(values[first]), int(series.step[first]), level.value,
                text=f"the first at the clamp; of the last {tail.size} values {100 * at / tail.size:.2g} % are there",
            ),
            proof,
            *([level.told] if level.told else []),
        ),
        remedies=_REMEDIES,
    )  # fmt: skip
