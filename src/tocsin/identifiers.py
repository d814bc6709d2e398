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

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_LOGIN = re.compile(r"(?<![\w.+/@-])[a-z_][\w.-]{0,31}@[A-Za-z][\w-]{1,63}(?=[:~$#\s]|$)")
_HOME = re.compile(
    rf"(?P<head>(?:/(?:[\w.+-]{{1,64}}/){{0,4}})(?:home|Users|users|homes|usr/home)/)(?P<user>{_NAME})(?=[/\s'\":,;)\]]|$)"
)
_WINDOWS = re.compile(
    r"(?P<head>[A-Za-z]:[\\/]{1,2}(?:Users|Documents and Settings)[\\/]{1,2})(?P<user>[^\\/:\"'<>|\n]{1,64})"
)
_ROOT = re.compile(r"(?<![\w.~/-])/root(?=/|$)")
_EVENTS = re.compile(r"(events\.out\.tfevents\.\d+\.)[A-Za-z0-9-]+(?:\.[A-Za-z][\w-]*)*")
_ADDRESS = re.compile(r"(?<![\w.-])(?<!==)(?!0\.0\.0\.0|127\.0\.0\.1)(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
_HOST = re.compile(
    r"(?i)\b((?:host(?:_?name)?|node_?(?:list|name)|master_addr(?:ess)?|server|slurmd_nodename)['\"]?\s*[=:]\s*['\"]?"
    r"|on (?:node|host)\s+)(?!\d+\.\d+\.|none\b|false\b|true\b|\d+\b|<)([\w.\[\],-]{2,120})"
)
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|xox[abprs]-[\w-]{10,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,})"
)
_SECRET = re.compile(
    r"(?i)\b([\w-]*(?:api[_-]?key|access[_-]?key|secret|password|passwd|auth[_-]?token|access[_-]?token|hf_token"
    r"|wandb_key|bearer)[\w-]*)(['\"]?\s*[=:]\s*['\"]?|\s+)([^\s'\",;}&]{6,})"
)
_USERINFO = re.compile(r"(?<=://)[^\s/@]{1,200}@")
_SECRET_KEY = re.compile(
    r"(?i)(api[_-]?key|access[_-]?key|secret|password|passwd|auth[_-]?token|access[_-]?token|hf_token)"
)
_PERSON_KEY = re.compile(r"(?i)^(e-?mail|user(_?name)?|host(_?name)?|author|login|hostname)$")
_COMMON = frozenset(
    ("root", "user", "users", "ubuntu", "admin", "home", "data", "work", "train", "test", "runs", "model", "models")
) | frozenset(("project", "projects", "code"))  # folders of these names are no accounts
_LONGEST = 200_000


@dataclass(frozen=True)
class Redactor:
    """Replaces identifiers. ``users`` are account names met in home paths: they are replaced in other paths, too."""

    users: frozenset[str] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Redactor:
        """One that knows the account names that home paths among ``texts`` give away."""
        users = {m["user"] for text in texts for form in (_HOME, _WINDOWS) for m in form.finditer(text[:_LONGEST])}
        return cls(frozenset(user for user in users if len(user) > 2 and user.lower() not in _COMMON))

    def text(self, said: str) -> str:
        """``said`` without e-mails, tokens, host names, addresses, and with ``~`` for home folders."""
        if len(said) < 4:
            return said
        said = _TOKENS.sub("<token>", said)
        said = _SECRET.sub(r"\1\2<token>", said)
        said = _USERINFO.sub("<login>@", said)
        said = _EMAIL.sub("<e-mail>", said)
        said = _LOGIN.sub("<login>", said)
        said = _WINDOWS.sub("~", _HOME.sub("~", _ROOT.sub("~", said)))
        said = _EVENTS.sub(r"\1<host>", said)
        said = _HOST.sub(r"\1<host>", said)
        said = _ADDRESS.sub("<address>", said)
        if self.users:
            said = _of_users(self.users).sub("<user>", said)
        return said

    def data(self, value: Any, key: str = "") -> Any:
        """The same in nested data; the values of secret and personal keys go whole."""
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.data(v, str(k)) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.data(v, key) for v in value) if type(value) in (list, tuple) else value
        if isinstance(value, str) and value and (_SECRET_KEY.search(key) or _PERSON_KEY.search(key)):
            return "<token>" if _SECRET_KEY.search(key) else "<user>"
        return self.text(value) if isinstance(value, str) else value

    def finding(self, finding: Finding) -> Finding:
        """A finding whose texts are clean."""
        return replace(
            finding,
            message=self.text(finding.message),
            subject=self.text(finding.subject),
            run=self.text(finding.run),
            evidence=tuple(self._evidence(e) for e in finding.evidence),
            remedies=tuple(Remedy(self.text(r.text), r.safe, self.data(r.patch)) for r in finding.remedies),
        )

    def _evidence(self, e: Evidence) -> Evidence:
        value = self.text(e.value) if isinstance(e.value, str) else e.value
        return replace(e, source=self.text(e.source), value=value, text=self.text(e.text))

    def report(self, report: Report) -> Report:
        """A report whose texts are clean."""
        return replace(
            report,
            runs=tuple(map(self.text, report.runs)),
            findings=tuple(map(self.finding, report.findings)),
            not_checked=tuple(replace(n, reason=self.text(n.reason), run=self.text(n.run)) for n in report.not_checked),
            unread=tuple(map(self.text, report.unread)),
            known=tuple(map(self.finding, report.known)),
        )

    def run(self, run: Run) -> Run:
        """A run whose name, configuration, environment, events, path and unread sentences are clean."""
        return replace(
            run,
            name=self.text(run.name),
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
            yield from (finding.message, *(e.text for e in finding.evidence))
    else:
        yield str(said.path or "")
        yield from (event.text for event in said.events)
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
    return re.compile(rf"(?<=[/\\])(?:{names})(?=[/\\\s'\":,;)\]]|$)")
