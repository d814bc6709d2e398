"""The two verbs that join rooms: ``read`` runs from anywhere, ``check`` anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tocsin import engine, fleet
from tocsin.engine import without_known
from tocsin.findings import Report
from tocsin.identifiers import Redactor, texts_of
from tocsin.readers import bundles
from tocsin.readers.bundles import Runs, Survey
from tocsin.readers.errors import ReadError
from tocsin.readers.labels import shown
from tocsin.record.discovery import is_record
from tocsin.run import Run

__all__ = ["Checkable", "ReadError", "check", "read", "survey"]

Checkable = Run | str | Path | Sequence[Run | str | Path]
_MOST_REASONS = 3
_EXPECTED = (
    "expected run folders of tocsin (with run.json), or logs: TensorBoard, W&B, MLflow, HF Trainer, Lightning, Keras, "
    "Ultralytics, MMDetection, CSV, JSON lines, notebooks, console text"
)


def read(path: str | Path) -> Runs:
    """All runs at or below ``path``: our own records, and logs of any format, those of one run joined.

    What cannot be read stops nothing else: it is said in ``unread`` of the run that it belongs to, or of the list.

    Args:
        path: A log, a run folder, or a folder of them.

    Returns:
        A list of runs, our own records first, each sorted by path, with an attribute ``unread``: a sentence on each
        thing that was not read and belongs to no run.

    Raises:
        ReadError: The path does not exist, holds no run, or cannot be read.
    """
    where = Path(path)
    found = survey(where)
    runs = Runs(unread=found.unread)
    for job in _jobs(found):
        part = fleet.runs_of(job)
        runs += part
        runs.unread += part.unread
    if not runs:
        raise ReadError(_nothing(where, found, runs.unread))
    return runs


def _jobs(found: Survey) -> list[fleet.Job]:
    """What there is to read, our own records first."""
    return [*found.owned, *found.bundles]


def survey(path: str | Path) -> Survey:
    """What there is to read at or below ``path``: records of ours in ``owned``, bundles of foreign logs.

    Raises:
        ReadError: The path does not exist or cannot be read.
    """
    where = Path(path)
    try:
        where.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ReadError(f"{shown(where)}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise ReadError(f"{shown(where)}: cannot be read ({error})") from error
    if where.name == "run.json" and is_record(where.parent):
        return Survey(owned=[where.parent], files=1)
    try:
        return bundles.survey(where, owned=_ours)
    except ReadError as error:
        raise ReadError(shown(str(error))) from error


def _ours(folder: Path) -> bool:
    """Whether a folder is a record of ours, be it one whose manifest is damaged."""
    return is_record(folder) or ((folder / "run.json").is_file() and (folder / "rank0").is_dir())


def _nothing(where: Path, found: Survey, unread: Sequence[str]) -> str:
    """Why there is no run: what was seen, and what could have been one."""
    seen = f"among {found.files} files" if found.files > 1 else "in 1 file" if found.files else "in an empty folder"
    if not where.is_dir():
        seen = "in this file" if where.is_file() and where.stat().st_size else "in a file without content"
    sources = sorted({log.source for bundle in found.bundles for log in bundle.logs})
    taken = f" ({', '.join(sources)} by their look, but without a run in them)" if sources else ""
    reasons = "".join(f"; {reason}" for reason in unread[:_MOST_REASONS])
    more = f"; and {len(unread) - _MOST_REASONS} more" if len(unread) > _MOST_REASONS else ""
    return f"{shown(where)}: no run found {seen}{taken}{reasons}{more}; {_EXPECTED}"


def check(
    target: Checkable,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    baseline: Iterable[Mapping[str, Any]] = (),
    keep_identifiers: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    places: dict[str, Path] | None = None,
) -> Report:
    """Check a run folder, a ``Run``, any path that ``read`` takes, or a list of these, into one report.

    Runs on disk are read one after the other and forgotten once they were checked: memory stays bounded.

    Args:
        target: What to check.
        select: Rule codes, code prefixes or names to judge; all when empty.
        ignore: The same, to leave out.
        options: Option overrides by rule code or name, e.g. ``{"class-attractor": {"excess": 0.3}}``.
        baseline: Known findings to leave out, each with ``code``, and with ``subject`` and ``run`` where they matter.
        keep_identifiers: Leave e-mails, tokens, host names and home paths in the texts of the report.
        workers: Processes that share the work; with more than one, your main module must be importable
            (``if __name__ == "__main__":``), as for ``multiprocessing``.
        progress: Called with how many parts are done and how many there are.
        places: Takes the path of each run that has one, by its name in the report; paths are as they are.

    Raises:
        ReadError: Nothing readable at a path.
        TypeError: Something else, or an empty list; a baseline that is no list of findings.
        UnknownRule: A selector matches no rule.
        ValueError: A rule has no such option.
    """
    if not isinstance(target, Run | str | Path) and not (isinstance(target, Sequence) and target):
        raise TypeError(f"expected a run folder, a Run, or a list of them with at least one; got {target!r}")
    items: list[Run | str | Path] = [target] if isinstance(target, Run | str | Path) else list(target)
    select, ignore = engine.selectors(select), engine.selectors(ignore)
    engine.select_rules(select, ignore)  # a mistake is said before anything is read
    engine.vet_options(options or {})
    jobs: list[fleet.Job] = []
    unread = [*target.unread] if isinstance(target, Runs) else []
    surveys: dict[Path, Survey] = {}
    for item in items:
        if isinstance(item, Run):
            jobs.append(item)
        else:
            found = surveys[Path(item)] = survey(item)
            jobs += _jobs(found)
            unread += found.unread
            if not _jobs(found):
                raise ReadError(_nothing(Path(item), found, found.unread))
    users: set[str] = set()
    found_at: dict[str, Path] = {}
    report = fleet.check_all(
        jobs,
        select=select,
        ignore=ignore,
        options=options,
        unread=unread,
        workers=workers,
        progress=progress,
        users=users,
        places=found_at,
    )
    if not report.runs:
        where, found = next(iter(surveys.items()))
        raise ReadError(_nothing(where, found, report.unread))
    published = report if keep_identifiers else _published(report, items, users)
    if places is not None:
        names = zip(published.runs, report.runs, strict=True)
        places.update({name: found_at[before] for name, before in names if before in found_at})
    return without_known(published, baseline)


def _published(report: Report, items: Sequence[Run | str | Path], users: Collection[str]) -> Report:
    """The report without identifiers; account names that its paths and texts give away are known throughout."""
    paths = [str(item) for item in items if not isinstance(item, Run)]
    return Redactor(Redactor.of([*paths, *texts_of(report)]).users | frozenset(users)).report(report)
