"""Every reader: one a module, by content alone; nothing but ``ReadError`` comes out, nothing is lost or made up."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shutil
import sys
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.no_logs import NO_LOGS
from readers.reading_files import mutated, survives
from tocsin.readers import formats
from tocsin.readers.bundles import read_bundle, survey
from tocsin.readers.detection import all_readers, never_a_log, reader_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.reader import Reader
from tocsin.run import Run

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tocsin" / "readers"
MODULES = [
    importlib.import_module(f"{formats.__name__}.{found.name}") for found in pkgutil.iter_modules(formats.__path__)
]
READERS = all_readers()
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
RANKS = {10: "magic bytes", 20: "structure", 30: "columns or keys", 50: "generic tables", 90: "console text"}
FEWER = 32 * 1024  # bytes of a real file that are mutated: more of it would only be slower

ids = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.source)


# --- the module ---


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_module_holds_one_reader_and_says_what_of(module):
    held = [value for value in vars(module).values() if isinstance(value, Reader)]
    assert held == [module.READER]
    assert module.__doc__
    assert module.__doc__.strip().endswith(".")
    assert sum(map(len, module.__doc__.split())) > 20


def test_sources_are_distinct_and_ranks_those_of_the_table():
    assert [source for source, count in Counter(reader.source for reader in READERS).items() if count > 1] == []
    assert [r.source for r in READERS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", r.source)] == []
    assert {r.source: r.rank for r in READERS if not 10 <= r.rank <= 90} == {}
    assert READERS[-1].source == "console"  # free text takes what nobody else knows


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_readers_need_only_the_standard_library_numpy_and_yaml(path):
    imported = {name.split(".")[0] for name in _imports(path)}
    assert imported <= {*sys.stdlib_module_names, "tocsin", "numpy", "yaml"}
    assert not imported & {"pickle", "marshal", "shelve", "subprocess", "socket", "http", "ctypes"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_readers_execute_and_write_nothing(path):
    calls = {ast.unparse(node.func) for node in ast.walk(_tree(path)) if isinstance(node, ast.Call)}
    assert not calls & {
        "eval",
        "exec",
        "compile",
        "__import__",
        "yaml.load",
        "yaml.unsafe_load",
        "np.load",
        "os.system",
    }
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"write_(text|bytes)\(|\.open\(\s*[\"'][wax]|unlink\(|mkdir\(", text)
    assert "sqlite3.connect" not in calls or "mode=ro" in text


@pytest.mark.parametrize("path", sorted((SOURCE / "formats").glob("*.py")), ids=lambda path: path.stem)
def test_a_format_knows_no_other_format(path):
    assert [name for name in _imports(path) if name.startswith("tocsin.readers.formats")] == []


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


# --- what is no log ---


@pytest.mark.parametrize("name", NO_LOGS)
@ids
def test_what_is_no_log_is_left_alone(tmp_path, reader, name):
    path = tmp_path / name
    path.write_bytes(NO_LOGS[name])
    if reader.source == "notebook" and path.suffix == ".ipynb":  # known by its frame; what it printed is seen later
        assert not [log for log in reader.read(File(path)) if log.told]
    else:
        assert not reader.sniffs(File(path))


@ids
def test_source_code_is_no_log(reader):
    assert [p.name for p in sorted((ROOT / "src").rglob("*.py")) if reader.sniffs(File(p))] == []


# --- damaged files ---

BYTES = st.binary(max_size=400) | st.text(alphabet='step,loss:{}[]"0123456789.eNa\n\t |;-=%/', max_size=400).map(
    str.encode
)


@ids
@QUICK
@given(content=BYTES)
def test_random_bytes_give_logs_or_a_read_error(tmp_path, reader, content):
    survives(reader, tmp_path / "some.log", content)


def _real() -> list[Path]:
    """Real and real-shaped logs beside the tests, each of which a reader knows."""
    folders = [p for p in (ROOT / "tests" / "readers").rglob("*") if p.name in ("fixtures", "cases", "shared_logs")]
    files = sorted(
        {f for folder in folders for f in folder.rglob("*") if f.is_file() and f.suffix not in (".py", ".md")}
    )
    return [f for f in files if not never_a_log(f.name) and f.stat().st_size and reader_of(File(f)) is not None]


REAL = _real()


def _id(path: Path) -> str:
    return path.relative_to(ROOT / "tests" / "readers").as_posix()


real = pytest.mark.parametrize("path", REAL, ids=_id)


def test_there_are_real_files_of_most_formats():
    known = {reader_of(File(path)).source for path in REAL}
    assert {
        "hf-trainer",
        "mmdetection",
        "json-lines",
        "lightning-csv",
        "tensorboard",
        "wandb",
        "mlflow",
        "notebook",
        "console",
    } <= known


@real
@QUICK
@given(seed=st.integers(0, 2**32))
def test_mutated_real_files_give_logs_or_a_read_error(tmp_path, path, seed):
    survives(reader_of(File(path)), tmp_path / path.name, mutated(path.read_bytes()[:FEWER], seed))


@real
def test_a_damaged_file_breaks_no_reading_of_its_folder(path, tmp_path):
    """Through detection, grouping and merging: no reader may break, whoever it is that takes the damaged file."""
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        for sibling in path.parent.iterdir():
            if sibling.is_file():
                shutil.copyfile(sibling, folder / sibling.name)
        (folder / path.name).write_bytes(mutated(path.read_bytes()[:FEWER], seed))
        assert [sentence for run in _all_runs(folder) for sentence in run.unread if "broke" in sentence] == []


# --- whole files ---


@real
def test_reading_twice_gives_the_same(path):
    first, second = _runs(path), _runs(path)
    assert [_told(run) for run in first] == [_told(run) for run in second]


@real
def test_series_are_in_order_and_events_within_the_run(path):
    for run in _runs(path):
        for series in run.series.values():
            assert np.all(np.diff(series.step) >= 0)
            assert series.step.min() >= 0
            assert len(series.step) == len(series.value) == len(series.epoch) == len(series.time) > 0
        assert all(event.step >= 0 for event in run.events)
        assert run.exit in ("finished", "failed", "interrupted", "killed", "running", "unknown")


@real
@pytest.mark.parametrize("share", [0.35, 0.8])
def test_a_torn_file_tells_nothing_that_the_whole_does_not(path, tmp_path, share):
    content = path.read_bytes()
    torn = tmp_path / path.name
    torn.write_bytes(content[: int(share * len(content))])
    reader = reader_of(File(path))
    if not reader.sniffs(File(torn)):
        return  # too little is left to know it
    whole, left = set(_values(path)), set()
    with suppress(ReadError):
        left = set(_values(torn, reader))
    made_up = [value for value in left if value not in whole]
    assert len(made_up) <= 1, made_up[:5]  # the last number of a text may be cut in two


FOLDERS = ("dvclive", "mlflow")  # known by where a file stands as well


def test_most_torn_files_are_still_read(tmp_path):
    """The law above is not empty: of a file of several values cut at 4/5, what stands before is read."""
    lost, alone = [], [path for path in REAL if reader_of(File(path)).source not in FOLDERS]
    for at, path in enumerate(alone):
        reader, torn = reader_of(File(path)), tmp_path / str(at) / path.name
        torn.parent.mkdir()
        torn.write_bytes(path.read_bytes()[: int(0.8 * path.stat().st_size)])
        with suppress(ReadError):
            if len(_values(path)) > 1 and not (reader.sniffs(File(torn)) and _values(torn, reader)):
                lost.append(f"{reader.source}: {path.name}")
    assert len(lost) <= 0.05 * len(alone), lost


APPENDED = ("console", "json-lines", "keras-csv", "lightning-csv", "table", "mmdetection")


@pytest.mark.parametrize("path", [p for p in REAL if reader_of(File(p)).source in APPENDED], ids=_id)
def test_what_is_appended_is_not_lost(path, tmp_path):
    """Starting again into the same file, as loggers in append mode do, keeps every value of both."""
    reader = reader_of(File(path))
    content = path.read_bytes()
    twice = tmp_path / path.name
    twice.write_bytes(content + (b"" if content.endswith(b"\n") else b"\n") + content)
    assert set(_values(path)) - set(_values(twice, reader)) == set()


def _runs(path: Path, reader: Reader | None = None) -> list[Run]:
    file = File(path)
    reader = reader or reader_of(file)
    assert reader is not None
    return [log.run() for log in reader.read(file)]


def _all_runs(folder: Path) -> list[Run]:
    return [run for bundle in survey(folder).bundles for run in read_bundle(bundle)]


def _values(path: Path, reader: Reader | None = None) -> list[tuple[str, float]]:
    """Every value under the last part of its name; steps count on in an appended file."""
    return [
        (re.split(r"[/_]", name)[-1], value)
        for run in _runs(path, reader)
        for name, series in run.series.items()
        for value in np.nan_to_num(series.value, nan=-12345.0).tolist()
    ]


def _told(run: Run) -> tuple[object, ...]:
    columns = {name: [a.tobytes() for a in (s.step, s.value, s.epoch, s.time)] for name, s in run.series.items()}
    return run.name, columns, run.events, repr(run.config), repr(run.environment), run.exit, run.unread
