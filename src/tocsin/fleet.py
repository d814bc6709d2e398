"""Many runs: read and check them on the cores at hand, in bounded memory, one bundle of files at a time.

What starts processes is imported where it is needed: most checks need one.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin import engine, record
from tocsin.engine import check_run
from tocsin.findings import Finding, NotChecked, Report, Score
from tocsin.identifiers import redactor_of
from tocsin.readers.bundles import Bundle, Runs, read_bundle
from tocsin.readers.labels import shown
from tocsin.references import scored
from tocsin.run import Run

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

Job = Run | Bundle | Path  # a path is the folder of a record of ours
Options = Mapping[str, Mapping[str, Any]]
Progress = Callable[[int, int], None]
_FEW = 4  # bundles below which starting processes costs more than it saves
_AHEAD = 4  # bundles given out in advance to each worker


@dataclass(frozen=True)
class Outcome:
    """What is kept of a bundle once its runs were checked: outlines, not the runs; account names that they tell."""

    runs: tuple[Run, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    unread: tuple[str, ...] = ()
    users: frozenset[str] = frozenset()
    scores: tuple[Score, ...] = ()

    def under(self, names: Mapping[str, str]) -> Outcome:
        """The same with runs renamed."""
        return replace(
            self,
            runs=tuple(replace(r, name=names[r.name]) for r in self.runs),
            findings=tuple(replace(f, run=names.get(f.run, f.run)) for f in self.findings),
            not_checked=tuple(replace(n, run=names.get(n.run, n.run)) for n in self.not_checked),
            scores=tuple(replace(s, run=names[s.run]) for s in self.scores),
        )


def check_all(
    jobs: Sequence[Job],
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Options | None = None,
    unread: Iterable[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
    users: set[str] | None = None,
    places: dict[str, Path] | None = None,
) -> Report:
    """Check many runs into one report; those on disk are read where they are checked.

    Args:
        jobs: What to check, in the order of the report: runs, bundles of files, folders of our own records.
        select: Rule codes, code prefixes or names to judge; all when empty.
        ignore: The same, to leave out.
        options: Option overrides by rule code or name.
        unread: Sentences on what was left unread before; they come first.
        workers: Processes; 1 checks in this one. More than one needs a main module that can be imported again.
        progress: Called with how many jobs are done and how many there are.
        users: Takes the account names that the runs give away anywhere, be it in what the report does not cite.
        places: Takes the path of each run that has one, by its name.

    Raises:
        UnknownRule: A selector matches no rule.
    """
    select, ignore = engine.selectors(select), engine.selectors(ignore)
    rules = engine.select_rules(select, ignore)
    order = _Order(tuple(r.code for r in rules), dict(options or {}))
    outcomes = list(_distinct(_done(jobs, order, workers, progress)))
    if users is not None:
        users.update(*(outcome.users for outcome in outcomes))
    if places is not None:
        places.update({r.name: r.path for outcome in outcomes for r in outcome.runs if r.path is not None})
    report = engine.conclude(
        [run for outcome in outcomes for run in outcome.runs],
        rules,
        [f for outcome in outcomes for f in outcome.findings],
        engine.left_out(select, ignore) + [n for outcome in outcomes for n in outcome.not_checked],
        options=options,
    )
    said = [*unread, *(sentence for outcome in outcomes for sentence in outcome.unread), *report.unread]
    scores = tuple(score for outcome in outcomes for score in outcome.scores)
    return replace(report, unread=tuple(dict.fromkeys(said)), scores=scores)


@dataclass(frozen=True)
class _Order:
    """What a worker is told once: rules go by their codes, for functions under a decorator cannot be pickled."""

    codes: tuple[str, ...]
    options: Options

    def carry_out(self, job: Job) -> Outcome:
        """Read and check one job; what cannot be read is said."""
        found = runs_of(job)
        runs = engine.distinct(found)
        rules = [rule for code, rule in engine.all_rules().items() if code in self.codes]
        keepers = [check_run(run, rules, self.options) for run in runs]
        return Outcome(
            tuple(run.outline() for run in runs),
            tuple(f for keeper in keepers for f in keeper.rung.values()),
            tuple(n for keeper in keepers for n in keeper.not_checked.values()),
            found.unread,
            redactor_of(runs).users,
            tuple(score for run in runs for score in scored(run)),
        )


def runs_of(job: Job) -> Runs:
    """The runs of one job; what cannot be read is said in their ``unread``."""
    if isinstance(job, Run):
        return Runs([job])
    if isinstance(job, Bundle):
        return read_bundle(job)
    try:
        return Runs([record.read(job)])
    except record.RecordError as error:
        return Runs(unread=[shown(str(error))])


def _done(jobs: Sequence[Job], order: _Order, workers: int, progress: Progress | None) -> Iterator[Outcome]:
    """The outcomes in the order of the jobs."""
    workers = min(workers, len(jobs) // 2)
    outcomes = map(order.carry_out, jobs) if workers < 2 or len(jobs) < _FEW else _shared(jobs, order, workers)
    for done, outcome in enumerate(outcomes, 1):
        if progress is not None:
            progress(done, len(jobs))
        yield outcome


def _shared(jobs: Sequence[Job], order: _Order, workers: int) -> Iterator[Outcome]:
    """The same by several processes, a few jobs ahead; a process that dies costs only the job it died of."""
    from concurrent.futures.process import BrokenProcessPool

    at = 0
    while at < len(jobs):
        waiting: deque[Future[Outcome]] = deque()
        with _pool(workers, order) as pool:
            try:
                coming = at
                while at < len(jobs):
                    while coming < len(jobs) and len(waiting) < _AHEAD * workers:
                        waiting.append(_submitted(pool, jobs[coming]))
                        coming += 1
                    outcome = waiting[0].result()
                    waiting.popleft()
                    at += 1
                    yield outcome
            except BrokenProcessPool:
                pass
        if at < len(jobs):
            yield _alone(jobs[at], order)
            at += 1


def _alone(job: Job, order: _Order) -> Outcome:
    """One job in a process of its own: if it dies again, it was this job that killed it."""
    from concurrent.futures.process import BrokenProcessPool

    with _pool(1, order) as pool:
        try:
            return _submitted(pool, job).result()
        except BrokenProcessPool:
            name = job.name if isinstance(job, Run) else shown(job.path if isinstance(job, Bundle) else job)
            return Outcome(unread=(f"{name}: the process that read it died, probably out of memory; it was left out",))


@contextmanager
def _pool(workers: int, order: _Order) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this block: at once where an exception (Ctrl-C) leaves it, whatever they are at."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    context = get_context("spawn")  # a fork would copy the threads' locks of the caller (duckdb, torch) half-held
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(order,)) as pool:
        try:
            yield pool
        except BaseException:
            for process in [*(getattr(pool, "_processes", None) or {}).values()]:  # public only from Python 3.14 on
                process.terminate()
            raise


def _submitted(pool: ProcessPoolExecutor, job: Job) -> Future[Outcome]:
    """A job given to the pool, which may start a process: one that is deaf to Ctrl-C from its first moment on."""
    if not hasattr(signal, "pthread_sigmask"):
        return pool.submit(_carry_out, job)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_carry_out, job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_order: _Order | None = None


def _start(order: _Order) -> None:
    """In each worker: the order; Ctrl-C is left to the parent, whose death is the worker's, too."""
    from threading import Thread

    global _order
    _order = order
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _carry_out(job: Job) -> Outcome:
    assert _order is not None  # noqa: S101
    return _order.carry_out(job)


def _distinct(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Outcomes whose runs have names that tell them apart."""
    taken: set[str] = set()
    for outcome in outcomes:
        names = {}
        for run in outcome.runs:
            name, k = run.name, 1
            while name in taken:
                k += 1
                name = f"{run.name} ({k})"
            taken.add(name)
            names[run.name] = name
        yield outcome if all(k == v for k, v in names.items()) else outcome.under(names)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
