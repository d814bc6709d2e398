"""What rules say: ``Finding``, its ``Evidence`` and ``Remedy``, the ``Report``, and the ``@rule`` decorator.

Everything here is frozen and makes the JSON round trip: ``Report.from_json(report.to_json()) == report``.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from tocsin.run import Evaluation, Run

Severity = Literal["error", "warning", "note"]
Scope = Literal["run", "runs", "setup"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
SCHEMA = "tocsin.report/1"


@dataclass(frozen=True)
class Evidence:
    """One recorded number that a finding rests on.

    Attributes:
        source: Where it stands in the run: a series name (``train/loss``), ``evaluation:<split>/<task>``,
            ``config:<dotted.key>``, ``parameter:<name>``, ``event:<kind>`` or ``environment:<key>``.
        value: The observed number (or text of a config value).
        step: Step of the observation; None where there is none (config).
        limit: The number it was compared with.
        interval: Confidence interval of the effect (level stated in the rule's docstring).
        text: What was observed, in words, with units.
    """

    source: str
    value: float | str | None = None
    step: int | None = None
    limit: float | None = None
    interval: tuple[float, float] | None = None
    text: str = ""


@dataclass(frozen=True)
class Remedy:
    """What to do. ``safe`` cannot change what is learned; an unsafe one changes the science.

    ``patch`` maps dotted configuration keys to new values where the remedy can be stated so (for trials).
    """

    text: str
    safe: bool = False
    patch: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A fault that rang. Rules fill message, subject, step, evidence and remedies; the engine adds the rest.

    Identity is (code, subject, step): ``subject`` says what it is about (a term, a task, a tensor group; "" for the
    run), ``step`` is where the fault *began*, 0 for before training. Numbers may be updated at later looks.
    """

    message: str
    subject: str = ""
    step: int = 0
    evidence: tuple[Evidence, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    severity: Severity | None = None
    healed_at: int | None = None
    code: str = ""
    name: str = ""
    run: str = ""
    rang_at: int | None = None
    explains: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str, str]:
        """(run, code, subject): what makes two findings the same one."""
        return (self.run, self.code, self.subject)

    @property
    def tasks(self) -> set[str]:
        """Tasks whose evaluations it rests on, whatever the split."""
        keys = (e.source.removeprefix("evaluation:") for e in self.evidence if e.source.startswith("evaluation:"))
        return {key.partition("/")[2] for key in keys}

    def accounts_for(self, other: Finding) -> bool:
        """Whether this finding explains ``other``: same run, declared, began no later, not a note over a fault.

        Two findings about the predictions of different tasks do not explain each other.
        """
        return (
            other.code in self.explains
            and not (self.tasks and other.tasks and self.tasks.isdisjoint(other.tasks))
            and other.run == self.run
            and other.code != self.code
            and self.step <= other.step
            and not (self.severity == "note" and other.severity != "note")
        )


@dataclass(frozen=True)
class NotChecked:
    """A rule that could not look, and why. Rules may yield one themselves when only they can tell."""

    reason: str
    code: str = ""
    name: str = ""
    run: str = ""


SUPPOSED = "if it is a "


@dataclass(frozen=True)
class Score:
    """The last value of an evaluation loss or metric, beside what the best constant prediction would have had.

    Attributes:
        name: The series.
        value: Its last value.
        step: Step of that value.
        of: The loss or metric, in words; "given" where the user gave the reference; "if it is a ..." where nothing
            says which loss it is.
        constant: Lowest and highest value that the best constant may have; None where a constant has none
            (a correlation).
        zero: What predicting zero costs, None where unknown.
        error: Standard error of ``constant`` where only a sample of the targets was recorded, else 0.
        sign: -1 for a loss, 1 where higher is better.
        run: The run.
    """

    name: str
    value: float
    step: int
    of: str = ""
    constant: tuple[float, float] | None = None
    zero: float | None = None
    error: float = 0.0
    sign: int = -1
    run: str = ""


@dataclass(frozen=True)
class Report:
    """The outcome of checking one or more runs.

    Attributes:
        runs: Names of the runs.
        findings: Sorted: errors first, roots before their symptoms, then by step.
        clean: Codes of the rules that looked and found nothing in any run.
        not_checked: Rules that could not look, and why.
        unread: What the readers could not read.
        known: Findings left out of ``findings`` because the baseline names them.
        scores: Evaluation losses and metrics whose best constant is known, at the end of each run.
        costs: What each part of a preflight took, seconds.
    """

    runs: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    clean: tuple[str, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    unread: tuple[str, ...] = ()
    known: tuple[Finding, ...] = ()
    scores: tuple[Score, ...] = ()
    costs: tuple[tuple[str, float], ...] = ()

    @property
    def roots(self) -> tuple[Finding, ...]:
        """Findings that no other finding explains."""
        return tuple(f for f in self.findings if not any(c.accounts_for(f) for c in self._in_run[f.run]))

    def symptoms(self, cause: Finding) -> tuple[Finding, ...]:
        """Findings that ``cause`` explains."""
        return tuple(f for f in self._in_run.get(cause.run, ()) if cause.accounts_for(f))

    @cached_property
    def _in_run(self) -> dict[str, list[Finding]]:
        return by_run(self.findings)

    @property
    def worst(self) -> Severity | None:
        """The highest severity found, None when there is no finding."""
        return next((s for s in SEVERITIES if any(f.severity == s for f in self.findings)), None)

    @property
    def failed(self) -> bool:
        """Whether there is at least one error or warning."""
        return self.worst in ("error", "warning")

    @property
    def verdict(self) -> str:
        """One line: "Not learning: ...", "Suspect: ..." with the worst root, "Clean: ...", or "Not checked: ..."."""
        root = next((f for f in self.roots if f.severity != "note"), None)
        if root is None:
            return self._calm()
        more = sum(f.severity != "note" for f in self.roots) - 1
        also = f" (and {more} more)" if more else ""
        where = f" in run {root.run}" if len(self.runs) > 1 and root.run else ""
        word = "Not learning" if self.worst == "error" else "Suspect"
        return f"{word}: {root.code} {root.name}{where}: {root.message}{also}"

    def _calm(self) -> str:
        blind = len({n.code for n in self.not_checked})
        if not (self.clean or self.findings or self.known):
            return f"Not checked: none of {blind} rules could look at this run."
        notes = f", {len(self.findings)} noted" if self.findings else ""
        known = f", {len(self.known)} known left out" if self.known else ""
        return f"Clean: {len(self.clean)} rules looked and found nothing{notes}{known}, {blind} not checked."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data with a ``schema`` version; non-finite numbers become "nan", "inf", "-inf"."""
        data = {"schema": SCHEMA, **asdict(self)}
        data["roots"] = [self.findings.index(f) for f in self.roots]
        plain: dict[str, Any] = jsonable(data)
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of ``to_json``.

        Raises:
            ValueError: Another schema.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"expected a report of schema {SCHEMA!r}, got {data.get('schema')!r}")
        return cls(
            runs=tuple(data["runs"]),
            findings=tuple(finding_from_json(f) for f in data["findings"]),
            clean=tuple(data["clean"]),
            not_checked=tuple(NotChecked(**n) for n in data["not_checked"]),
            unread=tuple(data["unread"]),
            known=tuple(finding_from_json(f) for f in data["known"]),
            scores=tuple(_score_from_json(s) for s in data.get("scores", ())),
            costs=tuple((str(what), float(seconds)) for what, seconds in data.get("costs", ())),
        )

    def __str__(self) -> str:
        from tocsin.reports.terminal import render  # a Report knows how to print itself; the renderer stays pure

        return render(self)

    def _repr_html_(self) -> str:
        from tocsin.reports.html import fragment

        return fragment(self)


def by_run(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by the name of their run, in order: causes and symptoms are of one run."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.run, []).append(finding)
    return found


SETTLED = "settled predictions (3 evaluations and an evaluation loss that no longer falls, or the end of the run)"


def since(stretch: Sequence[Evaluation]) -> str:
    """How long an unbroken, non-empty stretch of evaluations is, in words for a message."""
    times = "the only evaluation" if len(stretch) == 1 else f"each of the {len(stretch)} evaluations"
    return f"so in {times} since step {stretch[0].step}"


def finding_from_json(data: Mapping[str, Any]) -> Finding:
    """A finding from its plain JSON form."""
    fields = dict(data)
    fields["evidence"] = tuple(
        Evidence(**{**e, **{k: number(e[k]) for k in ("value", "limit")}, "interval": _interval(e["interval"])})
        for e in data["evidence"]
    )
    fields["remedies"] = tuple(Remedy(**r) for r in data["remedies"])
    fields["explains"] = tuple(data["explains"])
    return Finding(**fields)


def _score_from_json(data: Mapping[str, Any]) -> Score:
    known = {key: number(data[key]) for key in ("value", "zero", "error")}
    return Score(**{**data, **known, "constant": _interval(data["constant"])})


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """The plain JSON form of one finding."""
    plain: dict[str, Any] = jsonable(asdict(finding))
    return plain


def jsonable(value: Any) -> Any:
    """``value`` as JSON data: tuples to lists, non-finite floats to the strings "nan", "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, str):
        return jsonable(value.item())
    return value


def number(value: Any) -> Any:
    """The float behind "nan", "inf", "-inf"; anything else unchanged."""
    return float(value) if isinstance(value, str) and value in ("nan", "inf", "-inf") else value


def _interval(pair: Any) -> tuple[float, float] | None:
    return None if pair is None else (float(number(pair[0])), float(number(pair[1])))


def dumps(value: Any, **options: Any) -> str:
    """JSON text of ``value`` by ``jsonable``: strict JSON, no bare NaN."""
    return json.dumps(jsonable(value), allow_nan=False, **options)


Check = Callable[..., Iterator["Finding | NotChecked"]]


@dataclass(frozen=True)
class Rule:
    """One documented fault. ``check(run, **options)`` yields findings; it is pure and never raises on odd numbers."""

    code: str
    name: str
    check: Check
    needs: tuple[str, ...]
    severity: Severity
    explains: tuple[str, ...]
    scope: Scope
    when: Literal["look", "end"]
    live: bool
    since: str

    @property
    def doc(self) -> str:
        """The rule's page, Markdown."""
        return inspect.getdoc(self.check) or ""

    @property
    def options(self) -> dict[str, Any]:
        """Option names and defaults: the keyword-only arguments."""
        parameters = inspect.signature(self.check).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """First line of the page."""
        return self.doc.partition("\n")[0]

    def ring(self, run: Run, finding: Finding) -> Finding:
        """``finding`` with this rule's code, name, default severity and explained codes filled in.

        A finding that names codes of its own explains those instead.
        """
        return replace(
            finding,
            code=self.code,
            name=self.name,
            run=run.name,
            severity=finding.severity or self.severity,
            explains=finding.explains or self.explains,
        )


def rule(
    code: str,
    *,
    needs: Iterable[str],
    severity: Severity = "warning",
    explains: Iterable[str] = (),
    scope: Scope = "run",
    when: Literal["look", "end"] = "look",
    live: bool = False,
    since: str = "0.1",
) -> Callable[[Check], Rule]:
    """Make a generator ``Run -> Finding | NotChecked`` a rule; its name is the function's name in kebab case.

    Args:
        code: Letters and three digits; never reused.
        needs: All must be met, or the rule is "not checked". Each is ``a | b`` of: a series name, a family
            ``train/loss/*``, ``evaluations`` or ``evaluations:<kind>``, ``config``, ``parameters``, ``events``.
        severity: Default severity of its findings.
        explains: Codes of the symptoms that it accounts for.
        scope: "runs": the rule takes a list of runs; "setup": it is a check before a run, whose ``needs`` are parts of
            the ``Setup``.
        when: "end": judged once, on the whole run, exempt from the prefix law.
        live: Needs quantities that only ``tocsin.watch`` records.
        since: First version.
    """

    def decorate(check: Check) -> Rule:
        name = check.__name__.replace("_", "-")
        return Rule(code, name, check, tuple(needs), severity, tuple(explains), scope, when, live, since)

    return decorate
