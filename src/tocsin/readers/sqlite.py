"""SQLite databases read as hostile input: nothing is written beside them, and only plain tables are asked."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File

MAGIC = b"SQLite format 3\0"
MOST_SECONDS = 600.0  # of one database
LONGEST_VALUE = 8 * 2**20
_WAL = 2  # in byte 18 of the header: the file format of a write-ahead log
_PLAIN = re.compile(r"\s*create\s+table\b", re.IGNORECASE)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_PRAGMAS = ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0", "temp_store = MEMORY")


class Database:
    """An open database.

    Attributes:
        tables: The columns of each plain table; views, virtual tables and generated columns are not among them.
        unread: Sentences on what of the database was not read.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self.unread: list[str] = []
        self.tables = self._tables()
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is a plain table of this name with at least these columns."""
        return set(columns) <= set(self.tables.get(table, ()))

    def rows(self, table: str, columns: Sequence[str], order: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a table, one at a time; a column that it does not have is None in each, and orders nothing.

        Raises:
            ReadError: There is no such table; the database is damaged, locked, or took too long.
        """
        if table not in self.tables:
            raise ReadError(f"{self._path}: the database has no plain table {table!r}")
        mine = self.tables[table]
        asked = ", ".join(_quoted(c) if c in mine else "NULL" for c in columns)
        ordered = [_quoted(c) for c in order if c in mine]
        by = f" ORDER BY {', '.join(ordered)}" if ordered else ""
        with _said(self._path):
            cursor = self._connection.execute(f"SELECT {asked} FROM {_quoted(table)}{by}")  # noqa: S608  quoted names
            yield from cursor

    def _tables(self) -> dict[str, tuple[str, ...]]:
        found = {}
        with _said(self._path):
            said = self._connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchmany(1000)
            for name, sql in said:
                if isinstance(name, str) and isinstance(sql, str) and _PLAIN.match(sql):
                    columns = self._connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchmany(1000)
                    found[name] = tuple(str(column[1]) for column in columns)
        return found


@contextmanager
def database(file: File, seconds: float = MOST_SECONDS) -> Iterator[Database]:
    """Open a database to be read for at most so many seconds.

    Raises:
        ReadError: It cannot be opened, is damaged or locked; also from queries that are still running.
    """
    uri, said = _how(file)
    deadline = time.monotonic() + seconds
    with _said(file.path):
        connection = sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 20_000)
        with _said(file.path):
            if "vfs=" in uri:  # keeps the index of the write-ahead log in memory, not in a file
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        opened = Database(connection, file.path)
        opened.unread += [said] if said else []
        yield opened
    finally:
        connection.close()


def _how(file: File) -> tuple[str, str]:
    """The way to open a database without leaving a file beside it, and what that way does not see."""
    uri = f"file:{quote(str(file.path.resolve()))}"
    beside = {end: _bytes(file.path.with_name(file.path.name + end)) for end in ("-wal", "-shm", "-journal")}
    if file.head[18:19] == bytes([_WAL]):
        if not beside["-wal"]:
            return f"{uri}?mode=ro&immutable=1", ""
        return (f"{uri}?mode=ro", "") if beside["-shm"] else (f"{uri}?mode=ro&vfs=unix-none", "")
    if beside["-journal"]:
        return (
            f"{uri}?mode=ro&immutable=1",
            "an unfinished transaction stands beside the database: its last rows may be odd",
        )
    return f"{uri}?mode=ro", ""


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:  # SQLite's word for some kinds of damage, too
        raise ReadError(f"{path}: the database cannot be read (SQLite asks for more memory than there is)") from error
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:  # also of a mangled message
        why = "it took too long" if str(error) == "interrupted" else str(error)
        raise ReadError(f"{path}: the database cannot be read ({why})") from error


def is_database(file: File) -> bool:
    """Whether the file starts as SQLite's do."""
    return file.head.startswith(MAGIC)


def has_table(file: File, table: str, *columns: str) -> bool:
    """Whether the file is a database with this table; False where it cannot be opened."""
    if not is_database(file):
        return False
    try:
        with database(file, seconds=5.0) as opened:
            return opened.has(table, *columns)
    except ReadError:
        return False
