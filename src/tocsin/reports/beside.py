"""A score in words, beside what the best constant prediction would have had."""

from __future__ import annotations

import math

from tocsin.findings import SUPPOSED, Score
from tocsin.reports.plain import figure

_SAME = 0.01  # ends of a range nearer than this are shown as one


def beside(score: Score) -> str:
    """``0.52 (best constant 0.69)``; says where the constant, or predicting zero, is not beaten."""
    best = "" if score.constant is None else "best constant "
    return f"{figure(score.value)} ({best}{constant(score)}{'' if beaten(score) else ', not beaten'})"


def constant(score: Score) -> str:
    """``0.69``, or a range where it is not known which form was logged."""
    if score.constant is None:
        return "undefined for a constant"
    low, high = score.constant
    one = high - low <= _SAME * max(abs(low), abs(high))
    words = figure(low) if one else f"{figure(round_(low))} to {figure(round_(high))}"
    words += f" +- {score.error:.1g}" if score.error else ""
    words += ", as given" if score.of == "given" else f" {score.of}" if score.of.startswith(SUPPOSED) else ""
    return words + (f"; zero costs {figure(score.zero)}" if above_zero(score) else "")


def round_(value: float) -> float:
    """Three significant digits: the ends of a range need no more."""
    return float(f"{value:.3g}") if math.isfinite(value) else value


def beaten(score: Score) -> bool:
    """Whether a score is better than the best constant's at its best; never denied of a loss that is only supposed."""
    if score.constant is None or score.of.startswith(SUPPOSED):
        return True
    low, high = score.constant
    return score.value < low if score.sign < 0 else score.value > high


def above_zero(score: Score) -> bool:
    """Whether a loss is higher than that of predicting zero."""
    told = not score.of.startswith(SUPPOSED)
    return told and score.sign < 0 and score.zero is not None and score.value > score.zero
