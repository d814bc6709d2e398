"""A record is hostile input: any bytes give a run or a RecordError, in bounded memory."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record.sample_record import fill, opened
from tocsin import record
from tocsin.record import compaction, decoding, layout
from tocsin.run import Run


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of a record with JSONL, and of the same with Parquet, by path."""
    made = {}
    for kind, least in (("jsonl", compaction.COMPACT_BYTES), ("parquet", 1)):
        folder = tmp_path_factory.mktemp(kind) / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compaction, "COMPACT_BYTES", least)
            patch.delenv("RANK", raising=False)
            first = opened(folder)
            fill(first)
            first.close("failed")
            patch.setenv("RANK", "1")
            second = opened(folder)
            fill(second)
            second.close("finished")
        made[kind] = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return made


def read_as(files: dict[str, bytes], folder: Path) -> Run | None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    try:
        run = record.read(folder)
    except record.RecordError:
        return None
    assert all(isinstance(sentence, str) for sentence in run.unread)
    for series in run.series.values():
        assert series.step.size == series.value.size == series.epoch.size == series.time.size
        assert (np.diff(series.step) >= 0).all()
    return run


ODD = [
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"[",
    b"}",
    b"\n",
    b"-",
    b"9" * 30,
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b'"\\ud800"',
    b"{}",
]
CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 12), st.sampled_from(ODD) | st.binary(max_size=6)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), changes=CHANGES)
def test_mutated_bytes_never_raise_anything_else(samples, tmp_path, data, changes):
    files = dict(samples["jsonl"])
    name = data.draw(st.sampled_from(sorted(files)))
    for place, gone, put in changes:
        at = int(place * len(files[name]))
        files[name] = files[name][:at] + put + files[name][at + gone :]
    read_as(files, tmp_path / "run")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), changes=CHANGES)
def test_mutated_parquet_never_raises_anything_else(samples, tmp_path, data, changes):
    files = dict(samples["parquet"])
    name = data.draw(st.sampled_from([n for n in sorted(files) if n.endswith("parquet")]))
    for place, gone, put in changes:
        at = int(place * len(files[name]))
        files[name] = files[name][:at] + put + files[name][at + gone :]
    read_as(files, tmp_path / "run")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_values_of_wrong_types_never_raise_anything_else(samples, tmp_path, data):
    files = dict(samples["jsonl"])
    name = data.draw(st.sampled_from(sorted(files)))
    lines = files[name].splitlines() if name.endswith("jsonl") else [files[name]]
    at = data.draw(st.integers(0, len(lines) - 1))
    whole = json.loads(lines[at])
    inside = whole
    while True:
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(inside[key], dict | list) or not inside[key] or data.draw(st.booleans()):
            break
        inside = inside[key]
    inside[key] = data.draw(JSON)
    lines[at] = json.dumps(whole).encode()
    files[name] = b"\n".join(lines) + b"\n"
    read_as(files, tmp_path / "run")


@pytest.mark.parametrize(
    "line",
    [
        b'{"attempt": 9007199254740992, "split": "v", "task": "t", "step": 9, "kind": "ids", "n": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "confusion": '
        b'{"classes": 9999999999, "target": [], "prediction": [], "count": [], "labels": []}}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "confusion": '
        b'{"classes": 2, "target": [5], "prediction": [0], "count": [1], "labels": []}}',
        b'{"split": "v", "task": "t", "step": -1, "kind": "ids", "n": 1}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "dance", "n": 1}',
        b'{"split": 3, "task": "t", "step": 1, "kind": "ids", "n": 1}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "baseline": 3}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "batchwise": {"r2": "many"}}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "batchwise": [1.0]}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "auc": [1.5]}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "auc": {"0": 0.5}}',
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "auc": [true]}',
        b"9" * 5000,
        b'{"split": "\\ud800", "x": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"split": "v", "task": "t", "step": 1, "kind": "ids", "n": 1, "x": ' + b"[" * 70 + b"]" * 70 + b"}",
    ],
)
def test_a_bad_line_is_said_and_the_others_are_read(samples, tmp_path, line):
    files = dict(samples["jsonl"])
    files["evaluations.jsonl"] = line + b"\n" + files["evaluations.jsonl"]
    run = read_as(files, tmp_path / "run")
    assert len(run.evaluations) == 6
    assert run.unread == (f"{tmp_path}/run/evaluations.jsonl: 1 line could not be read",)


def test_the_torn_last_line_is_cut_without_a_word(samples, tmp_path):
    whole = read_as(samples["jsonl"], tmp_path / "run")
    for cut in (1, 10, 30):
        files = {n: d[:-cut] if n.endswith("jsonl") else d for n, d in samples["jsonl"].items()}
        run = read_as(files, tmp_path / "run")
        assert run.unread == ()
        assert len(run.series["train/loss"]) == len(whole.series["train/loss"]) - 1
        assert len(run.evaluations) == len(whole.evaluations) - 2


def test_a_torn_line_does_not_spoil_the_next_attempt(folder: Path):
    first = opened(folder)
    fill(first)
    first.close("failed")
    path = folder / "evaluations.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    second = opened(folder, after=40)
    fill_at = record.read(folder).evaluations
    assert len(fill_at) == 2
    fill(second, steps=41)
    second.close("finished")
    run = record.read(folder)
    assert len(run.evaluations) == 5
    assert run.unread == (f"{path}: 1 line could not be read",)


def test_an_endless_line_is_skipped_in_bounded_memory(samples, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "LINE_BYTES", 3000)
    files = dict(samples["jsonl"])
    files["events.jsonl"] = b"x" * 100_000 + b"\n" + files["events.jsonl"]
    run = read_as(files, tmp_path / "run")
    assert len(run.events) == 2
    assert "1 line could not be read" in run.unread[0]


def test_half_a_surrogate_pair_becomes_printable(samples, tmp_path):
    files = dict(samples["jsonl"])
    files["events.jsonl"] += b'{"kind": "note", "text": "\\ud800", "step": 1, "data": {"\\udfff": ["\\uDBFF"]}}\n'
    event = read_as(files, tmp_path / "run").events[2]
    assert (event.text, dict(event.data)) == ("?", {"?": ["?"]})


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b'{"schema": 3}', b'{"schema": "other/1"}', b"[" * 10**6]
)
def test_no_manifest_no_run(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(record.RecordError, match=r"run\.json"):
        record.read(tmp_path)


def test_absent_and_too_large(tmp_path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(record.RecordError, match="No such file"):
        record.read(tmp_path / "absent")
    (tmp_path / "run.json").write_bytes(b" " * 2000)
    monkeypatch.setattr(layout, "MANIFEST_BYTES", 1000)
    with pytest.raises(record.RecordError, match="larger than"):
        record.read(tmp_path)


def test_folders_and_pipes_in_place_of_files(samples, tmp_path):
    read_as(samples["jsonl"], tmp_path / "run")
    for name in ("evaluations.jsonl", "rank0/000001.jsonl"):
        (tmp_path / "run" / name).unlink()
        (tmp_path / "run" / name).mkdir()
    (tmp_path / "run" / "events.jsonl").unlink()
    os.mkfifo(tmp_path / "run" / "events.jsonl")
    run = record.read(tmp_path / "run")
    assert sum("Not a regular file" in sentence for sentence in run.unread) == 1
    assert sum("Is a directory" in sentence for sentence in run.unread) == 2
    (tmp_path / "run" / "run.json").unlink()
    os.mkfifo(tmp_path / "run" / "run.json")
    with pytest.raises(record.RecordError, match="Not a regular file"):
        record.read(tmp_path / "run")
    assert record.find(tmp_path) == []
