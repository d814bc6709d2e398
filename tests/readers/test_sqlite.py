from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.formats import mlflow_sqlite, trackio
from tocsin.readers.sqlite import database, has_table

FIXTURES = Path(__file__).parent / "fixtures"


def made(path: Path, script: str) -> File:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.commit()
    connection.close()
    return File(path)


def state(folder: Path) -> list[tuple[str, int, bytes]]:
    return sorted((p.name, p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir())


def test_only_plain_tables_are_known(tmp_path):
    file = made(
        tmp_path / "x.db",
        """
        CREATE TABLE plain(a, b);
        CREATE TABLE computed(a, b AS (zeroblob(a)));
        CREATE VIEW metrics AS SELECT a AS run_uuid, a AS key, a AS value FROM plain;
        CREATE VIRTUAL TABLE runs USING fts5(run_uuid, lifecycle_stage);
        """,
    )
    with database(file) as opened:
        assert opened.tables["plain"] == ("a", "b")
        assert opened.tables["computed"] == ("a",)
        assert "metrics" not in opened.tables
        assert "runs" not in opened.tables
    assert not mlflow_sqlite.READER.sniffs(file)


def test_nothing_but_reading_is_allowed(tmp_path):
    file = made(tmp_path / "x.db", "CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    with database(file) as opened:
        for query in ("DELETE FROM t", "SELECT load_extension('x')", "ATTACH ':memory:' AS m", "PRAGMA query_only = 0"):
            with pytest.raises(sqlite3.Error):
                opened._connection.execute(query).fetchall()
        assert list(opened.rows("t", ("a", "missing"), order=("missing", "a"))) == [(1, None)]


def test_names_are_quoted(tmp_path):
    name = 't"; DROP TABLE t; --'
    file = made(tmp_path / "x.db", f'CREATE TABLE "{name.replace(chr(34), chr(34) * 2)}"("a "" b"); CREATE TABLE t(a)')
    with database(file) as opened:
        assert list(opened.rows(name, ('a " b',))) == []


def test_a_query_without_end_is_stopped(tmp_path):
    script = "CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100));" + "INSERT INTO t SELECT a FROM t;" * 16
    file = made(tmp_path / "x.db", script)
    with database(file, seconds=0.0) as opened, pytest.raises(ReadError, match="took too long"):
        list(opened.rows("t", ("a",), order=("a",)))


@pytest.mark.parametrize("left", ["", "-wal", "-wal -shm", "-journal"])
def test_no_file_is_written(tmp_path, left):
    """With a write-ahead log (copied with and without its index), after a crash, and with none of it."""
    source, folder = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    folder.mkdir()
    writer = sqlite3.connect(source / "x.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode = " + ("DELETE" if left == "-journal" else "WAL"))
    writer.execute("CREATE TABLE t(a)")
    writer.execute("INSERT INTO t VALUES (1)")
    if left in ("", "-journal"):
        writer.close()
    for end in ["", *left.split()]:
        name = f"x.db{end}"
        if (source / name).exists():
            shutil.copy(source / name, folder / name)
    if left == "-journal":
        (folder / "x.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    before = state(folder)
    with database(File(folder / "x.db")) as opened:
        assert list(opened.rows("t", ("a",))) == [(1,)]
        assert bool(opened.unread) == (left == "-journal")
    if "-shm" in left:  # its lock bytes are the one thing that a reader of a live database has to touch
        assert [name for name, *_ in state(folder)] == [name for name, *_ in before]
    else:
        assert state(folder) == before
    writer.close()


def test_a_read_only_folder(tmp_path):
    file = made(tmp_path / "x.db", "PRAGMA journal_mode = WAL; CREATE TABLE t(a)")
    tmp_path.chmod(0o500)
    try:
        assert has_table(file, "t", "a")
    finally:
        tmp_path.chmod(0o700)
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]


def test_an_error_that_is_no_text(tmp_path):
    """SQLite quotes the name of a malformed schema entry in its message, whatever bytes that is."""
    source = (FIXTURES / "trackio" / "proj.db").read_bytes()
    path = tmp_path / "x.db"
    path.write_bytes(
        source.replace(b"tablealertsalerts", b"tableal\xffrtsalerts").replace(
            b"CREATE TABLE alerts", b"CREATE TABLX alerts"
        )
    )
    assert path.read_bytes() != source
    assert not trackio.READER.sniffs(File(path))
    with pytest.raises(ReadError):
        list(trackio.READER.read(File(path)))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["mlflow/mlflow.db", "trackio/proj.db"]), st.data())
def test_damage_is_a_read_error(tmp_path_factory, name, data):
    source = bytearray((FIXTURES / name).read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.one_of(st.integers(0, 2047), st.integers(0, len(source) - 1)))
        source[at] = data.draw(st.integers(0, 255))
    del source[data.draw(st.integers(0, len(source))) :]
    path = tmp_path_factory.mktemp("db") / "x.db"
    path.write_bytes(source)
    reader = mlflow_sqlite.READER if name.startswith("mlflow") else trackio.READER
    assert reader.sniffs(File(path)) in (True, False)
    with contextlib.suppress(ReadError):
        for log in reader.read(File(path)):
            log.run()
    assert [file.name for file in path.parent.iterdir()] == ["x.db"]
