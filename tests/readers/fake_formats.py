"""Three small formats, told by their first line, to test what joins files without the real readers.

``fake-<source>`` first; then ``step name value`` lines, ``exit failed``, ``event kind text``, ``claim path``,
``config key value``, ``run`` (another run begins), ``broken`` (the file is damaged here).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tocsin.readers import bundles
from tocsin.readers.bundles import Runs
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader


def _read(source: str, file: File) -> Iterator[Log]:
    log = Log(source, file.path)
    for line in file.text().splitlines()[1:]:
        words = line.split(" ", 2)
        match words:
            case ["exit", how]:
                log.exit = how  # type: ignore[assignment]
            case ["event", kind, text]:
                log.event(kind, text)
            case ["claim", path]:
                log.claims.append(file.path.parent / path)
            case ["config", key, value]:
                log.config_typed = source != "console"
                log.config[key] = value
            case ["run"]:
                yield log
                log = Log(source, file.path)
            case ["broken"]:
                raise ReadError(f"{file.path}: broken here")
            case ["bug"]:
                raise IndexError("by design")
            case ["epoch", epoch, rest]:
                name, value = rest.split()
                log.add(name, float(value), epoch=float(epoch))
            case [step, name, value]:
                log.add(name, float(value), step=int(step))
    yield log


def _reader(source: str, rank: int) -> Reader:
    return Reader(source, rank, lambda f: f.head.startswith(f"fake-{source}\n".encode()), lambda f: _read(source, f))


READERS = tuple(
    _reader(source, rank)
    for source, rank in (("tensorboard", 10), ("wandb", 15), ("csv", 30), ("json", 31), ("console", 90))
)


def put(path: Path, source: str, *lines: str) -> Path:
    """Write a file in a fake format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"fake-{source}", *lines]) + "\n")
    return path


def curve(name: str, values: Iterable[float], start: int = 1, every: int = 1) -> list[str]:
    """The lines of one series."""
    return [f"{start + every * i} {name} {value}" for i, value in enumerate(values)]


def read(path: Path) -> Runs:
    """All runs at a path, by the fake readers."""
    found = bundles.survey(path, readers=READERS)
    runs = Runs(unread=found.unread)
    for bundle in found.bundles:
        part = bundles.read_bundle(bundle, readers=READERS)
        runs += part
        runs.unread += part.unread
    return runs
