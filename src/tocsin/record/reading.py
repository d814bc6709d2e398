"""A run folder -> ``Run``, at any time: while it is written, after a kill, after its close."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tocsin.record import decoding, joining, layout, manifest
from tocsin.record.segments import Column, read_segment, unread_lines
from tocsin.run import Evaluation, Event, Parameter, Run

T = TypeVar("T")
MOST_RANKS = 64


@dataclass
class _Rank:
    """What one rank wrote, its attempts joined."""

    columns: dict[str, Column] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    tables: tuple[tuple[int, tuple[Parameter, ...]], ...] = ()
    unread: list[str] = field(default_factory=list)
    manifest: dict[str, Any] | None = None


def read(folder: str | Path) -> Run:
    """Read one run.

    Rank 0 gives the series; those of rank k are named ``rank<k>/<name>``, and so are its splits. Of several ranks the
    ``ranks`` of the environment also say how each ended. What cannot be read, and what the ranks after the first
    ``MOST_RANKS`` wrote, is left out and said in ``Run.unread``.

    Raises:
        RecordError: ``folder`` is no record, cannot be read, or is of a newer version.
    """
    where = Path(folder)
    told = manifest.load(where / layout.MANIFEST)
    try:
        ranks, left_out = _bounded(layout.rank_folders(where))
        last_write = _last_write(where, ranks.values())
        read_ranks = {rank: _read_rank(where, rank, told) for rank in {0: where, **ranks}}
    except OSError as error:
        raise layout.RecordError(f"{where}: {error.strerror or error}") from error
    read_ranks[0].unread += left_out
    return _run(where, told, read_ranks, last_write)


def _bounded(ranks: dict[int, Path]) -> tuple[dict[int, Path], list[str]]:
    """The first ``MOST_RANKS`` ranks, and what is said of the others."""
    if len(ranks) <= MOST_RANKS:
        return ranks, []
    return dict(list(ranks.items())[:MOST_RANKS]), [
        f"{len(ranks)} ranks are recorded; the first {MOST_RANKS} were read"
    ]


def _run(where: Path, told: dict[str, Any], ranks: dict[int, _Rank], last_write: float) -> Run:
    first = ranks[0]
    epochs = joining.Epochs(first.events)
    columns = {_named(rank, name): c for rank, part in ranks.items() for name, c in part.columns.items() if c.step.size}
    name = told.get("name")
    return Run(
        name=name if isinstance(name, str) and 0 < len(name) <= 200 else where.resolve().name,
        series={name: epochs.series(name, column) for name, column in columns.items()},
        evaluations=tuple(
            epochs.evaluation(replace(e, split=_named(rank, e.split)))
            for rank, part in ranks.items()
            for e in part.evaluations
        ),
        events=tuple(
            event if rank == 0 else replace(event, data={**event.data, "rank": rank})
            for rank, part in ranks.items()
            for event in part.events
            if rank == 0 or event.kind != "end_epoch"
        ),
        parameters=first.tables[-1][1] if first.tables else (),
        tables=first.tables,
        config=told["config"],
        environment=_environment(told, ranks, last_write),
        exit=manifest.exit_of(told, last_write),
        path=where,
        source="tocsin",
        unread=tuple(sentence for part in ranks.values() for sentence in part.unread),
    )


def _environment(told: dict[str, Any], ranks: dict[int, _Rank], last_write: float) -> dict[str, Any]:
    """What rank 0 said, and how each of several ranks ended."""
    environment: dict[str, Any] = told["environment"]
    if len(ranks) < 2:
        return environment
    ends = {str(k): manifest.exit_of(p.manifest, last_write) for k, p in ranks.items() if p.manifest is not None}
    described = environment.get("ranks")
    return {**environment, "ranks": {**(described if isinstance(described, dict) else {}), "exit": ends}}


def _named(rank: int, name: str) -> str:
    return name if rank == 0 else f"rank{rank}/{name}"


def _read_rank(where: Path, rank: int, told: dict[str, Any]) -> _Rank:
    found = _Rank()
    rank_folder = where / f"rank{rank}"
    base = where if rank == 0 else rank_folder
    found.manifest = told if rank == 0 else _manifest(manifest.manifest_path(where, rank), found.unread)
    attempts = found.manifest["attempts"] if found.manifest is not None else []
    segments = []
    for number in layout.segment_numbers(rank_folder):
        segment = read_segment(rank_folder, number)
        found.unread += segment.unread
        segments.append((_attempt_of(number, attempts), segment.columns))
    evaluations = _read_lines(base / layout.EVALUATIONS, decoding.evaluation, found.unread)
    past = joining.history(segments, evaluations, attempts)
    found.columns = joining.join(segments, past)
    found.evaluations = _standing(evaluations, past)
    found.events = _standing(_read_lines(base / layout.EVENTS, decoding.event, found.unread), past)
    tables = _read_lines(base / layout.PARAMETERS, decoding.parameters, found.unread)
    found.tables = tuple(table for attempt, table in tables if table[0] < past.until(attempt))
    return found


def _manifest(path: Path, unread: list[str]) -> dict[str, Any] | None:
    try:
        return manifest.load(path)
    except layout.RecordError as error:
        unread.append(str(error))
        return None


def _attempt_of(segment: int, attempts: list[dict[str, Any]]) -> int:
    """The attempt that wrote a segment: the last one that began no later than it."""
    begun = [n for n, a in enumerate(attempts, 1) if type(a.get("segment")) is int and a["segment"] <= segment]
    return max(begun, default=1)


E_ = TypeVar("E_", Evaluation, Event)


def _standing(told: list[tuple[int, E_]], past: joining.History) -> list[E_]:
    """What no later attempt replaces, with times since the start of the first attempt."""
    kept = [(attempt, said) for attempt, said in told if said.step < past.until(attempt)]
    return [replace(said, time=said.time + past.shift(attempt)) for attempt, said in kept]


def _read_lines(path: Path, decoder: Callable[[dict[str, Any]], T], unread: list[str]) -> list[tuple[int, T]]:
    lines = decoding.Lines(path)
    try:
        found = lines.decode(decoder)
    except FileNotFoundError:
        return []
    except OSError as error:
        unread.append(f"{path}: {error.strerror or error}")
        return []
    unread += unread_lines(path, lines.bad)
    return found


def _last_write(where: Path, rank_folders: Any) -> float:
    """When anything of the record was written last, seconds since 1970."""
    files = [p for base in (where, *rank_folders) for p in base.iterdir() if p.suffix in (".json", ".jsonl")]
    times = []
    for path in files:
        try:
            times.append(path.stat().st_mtime)
        except OSError:  # compacted meanwhile
            continue
    return max(times, default=0.0)
