"""Who and where: e-mails, tokens, host names and home paths, found in any text and replaced before it is published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from tocsin.findings import Evidence, Finding, Remedy, Report
from tocsin.run import Run

_SECRET_KEY = re.compile(
    r"(?i)((api|access|private|wandb|account)[_-]?key|secret|passw(or)?d|passphrase|credential"
    r"|(?<!(eos|bos|pad|unk|sep|cls)[_-])(?<!mask[_-])token$)"
)
_PERSON_KEY = re.compile(r"(?i)^(\w*[._])?(e-?mail|user(_?name)?|logname|author|login|owner|account)$")
_HOST_KEY = re.compile(r"(?i)^(\w*[._])?(host(_?name)?|node_?(name|list)|master_addr(ess)?|rdzv_endpoint)$")
_COMMON = frozenset(
    ("root", "user", "users", "ubuntu", "admin", "home", "data", "work", "train", "test", "runs", "model", "models")
) | frozenset(("project", "projects", "code"))  # folders of these names are no accounts
_NOBODY = frozenset(("none", "null", "true", "false", "localhost", "127.0.0.1", "0.0.0.0"))  # noqa: S104
_LONGEST = 200_000


@dataclass(frozen=True)
class Redactor:
    """Replaces identifiers. ``users`` are account names met in home paths: they are replaced in other paths, too."""

    users: frozenset[str] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Redactor:
        """One that knows the account names that home paths among ``texts`` give away."""
        from tocsin.identifying import accounts  # expressions that take some milliseconds to compile, as below

        users = {user for text in texts for user in accounts(text[:_LONGEST])}
        return cls(frozenset(user for user in users if len(user) > 2 and user.lower() not in _COMMON))

    def text(self, said: str) -> str:
        """``said`` without e-mails, tokens, host names, addresses, and with ``~`` for home folders."""
        from tocsin.identifying import cleaned

        if len(said) < 4:
            return said
        said = cleaned(said)
        if self.users:
            said = _of_users(self.users).sub("<user>", said)
        return said

    def data(self, value: Any, key: str = "") -> Any:
        """The same in nested data; the values of secret and personal keys go whole."""
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.data(v, str(k)) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.data(v, key) for v in value]
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        if isinstance(value, str | PurePath):
            return self._setting(key, str(value))
        return value

    def _setting(self, key: str, value: str) -> str:
        from tocsin.identifying import is_revision

        if not value or value.lower() in _NOBODY or is_revision(key, value):
            return value
        for named, word in ((_SECRET_KEY, "<token>"), (_PERSON_KEY, "<user>"), (_HOST_KEY, "<host>")):
            if named.search(key):
                return word
        return self.text(value)

    def finding(self, finding: Finding) -> Finding:
        """A finding whose texts are clean."""
        return replace(
            finding,
            message=self.text(finding.message),
            subject=self._subject(finding.subject),
            run=self.text(finding.run),
            evidence=tuple(self._evidence(e) for e in finding.evidence),
            remedies=tuple(Remedy(self.text(r.text), r.safe, self.data(r.patch)) for r in finding.remedies),
        )

    def _subject(self, said: str) -> str:
        """Subjects hold texts whose digits became ``#``."""
        digits = said.replace("#", "0")
        clean = self.text(digits)
        return said if clean == digits else clean

    def _evidence(self, e: Evidence) -> Evidence:
        value = self.text(e.value) if isinstance(e.value, str) else e.value
        return replace(e, source=self.text(e.source), value=value, text=self.text(e.text))

    def report(self, report: Report) -> Report:
        """A report whose texts are clean; runs that were told apart by what is gone are numbered."""
        names = self._told_apart(report.runs)

        def finding(found: Finding) -> Finding:
            clean = self.finding(found)
            return replace(clean, run=names.get(found.run, clean.run))

        return replace(
            report,
            runs=tuple(names.values()),
            findings=tuple(map(finding, report.findings)),
            not_checked=tuple(
                replace(n, reason=self.text(n.reason), run=names.get(n.run) or self.text(n.run))
                for n in report.not_checked
            ),
            unread=tuple(map(self.text, report.unread)),
            known=tuple(map(finding, report.known)),
            scores=tuple(replace(s, name=self.text(s.name), run=names.get(s.run, s.run)) for s in report.scores),
        )

    def _told_apart(self, names: Iterable[str]) -> dict[str, str]:
        """The clean form of each name; where several have the same one, the later ones get a number."""
        clean: dict[str, str] = {}
        taken: set[str] = set()
        for name in names:
            base, k = self.text(name), 1
            said = base
            while said in taken:
                k += 1
                said = f"{base} ({k})"
            taken.add(said)
            clean[name] = said
        return clean

    def run(self, run: Run) -> Run:
        """A run all of whose texts are clean: names of series, configuration, environment, events, path and others."""
        series = self._told_apart(run.series)
        return replace(
            run,
            name=self.text(run.name),
            series={series[name]: replace(s, name=series[name]) for name, s in run.series.items()},
            digests={series.get(name, name): digest for name, digest in run.digests.items()},
            config=self.data(run.config),
            environment=self.data(run.environment),
            events=tuple(replace(e, text=self.text(e.text), data=self.data(e.data)) for e in run.events),
            path=None if run.path is None else type(run.path)(self.text(str(run.path))),
            unread=tuple(map(self.text, run.unread)),
        )


def redactor_of(runs: Iterable[Run]) -> Redactor:
    """A redactor that knows the account names which these runs give away."""
    return Redactor.of(text for run in runs for text in texts_of(run))


def texts_of(said: Run | Report) -> Iterator[str]:
    """The texts of a run, or of a report, in which home paths may stand."""
    if isinstance(said, Report):
        yield from (*said.runs, *said.unread)
        for finding in (*said.findings, *said.known):
            yield from (finding.message, *(text for e in finding.evidence for text in (e.text, str(e.value))))
    else:
        yield from (said.name, str(said.path or ""), *said.unread, *said.series)
        for event in said.events:
            yield event.text
            yield from _strings(event.data)
        yield from _strings(said.config)
        yield from _strings(said.environment)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, str | PurePath):
        yield str(value)


@lru_cache(maxsize=64)
def _of_users(users: frozenset[str]) -> re.Pattern[str]:
    """Account names as whole parts of paths, or of ``name@``."""
    names = "|".join(re.escape(user) for user in sorted(users))
    return re.compile(
        rf"(?<![\w.-])(?:{names})(?=[/\\])|(?:(?<=[/\\])|(?<=home_)|(?<=[Uu]sers_))(?:{names})(?![A-Za-z0-9-])"
    )
