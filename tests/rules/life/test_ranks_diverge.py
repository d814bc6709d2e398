"""RUN006: ranks whose parameters, batches or steps differ; healthy ones, sharded ones and damaged parts are silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import f as f_distribution

import tocsin
from corpus.faults_ranks import AT, two_ranks
from tocsin.engine import judge
from tocsin.findings import Finding
from tocsin.ranks import F_8_8
from tocsin.record import open_record
from tocsin.record.reading import MOST_RANKS
from tocsin.rules.life.ranks_diverge import ranks_diverge as RUN006
from tocsin.run import Parameter, Run, Series


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def look(run: Run) -> tuple[list[Finding], str]:
    found, why = judge(RUN006, run, {})
    return found, why.reason if why else ""


def with_series(run: Run, **changed: Any) -> Run:
    return replace(run, series={**run.series, **{k: replace(v, name=k) for k, v in changed.items()}})


def told(run: Run, **changed: Any) -> Run:
    return replace(run, environment={"ranks": {**run.environment["ranks"], **changed}})


def test_ranks_in_step_are_silent_and_were_looked_at() -> None:
    assert look(two_ranks(rng())) == ([], "")


@pytest.mark.parametrize(("since", "step"), [(1, 1), (40, 45)])
def test_parameters_that_go_their_own_way(since: int, step: int) -> None:
    ((found,), _) = look(two_ranks(rng(), since=since))
    assert (found.subject, found.severity, found.step) == ("parameters", "error", step)
    assert "parameters of rank 1 differ from rank 0's" in found.message
    assert ("from the first compared step on" in found.message) == (since == 1)
    low, high = found.evidence[-1].interval or (0, 0)
    assert low < 0.1 < high, "the distance was made 3 where the norm was 30"


def test_the_quantile_is_that_of_f() -> None:
    assert pytest.approx(f_distribution.ppf(0.975, 8, 8), rel=1e-4) == F_8_8


def apart_by(size: float, tensors: int = 4, **fields: Any) -> Run:
    """Ranks that differ by ``size`` of their norm in the bits of some tensors."""
    run = replace(two_ranks(rng()), **fields)
    names = sorted(n for n in run.series if n.startswith("rank1/param/bits/"))[:tensors]
    changed = {n: replace(run.series[n], value=run.series[n].value + 1) for n in names}
    for k in range(8):
        mine = run.series[f"param/projection/{k}"]
        changed[f"rank1/param/projection/{k}"] = replace(mine, value=mine.value * (1 + size))
    return with_series(run, **changed)


@pytest.mark.parametrize(
    ("size", "tensors", "severity"), [(1e-3, 1, "error"), (1e-7, 4, "note"), (1e-7, 1, "warning"), (0.0, 4, "warning")]
)
def test_how_far_apart_they_are_makes_the_severity(size: float, tensors: int, severity: str) -> None:
    ((found,), _) = look(apart_by(size, tensors))
    assert found.severity == severity
    assert f"{tensors} of 4 tensors at step 362" in found.message


def test_half_precision_rounds_more() -> None:
    table = tuple(
        Parameter(n, 9, requires_grad=True, in_optimizer=True, dtype="bfloat16")
        for n in ("encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias")
    )
    assert look(apart_by(1e-2))[0][0].severity == "error"
    assert look(apart_by(1e-2, parameters=table))[0][0].severity == "note"


def test_parameters_that_agree_again_were_averaged() -> None:
    run = two_ranks(rng(), since=8)
    last = AT[-1] == AT
    mended = {
        n: replace(s, value=np.where(last, run.series[n.removeprefix("rank1/")].value, s.value))
        for n, s in run.series.items()
        if n.startswith("rank1/param/bits/")
    }
    assert look(with_series(run, **mended)) == ([], "")


def test_no_numbers_on_both_ranks_are_no_divergence() -> None:
    run = two_ranks(rng(), since=1)
    gone = {n: replace(s, value=s.value * np.nan) for n, s in run.series.items() if "param/projection" in n}
    assert look(with_series(run, **gone)) == ([], "")
    alone = {n: s for n, s in gone.items() if n.startswith("rank1/")}
    ((found,), _) = look(with_series(run, **alone))
    assert found.severity == "warning", "one has lost its numbers, the other has not"


def test_the_same_batches() -> None:
    ((found,), _) = look(two_ranks(rng(), same_batches=True))
    assert (found.subject, found.severity, found.step) == ("batches", "warning", 1)
    assert "24 of 24 compared ones are equal (share at least 86%)" in found.message


def test_one_batch_again_and_again_says_nothing_of_the_ranks() -> None:
    run = two_ranks(rng(), same_batches=True)
    for few in (1, 3):
        values = np.arange(24.0) % few
        both = {n: replace(run.series[n], value=values) for n in run.series if n.endswith("fingerprint/train")}
        assert look(with_series(run, **both)) == ([], "fewer than 4 of rank 0's training batches are different ones")


@pytest.mark.parametrize("equal", [1, 8])
def test_a_few_equal_batches_are_chance(equal: int) -> None:
    run = two_ranks(rng())
    mine, other = (run.series[f"{p}input/fingerprint/train"] for p in ("", "rank1/"))
    values = np.where(np.arange(24) < equal, mine.value, other.value)
    assert look(with_series(run, **{other.name: replace(other, value=values)})) == ([], "")


def test_a_rank_that_ended_first_keeps_the_others_waiting() -> None:
    ((found,), _) = look(two_ranks(rng(), ended=300))
    assert (found.subject, found.severity, found.step) == ("steps", "warning", 301)
    assert "rank 1 finished after 300 steps, rank 0 went on to step 400: it waits" in found.message
    run = two_ranks(rng(), ended=300)
    joined = told(run, exit={"0": "finished", "1": "finished"})
    assert [f.severity for f in look(joined)[0]] == ["note"]
    crashed = told(run, exit={"0": "killed", "1": "killed"})
    assert look(crashed) == ([], ""), "what was flushed last before a kill differs between ranks"


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"ranks": {"sharded": "FSDP2", "world": 2}}, "parameters are sharded (FSDP2)"),
        ({"optimizers": ["PostLocalSGDOptimizer"]}, "between two averages"),
        ({"ranks": {"world": 4}}, "2 of 4 ranks left a part"),
        ({"ranks": [3], "optimizers": 1}, ""),
    ],
)
def test_what_differs_by_design_or_is_missing_is_not_checked(environment: dict[str, Any], why: str) -> None:
    found, reason = look(replace(two_ranks(rng()), environment=environment))
    assert found == []
    assert why in reason


def test_one_process_is_not_checked() -> None:
    run = two_ranks(rng())
    alone = replace(run, series={n: s for n, s in run.series.items() if not n.startswith("rank1/")})
    assert "one process recorded this, of 2" in look(alone)[1]
    assert "needs" in look(Run("empty"))[1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300, 0.5])
def test_odd_numbers_of_another_rank_never_break_it(value: float) -> None:
    run = two_ranks(rng())
    odd = {n: replace(s, value=np.full(len(s), value)) for n, s in run.series.items() if n.startswith("rank1/")}
    _, why = look(with_series(run, **odd))
    assert "raised" not in why


# The parts on disk


def write(folder: Path, ranks: int, *, wrong: int = -1) -> None:
    """A run of ``ranks`` processes; the parameters of rank ``wrong`` are its own."""
    how = {"ranks": {"world": ranks, "sharded": ""}}
    writers = [open_record(folder, config={}, environment=how, rank=rank, start=1e9) for rank in range(ranks)]
    for rank, writer in enumerate(writers):
        for step in range(1, 33):
            values = {"train/loss": 1.0, "input/fingerprint/train": 100.0 * step + rank}
            values |= {"param/bits/w": float(step + (rank == wrong))} if step in AT else {}
            writer.rows([(step, None, float(step), values)])
    for writer in writers:
        writer.close("finished")


def of_folder(folder: Path) -> tuple[list[Finding], str, tuple[str, ...]]:
    report = tocsin.check(folder, select=["RUN006"])
    return list(report.findings), " ".join(n.reason for n in report.not_checked), report.unread


def test_parts_on_disk_are_joined(tmp_path: Path) -> None:
    write(tmp_path / "good", 3)
    assert of_folder(tmp_path / "good") == ([], "", ())
    write(tmp_path / "bad", 3, wrong=2)
    ((found,), _, _) = of_folder(tmp_path / "bad")
    assert "parameters of rank 2 differ" in found.message
    (run,) = tocsin.read(tmp_path / "bad")
    assert run.environment["ranks"]["exit"] == dict.fromkeys("012", "finished")


def test_a_missing_part_is_said(tmp_path: Path) -> None:
    write(tmp_path / "r", 2)
    for path in (tmp_path / "r/rank1").iterdir():
        path.unlink()
    (tmp_path / "r/rank1").rmdir()
    found, why, _ = of_folder(tmp_path / "r")
    assert (found, why.split(";")[0]) == ([], "one process recorded this, of 2")


@pytest.mark.parametrize("damage", ["manifest", "torn", "noise", "empty"])
def test_a_damaged_part_is_read_as_far_as_it_goes(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "r", 2)
    manifest, segment = tmp_path / "r/rank1/rank.json", tmp_path / "r/rank1/000001.jsonl"
    content = segment.read_bytes()
    if damage == "manifest":
        manifest.write_text("{")
    else:
        segment.write_bytes({"torn": content[:700], "noise": b"\xff\n" + content, "empty": b""}[damage])
    found, why, unread = of_folder(tmp_path / "r")
    assert [f.subject for f in found if f.severity != "note"] == []
    assert bool(unread) == (damage in ("manifest", "noise"))
    assert bool(why) == (damage == "empty")


def test_no_more_ranks_are_read_than_fit(tmp_path: Path) -> None:
    write(tmp_path / "r", 1)
    for rank in range(1, MOST_RANKS + 3):
        (tmp_path / f"r/rank{rank}").mkdir()
        (tmp_path / f"r/rank{rank}/000001.jsonl").write_text('{"step":1,"t":0,"v":{"x":1}}\n')
    (run,) = tocsin.read(tmp_path / "r")
    assert f"{MOST_RANKS + 3} ranks are recorded; the first {MOST_RANKS} were read" in run.unread
    assert f"rank{MOST_RANKS - 1}/x" in run.series
    assert f"rank{MOST_RANKS}/x" not in run.series


def test_series_of_a_rank_that_is_no_number_are_rank_0s_own() -> None:
    run = two_ranks(rng())
    odd = {name: Series.of(name, [1.0]) for name in ("rank01/x", "rankx/y", "rank1", "rank0/z")}
    assert look(with_series(run, **odd)) == ([], "")
