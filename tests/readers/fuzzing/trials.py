"""One trial: a damaged file is read by its reader and as a user would; whatever is no ``ReadError`` is a crash."""

from __future__ import annotations

import random
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tocsin
from readers.fuzzing.damage import damaged
from readers.fuzzing.samples import Sample, ways_of
from tocsin.identifiers import Redactor
from tocsin.readers.detection import all_readers
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.reports import json as json_report
from tocsin.reports import terminal

PATIENCE = 20.0  # seconds of CPU that one damaged file of some kilobytes may take
_HARMLESS = ("\n", "\t")


@dataclass(frozen=True)
class Outcome:
    """What came of one damaged file: ``read``, ``nothing``, ``ReadError`` or ``crash`` with what was said of it."""

    word: str
    seconds: float
    said: str = ""


class _TooLong(BaseException):
    """No ``Exception``: nobody on the way may catch it."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Stop what takes more seconds of CPU; only in the main thread, where the system has such an alarm."""

    def ring(*_: object) -> None:
        raise _TooLong(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def laid_out(folder: Path, sample: Sample, other: Sample, seed: int) -> Path:
    """The damaged sample in an empty folder; returns the file for its reader."""
    rng = random.Random(f"{sample.source} {sample.name} {seed}")
    shutil.rmtree(folder, ignore_errors=True)
    target = sample.name if rng.random() < 0.7 else rng.choice(sorted(sample.files))
    for name, content in sample.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        foreign = other.files[other.name]
        path.write_bytes(damaged(content, foreign, rng, ways_of(sample.source)) if name == target else content)
    return folder / sample.name


def trial(path: Path, source: str, *, whole: bool) -> Outcome:
    """Read one damaged file by its reader; with ``whole``, check its folder and write the report, too."""
    begun = time.process_time()
    try:
        with patience(PATIENCE), warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy's would stand among what the user reads
            word, said = _read(path, source)
            if whole:
                _checked(path.parent)
    except _TooLong as error:
        word, said = "crash", f"{error}: {_where(error)}"
    except Exception as error:  # that is what is looked for
        word, said = "crash", f"{type(error).__name__}: {str(error)[:200]} ({_where(error)})"
    return Outcome(word, time.process_time() - begun, said)


def _read(path: Path, source: str) -> tuple[str, str]:
    reader = next(reader for reader in all_readers() if reader.source == source)
    reader.sniffs(File(path))
    told = 0
    try:
        for log in reader.read(File(path)):
            _sound(log.unread)
            told += log.told
            log.run()
    except ReadError as error:
        _sound([str(error)])
        return ("read" if told else "ReadError"), str(error)
    return ("read" if told else "nothing"), ""


def _sound(sentences: list[str]) -> None:
    """Sentences are some words, not a page and not an empty string."""
    for sentence in sentences:
        if not 10 < len(sentence) < 2000:
            raise AssertionError(f"no clear sentence: {sentence[:300]!r}")


def _checked(folder: Path) -> None:
    try:
        runs = tocsin.read(folder)
        report = tocsin.check(folder)
    except ReadError as error:
        _sound([str(error)])
        return
    broken = [said for said in (*report.unread, *(s for run in runs for s in run.unread)) if "please report it" in said]
    broken += [f"{blind.code}: {blind.reason}" for blind in report.not_checked if "raised" in blind.reason]
    if broken:
        raise AssertionError(broken[0])
    text = terminal.render(report)
    if odd := [c for c in text if not c.isprintable() and c not in _HARMLESS]:
        raise AssertionError(f"the terminal would obey {odd[0]!r}")
    json_report.render(report)
    for run in runs:
        Redactor().run(run)


def _where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "tocsin" in frame.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-3:]))
