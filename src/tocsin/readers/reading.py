"""From a bundle to its runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tocsin.readers.detection import all_readers
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.found import Bundle, Found, Runs
from tocsin.readers.grouping import Cluster, clusters
from tocsin.readers.joining import joined
from tocsin.readers.labels import natural, relative, shown
from tocsin.readers.log import Log
from tocsin.readers.merging import head_of, merged
from tocsin.readers.reader import Reader
from tocsin.readers.settings import settings_of
from tocsin.readers.unit import Unit, from_logs
from tocsin.run import Run

MOST_RUNS = 10_000  # in one file


def read_bundle(bundle: Bundle, readers: Sequence[Reader] | None = None) -> Runs:
    """The runs that the files of a bundle tell of, with names unique within it; never raises on what they hold.

    Args:
        bundle: As ``survey`` gave it.
        readers: Where to look up the sources; all when None.
    """
    unread: list[str] = []
    units = list(_units(bundle, all_readers() if readers is None else readers, unread))
    claims = [path for unit in units for path in unit.log.claims]
    found = clusters(joined([unit for unit in units if not _claimed(unit.files[0], claims, unit)]))
    found.sort(key=_place)
    settings = [path for path in bundle.settings if not _claimed(path, claims)]
    config = _settings(found, settings, unread)
    runs = [merged(cluster, config.get(at)) for at, cluster in enumerate(found)]
    return Runs(_named(bundle.top, found, runs), unread)


def _place(cluster: Cluster) -> tuple[list[list[tuple[int, str]]], int]:
    head = head_of(cluster)
    return [natural(part) for part in head.files[0].parts], head.place


def _units(bundle: Bundle, readers: Sequence[Reader], unread: list[str]) -> Iterator[Unit]:
    """The units of each file; folder formats, which claim other files, are asked first."""
    known = {reader.source: reader for reader in readers}
    claims: list[Path] = []
    for found in sorted(bundle.logs, key=lambda found: known[found.source].rank):
        if _claimed(found.path, claims):
            continue
        reader = known[found.source]
        logs = _logs(reader, found, unread)
        claims += [path for log in logs for path in log.claims if path != found.path]
        yield from from_logs(logs, reader.rank, found.home, found.path)


def _claimed(path: Path, claims: Collection[Path], by: Unit | None = None) -> bool:
    own = by.log.claims if by is not None else ()
    return any(claim not in own and (path == claim or path.is_relative_to(claim)) for claim in claims)


def _logs(reader: Reader, found: Found, unread: list[str]) -> list[Log]:
    logs: list[Log] = []
    try:
        for log in islice(reader.read(File(found.path)), MOST_RUNS + 1):
            logs.append(log)  # noqa: PERF402  what stands before an error is kept
    except ReadError as error:
        _miss(logs, str(error), found, unread)
    except Exception as error:  # a reader's own fault must not stop the reading of other files; it is said
        _miss(
            logs, f"the {reader.source} reader broke ({type(error).__name__}: {error}); please report it", found, unread
        )
    if len(logs) > MOST_RUNS:
        unread.append(f"{shown(found.path)}: more than {MOST_RUNS} runs; the others were left out")
    kept: list[Log] = []
    for log in logs[:MOST_RUNS]:
        if log.told or log.config or log.environment:
            kept.append(log)
            continue
        silent = f"a log by its look ({reader.source}), but without a value in it"
        unread += [f"{shown(found.path)}: {shown(said)}" for said in log.unread or [silent]]
    return kept


def _miss(logs: list[Log], said: str, found: Found, unread: list[str]) -> None:
    if logs:
        logs[-1].miss(said.removeprefix(f"{found.path}: "))
    else:
        unread.append(shown(said if str(found.path) in said else f"{found.path}: {said}"))


def _settings(found: list[Cluster], paths: Sequence[Path], unread: list[str]) -> dict[int, dict[str, Any]]:
    """The configuration of each cluster from the files beside it; a file beside several runs is nobody's."""
    mine: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        folder = path.parent.parent if path.parent.name == ".hydra" else path.parent
        beside = [at for at, cluster in enumerate(found) if any(folder in (u.folder, u.home) for u in cluster)]
        if len(beside) == 1:
            mine[beside[0]].append(path)
        elif beside:
            unread.append(
                f"{shown(path)}: not used, for it does not say to which of the {len(beside)} runs beside it it belongs"
            )
    configs = {}
    for at, its in mine.items():
        configs[at], missed = settings_of(its)
        unread += missed
    return configs


def _named(top: Path, found: list[Cluster], runs: list[Run]) -> list[Run]:
    """The runs under names that tell them apart: the folder, or the file where a folder holds several runs."""
    homes = Counter(head_of(cluster).home for cluster in found)
    taken: Counter[str] = Counter()
    named = []
    for cluster, run in zip(found, runs, strict=True):
        head = head_of(cluster)
        name = _name(top, head, several=homes[head.home] > 1)
        if run.name and shown(run.name) not in name:
            name = f"{name} ({shown(run.name)[:100]})"
        taken[name] += 1
        named.append(replace(run, name=name if taken[name] == 1 else f"{name} ({taken[name]})"))
    return named


def _name(top: Path, head: Unit, *, several: bool) -> str:
    """The file where it was asked for, or shares its folder; event files, all named alike, go by their folder."""
    file = head.files[0]
    if top == file:
        return shown(top.name)
    by_file = several and head.log.path != head.home and "tfevents" not in file.name
    return relative(file if by_file else head.home, top)
