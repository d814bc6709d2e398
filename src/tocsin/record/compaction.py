"""At close: JSONL segments to Parquet, about five times smaller. The JSONL goes only when the Parquet stands."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np

from tocsin.record import layout
from tocsin.record.segments import Column, connect, read_jsonl, read_parquet

COMPACT_BYTES = 2**20
COMPACT_SECONDS = 30.0


def compact(rank_folder: Path) -> str | None:
    """Compact the segments of one rank; returns None, or a sentence on what was left as JSONL. Never raises.

    Segments below ``COMPACT_BYTES`` stay as they are: reading them costs less than opening DuckDB. After
    ``COMPACT_SECONDS`` the rest stays as it is too: a training script must end.
    """
    try:
        return _compact_all(rank_folder)
    except Exception as error:  # DuckDB, the disk, memory: JSONL is a complete record without it
        return f"not compacted, all points are kept as JSONL: {type(error).__name__}: {error}"


def _compact_all(rank_folder: Path) -> str | None:
    began = time.monotonic()
    numbers = layout.segment_numbers(rank_folder)
    for done, number in enumerate(numbers):
        if time.monotonic() - began > COMPACT_SECONDS:
            return f"{len(numbers) - done} segments were left as JSONL after {COMPACT_SECONDS:.0f} s of compaction"
        jsonl, parquet = (layout.segment_path(rank_folder, number, kind) for kind in ("jsonl", "parquet"))
        if not parquet.exists():
            if not jsonl.exists() or jsonl.stat().st_size < COMPACT_BYTES:
                continue
            if not _make_parquet(jsonl, parquet):
                continue
        jsonl.unlink(missing_ok=True)
    return None


def _make_parquet(jsonl: Path, parquet: Path) -> bool:
    """Whether ``parquet`` now holds all of ``jsonl``; a segment with an unreadable line is left for the eye."""
    segment = read_jsonl(jsonl)
    if segment.unread or not segment.columns:
        return False
    temporary = parquet.with_name(parquet.name + ".tmp")
    try:
        _write(dict(segment.columns), temporary)
        if not _same(dict(segment.columns), read_parquet(temporary)):
            raise ValueError(f"{parquet.name} did not give back what was written into it")
        temporary.replace(parquet)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def _write(columns: dict[str, Column], path: Path) -> None:
    sizes = [column.value.size for column in columns.values()]
    points = {
        "series": np.repeat(np.arange(len(sizes), dtype=np.int64), sizes),
        "point": np.arange(sum(sizes), dtype=np.int64),
        **{
            part: np.concatenate([getattr(column, part) for column in columns.values()])
            for part in ("step", "epoch", "time", "value")
        },
    }
    target = str(path.absolute()).replace("'", "''")
    with connect() as connection:
        connection.execute("CREATE TABLE names (series BIGINT, name VARCHAR)")
        connection.executemany("INSERT INTO names VALUES (?, ?)", list(enumerate(columns)))
        connection.register("points", points)  # this makes NULL of NaN
        connection.execute(
            "COPY (SELECT name, step, epoch, time, coalesce(value, 'nan'::DOUBLE) AS value "  # noqa: S608  the one variable is our path, quoted; COPY takes no parameter there
            "FROM points JOIN names USING (series) ORDER BY point) "
            f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )


def _same(wrote: dict[str, Column], got: dict[str, Column]) -> bool:
    """Equal to the bit, NaN and -0.0 included."""
    return wrote.keys() == got.keys() and all(
        getattr(wrote[name], part).tobytes() == getattr(got[name], part).tobytes()
        for name in wrote
        for part in ("step", "epoch", "time", "value")
    )
