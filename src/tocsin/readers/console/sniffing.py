"""Whether a text is the console output of a training run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tocsin.readers.console.reading import Console
from tocsin.readers.console.words import listed
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log

FARTHEST = 4 * 2**20
_LINES_AT_ONCE = 400
_NEVER = listed(
    ".py .md .rst .tex .html .htm .xml .json .ipynb .yaml .yml .toml .cfg .ini .csv .tsv .js .ts .c .cc .cpp .h .hpp "
    ".cu .java .go .rs .sh .bat .bib .svg .css .lock .r .m .jl .rb .php"
)
_MARKUP = re.compile(
    r"^\s*(?:<!doctype|<html|<\?xml|\\documentclass|\\begin\{|\{\\rtf|%PDF|@(?:article|inproceedings)\{)", re.IGNORECASE
)
_HEADING = re.compile(r"^(?:#{1,6} \S|```|\|\s*:?-{3,}|- \[[ x]\]|\* \[)", re.MULTILINE)
_SOURCE = re.compile(
    r"^(?:import \w|from \S+ import |def \w+\(|class \w+[:(]|@\w+|#include|if __name__|#!/|package \w|using \w"
    r"|function \w)",
    re.MULTILINE,
)
_TESTS = re.compile(
    r"=+ test session starts =+|^(?:PASSED|FAILED|ok \d+|not ok \d+)\b|^collected \d+ items", re.MULTILINE
)
_ABOUT = re.compile(
    r"epoch|train|loss|\biter\b|\bstep\b|accuracy|torch|tensorflow|keras|cuda|optimizer|traceback|训练", re.IGNORECASE
)


def looks_like_training(file: File) -> bool:
    """Two lines of quantities at positions, scores of an evaluation, or a training that failed to start."""
    try:
        return _looks(file)
    except ReadError:
        return False


def _looks(file: File) -> bool:
    if not file.size or file.binary or file.path.suffix.lower() in _NEVER:
        return False
    start = file.start
    if _MARKUP.match(start) or _one_json(start) or _separated(start) or not _ABOUT.search(start):
        return False
    needed = (
        2
        + 4 * min(len(_SOURCE.findall(start)) // 2, 2)
        + 20 * (len(_HEADING.findall(start)) > 3 or bool(_TESTS.search(start)))
    )
    console = Console("console", Path("sniffed"))
    seen = 0
    for at, line in enumerate(File(file.path).lines(FARTHEST)):
        console.feed(line)
        seen += len(line)
        if at % _LINES_AT_ONCE == 0 and console.metric_lines >= needed + 2:
            return True
    logs = list(console.finish())
    if console.metric_lines >= needed + 1:
        return any(not log.empty for log in logs)
    return needed == 2 and _started(console, [event.kind for log in logs for event in log.events], logs)


def _started(console: Console, kinds: list[str], logs: list[Log]) -> bool:
    """Whether it tells of a run that came to no step: launched, planned or configured, or fallen over."""
    fell = "exception" in kinds
    return bool(logs) and console.evidence >= (1 if fell else 2)


def _one_json(start: str) -> bool:
    """A JSON document (not lines of JSON)."""
    head = start.lstrip()
    if not head.startswith(("{", "[")):
        return False
    first = head.split("\n", 1)[0].strip()
    return first in ("{", "[", "[{") or (
        first.endswith(("{", "[", ",")) and "'" not in first[:3] and first.startswith(("{", "[{", "[\n"))
    )


def _separated(start: str) -> bool:
    """Columns parted by commas or semicolons, the same number in each line."""
    lines = [line for line in start.split("\n")[:40] if line.strip()][:30]
    if len(lines) < 3:
        return False
    for sign in (",", ";"):
        counts = Counter(line.count(sign) for line in lines)
        most, times = counts.most_common(1)[0]
        if most >= 1 and times >= 0.9 * len(lines) and not re.search(r"\w\s?[:=]\s?\d", lines[-1]):
            return True
    return False
