"""What the tests of readers share: files written and read by one reader, and damaged ones that must not break it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.reader import Reader
from tocsin.run import Run

LONGEST = 5.0  # seconds for one small damaged file


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def knows(reader: Reader, path: Path) -> bool:
    return reader.sniffs(File(path))


def runs(reader: Reader, path: Path) -> list[Run]:
    """The runs in a file that the reader must know."""
    file = File(path)
    assert reader.sniffs(file), f"{reader.source} does not know {path.name}"
    return [log.run() for log in reader.read(file)]


def run(reader: Reader, path: Path) -> Run:
    found = runs(reader, path)
    assert len(found) == 1
    return found[0]


def points(run: Run, name: str) -> list[tuple[int, float]]:
    series = run.series[name]
    return list(zip(series.step.tolist(), series.value.tolist(), strict=True))


def survives(reader: Reader, path: Path, content: bytes) -> None:
    """Sniffing raises nothing, reading nothing but ``ReadError``, both soon; whatever the content."""
    write(path, content)
    begun = time.perf_counter()
    reader.sniffs(File(path))
    with suppress(ReadError):
        for log in reader.read(File(path)):
            log.run()
    assert time.perf_counter() - begun < LONGEST


def mutated(sample: bytes, seed: int) -> bytes:
    """A sample with bytes flipped, cut, doubled or replaced by what parsers stumble over."""
    rng = random.Random(seed)
    odd = [b"\0", b"\xff\xfe", b'"', b"{", b"[" * 500, b",,,", b"\r", b"1e999", b"NaN", b"-9" * 400, b"\n\n", b"|"]
    content = bytearray(sample)
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(content) + 1), rng.randint(0, 40)
        kind = rng.randrange(4)
        if kind == 0:
            content[at : at + length] = b""
        elif kind == 1:
            content[at:at] = rng.choice(odd)
        elif kind == 2:
            content[at:at] = content[at : at + length] * rng.randint(1, 3)
        else:
            content[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.3 else content)
