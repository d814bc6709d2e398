"""Select rules, look at runs, and gather what rings into a ``Report``: live and afterwards by the same code.

A *look* judges all rules on the run as it stood after a step. Afterwards, ``check`` replays the looks that the
record itself prescribes (``Run.looks``), so it finds what a live watch found.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import tocsin.rules
from tocsin import names
from tocsin.findings import SEVERITIES, Finding, NotChecked, Report, Rule, by_run
from tocsin.references import scored
from tocsin.run import Run
from tocsin.thinning import thinned

Found = Callable[[Finding], None]


class UnknownRule(ValueError):  # noqa: N818  the name is public and says it all
    """A selector names no rule."""


@cache
def all_rules() -> dict[str, Rule]:
    """Every rule by code, found by walking ``tocsin.rules``.

    Raises:
        TypeError: A rule module holds none or several rules, or a code is taken twice.
    """
    found: dict[str, Rule] = {}
    for module_info in pkgutil.walk_packages(tocsin.rules.__path__, "tocsin.rules."):
        if module_info.ispkg:
            continue
        module = importlib.import_module(module_info.name)
        rules = [v for v in vars(module).values() if isinstance(v, Rule)]
        if len(rules) != 1:
            raise TypeError(f"{module_info.name} must hold exactly one rule, it holds {len(rules)}")
        if rules[0].code in found:
            raise TypeError(f"code {rules[0].code} is taken twice: {found[rules[0].code].name}, {rules[0].name}")
        found[rules[0].code] = rules[0]
    return dict(sorted(found.items()))


def find_rule(word: str) -> Rule:
    """The rule with this code or name.

    Raises:
        UnknownRule: There is none.
    """
    for rule in all_rules().values():
        if word.upper() == rule.code or word.lower() == rule.name:
            return rule
    raise UnknownRule(f"no rule {word!r}; `tocsin rules` lists them")


def selectors(words: Iterable[str]) -> list[str]:
    """The words as a list; a text alone is one word, not its letters."""
    return [words] if isinstance(words, str) else list(words)


def select_rules(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> list[Rule]:
    """Rules whose code starts with, or whose name is, one of ``select`` (all when empty) and none of ``ignore``.

    Raises:
        UnknownRule: A selector matches no rule.
    """
    rules = list(all_rules().values())

    def matching(words: Iterable[str]) -> set[str]:
        codes: set[str] = set()
        for word in selectors(words):
            hits = {r.code for r in rules if r.code.startswith(word.upper()) or r.name == word.lower()}
            if not hits:
                raise UnknownRule(f"{word!r} matches no rule; expected a code, a prefix or a name (`tocsin rules`)")
            codes |= hits
        return codes

    wanted, unwanted = matching(select), matching(ignore)
    return [r for r in rules if (not wanted or r.code in wanted) and r.code not in unwanted]


def vet_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise where overrides name a rule or an option that does not exist.

    Raises:
        UnknownRule: No rule has this code or name.
        ValueError: The rule has no such option.
    """
    for word, given in options.items():
        rule = find_rule(word)
        for unknown in set(given) - set(rule.options):
            expected = f"expected {', '.join(rule.options)}" if rule.options else "this rule has none"
            raise ValueError(f"{rule.code} {rule.name} has no option {unknown!r}; {expected}")


IGNORED = "left out by ignore (argument, option or pyproject.toml)"


def left_out(select: Iterable[str], ignore: Iterable[str]) -> list[NotChecked]:
    """The rules that ``ignore`` takes out of the selected ones: a report says what was not looked for."""
    kept = {rule.code for rule in select_rules(select, ignore)}
    return [NotChecked(IGNORED, rule.code, rule.name) for rule in select_rules(select) if rule.code not in kept]


@dataclass
class Watchkeeper:
    """Looks at one growing run with a set of rules; what has rung stays rung.

    Args:
        rules: Rules; those of scope "run" are judged.
        options: Option overrides by rule code or name.
        on_ring: Called once with each new finding.
        ignored: Codes that are "not checked".
    """

    rules: Sequence[Rule]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_ring: Found | None = None
    rung: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    not_checked: dict[str, NotChecked] = field(default_factory=dict)
    broken: dict[str, NotChecked] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.rules = [rule for rule in self.rules if rule.scope == "run"]

    def look(self, run: Run, *, step: int | None = None, end: bool = False) -> list[Finding]:
        """Judge the rules on ``run`` and return what rang for the first time. ``end`` adds the end rules."""
        at = run.last_step if step is None else step
        new: list[Finding] = []
        self.not_checked.clear()
        for rule in self.rules:
            if rule.code in self.ignored:
                self.not_checked[rule.code] = NotChecked("left out by watch(ignore=)", rule.code, rule.name, run.name)
            elif rule.code in self.broken:
                self.not_checked[rule.code] = self.broken[rule.code]
            elif rule.when == "look" or end:
                new += self._judge(rule, run, at)
        for finding in new:
            if self.on_ring is not None:
                self.on_ring(finding)
        return new

    def _judge(self, rule: Rule, run: Run, at: int) -> list[Finding]:
        findings, why = judge(rule, run, self.options)
        if why is not None:
            self.not_checked[rule.code] = why
            if why.reason.startswith(RAISED):
                self.broken[rule.code] = why
            return []
        now = {f.identity: f for f in findings}
        new = []
        for identity, finding in now.items():
            before = self.rung.get(identity)
            if before is None:
                self.rung[identity] = replace(finding, rang_at=at)
                new.append(self.rung[identity])
            else:
                self.rung[identity] = replace(finding, step=before.step, rang_at=before.rang_at)
        for identity, before in self.rung.items():
            if identity[1] == rule.code and identity not in now and before.healed_at is None:
                self.rung[identity] = replace(before, severity="note", healed_at=at)
        return new

    @property
    def findings(self) -> list[Finding]:
        """All that has rung, in order."""
        return ordered(self.rung.values())


RAISED = "the rule raised "


def judge(rule: Rule, subject: Any, options: Mapping[str, Any]) -> tuple[list[Finding], NotChecked | None]:
    """Run one rule on a run (or a list of runs): its findings, or why it could not look."""
    run = subject if isinstance(subject, Run) else Run("")

    def unable(reason: str) -> NotChecked:
        return NotChecked(reason, rule.code, rule.name, run.name)

    if rule.scope == "run":
        missing = [need for need in rule.needs if not subject.has(need)]
        if missing:
            return [], unable("needs " + "; ".join(names.describe_need(need) for need in missing))
    chosen = {**options.get(rule.name, {}), **options.get(rule.code, {})}
    findings: list[Finding] = []
    reasons: list[str] = []
    try:
        with np.errstate(all="ignore"):  # odd numbers are what rules are for; no warning may reach the user's loop
            for outcome in rule.check(subject, **chosen):
                if isinstance(outcome, NotChecked):
                    reasons.append(outcome.reason)
                else:
                    findings.append(rule.ring(run, outcome))
    except Exception as error:  # a broken rule must never break the run it watches; it is reported instead
        return [], unable(f"{RAISED}{type(error).__name__}: {error}")
    if not findings and not reasons and rule.live and rule.scope == "run":
        reasons += _unseen(rule, run)
    return findings, unable("; ".join(dict.fromkeys(reasons))) if reasons and not findings else None


def _unseen(rule: Rule, run: Run) -> list[str]:
    """Why a live rule that found nothing has not looked: its samples stop before half of the run."""
    for need in rule.needs:
        stem = need.removesuffix("/*")
        series = run.family(stem).values() if stem != need else filter(None, [run.get(need)])
        ends = [(int(s.step[0]), int(s.step[-1])) for s in series]
        if ends and 2 * max(last for _, last in ends) < run.last_step:
            first, last = min(first for first, _ in ends), max(last for _, last in ends)
            return [
                f"{need} was sampled at steps {first} to {last} of {run.last_step} only: raise budget=, or set every="
            ]
    return []


def check_run(run: Run, rules: Sequence[Rule], options: Mapping[str, Mapping[str, Any]] | None = None) -> Watchkeeper:
    """Replay the looks of a finished (or foreign) run, then look once more at the whole of it."""
    keeper = Watchkeeper(rules, options or {}, ignored=ignored_by_watch(run))
    for step in run.looks():
        keeper.look(thinned(run.prefix(step)), step=step)
    keeper.look(thinned(run), end=True)
    if run.foreign:  # nobody could have rung before the end
        keeper.rung = {identity: replace(finding, rang_at=None) for identity, finding in keeper.rung.items()}
    return keeper


def ignored_by_watch(run: Run) -> frozenset[str]:
    """Codes of the rules that the run's own ``watch(ignore=)`` left out."""
    watch = run.environment.get("watch")
    codes = watch.get("ignore") if isinstance(watch, Mapping) else None
    return frozenset(str(code) for code in codes) if isinstance(codes, list | tuple) else frozenset()


def check_runs(
    runs: Sequence[Run],
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    baseline: Iterable[Mapping[str, Any]] = (),
) -> Report:
    """Check several runs into one report; every finding names its run.

    Args:
        runs: The runs.
        select: Rule codes, code prefixes or names to judge; all when empty.
        ignore: The same, to leave out.
        options: Option overrides by rule code or name.
        baseline: Known findings (``code`` and ``subject``, optionally ``run``) to leave out.

    Raises:
        UnknownRule: A selector matches no rule.
    """
    select, ignore = selectors(select), selectors(ignore)
    rules = select_rules(select, ignore)
    runs = distinct(runs)
    keepers = [check_run(run, rules, options) for run in runs]
    findings = [f for keeper in keepers for f in keeper.rung.values()]
    not_checked = left_out(select, ignore) + [n for keeper in keepers for n in keeper.not_checked.values()]
    report = conclude(runs, rules, findings, not_checked, options=options)
    return without_known(replace(report, scores=tuple(s for run in runs for s in scored(run))), baseline)


def conclude(
    runs: Sequence[Run],
    rules: Sequence[Rule],
    findings: Iterable[Finding],
    not_checked: Iterable[NotChecked],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """The report on runs that were each checked: the rules over several runs are judged here, on their outlines.

    Args:
        runs: The runs, or their outlines, under distinct names.
        rules: The rules that were judged.
        findings: What rang in each run.
        not_checked: What could not look.
        options: Option overrides by rule code or name.
    """
    found_in_each, blind = list(findings), list(not_checked)
    for rule in rules:
        if rule.scope == "runs" and len(runs) > 1:
            found, why = judge(rule, list(runs), options or {})
            found_in_each += found
            blind += [why] if why else []
    return gather(runs, rules, found_in_each, blind)


def without_known(report: Report, baseline: Iterable[Mapping[str, Any]]) -> Report:
    """The report with the findings that a baseline names (``code``, optionally ``subject`` and ``run``) set apart.

    Raises:
        TypeError: The baseline is no list of mappings with a ``code``.
    """
    accepted = _accepted(baseline)  # a rule that rang is never called clean, and what is left out is counted
    known = tuple(f for f in report.findings if any(_same(b, f) for b in accepted))
    return replace(report, findings=tuple(ordered(f for f in report.findings if f not in known)), known=known)


def _accepted(baseline: Any) -> list[Mapping[str, Any]]:
    known: list[Any] = [baseline] if isinstance(baseline, str | Path) else list(baseline)
    for entry in known:
        if not (isinstance(entry, Mapping) and "code" in entry):
            raise TypeError(
                f"baseline is a list of known findings, each a mapping with a `code`; got {entry!r}. "
                'Of a file: json.loads(Path("known.json").read_text())["findings"]'
            )
    return known


def distinct(runs: Sequence[Run]) -> list[Run]:
    """The runs with names that tell them apart: findings, causes and baselines go by the run's name."""
    named: dict[str, Run] = {}
    for run in runs:
        name, k = run.name, 1
        while name in named:
            k += 1
            name = f"{run.name} ({k})"
        named[name] = run if name == run.name else replace(run, name=name)
    return list(named.values())


def gather(
    runs: Sequence[Run], rules: Sequence[Rule], findings: Iterable[Finding], not_checked: Iterable[NotChecked]
) -> Report:
    """The report of these outcomes: a rule is clean only where it looked at every run and nothing rang."""
    kept, blind = ordered(findings), tuple(not_checked)
    judged = {r.code for r in rules if r.scope == "run" or len(runs) > 1}
    said = {f.code for f in kept} | {n.code for n in blind}
    return Report(
        runs=tuple(r.name for r in runs),
        findings=tuple(kept),
        clean=tuple(sorted(judged - said)),
        not_checked=blind,
        unread=tuple(sentence for r in runs for sentence in r.unread),
    )


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first; within a severity roots before symptoms, then by step."""
    kept = list(findings)
    near = by_run(kept)
    roots = {id(f) for f in kept if not any(c.accounts_for(f) for c in near[f.run])}
    return sorted(
        kept, key=lambda f: (SEVERITIES.index(f.severity or "note"), id(f) not in roots, f.step, f.code, f.subject)
    )


def _same(known: Mapping[str, Any], finding: Finding) -> bool:
    return all(known.get(k, getattr(finding, k)) == getattr(finding, k) for k in ("code", "subject", "run"))
