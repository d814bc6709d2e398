"""Whether a text is the console output of a training run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tocsin.readers.console.prefixes import prefix
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
_LETTER = re.compile(r"^(?:Subject: \S|From: \S+@|commit [0-9a-f]{6,40}\b)", re.MULTILINE)
_SOURCE = re.compile(
    r"^(?:>>> |import \w|from \S+ import |def \w+\(|class \w+[:(]|@\w+|#include|if __name__|#!/|package \w|using \w"
    r"|function \w)",
    re.MULTILINE,
)
_TESTS = re.compile(
    r"= test session starts =|^(?:PASSED|FAILED|ok \d+|not ok \d+)\b|^collected \d+ items", re.MULTILINE
)
_ABOUT = re.compile(
    r"epoch|train|loss|\blearn\b|\biter\b|\bstep\b|accuracy|torch|tensorflow|keras|cuda|optimizer|traceback|hydra"
    r"|with overrides|overflow|gradient|\bcost\b|perplexity|\biou\b|训练|損失|손실",
    re.IGNORECASE,
)
_DUMPED = re.compile(r"^[ \t]*(?:[0-9a-f]{2}[: ]){8}", re.MULTILINE | re.IGNORECASE)  # bytes of a key or a dump
_TITLE = re.compile(r"^[ \t]*([A-Za-z][A-Za-z ()'-]{2,60})\n[ \t]*([=\-~^]{3,62})[ \t]*$", re.MULTILINE)
_PERSON = re.compile(
    r"(?:^|[\s(])(?:I(?:'m|'ve|'d)?|we)\s(?:\w+\s)?[a-z]{2,}|\b[Mm]y\s[a-z]|\b(?:[Tt]hanks|[Tt]hank you)\b"
    r"|^(?:Hi|Hello|Hey|Dear)\b|^[QA]: |\banyone\b|\?\s*$"
)
_DATED = re.compile(r"^\W*\d|^\W*(?:INFO|WARN|DEBUG|ERROR)|[Ww]arning")
_WORDED = re.compile(r"(?:[^,;]*[A-Za-z]{2,}\.? ){2}[^,;]*[A-Za-z]{2,},(?: [A-Za-z]|.*[A-Za-z]{2,} [A-Za-z]{2,})")
_KEYED = re.compile(r"[A-Za-z]['\"]?\s?[:=\s]\s{0,20}['\"]?-?(?:\d|nan)", re.IGNORECASE)
_LONGEST_ROW = 300
_THIN = 40  # lines a sure one, at the most


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
    if len(_DUMPED.findall(start)) > 2:
        return False
    doubt = _doubt(start)
    console = Console("console", Path("sniffed"))
    lines = seen = 0
    for at, line in enumerate(File(file.path).lines(FARTHEST)):
        console.feed(line)
        seen += len(line)
        lines += bool(line.strip())
        if at % _LINES_AT_ONCE == 0 and console.metric_lines >= doubt + 4:
            return True
    logs = list(console.finish())
    pointed = any(not log.empty for log in logs)
    if pointed and (console.metric_lines >= doubt + 3 or (not doubt and 1 <= lines <= _THIN * console.sure_lines)):
        return True
    return not doubt and _started(console, [event.kind for log in logs for event in log.events], logs)


def _doubt(start: str) -> int:
    """How many lines of a log more it takes to believe that a text is one: source code, prose and mails quote some."""
    titles = sum(abs(len(found.group(2)) - len(found.group(1))) <= 1 for found in _TITLE.finditer(start))
    persons = sum(bool(_PERSON.search(line)) for line in start.split("\n") if not _DATED.search(line[:80]))
    return (
        4 * min(len(_SOURCE.findall(start)) // 2, 2)
        + 20 * (len(_HEADING.findall(start)) + titles > 3 or titles > 1)
        + 20 * bool(_TESTS.search(start) or _LETTER.search(start))
        + 3 * min(persons, 10)
    )


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


def _keyed(cells: list[str]) -> bool:
    """Whether half of the cells name their number."""
    return 2 * sum(_KEYED.search(cell) is not None for cell in cells) >= len(cells)


def _separated(start: str) -> bool:
    """Columns parted by commas or semicolons, the same number in each line."""
    lines = [line[prefix(line).end :] for line in start.split("\n")[:40] if line.strip()][:30]
    if len(lines) < 3:
        return False
    for sign in (",", ";"):
        counts = Counter(line.count(sign) for line in lines)
        most, times = counts.most_common(1)[0]
        if most >= 1 and times >= 0.9 * len(lines) and not _keyed(lines[-1].split(sign)):
            return not any(_WORDED.match(line[:_LONGEST_ROW]) for line in lines)
    return False
