"""Laws of whole runs: healthy ones stay quiet, faulty ones ring for their cause, live equals afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import beta

import tocsin
from corpus import faulty, healthy
from tocsin.engine import Watchkeeper, all_rules, check_run
from tocsin.findings import dumps, finding_to_json
from tocsin.run import Run, looks_at_count, looks_at_evaluation

SEEDS = 3
RULES = list(all_rules().values())
LOOKING = [r for r in RULES if r.when == "look" and r.scope == "run"]
# The engine's laws are the same for every run: a spread of them is enough, the rules' own laws see all.
SPREAD = [
    *(healthy.build(n, 0) for n in ("classification", "early-attractor", "curriculum", "one-blip")),
    *(faulty.build(n, 0) for n in faulty.CODES),
]
some_runs = pytest.mark.parametrize("run", SPREAD, ids=[r.name for r in SPREAD])


def test_healthy_runs_are_silent(record_property):
    runs = [healthy.build(name, seed) for name in healthy.HEALTHY for seed in range(SEEDS)]
    reports = [tocsin.check(run) for run in runs]
    rung = [f"{f.run}: {f.code} {f.subject} {f.message}" for r in reports for f in r.findings if f.severity != "note"]
    failed = sum(report.failed for report in reports)
    bound = beta.ppf(0.95, failed + 1, len(runs) - failed)
    record_property(
        "figure",
        f"healthy corpus: {failed} of {len(runs)} synthetic runs ring at warning or above with {len(RULES)} rules "
        f"(95 % upper bound {100 * bound:.1f} %, if runs like these are what comes)",
    )
    assert rung == []
    looked = {r.code: sum(r.code not in {n.code for n in report.not_checked} for report in reports) for r in RULES}
    seldom = {code: n for code, n in looked.items() if n < SEEDS}
    assert not seldom, f"silent because they could not look: {seldom}"


@pytest.mark.parametrize("name", faulty.CODES)
def test_a_faulty_run_rings_for_its_cause(name):
    code = faulty.CODES[name]
    if code not in all_rules():
        pytest.skip(f"{code} is not written yet")
    for seed in range(SEEDS):
        report = tocsin.check(faulty.build(name, seed))
        assert code in {f.code for f in report.roots if f.severity != "note"}, [str(f.message) for f in report.findings]


def identities(keeper: Watchkeeper) -> set[tuple[str, str, int]]:
    return {(f.code, f.subject, f.step) for f in keeper.findings}


@some_runs
def test_prefix_law(run):
    """What rings on the run as it stood after a look is still there, under the same identity, on the whole run."""
    whole = identities(check_run(run, LOOKING))
    for step in run.looks()[::3]:
        early = identities(check_run(run.prefix(step), LOOKING))
        assert early <= whole, f"rung by step {step} and gone later: {early - whole}"


def grown(run: Run, step: int) -> Run:
    """The run as a recorder would hold it after ``step``, cut here by hand."""
    series = {}
    for name, s in run.series.items():
        keep = s.step <= step
        if keep.any():
            series[name] = replace(s, step=s.step[keep], value=s.value[keep], epoch=s.epoch[keep], time=s.time[keep])
    closed = tuple(e for e in run.evaluations if e.step <= step)
    said = tuple(e for e in run.events if e.step <= step and e.kind != "exit")
    return replace(run, series=series, evaluations=closed, events=said, exit="running")


@some_runs
def test_live_equals_afterwards(run):
    if not run.looks():
        pytest.skip("nobody looks at a foreign log while it grows")
    live, evaluated = Watchkeeper(RULES), []
    for step in range(run.last_step + 1):
        if any(e.step == step for e in run.evaluations):
            evaluated.append(step)
        at_evaluation = bool(evaluated) and evaluated[-1] == step and looks_at_evaluation(len(evaluated))
        if at_evaluation or looks_at_count(step):
            live.look(grown(run, step), step=step)
    live.look(run, end=True)
    afterwards = check_run(run, RULES)
    assert [dumps(finding_to_json(f)) for f in live.findings] == [
        dumps(finding_to_json(f)) for f in afterwards.findings
    ]
    assert live.not_checked == afterwards.not_checked
