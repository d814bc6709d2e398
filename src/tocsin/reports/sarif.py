"""A report as SARIF 2.1.0, the OASIS interchange format of checkers: one run of the tool, one result a finding.

Nothing in it depends on the clock, the machine or the order of reading, so that two checks of the same runs give the
same text. Paths are relative only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tocsin.findings import Finding, NotChecked, Report, Rule, dumps, jsonable
from tocsin.reports.place import Place

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_BASES = {
    "%SRCROOT%": "the folder in which the check ran",
    "GIVEN": "the folder of the path that was given to the check, where it lies elsewhere",
}
_SECTION = re.compile(r"^## +", re.M)
_BROKEN = "the rule raised "


def render(
    report: Report, rules: Sequence[Rule] = (), places: Mapping[str, Place] | None = None, version: str = ""
) -> str:
    """The report as SARIF text; non-finite numbers in the evidence become "nan", "inf", "-inf".

    Args:
        report: What to write.
        rules: All rules of the tool, whether or not they were judged.
        places: Where the runs lie, by their name.
        version: Of tocsin.
    """
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_Log(report, rules, places or {}).run(version)]}
    return dumps(_clean(log), indent=1) + "\n"


class _Log:
    """One report on its way to a SARIF run: what its results refer to."""

    def __init__(self, report: Report, rules: Sequence[Rule], places: Mapping[str, Place]) -> None:
        self.report, self.rules, self.places = report, rules, places
        self.index = {rule.code: k for k, rule in enumerate(rules)}
        found = (*report.findings, *report.known)
        self.prints = {id(f): _fingerprint(f) for f in found}
        self.causes: dict[int, list[Finding]] = {}
        for cause in report.findings:
            for symptom in report.symptoms(cause):
                self.causes.setdefault(id(symptom), []).append(cause)

    def run(self, version: str) -> dict[str, Any]:
        driver = {"name": "tocsin", "rules": [_described(rule) for rule in self.rules]}
        notes = [*self._not_checked(), *map(_unread, self.report.unread)]
        broken = any(n.reason.startswith(_BROKEN) for n in self.report.not_checked)
        bases = {"%SRCROOT%" if place.inside else "GIVEN" for place in self.places.values()}
        return {
            "tool": {"driver": driver | ({"version": version} if version else {})},
            "invocations": [{"executionSuccessful": not broken, "toolExecutionNotifications": notes}],
            "originalUriBaseIds": {base: {"description": {"text": _BASES[base]}} for base in sorted(bases)},
            "results": [*map(self._result, self.report.findings), *map(self._known, self.report.known)],
            "columnKind": "unicodeCodePoints",
            "properties": {
                "verdict": self.report.verdict,
                "runs": list(self.report.runs),
                "clean": list(self.report.clean),
            },
        }

    def _result(self, finding: Finding) -> dict[str, Any]:
        causes = self.causes.get(id(finding), [])
        related = [self._related(k, cause) for k, cause in enumerate(causes, 1)]
        return {
            **self._rule(finding.code),
            "level": finding.severity or "note",
            "message": {"text": _message(finding.message)},
            "locations": [self._location(finding)],
            "partialFingerprints": {"tocsin/v1": self.prints[id(finding)]},
            **({"relatedLocations": related} if related else {}),
            "properties": self._properties(finding, causes),
        }

    def _known(self, finding: Finding) -> dict[str, Any]:
        suppressed = {"kind": "external", "justification": "the baseline names it"}
        return {**self._result(finding), "suppressions": [suppressed]}

    def _rule(self, code: str) -> dict[str, Any]:
        known = self.index.get(code)
        return {"ruleId": code} if known is None else {"ruleId": code, "ruleIndex": known}

    def _location(self, finding: Finding) -> dict[str, Any]:
        place = self.places.get(finding.run)
        names = [{"name": finding.run, "kind": "run"}] if finding.run else []
        names += [{"name": finding.subject, "kind": "subject"}] if finding.subject else []
        where: dict[str, Any] = {"logicalLocations": names} if names else {}
        return where | ({} if place is None else {"physicalLocation": {"artifactLocation": _artifact(place)}})

    def _related(self, number: int, cause: Finding) -> dict[str, Any]:
        text = _message(f"follows from {cause.code} {cause.name}: {cause.message}")
        return {"id": number, "message": {"text": text}, **self._location(cause)}

    def _properties(self, finding: Finding, causes: Sequence[Finding]) -> dict[str, Any]:
        plain = jsonable({"evidence": [vars(e) for e in finding.evidence]})
        remedies = [{"text": r.text, "safe": r.safe, "patch": jsonable(r.patch)} for r in finding.remedies]
        told = {
            "run": finding.run,
            "subject": finding.subject,
            "step": finding.step,
            "rangAt": finding.rang_at,
            "healedAt": finding.healed_at,
            "root": not causes,
            "followsFrom": [self.prints[id(cause)] for cause in causes],
            "explains": [self.prints[id(s)] for s in self.report.symptoms(finding)],
            "remedies": remedies,
            **plain,
        }
        return {key: value for key, value in told.items() if value is not None}

    def _not_checked(self) -> Iterator[dict[str, Any]]:
        """A notification for each rule and reason, with the runs that it holds for."""
        runs: dict[tuple[str, str], list[str]] = {}
        for blind in self.report.not_checked:
            runs.setdefault((blind.code, blind.reason), []).append(blind.run)
        for (code, reason), names in runs.items():
            yield self._notification(NotChecked(reason, code), names)

    def _notification(self, blind: NotChecked, runs: Sequence[str]) -> dict[str, Any]:
        known = self.index.get(blind.code)
        rule = {"id": blind.code} | ({} if known is None else {"index": known})
        return {
            **({"associatedRule": rule} if blind.code else {}),
            "level": "error" if blind.reason.startswith(_BROKEN) else "note",
            "message": {"text": _message(f"{blind.code} not checked: {blind.reason}".strip())},
            "properties": {"runs": [name for name in dict.fromkeys(runs) if name]},
        }


def _unread(sentence: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": _message(f"not read: {sentence}")}}


def _described(rule: Rule) -> dict[str, Any]:
    sections = _SECTION.split(rule.doc)
    what = next((body for head, _, body in (s.partition("\n") for s in sections) if head == "What it does"), "")
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": what.strip() or rule.summary},
        "help": {"text": rule.doc, "markdown": f"# {rule.code} {rule.name}\n\n{rule.doc}"},
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"scope": rule.scope, "live": rule.live, "since": rule.since, "explains": list(rule.explains)},
    }


def _artifact(place: Place) -> dict[str, str]:
    return {"uri": quote(place.path, errors="replace"), "uriBaseId": "%SRCROOT%" if place.inside else "GIVEN"}


def _fingerprint(finding: Finding) -> str:
    """What makes it the same finding in the next check: run, code and subject; numbers and steps may move."""
    identity = "\0".join(finding.identity)
    return hashlib.blake2b(identity.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _message(text: str) -> str:
    """Text of a message as the format reads it (sections 3.11.5 and 3.11.6): no placeholder, no link."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _clean(value: Any) -> Any:
    """``value`` with half characters made visible: they have no place in UTF-8, which the format asks for."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(inner) for key, inner in value.items()}
    return [*map(_clean, value)] if isinstance(value, Iterable) else value
