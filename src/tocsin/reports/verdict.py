"""What a report comes to, and which of its findings follow from which."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.findings import Finding, Report


@dataclass(frozen=True)
class Verdict:
    """``Report.verdict`` in its two parts: "Not learning", "Suspect", "Clean" or "Not checked", and the rest."""

    word: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


def verdict(report: Report) -> Verdict:
    """The verdict on a report."""
    word, _, sentence = report.verdict.partition(": ")
    return Verdict(word, sentence)


def families(report: Report) -> list[tuple[Finding, tuple[Finding, ...]]]:
    """Every root with all that follows from it, directly or through another symptom, in the report's order.

    Findings that only explain each other in a circle have no root; the first of them is taken for one, so that each
    finding of the report stands somewhere.
    """
    shown: set[int] = set()
    found: list[tuple[Finding, tuple[Finding, ...]]] = []
    for cause in (*report.roots, *report.findings):
        if id(cause) not in shown:
            below = _below(report, cause)
            shown |= {id(cause), *(id(f) for f in below)}
            found.append((cause, below))
    return found


@dataclass(frozen=True)
class Group:
    """The same fault in several runs: one family to show whole, and the names of the other runs that have it."""

    cause: Finding
    below: tuple[Finding, ...]
    also_in: tuple[str, ...] = ()


def groups(report: Report, most_alike: int = 3) -> list[Group]:
    """Families in the report's order; where more than ``most_alike`` runs share code and subject, the first for all."""
    alike: dict[tuple[str, str, str | None], list[tuple[Finding, tuple[Finding, ...]]]] = {}
    for cause, below in families(report):
        alike.setdefault((cause.code, cause.subject, cause.severity), []).append((cause, below))
    found: list[Group] = []
    for same in alike.values():
        others = tuple(dict.fromkeys(cause.run for cause, _ in same[1:] if cause.run != same[0][0].run))
        if len(others) < most_alike:
            found += [Group(cause, below) for cause, below in same]
        else:
            found.append(Group(*same[0], also_in=others))
    return found


def _below(report: Report, cause: Finding) -> tuple[Finding, ...]:
    reached: dict[int, Finding] = {}
    waiting = [cause]
    while waiting:
        for symptom in report.symptoms(waiting.pop()):
            if symptom is not cause and id(symptom) not in reached:
                reached[id(symptom)] = symptom
                waiting.append(symptom)
    return tuple(f for f in report.findings if id(f) in reached)
