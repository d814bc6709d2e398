"""A slice of ``benchmarks/fuzz_readers.py``: damaged files of every format give runs or a ``ReadError``, soon."""

from __future__ import annotations

import random
import sqlite3
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.fuzzing.damage import BYTES, TEXT
from readers.fuzzing.samples import Sample, samples
from readers.fuzzing.structures import json_damaged, sqlite_damaged, tfrecords_damaged, wandb_damaged
from readers.fuzzing.trials import laid_out, trial
from tocsin.readers.detection import all_readers
from tocsin.readers.file import File
from tocsin.readers.tfevents.records import header_fits

SOURCES = [reader.source for reader in all_readers()]
SEEDS = 24  # of each reader
SLOWEST = 10.0  # seconds of CPU
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def every_sample() -> dict[str, list[Sample]]:
    return samples()


def test_there_is_a_sample_of_every_format():
    assert sorted(every_sample()) == sorted(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_samples_are_read(source, tmp_path):
    """The trials are not empty: what is damaged was sound before."""
    for at, sample in enumerate(every_sample()[source][:3]):
        for name, content in sample.files.items():
            path = tmp_path / str(at) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        outcome = trial(tmp_path / str(at) / sample.name, source, whole=True)
        assert outcome.word in ("read", "nothing"), outcome.said
    reader = next(reader for reader in all_readers() if reader.source == source)
    assert reader.sniffs(File(tmp_path / "0" / every_sample()[source][0].name))


@pytest.mark.parametrize("source", SOURCES)
def test_damaged_files_give_runs_or_a_read_error(source, tmp_path):
    mine = every_sample()[source]
    others = [sample for many in every_sample().values() for sample in many]
    for seed in range(SEEDS):
        path = laid_out(tmp_path / "run", mine[seed % len(mine)], others[seed * 7919 % len(others)], seed)
        outcome = trial(path, source, whole=seed % 8 == 0)
        assert outcome.word != "crash", f"seed {seed}: {outcome.said}"
        assert outcome.seconds < SLOWEST, f"seed {seed}"


@pytest.mark.parametrize("source", SOURCES)
@QUICK
@given(
    pieces=st.lists(
        st.tuples(st.integers(0, 3000), st.binary(max_size=40) | st.text(max_size=20).map(str.encode)), max_size=6
    )
)
def test_any_bytes_put_anywhere(source, tmp_path, pieces):
    sample = every_sample()[source][0]
    content = sample.files[sample.name]
    for at, piece in pieces:
        content = content[:at] + piece + content[at:]
    for name, other in sample.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if name == sample.name else other)
    outcome = trial(tmp_path / sample.name, source, whole=False)
    assert outcome.word != "crash", outcome.said


@pytest.mark.parametrize("damage", TEXT, ids=lambda damage: damage.__name__)
def test_each_kind_of_damage_changes_something(damage):
    content = (b"step,loss\n" + b"".join(b"%d,%d.5\n" % (n, n) for n in range(60))) * 3
    other = b'{"step": 1, "loss": 2.5}\n' * 30
    assert any(damage(content, other, random.Random(seed)) != content for seed in range(10))
    assert damage in BYTES or damage in TEXT


def test_damage_inside_of_a_structure_leaves_it_sound(tmp_path):
    rng = random.Random(0)
    event, log, database = (every_sample()[source][-1] for source in ("tensorboard", "wandb", "trackio"))
    assert header_fits(tfrecords_damaged(event.files[event.name], b"", rng))
    assert wandb_damaged(log.files[log.name], b"", rng)[:7] == log.files[log.name][:7]
    path: Path = tmp_path / "x.db"
    path.write_bytes(sqlite_damaged(database.files[database.name], b"", rng))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert json_damaged(b'{"a": [1, 2, {"b": 3}], "c": "x"}', b"", rng)[:1] in b'{["ntf0123456789-IN'
