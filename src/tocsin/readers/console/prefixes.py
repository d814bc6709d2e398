"""What loggers and launchers put before a message: ranks, dates, levels, names of loggers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANK = (
    r"\[(?:rank|default|gpu|rank\s|gpu\s|proc|process\s|local_rank\s?)[:=]?\s?(?P<rank1>\d{1,6})\]:?"
    r"|\[\d{1,4},(?P<rank2>\d{1,6})\]<std(?:out|err)>:|\[(?!epoch|iter|step|batch|loss|acc)[\w.\-]{1,60}:(?P<rank3>\d{1,5})(?:\]:|/\d{1,5}\]:?)"
    r"|\(RayTrainWorker pid=(?P<rank6>\d{1,9})[^)]{0,40}\)|\[(?P<rank7>\d{1,3})\]:?(?= (?:epoch|step|iter|train)\b)"
    r"|\((?P<rank8>\d{1,4})/\d{1,4}\)(?= [a-z])|\((?:[\w.:]{1,40} )?pid=\d{1,9}(?:, ip=[\d.]{7,15})?\)"
    r"|(?P<rank4>\d{1,5}): (?=[\[\w(|*=])"
    r"|rank\s?=?\s?(?P<rank5>\d{1,5})\s?[:\]|-]"
)
_DATE = (
    r"\[?\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ,_]{1,3}\d{1,2}[:\-]\d{2}(?:[:\-]\d{2})?(?:[.,:]\d{1,9})?)?"
    r"(?:Z|\s?[+-]\d{2}:?\d{2})?\]?:?"
    r"|\[?\d{1,2}/\d{1,2}/\d{2,4}[ ,]{1,2}\d{1,2}:\d{2}:\d{2}(?:\s?[AP]M)?(?:[.,]\d{1,6})?\]?"
    r"|\[?\d{1,2}[-/]\d{1,2} \d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,6})?\]?|\[?\d{1,2}:\d{2}:\d{2}(?:[.,]\d{1,6})?\]?"
    r"|\d{1,2} (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6} \d{1,2}:\d{2}(?::\d{2})?(?=\s)"
    r"|\[?(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov"
    r"|dec)[a-z]{0,6}"
    r"\.? {1,2}\d{1,2} \d{2}:\d{2}:\d{2}(?: \d{4})?\]?"
)
_LEVEL = (
    r"\[(?:info|warning|error|debug)\|[^\]]{1,120}\]:?"
    r"|\[?(?:info|debug|warning|warn|error|critical|notice|trace|success)(?:\s{0,3}\d?\]|\s{0,5}\||\s{0,3}:"
    r"|\s{1,5}-|\t|\s{2,9}|\s(?=\[|\d{4}-))"
    r"|[iwef]\d{4} \d{2}:\d{2}:\d{2}\.\d{1,9}\s{1,9}\d{1,20} [\w.\-/<>]{1,200}:\d{1,6}\]"
    r"|[iwe] (?=[a-z_/]{1,100}\.cc:\d)"
)
_OWN = r"(?!\d|(?:eval\w*|train\w{0,3}|val\w*|test\w{0,3}|epoch|iter\w*|step|batch|loss|acc\w*|lr)\b[\s\]|:])"
_NAME = (
    r"[\w.\-]{2,60} [-|](?= (?:info|debug|warning|warn|error|critical) )"
    r"|[\w.\-]{2,60}\t(?=(?:info|debug|warning|warn|error|critical)\t)"
    rf"|\[{_OWN}[a-z_][\w.\-/ ]{{0,60}}(?::\d{{1,6}})?(?::\w{{1,60}})?\](?::|(?=\s|\[))"
    r"|\([\w.\-]{2,40}:\d{1,6}\)(?=\s)|\[\d{3,9}\]:?(?=\s?[a-z])|[\w.\-/]{1,120}\.py(?:[: ]\s?\d{1,6})?\]?:?(?=\s)"
    r"|[\w.]{2,60}:[\w<>.]{1,60}:\d{1,6} -?|\w{1,40}(?:\.\w{1,40}){1,5}:\d{1,6}(?=\s)"
    rf"|{_OWN}[\w.]{{2,60}}:(?=[^\s\d:=/\\])|{_OWN}[\w.\-]{{2,60}} [-|](?=\s)|[\w.]{{2,60}}\]:?(?=\s)"
    r"|[a-z][\w.\-]{1,40}\s(?:info|warning|warn|error|debug):"
)
_COUNTS = ("rank4", "rank7")  # might as well be a count of steps
_RANKS = re.compile(rf"\s*(?:{_RANK})", re.IGNORECASE)
_DATES = re.compile(rf"\s*(?:{_DATE})", re.IGNORECASE)
_LEVELS = re.compile(rf"\s*(?:{_LEVEL})", re.IGNORECASE)
_NAMES = re.compile(rf"\s*(?:{_NAME})", re.IGNORECASE)
_FILLERS = re.compile(r"\s*(?:[-|>]+|::)(?=\s)\s?|\s+")


@dataclass(frozen=True)
class Prefix:
    """Where the message starts; the rank that wrote it (-1: not said); whether a date or a level stands
    before it.

    ``fallback`` is where the message starts if the last part of the prefix (``3: ``, ``[100]``) is a count, -1 where
    there is no such part.
    """

    end: int = 0
    rank: int = -1
    dated: bool = False
    logged: bool = False
    fallback: int = -1


def prefix(line: str) -> Prefix:
    """What stands before the message of a line."""
    end, rank, dated, logged, fallback = 0, -1, False, False, -1
    for _ in range(10):
        if rank < 0 and (found := _RANKS.match(line, end)) is not None and (found.lastgroup not in _COUNTS or end == 0):
            fallback = 0 if found.lastgroup in _COUNTS else fallback
            rank = int(found.group(found.lastgroup)) if found.lastgroup else rank
        elif (found := _DATES.match(line, end)) is not None:
            dated = True
        elif (found := _LEVELS.match(line, end)) is not None:
            logged = True
        elif not (dated or logged) or (found := _NAMES.match(line, end)) is None:
            found = _FILLERS.match(line, end) if end else None
        if found is None or found.end() == end:
            break
        if found.group().strip()[1:-1].isdigit():
            fallback = end
        end = found.end()
    return Prefix(end, rank, dated, logged, fallback)


_FULL = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[T ,_]{1,3}(\d{1,2})[:\-](\d{2})(?:[:\-](\d{2})(?:[.,:](\d{1,9}))?)?"
)


def seconds(line: str) -> float | None:
    """Seconds since 1970 of the full date in the first 80 characters of a line; None where there is none."""
    found = _FULL.search(line, 0, 80)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if not (1970 <= year < 2200 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    moved = year - (month <= 2)  # days of the civil calendar; the year starts in March (Hinnant 2013)
    era_day = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = moved * 365 + moved // 4 - moved // 100 + moved // 400 + era_day - 719468
    return days * 86400.0 + hour * 3600 + minute * 60 + second + float(f"0.{found.group(7) or 0}")
