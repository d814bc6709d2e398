"""What goes in comes out: every number to the bit, through JSONL and through Parquet."""

from __future__ import annotations

import json
import math
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record.sample_record import CLASSES, FINDING, LABELS, PARAMETERS, REGRESSION, fill, opened
from tocsin import record
from tocsin.findings import finding_from_json
from tocsin.record import compaction, encoding, layout, segments
from tocsin.run import Run

PARTS = ("step", "epoch", "time", "value")
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])
ROWS = st.lists(
    st.tuples(
        st.integers(0, layout.MAX_STEP),
        st.none() | st.integers(0, 2**31),
        VALUES,
        st.dictionaries(NAMES, VALUES, min_size=1),
    ),
    min_size=1,
    max_size=8,
)


def expected(rows):
    columns = {}
    for step, epoch, t, values in rows:
        for name, value in values.items():
            columns.setdefault(name, []).append((step, math.nan if epoch is None else epoch, t, value))
    return columns


def assert_same(columns, rows):
    wanted = expected(rows)
    assert columns.keys() == wanted.keys()
    for name, points in wanted.items():
        for part, values in zip(PARTS, zip(*points, strict=True), strict=True):
            kept = getattr(columns[name], part)
            given = np.array(values, kept.dtype)
            np.testing.assert_array_equal(kept, given)
            np.testing.assert_array_equal(np.copysign(1, kept)[given == 0], np.copysign(1, given)[given == 0])


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_rows_round_trip_exactly_through_jsonl(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "000001.jsonl"
    path.write_bytes(b"".join(map(encoding.row_line, rows)))
    got = segments.read_jsonl(path)
    assert not got.unread
    assert_same(got.columns, rows)


@settings(max_examples=20, deadline=None)
@given(rows=ROWS)
def test_rows_round_trip_exactly_through_parquet(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("it's [a] rank*")
    layout.segment_path(folder, 1).write_bytes(b"".join(map(encoding.row_line, rows)))
    made = compaction._make_parquet(layout.segment_path(folder, 1), layout.segment_path(folder, 1, "parquet"))
    assert made
    assert_same(segments.read_parquet(layout.segment_path(folder, 1, "parquet")), rows)


def test_every_json_line_is_strict(recorded: Path):
    def refuse(word):
        raise AssertionError(f"bare {word}")

    for path in recorded.rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line, parse_constant=refuse)


def assert_equal_objects(a, b):
    for field in fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if hasattr(left, "__dataclass_fields__"):
            assert_equal_objects(left, right)
        elif isinstance(left, tuple) and left and hasattr(left[0], "__dataclass_fields__"):
            assert len(left) == len(right)
            for one, other in zip(left, right, strict=True):
                assert_equal_objects(one, other)
        else:
            np.testing.assert_equal(right, left, err_msg=field.name)


def test_the_rest_round_trips(recorded: Path):
    run = record.read(recorded)
    assert (run.name, run.source, run.path, run.exit, run.unread) == ("first", "tocsin", recorded, "finished", ())
    assert (run.config, run.environment) == ({"lr": 1e-3}, {"python": "3"})
    assert [e.kind for e in run.events] == ["end_epoch", "end_epoch"]
    assert run.parameters == tuple(PARAMETERS)
    for wrote, read, epoch in zip((CLASSES, REGRESSION, LABELS), run.evaluations, (1, 1, 2), strict=True):
        assert read.epoch == epoch
        assert_equal_objects(wrote, type(wrote)(**{**vars(read), "epoch": wrote.epoch}))
    (line,) = (recorded / "findings.jsonl").read_text().splitlines()
    data = json.loads(line)
    assert data.pop("attempt") == 1
    assert_equal_objects(finding_from_json(data), FINDING)


def test_epochs_are_filled_from_their_ends(folder: Path):
    writer = opened(folder)
    fill(writer, steps=42)
    writer.rows([(43, 9, 4.3, {"train/loss": 0.0})])
    writer.close("finished")
    epochs = record.read(folder).series["train/loss"].epoch
    assert epochs[[0, 19, 20, 39, 40, 42]].tolist() == [1, 1, 2, 2, 3, 9]


def test_without_ends_the_epoch_is_unknown(folder: Path):
    writer = opened(folder)
    writer.rows([(1, None, 0.0, {"train/loss": 0.0})])
    writer.close("finished")
    assert np.isnan(record.read(folder).series["train/loss"].epoch).all()


def identical(a: Run, b: Run) -> bool:
    return a.series.keys() == b.series.keys() and all(
        getattr(a.series[n], part).tobytes() == getattr(b.series[n], part).tobytes() for n in a.series for part in PARTS
    )


def test_compaction_changes_nothing_that_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compaction, "COMPACT_BYTES", 1)
    writer = opened(folder)
    fill(writer)
    live = record.read(folder)
    assert live.exit == "running"
    writer.close("finished")
    assert [p.name for p in (folder / "rank0").iterdir()] == ["000001.parquet"]
    assert identical(live, record.read(folder))


def test_kill_between_rename_and_removal_does_not_double(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compaction, "COMPACT_BYTES", 1)
    writer = opened(folder)
    fill(writer)
    jsonl = (folder / "rank0" / "000001.jsonl").read_bytes()
    writer.close("finished")
    alone = record.read(folder)
    (folder / "rank0" / "000001.jsonl").write_bytes(jsonl)
    assert identical(alone, record.read(folder))
    assert compaction.compact(folder / "rank0") is None
    assert not (folder / "rank0" / "000001.jsonl").exists()


@pytest.mark.parametrize("broken", ["_write", "read_parquet", "_same"])
def test_a_failed_compaction_keeps_the_jsonl_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str):
    def fail(*_):
        raise MemoryError("planted")

    monkeypatch.setattr(compaction, "COMPACT_BYTES", 1)
    monkeypatch.setattr(compaction, broken, (lambda *_: False) if broken == "_same" else fail)
    writer = opened(folder)
    fill(writer)
    before = record.read(folder)
    writer.close("finished")
    assert [p.name for p in (folder / "rank0").iterdir()] == ["000001.jsonl"]
    after = record.read(folder)
    assert identical(before, after)
    assert "kept as JSONL" in after.events[-1].text


def test_a_broken_parquet_falls_back_to_its_jsonl(folder: Path):
    writer = opened(folder)
    fill(writer)
    writer.close("finished")
    whole = record.read(folder)
    (folder / "rank0" / "000001.parquet").write_bytes(b"PAR1 nonsense PAR1")
    run = record.read(folder)
    assert identical(whole, run)
    assert "000001.parquet" in run.unread[0]


def test_a_segment_with_an_unreadable_line_is_not_compacted(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compaction, "COMPACT_BYTES", 1)
    writer = opened(folder)
    fill(writer)
    path = folder / "rank0" / "000001.jsonl"
    path.write_bytes(b"half a li\n" + path.read_bytes())
    writer.close("finished")
    assert path.exists()
    assert record.read(folder).unread == (f"{path}: 1 line could not be read",)


def test_reading_is_fast_enough(folder: Path, record_property, monkeypatch: pytest.MonkeyPatch):
    rows, names = 10_000, [f"grad/norm/layer{k}" for k in range(10)]
    values = np.random.default_rng(0).normal(size=(rows, 10)).tolist()
    writer = opened(folder)
    for step, row in enumerate(values, 1):
        writer.rows([(step, None, 1e-3 * step, dict(zip(names, row, strict=True)))])
    assert writer.flush(20)
    monkeypatch.setattr(compaction, "COMPACT_BYTES", 1)
    seconds = []
    for close in (writer.flush, lambda: writer.close("finished")):
        close()
        began = time.process_time()
        run = record.read(folder)
        seconds.append((time.process_time() - began) * 1e6 / (rows * 10))
        assert [run.series[name].value.size for name in names] == [rows] * 10
    record_property(
        "figure", f"record: 1e6 points are read in {seconds[0]:.2f} s (JSONL), {seconds[1]:.2f} s (Parquet)"
    )
    assert max(seconds) < 8
