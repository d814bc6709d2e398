"""Laws that every rule obeys, by walking the catalogue: a new rule is under them on the day it is written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corpus import degenerate, faulty
from laws.examples import blocks, examples
from tocsin import names
from tocsin.engine import RAISED, all_rules, check_run, judge
from tocsin.findings import Evidence, Rule, dumps, finding_from_json, finding_to_json
from tocsin.run import Run

RULES = list(all_rules().values())
PREFIXES = {"CFG", "DAT", "OBJ", "OPT", "AMP", "PRD", "EVL", "GEN", "CMP", "RUN"}
HEADINGS = ["What it does", "Why is this bad?", "Example", "Fix", "Options", "Known limits", "References"]

every_rule = pytest.mark.parametrize("rule", RULES, ids=[r.code for r in RULES])


def rung(rule: Rule, run: Run | list[Run]) -> list[Any]:
    """What this rule alone rings on the run, looks and end; or on several runs."""
    if isinstance(run, list):
        found, why = judge(rule, run, {})
        assert why is None, why
        return found
    keeper = check_run(run, [rule])
    why = keeper.not_checked.get(rule.code)
    assert why is None or not why.reason.startswith(RAISED), why
    return keeper.findings


def counts(rule: Rule, finding: Any) -> bool:
    """Whether a finding is one of the severity that the rule is for: notes count only where it gives nothing else."""
    return finding.severity != "note" or rule.severity == "note"


def texts(findings: Sequence[Any]) -> list[str]:
    """Comparable even where numbers are NaN."""
    return [dumps(finding_to_json(f)) for f in findings]


@every_rule
def test_a_page_has_its_headings_in_order(rule):
    found = re.findall(r"^## (.+)$", rule.doc, re.MULTILINE)
    wanted = [h for h in HEADINGS if h != "Options" or rule.options]
    assert found == wanted
    assert re.fullmatch(r"[A-Z`].*\.", rule.summary), "the first line is one sentence that states the fault"
    fix = rule.doc.partition("## Fix")[2].partition("\n## ")[0]
    items = re.findall(r"^[-*] (.+)", fix, re.MULTILINE)
    assert items, "Fix is a list"
    assert all(re.match(r"\*\*(safe|unsafe)\*\*", item) for item in items), "each item is **safe** or **unsafe**"


@every_rule
def test_every_option_is_documented_with_its_default(rule):
    section = rule.doc.partition("## Options")[2].partition("\n## ")[0]
    for option in rule.options:
        assert f"`{option}`" in section or f"`{option}=" in section, option


@every_rule
def test_its_code_name_and_place_agree(rule):
    assert re.fullmatch(r"[A-Z]{3}\d{3}", rule.code)
    assert rule.code[:3] in PREFIXES
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    # A lack is a fault ("no-steps"); a ban ("no-print") is not how faults are named here.
    assert not re.search(r"^no-(?!steps$|information$|gradient-path$|better-than)|-(check|rule|fix)$", rule.name)
    assert rule.check.__module__.rpartition(".")[2] == rule.name.replace("-", "_")


@every_rule
def test_its_example_is_short_and_rings_and_its_cure_does_not(rule):
    for block in blocks(rule):
        assert 1 <= len(block.strip().splitlines()) <= 12
    bad, good = examples(rule.code)
    assert any(counts(rule, f) for f in rung(rule, bad))
    assert rung(rule, good) == []
    assert all(one.has(need) for one in several(good) for need in rule.needs), (
        "the cure must be looked at, not merely unchecked"
    )


@every_rule
def test_an_empty_run_is_not_checked_and_never_clean(rule):
    if rule.scope == "run":
        keeper = check_run(Run("empty"), [rule])
        assert keeper.findings == []
        assert keeper.not_checked[rule.code].reason


@every_rule
@pytest.mark.parametrize("kind", degenerate.VALUES)
@pytest.mark.filterwarnings("error")
def test_odd_numbers_never_break_it(rule, kind):
    run = degenerate.run_of(kind, [rule])
    if rule.scope == "runs":
        _, why = judge(rule, [run, run], {})
        assert why is None or not why.reason.startswith(RAISED), why
        return
    found = rung(rule, run)
    assert all(-1 <= f.step <= run.last_step for f in found)
    assert texts(rung(rule, run)) == texts(found), "same input, same output"
    check_round_trip(found)
    for finding in found:
        for evidence in finding.evidence:
            check_evidence(run, evidence)
    # Each need alone in its odd form, the others absent: not checked or judged, never broken.
    for name in run.series:
        rung(rule, replace(run, series={name: run.series[name]}, evaluations=()))


def several(run: Run | list[Run]) -> list[Run]:
    return run if isinstance(run, list) else [run]


def known_runs(rule: Rule) -> Iterator[Run | list[Run]]:
    yield examples(rule.code)[0]
    yield from (faulty.build(name, 0) for name, code in faulty.CODES.items() if code == rule.code)


@every_rule
def test_every_evidence_points_at_a_recorded_number(rule):
    for run in known_runs(rule):
        found = [f for f in rung(rule, run) if counts(rule, f)]
        assert found, f"{rule.code} is silent on {[r.name for r in several(run)]}"
        for finding in found:
            assert finding.evidence, "a finding rests on evidence"
            assert finding.remedies, "a finding says what to do"
            assert re.search(r"\d", finding.message), "the message carries the numbers"
            assert 0 <= finding.step <= (several(run)[0].last_step if finding.rang_at is None else finding.rang_at)
            for evidence in finding.evidence:
                check_evidence(several(run)[0], evidence)


@every_rule
def test_too_little_to_judge_is_not_clean(rule):
    """A fault that was there from the first record on: after that record alone the rule rings or says "not checked"."""
    for run in known_runs(rule):
        if isinstance(run, list):  # never judged before all of the runs are over
            continue
        begin = min(f.step for f in rung(rule, run) if counts(rule, f))
        if begin > min([e.step for e in run.evaluations if e.step], default=1):
            continue
        first = check_run(replace(run.prefix(max(begin, 1)), exit="finished"), [rule])
        assert first.findings or rule.code in first.not_checked, f"called clean at step {max(begin, 1)} of {run.name}"


def check_evidence(run: Run, evidence: Evidence) -> None:
    kind, colon, rest = evidence.source.partition(":")
    if colon and kind == "evaluation":
        steps = [e.step for e in run.evaluations if e.key == rest]
        assert steps, f"{evidence.source} is not in the run"
        assert evidence.step is None or evidence.step in steps, evidence
    elif colon and kind == "config":
        assert any(same(leaf, evidence.value) for leaf in leaves(run.config, rest)), evidence
    elif colon and kind == "environment":
        assert rest in run.environment, evidence
    elif colon and kind == "parameter":
        assert rest in {p.name for p in run.parameters}, evidence
    elif colon and kind == "event":
        assert rest in {e.kind for e in run.events}, evidence
    else:
        series = run.get(evidence.source)
        assert series is not None, f"{evidence.source} is not in the run"
        if evidence.value is not None:
            at = series.step == evidence.step
            assert any(same(v, evidence.value) for v in series.value[at]), f"{evidence} is not a recorded point"


def leaves(config: Any, key: str) -> Iterator[Any]:
    """Every value a dotted key may mean; keys may hold dots themselves."""
    if not key:
        yield config
    items = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, value in items:
        for form in (f"{name}", f"[{name}]", f".{name}"):
            if key == form:
                yield value
            elif key.startswith((f"{form}.", f"{form}[")):
                yield from leaves(value, key[len(form) :].removeprefix("."))


def same(recorded: Any, claimed: Any) -> bool:
    if isinstance(claimed, str) or isinstance(recorded, str) or claimed is None:
        return claimed is None or str(recorded) == str(claimed)
    return bool(np.isclose(recorded, claimed, rtol=1e-9, atol=0)) or (math.isnan(recorded) and math.isnan(claimed))


@every_rule
def test_same_input_same_output_and_json_round_trip(rule):
    for run in known_runs(rule):
        found = rung(rule, run)
        assert texts(found) == texts(rung(rule, run))
        check_round_trip(found)


def check_round_trip(findings: Sequence[Any]) -> None:
    for finding in findings:
        assert repr(finding_from_json(finding_to_json(finding))) == repr(plain(finding))


def plain(finding: Any) -> Any:
    """With the numbers as Python has them: numpy scalars print differently."""
    return finding_from_json(finding_to_json(finding))


@every_rule
def test_its_needs_are_names_that_something_records(rule):
    kinds = {"classes", "ids", "binary", "multilabel", "regression"}
    for need in rule.needs:
        for option in (o.strip() for o in need.split("|")):
            if option.startswith("evaluations"):
                assert option == "evaluations" or option.partition(":")[2] in kinds, option
            elif option not in ("config", "parameters", "events"):
                assert names.spec(option.replace("/*", "/x")) is not None, f"{option} is not in names.py"
    assert all(why for why in map(names.describe_need, rule.needs))


def test_explains_names_known_subjects_and_has_no_circle():
    edges = {r.code: set(r.explains) for r in RULES}
    for code, explained in edges.items():
        assert all(re.fullmatch(r"[A-Z]{3}\d{3}", e) and e[:3] in PREFIXES for e in explained), code
    while edges:
        ends = [code for code, explained in edges.items() if not explained & set(edges)]
        assert ends, f"a circle among {sorted(edges)}"
        for code in ends:
            del edges[code]
