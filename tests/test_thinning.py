"""Bounded memory: what the recorder holds is a pure function of the points so far, and the same one afterwards."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tocsin
from loops import batches, quiet, small_model
from tocsin import columns, recorder, thinning
from tocsin.columns import Columns
from tocsin.engine import Watchkeeper, check_run
from tocsin.run import Evaluation, Moments, Run, Series
from tocsin.thinning import Dyadic, _Kept, cap_of, evaluations_shown, group_of, stride_of, thinned

COLUMNS = ("step", "value", "epoch", "time")
VALUES = st.sampled_from([0.0, 1.5, -2.0, math.nan, math.inf])
NAMES = ("train/loss", "grad/norm", "grad/norm/a", "grad/norm/b", "grad/norm/c")
PATTERNS = st.lists(st.tuples(st.sets(st.sampled_from(NAMES), min_size=1), VALUES), min_size=1, max_size=120)


@pytest.fixture
def small_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds small enough for short runs to meet them."""
    for name, value in {"FEWEST": 4, "MOST": 16, "TOGETHER": 24, "LATEST": 3, "NUMBERLESS": 2}.items():
        monkeypatch.setattr(thinning, name, value)
    monkeypatch.setattr(columns, "FRESH", 20)


def rows_of(pattern: list[tuple[set[str], float]]) -> list[columns.Row]:
    return [
        (k + 1, k // 10 + 1, 0.5 * k, {name: value + (0 if math.isnan(value) else k) for name in sorted(names)})
        for k, (names, value) in enumerate(pattern)
    ]


def whole(rows: list[columns.Row]) -> Run:
    points: dict[str, list[tuple[float, ...]]] = {}
    for step, epoch, time, values in rows:
        for name, value in values.items():
            points.setdefault(name, []).append((step, value, math.nan if epoch is None else epoch, time))
    series = {}
    for name, found in points.items():
        step, value, epoch, time = (np.array(c) for c in zip(*found, strict=True))
        series[name] = Series(name, step.astype(np.int64), value, epoch, time)
    return Run("r", series, source="tocsin")


def assert_same(one: Run, other: Run) -> None:
    assert set(one.series) == set(other.series)
    for name, series in one.series.items():
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(series, column), getattr(other.series[name], column), name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATTERNS, st.integers(1, 7), st.integers(0, 120))
def test_what_is_held_is_what_the_whole_run_shows_at_every_point(
    small_caps: None, pattern: list[tuple[set[str], float]], at_once: int, resumed_at: int
) -> None:
    rows = rows_of(pattern)
    held = Columns("r", {}, {})
    if 0 < resumed_at < len(rows):
        held.load(whole(rows[:resumed_at]))
    else:
        resumed_at = 0
    for k in range(resumed_at, len(rows), at_once):
        held.extend(rows[k : k + at_once])
        assert_same(held.run(), thinned(whole(rows[: k + at_once])))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_the_stride_is_the_least_power_of_two_that_fits(n: int, cap: int) -> None:
    stride = stride_of(n, cap)
    assert stride.bit_count() == 1
    assert -(-n // stride) <= cap
    assert stride == 1 or -(-n // (stride // 2)) > cap


def test_a_series_keeps_every_second_power_the_latest_and_what_is_no_number() -> None:
    values = np.arange(20_000.0)
    values[[501, 503]] = np.nan
    seen = thinned(Run.of(series={"train/loss": values})).series["train/loss"]
    assert set(range(1, 20_001, 2)) <= set(seen.step.tolist())
    assert list(range(20_001 - 64, 20_001)) == seen.step[-64:].tolist()
    assert {502, 504} <= set(seen.step.tolist())
    assert len(seen) == 10_000 + 32 + 2


def test_short_runs_and_foreign_logs_are_left_alone() -> None:
    short = Run.of(series={"train/loss": np.arange(16_384.0)})
    assert len(thinned(short).series["train/loss"]) == 16_384
    foreign = Run.of(series={"train/loss": np.arange(40_000.0)}, source="csv")
    assert thinned(foreign) is foreign


def test_parts_of_one_quantity_share_its_bound() -> None:
    assert group_of("grad/norm/layers.0.weight") == group_of("grad/norm/b") != group_of("grad/norm")
    assert group_of("train/loss") == group_of("loss") == ""
    assert (cap_of(1), cap_of(100), cap_of(10**6)) == (16_384, 1310, 512)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=80))
def test_items_are_thinned_by_the_least_stride_that_fits(items: list[tuple[str, int]]) -> None:
    told = [(key, size, k) for k, (key, size) in enumerate(items)]
    kept = list(Dyadic(told, key=lambda i: i[0], size=lambda i: i[1], most=300, latest=2))
    keys = {key for key, _ in items}
    expected = set()
    for key in keys:
        mine = [i for i in told if i[0] == key]
        stride = 1
        while len(mine[::stride]) > 1 and sum(size for _, size, _ in mine[::stride]) > 300 // len(keys):
            stride *= 2
        expected |= {*mine[::stride], *mine[-2:]}
    assert kept == sorted(expected, key=lambda i: i[2])


def test_a_key_of_its_own_for_each_item_costs_no_square_of_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    fits, fit = [0], _Kept.fit

    def counted(kept: _Kept[Any], most: int) -> None:
        fits[0] += 1
        fit(kept, most)

    monkeypatch.setattr(_Kept, "fit", counted)
    kept: Dyadic[int] = Dyadic(range(2000), key=lambda k: k, size=lambda _: 1000, most=2**20, latest=1)
    assert list(kept) == list(range(2000))
    assert fits[0] < 10 * 2000


def test_evaluations_are_bounded_by_their_size() -> None:
    pairs = np.arange(4096.0)
    moments = Moments.of(pairs, pairs)
    kept = evaluations_shown(Evaluation("val", "main", k, "regression", 4096, moments=(moments,)) for k in range(3000))
    assert [e.step for e in kept][:3] == [0, 8, 16]
    assert [e.step for e in kept][-8:] == list(range(2992, 3000))
    assert sum(thinning.bytes_of(e) for e in kept) <= thinning.EVALUATION_BYTES + 8 * thinning.bytes_of(kept[-1])


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "FRESH", 2**14)
    held = Columns("r", {}, {})
    row = {"train/loss": 1.0, "grad/norm/a": 2.0}
    for chunk in range(20):
        held.extend([(chunk * 5000 + step, 1, 0.1 * step, row) for step in range(5000)])
        assert sum(len(c.values) for c in held._series.values()) <= 2 * (16_384 + 128) * 1.25 + 2**14 + 10_000
        assert len(held._step) <= 16_384 + 128 + 2**14 + 10_000
    assert len(held.run().series["train/loss"]) <= 16_384 + 64


def test_looks_see_live_what_they_see_afterwards(
    small_caps: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Run] = []

    class Keeper(Watchkeeper):
        def look(self, run: Run, *, step: int | None = None, end: bool = False) -> list:
            seen.append(run)
            return super().look(run, step=step, end=end)

    monkeypatch.setattr(recorder, "Watchkeeper", Keeper)
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=3, say=quiet) as run:
        for k, (x, y) in enumerate(batches(130)):
            loss = torch.nn.functional.cross_entropy(net(x), y)  # its inputs are here before the look at the last step
            run.losses(total=loss, half=loss / 2)
            opt.zero_grad()
            loss.backward()
            opt.step()
            if k % 20 == 19:
                run.evaluate("val", target=y, prediction=net(x).detach())
                run.end_epoch()
    live, seen[:] = seen[:], []
    monkeypatch.setattr("tocsin.engine.Watchkeeper", Keeper)
    check_run(tocsin.read(tmp_path / "r")[0], [])
    assert len(live) == len(seen) > 8
    for one, other in zip(live, seen, strict=True):
        assert_same(one, other)
        assert [e.step for e in one.evaluations] == [e.step for e in other.evaluations]
        assert [(e.kind, e.step) for e in one.events] == [(e.kind, e.step) for e in other.events]
