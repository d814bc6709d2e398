"""A comparison as text: arms with their scores, the settings that differ, then what can be said of each arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from tocsin.cli.output import colored, width
from tocsin.cli.table import table
from tocsin.comparison.sentences import MEANINGS
from tocsin.reports.plain import figure, plain
from tocsin.reports.terminal import paint

if TYPE_CHECKING:
    from tocsin.comparison import Comparison, Contrast

_MOST_SETTINGS = 20
_MOST_SENTENCES = 4
_MOST_NAMES = 4
_UNTOLD = "not told"


def rendered(found: Comparison) -> str:
    """The whole comparison. A few arms get a sentence each, many a row of a table."""
    many = len(found.contrasts) > _MOST_SENTENCES
    parts = [_arms(found), _settings(found), _verdicts(found) if many else _sentences(found), _metrics(found)]
    return "\n".join(part for part in parts if part)


def letter(place: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    rest, last = divmod(place, 26)
    return (letter(rest - 1) if rest else "") + chr(ord("A") + last)


def _arms(found: Comparison) -> str:
    headings = ("arm", "seeds", "mean", "lowest", "highest", "at step", "runs")
    return table(headings, [_arm(k, found) for k in range(len(found.arms))])


def _arm(k: int, found: Comparison) -> tuple[str, ...]:
    arm = found.arms[k]
    ends = (arm.mean, min(arm.scores), max(arm.scores)) if arm.scores else (None, None, None)
    at = sorted({*arm.steps})
    steps = f"{at[0]} to {at[-1]}" if len(at) > 1 else str(at[0]) if at else ""
    names = ", ".join(plain(name, 60) for name in arm.runs[:_MOST_NAMES])
    more = f" and {len(arm.runs) - _MOST_NAMES} more" if len(arm.runs) > _MOST_NAMES else ""
    return (letter(k), str(len(arm.runs)), *("-" if end is None else figure(end) for end in ends), steps, names + more)


def _settings(found: Comparison) -> str:
    """One row a setting and one column an arm where that fits, else one row an arm with what differs from the first."""
    keys = list(dict.fromkeys(key for c in found.contrasts for pairs in _groups(c) for key in pairs))
    if not keys:
        return ""
    values = {key: _values(key, found.contrasts) for key in keys}
    rows = [(plain(key, 60), *values[key]) for key in keys[:_MOST_SETTINGS]]
    headings = ("setting", *map(letter, range(len(found.arms))))
    if not _fits([headings, *rows]):
        return table(("arm", "settings of A; of each other arm what differs from them"), _one_each(keys, values))
    more = f"... and {len(keys) - _MOST_SETTINGS} more settings, which --json lists\n"
    return table(headings, rows) + (more if len(keys) > _MOST_SETTINGS else "")


def _groups(contrast: Contrast) -> tuple[dict[str, tuple[str, str]], ...]:
    return contrast.questions, contrast.settings, contrast.untold


def _values(key: str, contrasts: Sequence[Contrast]) -> list[str]:
    """What each arm tells of a setting, the first one's for those that do not differ from it."""
    pairs = [{**c.untold, **c.settings, **c.questions}.get(key) for c in contrasts]
    first = next(pair[0] for pair in pairs if pair is not None)
    told = [first, *(pair[1] if pair else first for pair in pairs)]
    return [_UNTOLD if value == "none" else plain(value, 40) for value in told]


def _fits(rows: Sequence[Sequence[str]]) -> bool:
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2 <= width()


def _one_each(keys: Sequence[str], values: dict[str, list[str]]) -> list[tuple[str, str]]:
    rows = []
    for k in range(len(values[keys[0]])):
        told = [(key, values[key][k]) for key in keys if values[key][k] != (values[key][0] if k else _UNTOLD)]
        more = f"; and {len(told) - _MOST_SETTINGS} more" if len(told) > _MOST_SETTINGS else ""
        rows.append((letter(k), "; ".join(f"{plain(key, 60)} {value}" for key, value in told[:_MOST_SETTINGS]) + more))
    return rows


def _sentences(found: Comparison) -> str:
    said = [Text(f"{c.verdict}: {plain(c.sentence, 2000)}{_corrected(c)}") for c in found.contrasts]
    return paint(said, width=width(), color=colored())


def _corrected(contrast: Contrast) -> str:
    return f"; corrected for chance, {'; '.join(map(plain, contrast.beyond_chance))}" if contrast.beyond_chance else ""


def _verdicts(found: Comparison) -> str:
    """One row an arm, and below them the meaning of each verdict that stands there."""
    headings = ("arm", "less A", "interval", "noise", "verdict")
    rows = [_verdict(c) for c in found.contrasts]
    told = dict.fromkeys(c.verdict for c in found.contrasts)
    meanings = table(("", ""), [(verdict, MEANINGS[verdict]) for verdict in told], header=False)
    return "\n".join([table(headings, rows), *_confidence(found), meanings])


def _verdict(c: Contrast) -> tuple[str, ...]:
    raw = "" if c.questions or math.isnan(c.difference) else f"{c.difference:+.3g}"
    sized = f"{c.interval[0]:+.3g} to {c.interval[1]:+.3g}" if raw and c.interval else ""
    return (letter(c.arm), raw, sized, (c.basis or "") if sized else "", c.verdict)


def _confidence(found: Comparison) -> list[str]:
    if not any(c.interval and not c.questions for c in found.contrasts):
        return []
    said = f"All intervals together hold at {100 * found.confidence:.4g}%, each at {100 * found.each:.5g}%."
    return [paint([Text(said)], width=width(), color=colored())]


def _metrics(found: Comparison) -> str:
    if found.metric is None:
        return ""
    others = [name for name in found.metrics if name != found.metric]
    also = f"; --metric takes {plain(', '.join(others[:8]), 400)}, too" if others else ""
    return paint(
        [Text(f"Compared by {plain(found.metric)}, best of each run{also}.", "dim")], width=width(), color=colored()
    )
