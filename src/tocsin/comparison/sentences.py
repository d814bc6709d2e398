"""What can be said of two arms, as a sentence with its numbers."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.comparison.arms import Arm
from tocsin.comparison.contrasts import Contrast, Noise, Pairs

_NOISES = {"seeds": "between seeds", "samples": "of the evaluation's samples alone"}
_MOST = 6
_OPEN = ("attributed", "one-seed", "unsized", "unexplained")  # a setting that one alone tells may be behind these

MEANINGS: Mapping[str, str] = {
    "different-question": "classes, data or target differ: raw scores cannot be set beside each other",
    "no-score": "one of the two has no such score",
    "within-noise": "the interval holds 0: the two cannot be ranked by it",
    "confounded": "several settings differ: none of them can be named as the cause",
    "one-seed": "beyond the noise of the evaluation, but one seed an arm: repeat both before a cause is named",
    "attributed": "beyond the noise between seeds, and one setting differs",
    "unexplained": "beyond noise, and no setting that both tell differs: what made it was not recorded",
    "unsized": "no noise is known: neither samples of the evaluation nor repeated seeds",
}


def sentence(contrast: Contrast, first: Arm, other: Arm, metric: str | None, noise: Noise) -> str:
    """The sentence on a contrast."""
    names = f"{_name(other)} against {_name(first)}"
    if contrast.verdict == "different-question":
        return (
            f"{names}: they answer different questions ({_listed(contrast.questions)}): raw scores cannot be set "
            "beside each other"
        )
    if contrast.verdict == "no-score":
        missing = [_name(arm) for arm in (first, other) if not arm.scores] if metric else []
        return (
            f"{names}: no {metric} in {' and '.join(missing)}" if missing else f"{names}: no score that both recorded"
        )
    return f"{names}: {metric} {contrast.difference:+.3g}{_sized(contrast, noise)}{_rest(contrast)}{_open(contrast)}"


def _sized(contrast: Contrast, noise: Noise) -> str:
    if contrast.interval is None:
        return ""
    low, high = contrast.interval
    together = f" for all {noise.count} together" if noise.count > 1 else ""
    made_of = _NOISES[contrast.basis or "samples"]
    return f" ({100 * noise.together:.4g}%{together} [{low:+.3g}, {high:+.3g}], {made_of})"


def _rest(contrast: Contrast) -> str:
    settings = contrast.settings
    return {
        "within-noise": ": within noise; they cannot be ranked by it",
        "confounded": f", but {len(settings)} settings differ ({_listed(settings)}): none of them can be named as the "
        "cause",
        "one-seed": f": {MEANINGS['one-seed']}",
        "attributed": f": beyond noise, and {next(iter(settings), '')} is the only setting that differs",
        "unexplained": f": {MEANINGS['unexplained']}",
        "unsized": ": no noise is known (neither samples of the evaluation nor repeated seeds)",
    }[contrast.verdict]  # fmt: skip


def _open(contrast: Contrast) -> str:
    """Settings that may differ, for one of the two does not tell them."""
    if not contrast.untold or contrast.verdict not in _OPEN:
        return ""
    keys = [*contrast.untold]
    more = f" and {len(keys) - _MOST} more" if len(keys) > _MOST else ""
    return f"; told by one of them alone, so they may differ: {', '.join(keys[:_MOST])}{more}"


def _name(arm: Arm) -> str:
    return arm.runs[0] if len(arm.runs) == 1 else f"{arm.runs[0]} and {len(arm.runs) - 1} more"


def _listed(pairs: Pairs) -> str:
    told = [f"{key}: {a} against {b}" for key, (a, b) in pairs.items()]
    return "; ".join(told[:_MOST]) + (f"; and {len(told) - _MOST} more" if len(told) > _MOST else "")
