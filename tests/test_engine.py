"""The engine, with throwaway rules: discovery, selection, looks, healing, broken rules, reports."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest

import tocsin.rules
from tocsin import engine
from tocsin.engine import UnknownRule, Watchkeeper, check_run, check_runs, distinct, judge
from tocsin.findings import Evidence, Finding, NotChecked, rule
from tocsin.run import Confusion, Evaluation, Run, Series


@rule("LOW001", needs=("train/loss",), explains=("LOW002",))
def loss_above(run, *, limit=2.0):
    """Rings while the last loss is above a limit."""
    series = run.series["train/loss"]
    if series.value[-1] > limit:
        yield Finding(f"{series.value[-1]:g}", step=int(series.step[0]), evidence=(Evidence("train/loss"),))


@rule("LOW002", needs=("train/loss",), severity="error")
def loss_odd(run):
    """Rings at any loss."""
    yield Finding("odd", step=3)


@rule("END001", needs=("train/loss",), severity="note", when="end")
def judged_at_the_end(run):
    """Rings once, at the end."""
    yield Finding(f"{run.last_step} {run.exit}", step=1)


@rule("BAD001", needs=())
def broken(run):
    """Raises from the 40th step on."""
    if run.last_step >= 40:
        raise RuntimeError("boom")
    yield from ()


@rule("NAY001", needs=("train/loss | grad/norm", "evaluations:regression"))
def needs_more(run):
    """Never gets what it needs."""
    yield Finding("never")


@rule("NAY002", needs=())
def tells_itself(run):
    """Says why it cannot look."""
    yield NotChecked("too short")
    yield NotChecked("too short")


@rule("ALL001", needs=(), scope="runs")
def about_several(runs):
    """Rings with the number of runs."""
    yield Finding(f"{len(runs)} runs")


@pytest.fixture
def catalogue(monkeypatch):
    """Make these the only rules."""

    def use(*rules):
        monkeypatch.setattr(engine, "all_rules", lambda: {r.code: r for r in rules})

    return use


def falling(n=100, start=5.0, name="run"):
    return Run.of(name, series={"train/loss": [start - 4 * k / n for k in range(n)]}, exit="finished")


def high(name="run"):
    return Run.of(name, series={"train/loss": [5.0] * 10})


def test_a_finding_rings_once_and_keeps_its_first_step():
    told = []
    keeper = Watchkeeper([loss_above], on_ring=told.append)
    for step in (32, 45):
        keeper.look(falling().prefix(step), step=step)
    assert [f.rang_at for f in told] == [32]
    assert [f.message for f in told] == ["3.76"]
    (finding,) = keeper.findings
    assert (finding.message, finding.step, finding.rang_at) == ("3.24", 1, 32)


def test_a_finding_no_longer_supported_becomes_a_note_that_says_when():
    keeper = check_run(falling(), [loss_above])
    (finding,) = keeper.findings
    assert (finding.severity, finding.rang_at, finding.healed_at) == ("note", 32, 91)


def test_a_fault_that_returns_is_no_longer_healed():
    values = [5.0] * 32 + [1.0] * 13 + [5.0] * 19
    (finding,) = check_run(Run.of(series={"train/loss": values}), [loss_above]).findings
    assert (finding.severity, finding.rang_at, finding.healed_at) == ("warning", 32, None)


def test_end_rules_are_judged_once_on_the_whole_run():
    keeper = Watchkeeper([judged_at_the_end])
    run = falling()
    assert keeper.look(run.prefix(32), step=32) == []
    (finding,) = keeper.look(run, end=True)
    assert finding.message == "100 finished"


def test_afterwards_equals_live():
    run = falling()
    live = Watchkeeper([loss_above, loss_odd, judged_at_the_end])
    for step in range(1, 101):
        if engine_looks(step):
            live.look(run.prefix(step), step=step)
    live.look(run, end=True)
    assert check_run(run, live.rules).findings == live.findings


def engine_looks(step):
    return step in (32, 45, 64, 91)


def test_a_rule_that_raises_is_reported_and_disabled_and_the_others_go_on():
    calls = []

    @rule("BAD002", needs=())
    def counted(run):
        """Counts its calls."""
        calls.append(run.last_step)
        raise ValueError("odd")
        yield

    report = check_run(falling(), [counted, broken, loss_odd])
    assert calls == [32]
    assert report.not_checked["BAD002"].reason == "the rule raised ValueError: odd"
    assert report.not_checked["BAD001"].reason == "the rule raised RuntimeError: boom"
    assert [f.code for f in report.findings] == ["LOW002"]


def test_odd_numbers_in_a_rule_warn_nobody():
    @rule("ODD001", needs=())
    def divides(run):
        """Divides zero by zero."""
        yield Finding(f"{np.zeros(1) / np.zeros(1)}")

    findings, why = judge(divides, Run("r"), {})
    assert [f.message for f in findings] == ["[nan]"]
    assert why is None


def test_what_could_not_be_looked_at_says_why_and_how_to_enable_it(catalogue):
    catalogue(needs_more, tells_itself)
    report = check_runs([falling()])
    assert report.clean == ()
    assert {n.code: n.reason for n in report.not_checked} == {
        "NAY001": "needs evaluations:regression (run.evaluate(split, target=, prediction=))",
        "NAY002": "too short",
    }
    assert not report.failed


def test_a_rule_that_found_something_is_not_also_unchecked():
    @rule("MIX001", needs=())
    def half_blind(run):
        """Finds one thing, cannot see another."""
        yield NotChecked("no gradient of b")
        yield Finding("a", subject="a")

    findings, why = judge(half_blind, Run("r"), {})
    assert [f.subject for f in findings] == ["a"]
    assert why is None


def test_options_by_code_win_over_options_by_name():
    run = falling(10)
    assert judge(loss_above, run, {"loss-above": {"limit": 0.5}})[0]
    assert not judge(loss_above, run, {"loss-above": {"limit": 0.5}, "LOW001": {"limit": 9.0}})[0]


def test_an_unknown_option_is_reported_not_raised():
    findings, why = judge(loss_above, falling(10), {"LOW001": {"limitt": 1}})
    assert findings == []
    assert "limitt" in why.reason


def test_select_and_ignore_take_codes_prefixes_and_names(catalogue):
    catalogue(loss_above, loss_odd, judged_at_the_end)

    def chosen(*args):
        return [r.code for r in engine.select_rules(*args)]

    assert chosen() == ["LOW001", "LOW002", "END001"]
    assert chosen(["low"]) == ["LOW001", "LOW002"]
    assert chosen(["LOW", "judged-at-the-end"], ["loss-odd"]) == ["LOW001", "END001"]
    assert chosen("LOW001") == ["LOW001"]
    with pytest.raises(UnknownRule, match="'LWO' matches no rule; expected a code, a prefix or a name"):
        chosen(["LWO"])
    with pytest.raises(UnknownRule):
        chosen([], ["nothing"])
    assert engine.find_rule("low001") is loss_above
    with pytest.raises(UnknownRule, match="tocsin rules"):
        engine.find_rule("XXX999")


def test_roots_come_before_their_symptoms_and_errors_first(catalogue):
    catalogue(loss_above, loss_odd, judged_at_the_end)
    run = Run.of(series={"train/loss": [5.0] * 40})
    report = check_runs([run])
    assert [f.code for f in report.findings] == ["LOW002", "LOW001", "END001"]
    assert [f.code for f in report.roots] == ["LOW001", "END001"]
    assert report.symptoms(report.roots[0])[0].code == "LOW002"


def test_baseline_leaves_known_findings_out_but_never_calls_them_clean(catalogue):
    catalogue(loss_above, loss_odd)
    report = check_runs([high()], baseline=[{"code": "LOW002", "subject": ""}])
    assert [f.code for f in report.findings] == ["LOW001"]
    assert [f.code for f in report.known] == ["LOW002"]
    assert report.clean == ()
    elsewhere = check_runs([high()], baseline=[{"code": "LOW002", "subject": "", "run": "other"}])
    assert len(elsewhere.findings) == 2


def test_several_runs_make_one_report_and_every_finding_names_its_run(catalogue):
    catalogue(loss_above, about_several)
    report = check_runs([high("a"), falling(10, name="b")])
    assert report.runs == ("a", "b")
    assert [(f.code, f.run) for f in report.findings] == [("ALL001", ""), ("LOW001", "a")]
    assert check_runs([falling(10)]).clean == ("LOW001",)


def test_rules_about_several_runs_are_not_clean_on_one(catalogue):
    catalogue(about_several)
    report = check_runs([falling()])
    assert report.clean == report.findings == report.not_checked == ()


def test_a_rule_blind_on_one_of_two_runs_is_not_clean(catalogue):
    catalogue(loss_above)
    report = check_runs([falling(10, start=1.0), Run("empty")])
    assert report.clean == ()
    assert [n.run for n in report.not_checked] == ["empty"]


def test_runs_of_one_name_are_told_apart(catalogue):
    catalogue(loss_above, loss_odd)
    assert [r.name for r in distinct([Run("a"), Run("b"), Run("a"), Run("a (2)")])] == ["a", "b", "a (2)", "a (2) (2)"]
    report = check_runs([falling(10), high()])
    assert [(f.code, f.run) for f in report.roots] == [("LOW002", "run"), ("LOW001", "run (2)")]


def test_evaluations_before_training_are_looked_at():
    seen = []

    @rule("SEE001", needs=("evaluations",))
    def seer(run):
        """Notes what it was shown."""
        seen.append((run.last_step, len(run.evaluations)))
        yield from ()

    evaluations = tuple(Evaluation("val", "m", s, "ids", 1, confusion=Confusion.of([[1]])) for s in (0, 5, 5))
    check_run(Run.of(evaluations=evaluations, series={"train/loss": [1.0] * 7}), [seer])
    assert seen == [(0, 1), (5, 3), (7, 3)]


RULE = '''
    """A scratch rule."""

    from tocsin.findings import rule


    @rule("{code}", needs=())
    def {name}(run):
        """Says nothing."""
        yield from ()
'''


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Add rule files next to the shipped ones and walk them again."""
    monkeypatch.setattr(tocsin.rules, "__path__", [str(tmp_path)])

    def add(module, source):
        folder = tmp_path / "scratch_subject"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text('"""Scratch."""\n')
        (folder / f"{module}.py").write_text(textwrap.dedent(source))

    yield add
    for name in [m for m in sys.modules if m.startswith("tocsin.rules.scratch_subject")]:
        del sys.modules[name]
    vars(tocsin.rules).pop("scratch_subject", None)


def test_a_new_rule_is_found_by_its_file_alone(scratch):
    scratch("one", RULE.format(code="ZZZ002", name="one"))
    scratch("two", RULE.format(code="ZZZ001", name="two"))
    found = engine.all_rules.__wrapped__()
    assert list(found) == ["ZZZ001", "ZZZ002"]
    assert found["ZZZ001"].name == "two"


def test_a_file_without_exactly_one_rule_is_refused(scratch):
    scratch("none", "X = 1\n")
    with pytest.raises(TypeError, match=r"none must hold exactly one rule, it holds 0"):
        engine.all_rules.__wrapped__()


def test_a_code_taken_twice_is_refused(scratch):
    scratch("one", RULE.format(code="ZZZ001", name="one"))
    scratch("two", RULE.format(code="ZZZ001", name="two"))
    with pytest.raises(TypeError, match=r"code ZZZ001 is taken twice: one, two"):
        engine.all_rules.__wrapped__()


def test_samples_that_stop_early_are_not_called_clean():
    @rule("ZZZ101", needs=("grad/norm/*",), live=True)
    def never(run):
        """Never rings."""
        yield from ()

    def report(last: int):
        series = {"train/loss": Series.of("train/loss", np.ones(100)), "grad/norm/a": Series.of("g", [1, 1], [1, last])}
        return judge(never, Run.of(series=series), {})

    assert report(50) == ([], None)
    _, why = report(49)
    assert why.reason == "grad/norm/* was sampled at steps 1 to 49 of 100 only: raise budget=, or set every="


def test_what_a_watch_ignored_is_not_checked_afterwards():
    run = Run.of(series={"train/loss": [np.nan] * 64}, environment={"watch": {"ignore": ["AMP003"]}})
    report = check_runs([run], select=["AMP"])
    assert [n.reason for n in report.not_checked if n.code == "AMP003"] == ["left out by watch(ignore=)"]
    assert not report.findings
    for odd in ({"watch": 3}, {"watch": {"ignore": 5}}, {"watch": {"ignore": [{}]}}):
        assert check_runs([Run.of(series={"train/loss": [np.nan] * 64}, environment=odd)]).findings
