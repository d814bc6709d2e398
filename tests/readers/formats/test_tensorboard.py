from __future__ import annotations

import struct
import tracemalloc
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readers.formats import event_files as tb
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.formats.tensorboard import READER
from tocsin.readers.log import Log
from tocsin.readers.tfevents import batches, checksums
from tocsin.run import Run

FIXTURES = Path(__file__).parents[1] / "fixtures" / "tensorboard"
F32 = st.floats(width=32)
STEP = st.one_of(st.integers(0, 300), st.integers(0, 2**40))


def log_of(folder: Path, data: bytes) -> Log:
    path = folder / "events.out.tfevents.1.x"
    path.write_bytes(data)
    (log,) = READER.read(File(path))
    return log


def run_of(name: str) -> Run:
    file = File(FIXTURES / f"{name}.tfevents")
    assert READER.sniffs(file)
    (log,) = READER.read(file)
    return log.run()


def test_pytorch():
    run = run_of("torch")
    assert np.allclose(run.series["train/loss"].value, 1 / np.arange(1, 31))
    assert list(run.series["train/loss"].step) == list(range(0, 300, 10))
    assert np.isnan(run.series["val/loss"].value[-1])
    assert run.series["double"].value[0] == 0.1
    assert run.series["new_style"].value[0] == 0.25
    assert not {"img", "weights"} & set(run.series)
    assert run.config == {"lr": 0.001, "epochs": 3, "name": "x", "gamma": "0.99", "seed": "1"}
    assert not run.config_typed  # the Markdown table knows texts only
    assert not run.unread


def test_hyper_parameters():
    run = run_of("hp1")
    assert run.config == {"lr": 0.1, "bs": 32, "opt": "adam", "bn": 1}
    assert type(run.config["bs"]) is int
    assert run.config_typed


def test_keras_and_merged_summaries():
    assert np.allclose(run_of("keras").series["train/loss"].value, 1 / np.arange(1, 13))
    merged = run_of("merged")
    assert np.allclose(merged.series["accuracy"].value, np.arange(15) / 15)
    assert np.allclose(merged.series["train/loss"].value, 1 / np.arange(1, 16))


def test_every_dtype():
    run = run_of("dtypes")
    assert "vector" not in run.series
    assert len(run.series) == 22
    for name, series in run.series.items():
        kind = name.partition("/")[2]
        expected = [1, 1, 1] if kind == "bfloat16" else [0, 1, 1] if kind == "bool" else None
        expected = expected or ([0, 1, 2] if kind.startswith("u") else [-1, 0, 1])
        assert list(series.value) == expected, name


def test_a_start_that_logged_nothing_tells_no_run():
    (log,) = READER.read(File(FIXTURES / "empty.tfevents"))
    assert (FIXTURES / "empty.tfevents").stat().st_size == 88
    assert not log.told
    assert "nothing was logged" in log.unread[0]


def test_lightning_placeholder_and_epochs(tmp_path):
    events = [tb.event(1.7e9, 0, tb.simple("hp_metric", -1))]
    for step in (10, 20):
        events += [
            tb.event(1.7e9, step, tb.simple("train_loss", 1.0)),
            tb.event(1.7e9, step, tb.simple("epoch", step // 20)),
        ]
    run = log_of(tmp_path, tb.written(events)).run()
    assert list(run.series) == ["train/loss"]
    assert list(run.series["train/loss"].epoch) == [1, 2]


@given(st.binary(max_size=40), st.integers(1, 9))
def test_checksum_of_rows(data, n):
    expected = int.from_bytes(tb.masked(data), "little")
    assert checksums.masked_crc32c(data) == expected
    rows = np.frombuffer(data * n, np.uint8).reshape(n, len(data))
    assert (checksums.masked_crc32c_rows(rows) == expected).all()


@st.composite
def event_lists(draw):
    """Events of few makings, so that columns form, in any order; and the points that they hold, tag by tag."""
    makings = draw(st.lists(st.lists(st.sampled_from("sdwi"), min_size=1, max_size=3), min_size=1, max_size=3))
    events, points = [], defaultdict(list)
    for _ in range(draw(st.integers(0, 60))):
        wall, step, values = draw(st.sampled_from([0.0, 1.7e9])), draw(STEP), b""
        number = draw(st.integers(0, len(makings) - 1))
        for place, kind in enumerate(makings[number]):
            tag = f"{number}{place}{kind}"
            if kind == "i":
                values += tb.image(tag, draw(st.binary(max_size=4)))
                continue
            value = draw({"s": F32, "d": st.floats(), "w": st.integers(-(2**50), 2**50)}[kind])
            values += {"s": tb.simple, "d": tb.double, "w": tb.whole}[kind](tag, value)
            points[tag].append((step, value, wall))
        events.append(tb.event(wall, step, values))
    return events, points


def columns(log: Log) -> dict[str, list[tuple[int, float, float]]]:
    return {name: list(zip(p.step, p.value, p.time, strict=True)) for (name, _), p in log._points.items()}


@settings(max_examples=60, deadline=None)
@given(event_lists())
def test_no_point_is_lost_or_changed_on_either_path(tmp_path_factory, made):
    events, points = made
    data = tb.written(events)
    folder = tmp_path_factory.mktemp("tb")
    fast = columns(log_of(folder, data))
    with mock.patch.object(batches, "FEW", 10**9):
        slow = columns(log_of(folder, data))
    for read in (fast, slow):
        assert read.keys() == points.keys()
        for tag, expected in points.items():
            assert np.array_equal(np.array(read[tag]), np.array(expected, float), equal_nan=True)


def test_pieces_join(tmp_path):
    data = tb.written(tb.event(1.7e9, i, tb.simple("loss", i) + tb.image("x", b"." * (i % 7))) for i in range(200))
    with mock.patch("tocsin.readers.tfevents.records.PIECE", 64):
        log = log_of(tmp_path, data)
    assert columns(log)["loss"] == [(i, i, 1.7e9) for i in range(200)]
    assert not log.unread


def test_every_truncation(tmp_path):
    data = tb.written(tb.event(1.7e9, i, tb.simple("loss", i)) for i in range(1, 5))
    size = len(tb.record(tb.event(1.7e9, 1, tb.simple("loss", 1))))
    for stop in range(len(tb.VERSION), len(data)):
        log = log_of(tmp_path, data[:stop])
        whole, torn = divmod(stop - len(tb.VERSION), size)
        assert len(columns(log).get("loss", [])) == whole
        if torn:
            assert f"truncated: the record at byte {stop - torn} of {stop}" in log.unread[0]
            assert log.events[0].kind == "truncated"


def test_a_flipped_bit_costs_one_record_or_the_rest(tmp_path):
    data = tb.written(tb.event(1.7e9, i, tb.simple("loss", i)) for i in range(1, 31))
    size = len(tb.record(tb.event(1.7e9, 1, tb.simple("loss", 1))))
    for at in range(len(tb.VERSION) + 10 * size, len(tb.VERSION) + 11 * size):
        damaged = bytearray(data)
        damaged[at] ^= 4
        log = log_of(tmp_path, bytes(damaged))
        steps = [step for step, *_ in columns(log)["loss"]]
        in_header = (at - len(tb.VERSION)) % size < 12
        assert steps == list(range(1, 11)) + ([] if in_header else list(range(12, 31)))
        assert str(len(tb.VERSION) + 10 * size) in log.unread[0]


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 10**7])
def test_a_huge_length_allocates_nothing(tmp_path, length):
    head = struct.pack("<Q", length)
    data = tb.written([tb.event(1.7e9, 1, tb.simple("loss", 2.0))]) + head + tb.masked(head) + b"x" * 50
    tracemalloc.start()
    log = log_of(tmp_path, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert columns(log)["loss"] == [(1, 2.0, 1.7e9)]
    assert "truncated" in log.unread[0]
    assert peak < 2**20


def test_records_too_large_are_passed_over(tmp_path):
    large = tb.record(tb.event(1.7e9, 2, tb.image("x", b"\1" * 5000)))
    loss = [tb.record(tb.event(1.7e9, i, tb.simple("loss", i))) for i in (1, 3)]
    with (
        mock.patch("tocsin.readers.tfevents.records.PIECE", 100),
        mock.patch("tocsin.readers.tfevents.records.LONGEST_RECORD", 4000),
    ):
        log = log_of(tmp_path, tb.VERSION + loss[0] + large + loss[1])
    assert [step for step, *_ in columns(log)["loss"]] == [1, 3]
    assert "passed over" in log.unread[0]


def test_other_tfrecords_and_odd_files_are_not_ours(tmp_path):
    example = tb.record(tb.part(1, tb.part(1, b"feature")))
    for data in (example, b"", b"\0" * 100, tb.VERSION[:20], b"PK\3\4" + bytes(60)):
        path = tmp_path / "events.out.tfevents.1.x"
        path.write_bytes(data)
        assert READER.sniffs(File(path)) == (data == tb.VERSION[:20])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12), st.data())
def test_hostile_payloads(tmp_path_factory, payloads, data):
    """Sound frames around any bytes, and around mutated events."""
    real = bytearray(tb.event(1.7e9, 3, tb.simple("a", 1) + tb.double("b", 2) + tb.whole("c", 3)))
    for _ in range(data.draw(st.integers(0, 4))):
        real[data.draw(st.integers(0, len(real) - 1))] = data.draw(st.integers(0, 255))
    try:
        log_of(tmp_path_factory.mktemp("tb"), tb.VERSION + b"".join(map(tb.record, [*payloads, bytes(real)]))).run()
    except ReadError:
        pytest.fail("a record that is no event is left out, not an error")
