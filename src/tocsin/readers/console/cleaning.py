"""From a raw line, with colours and overwritten progress bars, to the lines that a reader of the screen would keep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

LONGEST = 20_000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]{0,200}\x07|\x1b[()=>][0-9A-B]?")
_OVERWRITES = re.compile(r"\r+|\x08+(?: +\x08+)?")
_GLYPHS = re.compile(r"[█▏▎▍▌▋▊▉▁▂▃▄▅▆▇━╸╺─░▒▓■□▪⠀-⣿]{1,400}|#{6,400}|={5,400}>?\.{0,200}|\.{6,400}|-{6,400}")
_BAR = re.compile(r"\d/(?:\d+|Unknown) ?[\[|]|\d/\d+ *(?:━|\[)|it/s|s/it|\bETA\b")
_COUNT = re.compile(r"(\d{1,15}) ?/ ?(\d{1,15})")
_VARIABLE = re.compile(r"\d{1,15}\.\d{1,15}(?:e-?\d{1,5})?|=\s?-?\d{1,15}|\d{1,3}%.{0,500}|\s")
LONG_BAR = 1000
_STATES = 200
_RARE = re.compile(r"1\.#|\(ind\)|%\|.*%\|")
_OF_MICROSOFT = re.compile(r"1\.#(INF|IND|[QS]?NAN)\d{0,9}|(?<=nan)\(ind\)", re.IGNORECASE)
_OF_EPOCH = re.compile(r"\bep(?:och)?s?\W{0,3}\d|\d epoch", re.IGNORECASE)
_TOLD = re.compile(r"loss|acc|reward|score", re.IGNORECASE)
_HEAD = re.compile(r"\s*([A-Za-z]\w*)")


def clean(line: str) -> Iterator[str]:
    """The readable lines of a raw line: no colours, bars squeezed, of an overwritten bar the last state only."""
    if line.isascii() and line.isprintable() and not _RARE.search(line):  # the most common case
        yield _squeezed(line[:LONGEST])
        return
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    line = line.rstrip("\r\n")
    if "1.#" in line or "(ind)" in line:
        line = _OF_MICROSOFT.sub(lambda found: {None: "", "INF": "inf"}.get(found.group(1), "nan"), line)
    if "\r" in line or "\x08" in line:
        yield from map(_squeezed, _last_states(_OVERWRITES.split(line)))
    elif line.count("%|") > 1:
        yield from map(_squeezed, _unglued(line))
    else:
        yield _squeezed(line[:LONGEST])


def _squeezed(line: str) -> str:
    """Without the glyphs of a bar, whose number varies with its progress."""
    if "%" in line or "[=" in line or "[>" in line or "━" in line or ("/" in line and "[." in line):
        return _GLYPHS.sub("~", line)
    return line


def _unglued(line: str) -> Iterator[str]:
    """The states of a bar that was copied without what parted them: each begins with its first word, or its share."""
    head = _HEAD.match(line)
    again = rf"(?<=[\]\d%|]){re.escape(head.group(1))}(?![\w-])" if head else r"(?<=\])(?=\s{0,9}\d{1,3}%\|)"
    starts = [0, *(found.start() for found in re.finditer(again, line)), len(line)]
    last = None
    for start, end in pairwise(starts):
        state = line[start : min(end, start + LONGEST)]
        now = _bar(state)
        if last is not None and (now is None or now[1:] != last[1]):
            yield last[0]
        last = (state, now and now[1:])
    if last is not None:
        yield last[0]


def _last_states(segments: list[str]) -> Iterator[str]:
    """Of each progress bar the last state, of a long one some more; of what is no bar everything."""
    kept, bar, given = "", None, 0
    for segment in segments:
        if not segment.strip():
            continue
        segment = segment[:LONGEST]
        now = _bar(segment)
        overwritten = bar is not None and now is not None and bar[::2] == now[::2] and bar[1] <= now[1]
        if kept and not (overwritten and not _worth(kept, bar, given)):
            yield kept
            given = bar[1] if overwritten and bar is not None else 0
        kept, bar = segment, now
    if kept:
        yield kept


def _worth(segment: str, bar: tuple[str, int, str] | None, given: int) -> bool:
    """Whether a state that is overwritten counts: in a long bar, and in one that names no epoch."""
    total = int(bar[2]) if bar is not None else 0
    if bar is None or bar[1] < given + max(total // _STATES, 1) or "%|" not in segment:
        return False
    if total < LONG_BAR and _OF_EPOCH.search(segment):
        return False
    return _TOLD.search(segment) is not None


def _bar(segment: str) -> tuple[str, int, str] | None:
    """Which bar a segment shows (what does not change while it fills), how far it is, and of how many."""
    if _BAR.search(segment) is None:
        return None
    counts = list(_COUNT.finditer(segment))
    if not counts:
        return None
    last = counts[-1]
    name = counts[0].group() if len(counts) > 1 else _VARIABLE.sub("", segment[: last.start()])
    return name, int(last.group(1)), last.group(2)
