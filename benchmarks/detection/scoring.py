"""What the results are worth: detection, root cause, false alarms, time, by code and by task, with 95 % intervals.

- *Detected*: at least one warning or error.
- *Cause*: the leading finding, which is the first root that is a warning or an error (what the verdict names), has a
  code that the fault's row accepts. *Named*: such a code was found somewhere, be it as a note or a symptom.
- *False alarm*: a warning or an error in a healthy run; errors, warnings and notes are also counted by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

LEVEL = 0.95
LOUD = ("error", "warning")


@dataclass(frozen=True)
class Result:
    """One cell's result.

    Attributes:
        expects: Codes that name the cause, empty for a healthy run.
        findings: As ``store.found_in`` gives them, in the report's order.
        steps: Losses that the observer was shown.
    """

    task: str
    variant: str
    seed: int
    expects: frozenset[str]
    findings: tuple[Mapping[str, Any], ...]
    steps: int

    @property
    def faulty(self) -> bool:
        return bool(self.expects)

    def loud(self, muted: Collection[str] = ()) -> list[Mapping[str, Any]]:
        """Warnings and errors, those of ``muted`` codes left out."""
        return [f for f in self.findings if f["severity"] in LOUD and f["code"] not in muted]

    def leading(self, muted: Collection[str] = ()) -> Mapping[str, Any] | None:
        """The first loud finding that no other loud one explains."""
        for finding in self.loud(muted):
            causes = [self.findings[k] for k in finding["causes"]]
            if not any(c["severity"] in LOUD and c["code"] not in muted for c in causes):
                return finding
        return None

    def detected(self, muted: Collection[str] = ()) -> bool:
        return bool(self.loud(muted))

    def caused(self, muted: Collection[str] = ()) -> bool:
        """Whether the leading finding names the cause."""
        lead = self.leading(muted)
        return lead is not None and lead["code"] in self.expects

    @property
    def named(self) -> bool:
        """Whether a code that names the cause was found at all."""
        return any(f["code"] in self.expects for f in self.findings)

    @property
    def first_ring(self) -> int | None:
        """Step at which the first loud finding rang."""
        return min((f["rang_at"] for f in self.loud() if f["rang_at"] is not None), default=None)


@dataclass(frozen=True)
class Share:
    """``k`` of ``n``, with Wilson's interval."""

    k: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end; (0, 1) of none."""
        if not self.n:
            return 0.0, 1.0
        found = stats.binomtest(self.k, self.n).proportion_ci(LEVEL, method="wilson")
        return float(found.low), float(found.high)

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else float("nan")

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.k}/{self.n} = {100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]" if self.n else "0/0"


@dataclass(frozen=True)
class Rate:
    """``k`` events in ``steps`` steps, per 1,000, with the exact Poisson interval."""

    k: int
    steps: int

    @property
    def value(self) -> float:
        return 1000 * self.k / self.steps if self.steps else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Garwood 1936, by quantiles of chi-squared."""
        if not self.steps:
            return 0.0, float("inf")
        tail = (1 - LEVEL) / 2
        low = stats.chi2.ppf(tail, 2 * self.k) / 2 if self.k else 0.0
        high = stats.chi2.ppf(1 - tail, 2 * self.k + 2) / 2
        return float(1000 * low / self.steps), float(1000 * high / self.steps)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.k} in {self.steps:,} steps = {self.value:.4f} per 1,000 [{low:.4f}, {high:.4f}]"


def share(results: Iterable[Result], holds: Callable[[Result], bool]) -> Share:
    """How many of these results a statement holds for."""
    each = [holds(r) for r in results]
    return Share(sum(each), len(each))


def faulty(results: Iterable[Result]) -> list[Result]:
    return [r for r in results if r.faulty]


def healthy(results: Iterable[Result]) -> list[Result]:
    return [r for r in results if not r.faulty]


def alarms(results: Iterable[Result], severities: Collection[str]) -> tuple[Share, Rate]:
    """Healthy runs with a finding of these severities, and such findings per 1,000 steps."""
    calm = healthy(results)
    counts = [sum(f["severity"] in severities for f in r.findings) for r in calm]
    return Share(sum(c > 0 for c in counts), len(calm)), Rate(sum(counts), sum(r.steps for r in calm))


def times(results: Iterable[Result]) -> list[tuple[int, float]]:
    """Step, and fraction of the run, of the first loud ring of each detected fault."""
    rings = [(r.first_ring, r.steps) for r in faulty(results)]
    return [(at, at / max(1, steps)) for at, steps in rings if at is not None]


@dataclass(frozen=True)
class CodeRow:
    """How one rule did.

    Attributes:
        right, wrong: Faulty runs that it leads, where it names the cause and where it does not.
        false: Healthy runs that it leads.
        rang: Healthy runs in which it rang at all, as warning or error.
    """

    code: str
    right: int
    wrong: int
    false: int
    rang: int

    @property
    def precision(self) -> Share:
        return Share(self.right, self.right + self.wrong + self.false)


def by_code(results: Sequence[Result]) -> list[CodeRow]:
    """One row for each code that leads or falsely rings."""
    leads = [(r, lead["code"]) for r in results if (lead := r.leading()) is not None]
    rang = [(r, code) for r in healthy(results) for code in {f["code"] for f in r.loud()}]
    return [
        CodeRow(
            code,
            right=sum(c == code and r.caused() for r, c in leads),
            wrong=sum(c == code and r.faulty and not r.caused() for r, c in leads),
            false=sum(c == code and not r.faulty for r, c in leads),
            rang=sum(c == code for _, c in rang),
        )
        for code in sorted({c for _, c in [*leads, *rang]})
    ]


def muted_by(results: Iterable[Result], bound: float) -> frozenset[str]:
    """Codes that ring in more than this share of the healthy runs among ``results``."""
    calm = healthy(results)
    codes = {f["code"] for r in calm for f in r.loud()}
    return frozenset(c for c in codes if sum(any(f["code"] == c for f in r.loud()) for r in calm) > bound * len(calm))


@dataclass(frozen=True)
class LeftOut:
    """The score of one task under rules that were chosen without it."""

    task: str
    muted: frozenset[str]
    detection: Share
    cause: Share
    alarm: Share


def leave_one_task_out(results: Sequence[Result], bound: float = 0.01) -> list[LeftOut]:
    """Each task scored with the rules muted that ring in more than ``bound`` of the other tasks' healthy runs."""
    rows = []
    for task in sorted({r.task for r in results}):
        muted = muted_by([r for r in results if r.task != task], bound)
        mine = [r for r in results if r.task == task]
        rows.append(
            LeftOut(
                task,
                muted,
                share(faulty(mine), lambda r, m=muted: r.detected(m)),
                share(faulty(mine), lambda r, m=muted: r.caused(m)),
                share(healthy(mine), lambda r, m=muted: r.detected(m)),
            )
        )
    return rows
