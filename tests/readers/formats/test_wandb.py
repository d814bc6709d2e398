from __future__ import annotations

import json
import math
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readers.formats import wandb_logs as wb
from readers.formats.event_files import part, varint
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.formats.wandb import READER
from tocsin.readers.log import Log

FIXTURES = Path(__file__).parents[1] / "fixtures" / "wandb"


def log_of(folder: Path, data: bytes) -> Log:
    path = folder / "run-x.wandb"
    path.write_bytes(data)
    file = File(path)
    assert READER.sniffs(file)
    (log,) = READER.read(file)
    return log


def values(log: Log, name: str) -> list[float]:
    return list(log._points[name, ""].value)


def test_a_finished_run():
    (log,) = READER.read(File(FIXTURES / "ok.wandb"))
    run = log.run()
    assert (run.name, run.exit, run.unread) == ("fixture", "finished", ())
    assert run.config == {
        "lr": 1e-3,
        "epochs": 3,
        "opt": {"name": "adam", "betas": [0.9, 0.99]},
        "flag": True,
        "note": "x",
    }
    loss = run.series["train/loss"]
    assert list(loss.step) == list(range(0, 300, 5))  # trainer/global_step, not W&B's count of calls
    assert np.array_equal(np.isnan(loss.value), np.arange(60) == 40)
    assert list(run.series["val/loss"].epoch) == [1, 2, 3]
    assert run.series["best_acc"].value == 0.97
    assert "nested/acc" in run.series
    assert not any(name.startswith("hist") for name in run.series)
    assert run.environment["command"] == "python train.py ok --alpha 3"


@pytest.mark.parametrize("name", ["ok", "crash", "int"])
def test_nobody_is_named(name):
    (log,) = READER.read(File(FIXTURES / f"{name}.wandb"))
    said = repr((log.environment, log.config, log.events, log.unread, log.name))
    assert b"someone@example.org" in (FIXTURES / f"{name}.wandb").read_bytes()
    assert not any(word in said for word in ("someone", "a-host", "example.org"))


def test_how_runs_end():
    (crash,) = READER.read(File(FIXTURES / "crash.wandb"))
    assert crash.exit == "failed"
    assert [event.text for event in crash.events if event.kind == "message"] == ["loss is NaN, stopping"]
    (raised,) = [event for event in crash.events if event.kind == "exception"]
    assert raised.data["type"] == "RuntimeError"
    assert raised.text.startswith("Traceback")
    assert raised.text.endswith("boom in step 45")
    (stopped,) = READER.read(File(FIXTURES / "int.wandb"))
    assert stopped.exit == "interrupted"


@pytest.mark.parametrize(
    ("code", "exit_"), [(0, "finished"), (1, "failed"), (130, "interrupted"), (255, "interrupted"), (137, "killed")]
)
def test_exit_codes(tmp_path, code, exit_):
    assert log_of(tmp_path, wb.framed([wb.exit_record(code)])).exit == exit_


def test_a_header_alone_tells_no_run(tmp_path):
    log = log_of(tmp_path, wb.framed([]))
    assert not log.told
    assert "no record in it" in log.unread[0]


def test_less_than_a_header(tmp_path):
    path = tmp_path / "run-x.wandb"
    path.write_bytes(b":W&")
    assert not READER.sniffs(File(path))
    (log,) = READER.read(File(path))
    assert not log.told


def test_exit_255_with_another_exception_is_a_failure(tmp_path):
    said = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: x\n'
    assert log_of(tmp_path, wb.framed([wb.output(said), wb.exit_record(255)])).exit == "failed"


def test_values_of_every_kind(tmp_path):
    rows = [
        wb.typed("a", 5, 0, varint(7)), wb.typed("b", 6, 1, struct.pack("<d", 0.5)),
        wb.typed("c", 4, 0, b"\1"), wb.typed("d", 7, 2, b"\3NaN"), wb.typed("e", 8, 2, b"\0112.5000000"),
        wb.typed("f", 3, 0, b"\0"), wb.item("g", {"x": {"y": 1}, "z": "text", "w": [1]}),
        wb.item("h", {"_type": "image-file", "width": 3}), wb.item("i/j", 2, nested=True), wb.item("k", math.nan),
        wb.item("l", -math.inf), wb.item("m", 10**400), wb.item("n", None),
    ]  # fmt: skip
    log = log_of(tmp_path, wb.framed([wb.history(0, *rows)]))
    read = {name: points.value[0] for (name, _), points in log._points.items()}
    assert np.isnan([read.pop("d"), read.pop("k")]).all()
    assert read == {"a": -4, "b": 0.5, "e": 2.5, "g/x/y": 1, "i/j": 2, "l": -math.inf, "m": math.inf}
    assert log.exit == "killed"


def test_steps_epochs_and_summary(tmp_path):
    rows = [
        wb.history(i, wb.item("loss", i), wb.item("epoch", i // 10), wb.item("_timestamp", 1.7e9 + i))
        for i in range(30)
    ]
    summary = part(3, wb.item("loss", 29) + wb.item("loss.min", 0) + wb.item("test_acc", 0.5) + wb.item("_step", 29))
    run = log_of(tmp_path, wb.framed([wb.config(lr="0.1"), *rows, summary])).run()
    assert set(run.series) == {"train/loss", "test/acc"}
    assert list(run.series["train/loss"].step) == list(range(30))
    assert list(run.series["train/loss"].epoch) == [1] * 10 + [2] * 10 + [3] * 10
    assert run.series["train/loss"].time[-1] == 29
    assert run.series["test/acc"].step == 29
    assert run.config == {"lr": "0.1"}


def test_transformers_count_of_optimizer_steps(tmp_path):
    rows = [
        wb.history(i, wb.item("train/loss", i), wb.item("train/global_step", 50 * i), wb.item("train/epoch", i / 4))
        for i in range(8)
    ]
    run = log_of(tmp_path, wb.framed(rows)).run()
    assert list(run.series["train/loss"].step) == list(range(0, 400, 50))


def test_unknown_fields_are_counted(tmp_path):
    log = log_of(tmp_path, wb.framed([part(77, b"x")] * 3 + [b"\xff\xff", wb.history(0, wb.item("a", 1))]))
    assert "unknown field 77: skipped in 3 records" in log.unread
    assert "1 of 5 records are no messages of W&B" in log.unread
    assert values(log, "a") == [1]


def test_claims_its_folder(tmp_path):
    folder = tmp_path / "wandb" / "run-1"
    (folder / "files").mkdir(parents=True)
    said = {
        "python": "3.11",
        "email": "a@b.org",
        "host": "h",
        "username": "u",
        "args": ["--lr", "0.1 "],
        "program": "/home/u/t.py",
    }
    (folder / "files" / "wandb-metadata.json").write_text(json.dumps(said))
    log = log_of(folder, wb.framed([wb.history(0, wb.item("a", 1))]))
    assert log.environment == {"python": "3.11", "command": "python t.py --lr '0.1 '"}
    assert folder / "files" in log.claims
    assert tmp_path / "wandb" / "debug.log" in log.claims
    bare = log_of(folder, wb.framed([wb.exit_record(0)]))  # its console text is the only place with numbers
    assert folder / "files" not in bare.claims


def test_every_truncation(tmp_path):
    records = [wb.history(i, wb.item("a", i)) for i in range(4)]
    data = wb.framed(records)
    size = len(wb.framed(records[1:2])) - 7
    for stop in range(7 + size, len(data)):
        log = log_of(tmp_path, data[:stop])
        whole = max((stop - 7 + 2) // size, 1)  # the first record, without its step 0, is 2 bytes shorter
        torn = data[:stop] != wb.framed(records[: len(values(log, "a"))])
        assert len(values(log, "a")) in (whole, whole - 1)
        assert any("truncated" in said for said in log.unread) == torn
        assert any(event.kind == "truncated" for event in log.events) == torn


def test_a_damaged_block_costs_that_block(tmp_path):
    data = bytearray(wb.framed(wb.history(i, wb.item("a", i), wb.item("pad", "x" * 500)) for i in range(300)))
    data[wb.BLOCK + 900] ^= 1
    log = log_of(tmp_path, bytes(data))
    steps = list(log._points["a", ""].step)
    assert steps == sorted(steps)
    assert 225 < len(steps) < 300
    assert steps[-1] == 299
    assert f"of {len(data)}: the rest of its 32 KiB block was passed over" in log.unread[0]


def test_records_over_several_blocks(tmp_path):
    rows = [wb.history(i, wb.item("a", i), wb.item("pad", "x" * 70_000)) for i in range(5)]
    assert values(log_of(tmp_path, wb.framed(rows)), "a") == [0, 1, 2, 3, 4]


def test_bombs(tmp_path):
    deep = wb.typed("a", 16 - 8, 2, b"\x90\x4e" + b"[" * 10_000)
    nested: object = 1
    for _ in range(200):
        nested = {"k": nested}
    wide = wb.item("w", {str(i): i for i in range(50_000)})
    rows = [wb.history(0, deep, wb.item("n", nested), wide, wb.item("ok", 1)), wb.output("NaN " * 100_000 + "\n") * 20]
    tracemalloc.start()
    log = log_of(tmp_path, wb.framed(rows))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [name for name, _ in log._points] == ["ok"]
    assert len(log.events) <= 51
    assert peak < 60e6


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutations_never_break_it(tmp_path_factory, data):
    source = bytearray((FIXTURES / "int.wandb").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        source[data.draw(st.integers(7, len(source) - 1))] = data.draw(st.integers(0, 255))
    payloads = data.draw(st.lists(st.binary(max_size=60), max_size=6))
    for content in (bytes(source), wb.framed(payloads), wb.framed(part(n, p) for n, p in enumerate(payloads, 2))):
        try:
            log_of(tmp_path_factory.mktemp("wb"), content).run()
        except ReadError:
            pytest.fail("damage is said, not raised")
