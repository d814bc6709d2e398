"""Logs that the real libraries wrote are read as what was logged, and judged as what was done."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import pytest

import tocsin
from readers.cases.case_table import CASES

HERE = Path(__file__).parent
SHORTEST = 5e-5  # of 4 decimals


@cache
def read(name: str) -> list[tocsin.Run]:
    return sorted(tocsin.read(HERE / "fixtures" / name), key=lambda run: run.name)


@cache
def truth(name: str) -> dict:
    return json.loads((HERE / "truth" / f"{name}.json").read_text())


def cases(known: str) -> list:
    """All cases; those that are known to fail are marked with the reason."""
    return [
        pytest.param(name, marks=[pytest.mark.xfail(reason=why, strict=False)] if (why := getattr(c, known)) else [])
        for name, c in CASES.items()
    ]


def test_no_case_is_left_out():
    made = {path.relative_to(HERE / "truth").with_suffix("").as_posix() for path in HERE.glob("truth/*/*.json")}
    kept = {path.relative_to(HERE / "fixtures").as_posix() for path in HERE.glob("fixtures/*/*")}
    assert set(CASES) == made == kept


@pytest.mark.parametrize("name", cases("misread"))
def test_what_was_logged_is_what_is_read(name, record_property):
    expected, runs = CASES[name], read(name)
    assert [run.source for run in runs] == [expected.source] * expected.runs
    assert [run.exit for run in runs] == [_exit(expected.exit, run.name) for run in runs]
    points = 0
    for said in _logged(truth(name), [run.name for run in runs]):
        mine = [run for run in runs if said["run"] in run.name]
        for series, values in said["series"].items():
            points += _same(series, values, mine, printed=expected.source == "console")
    record_property("read", f"{name}:{points}")


def _exit(expected, name: str) -> str:
    return expected if isinstance(expected, str) else next(how for part, how in expected if part in name)


def _logged(said: dict, names: list[str]) -> list[dict]:
    """The series of each run of the case, or of all its runs one after another."""
    assert all(sum(run in name for name in names) == 1 for run in said.get("runs", {}))
    apart = [{"run": run, "series": series} for run, series in said.get("runs", {}).items()]
    return apart or [{"run": "", "series": said["series"]}]


def _same(name: str, said: dict, runs: list[tocsin.Run], printed: bool) -> int:
    series = [run.series[name] for run in runs]
    assert sum(len(s) for s in series) == said["points"], name
    for found, logged in ((series[0].value[0], said["first"]), (series[-1].value[-1], said["last"])):
        assert _near(float(found), float(logged), printed), (name, found, logged)
    return said["points"]


def _near(found: float, logged: float, printed: bool) -> bool:
    if math.isnan(logged):
        return math.isnan(found)
    # 4 places or 4 digits at the least are printed; files keep 32 bits, the Trainer's state of version 4 four places
    return math.isclose(found, logged, rel_tol=2e-3 if printed else 2e-6, abs_tol=6e-3 if printed else SHORTEST)


@pytest.mark.parametrize("name", cases("missed"))
def test_what_was_done_is_what_is_found(name):
    expected, report = CASES[name], tocsin.check(HERE / "fixtures" / name)
    found = [finding for finding in report.findings if finding.severity in ("warning", "error")]
    assert [finding.message for finding in found if "(healthy)" in finding.run] == []
    loud = {finding.code for finding in found}
    allowed = set().union(*expected.loud, expected.also if expected.loud else ())
    unexplained = [finding for finding in found if finding in report.roots and finding.code not in allowed]
    assert [(finding.code, finding.message) for finding in unexplained] == []
    assert [group for group in expected.loud if not group & loud] == []


def test_figures(record_property):
    """How many cases there are, and how many have a known gap; the gaps are named in the table."""
    misread = sum(bool(case.misread) for case in CASES.values())
    missed = sum(bool(case.missed) for case in CASES.values())
    libraries = len({name.partition("/")[0] for name in CASES})
    record_property(
        "figure",
        f"{len(CASES)} logs by {libraries} libraries: {len(CASES) - misread} read as logged, "
        f"{len(CASES) - missed} judged as made ({sum(not c.loud for c in CASES.values())} of them healthy)",
    )
    assert misread + missed < len(CASES) / 2
