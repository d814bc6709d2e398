"""Files made to hurt: none blocks, fills the memory, is executed or stops the reading of others; all is said."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tocsin
from readers.formats.event_files import event, part, simple, written
from readers.formats.wandb_logs import framed, history, item
from readers.reading_files import lines, write
from tocsin.readers import file as files
from tocsin.readers.bundles import read_bundle, survey
from tocsin.readers.detection import reader_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.settings import read_settings

FIXTURES = Path(__file__).parent / "fixtures"
LOG = "".join(f"step {n} loss {1 / n:.4f}\n" for n in range(1, 60))
CSV = "step,train_loss\n" + "".join(f"{n},{1 / n:.4f}\n" for n in range(1, 60))
GB = 2**30


@pytest.fixture(autouse=True)
def soon():
    """Nothing here may take long, whatever the load of the machine."""
    begun = time.process_time()
    yield
    assert time.process_time() - begun < 8


def unread(path: Path) -> str:
    """All that is said of a path that was not read, or was read in part."""
    try:
        runs = tocsin.read(path)
    except ReadError as error:
        return str(error)
    return " | ".join([*runs.unread, *(sentence for run in runs for sentence in run.unread)])


# --- bombs ---


def test_archives_are_not_unpacked(tmp_path: Path):
    bomb = gzip.compress(bytes(10**7))
    write(tmp_path / "train.log.gz", bomb)
    write(tmp_path / "gzip.log", bomb)
    with zipfile.ZipFile(tmp_path / "zip.csv", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.log", LOG * 100)
    assert "no run found among 3 files" in unread(tmp_path)


def sparse(path: Path, content: bytes, size: int) -> Path:
    write(path, content)
    os.truncate(path, size)
    return path


def test_sparse_files_are_refused_or_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    state = sparse(tmp_path / "state" / "trainer_state.json", b'{"log_history": [{"loss": 1.0, "step": 1},', 10 * GB)
    assert "up to 268435456 bytes" in unread(state)
    events = (FIXTURES / "tensorboard" / "torch.tfevents").read_bytes()
    path = sparse(tmp_path / "events" / "events.out.tfevents.1.x", events, 10 * GB)
    assert "only the first 4294967296 of 10737418240 bytes" in unread(path)
    assert "no run" in unread(sparse(tmp_path / "zeros" / "zeros.log", b"", 10 * GB))
    monkeypatch.setattr(File.lines, "__defaults__", (8 * 2**20,))
    said = unread(sparse(tmp_path / "text" / "metrics.csv", CSV.encode(), 10 * GB))
    assert "only the first 8388608 of 10737418240 bytes were read" in said
    assert "zeros stand in the text" in said
    assert len(tocsin.read(tmp_path / "text")[0].series["train/loss"]) == 59


@pytest.mark.parametrize("before", [0, 5000])
def test_holes_of_zeros_around_a_log_are_passed_over(tmp_path: Path, before):
    """As a power cut leaves behind the end, and emptying a file under its writer before the start."""
    for name, text in (("metrics.csv", CSV), ("train.log", LOG)):
        path = write(tmp_path / name.partition(".")[0] / name, bytes(before) + text.encode() + bytes(3000))
        (run,) = tocsin.read(path)
        assert len(run.series["train/loss"]) == 59
        assert f"{before + 3000} zeros" in unread(path)


MULTIPLIED = "a0: &a0 {x0: 1, y0: 2}\n"
LAUGHS = {
    "aliases": "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    "merges": MULTIPLIED + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    "base 60": "a: " + ":".join(["1", *["59"] * 100_000]),
    "hexadecimal": "a: 0x" + "f" * 500_000,
    "deep": "a: " + "{a: " * 100_000,
    "deeper": "[" * 50_000,
    "many": "".join(f"k{n}: {n}\n" for n in range(50_000)),
    "same": "a: 1\n" * 100_000,
    "odd bool": "a: !!bool x",
    "odd int": 'a: !!int ""',
    "odd float": 'a: !!float ""',
    "odd time": "a: !!timestamp x",
    "zeros": "a: 1\0\0",
    "object": "!!python/object/apply:os.system [exit]",
}


@pytest.mark.parametrize("name", LAUGHS)
def test_settings_made_to_grow_are_refused(tmp_path: Path, name):
    path = write(tmp_path / "config.yaml", LAUGHS[name])
    with pytest.raises(ReadError) as caught:
        read_settings(path)
    assert 20 < len(str(caught.value)) < 600
    write(tmp_path / "metrics.csv", CSV)
    assert "config.yaml" in unread(tmp_path)


def test_settings_of_toml_and_json_are_bounded(tmp_path: Path):
    for name, text in {
        "a.toml": "a." * 100_000 + "b = 1",
        "b.toml": "a = " + "[" * 20_000,
        "c.json": "[" * 500_000,
        "d.json": '{"a":' * 100_000,
    }.items():
        with pytest.raises(ReadError):
            read_settings(write(tmp_path / name, text))


def test_numbers_too_long_to_print_become_infinite(tmp_path: Path):
    write(tmp_path / "metrics.csv", CSV)
    write(tmp_path / "args.json", json.dumps({"lr": 10**4000, "seed": -(10**400), "n": 3}))
    (run,) = tocsin.read(tmp_path)
    assert (run.config["lr"], run.config["seed"], run.config["n"]) == (float("inf"), -float("inf"), 3)
    report = tocsin.check(tmp_path)
    assert not [n for n in report.not_checked if "raised" in n.reason]


def test_deep_and_wide_files_are_left_alone(tmp_path: Path):
    deep = "[" * 200_000
    write(tmp_path / "a.json", '{"loss": [1, 2, 3], "a": ' + deep)
    write(tmp_path / "b.ipynb", '{"nbformat": 4, "cells": [{"cell_type": "code", "outputs": ' + deep)
    write(tmp_path / "c.csv", "step," + ",".join(f"loss{n}" for n in range(200_000)) + "\n" + "1," * 200_000)
    write(tmp_path / "d.json", '{"loss": [1, 2], "text": "' + '\\"' * 300_000)
    write(tmp_path / "train.log", LOG)
    assert "nested too deeply" in unread(tmp_path)
    assert {run.source for run in tocsin.read(tmp_path)} == {"json-history + console"}  # of the torn one


@pytest.mark.parametrize("unit", ["x", "1", " ", "=", "\r", '"', "\\", "[", "{", "- ", "a=1 ", "1/1 ", "|", "loss "])
def test_a_line_of_megabytes(tmp_path: Path, unit):
    path = write(tmp_path / "train.log", LOG + unit * (2_000_000 // len(unit)) + "\n" + LOG.replace("step ", "step 1"))
    (run, *_) = tocsin.read(path)
    assert len(run.series["train/loss"]) >= 59


def test_html_in_notebooks_that_never_closes(tmp_path: Path):
    odd = ["<a ", "<!--", "</", "<td ", "<![CDATA[", "<?", '<a b="', "<script>", "<table>", "<td>", "&"]
    outputs = [{"output_type": "display_data", "data": {"text/html": "<table>" + tag * 50_000}} for tag in odd]
    good = "<table><tr><th>Step</th><th>Training Loss</th></tr>" + "".join(
        f"<tr><td>{n}</td><td>{1 / n}</td></tr>" for n in range(1, 9)
    )
    outputs.append({"output_type": "display_data", "data": {"text/html": good}})
    path = write(
        tmp_path / "a.ipynb", json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "outputs": outputs}]})
    )
    assert len(tocsin.read(path)[0].series["train/loss"]) == 8


BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
import tocsin
report = tocsin.check(sys.argv[1])
status = open("/proc/self/status").read()  # ru_maxrss begins with the parent's
print(len(report.runs), int(status.split("VmHWM:")[1].split()[0]) // 1024)
print(*report.unread, sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/status")
def test_all_of_them_fit_into_little_memory(tmp_path: Path):
    for name in ("aliases", "merges", "hexadecimal", "deep"):
        write(tmp_path / name / "config.yaml", LAUGHS[name])
        write(tmp_path / name / "metrics.csv", CSV)
    database = shutil.copy(FIXTURES / "trackio" / "proj.db", tmp_path / "proj.db")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE metrics SET metrics = zeroblob(7000000)")
    connection.close()
    events = event(1.7e9, 1, simple("loss", 0.5))
    huge = struct.pack("<Q", 2**40)
    write(tmp_path / "e" / "events.out.tfevents.1.x", written([events] * 9) + huge + b"\0" * 40)
    said = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path), str(2 * GB)], capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 0, said.stderr
    runs, peak = map(int, said.stdout.splitlines()[0].split())
    assert runs >= 6
    assert peak < 300


# --- lengths that lie ---


def test_lengths_declared_beyond_the_end(tmp_path: Path):
    good = [history(n, item("loss", 1 / (n + 1))) for n in range(9)]
    for name, field in {
        "4 GB": b"\x12\xff\xff\xff\xff\x0f",
        "varint": b"\x12" + b"\xff" * 12,
        "64 bit": b"\x11\x01",
    }.items():
        path = write(tmp_path / name / "run-x.wandb", framed([*good, field, *good]))
        (run,) = tocsin.read(path)
        assert len(run.series["train/loss"]) == 18
        assert "1 of 19 records are no messages" in unread(path)
    for length in (2**32, 2**63, 2**64 - 1):
        head = struct.pack("<Q", length)
        body = written([event(1.7e9 + n, n, simple("loss", 1.0)) for n in range(9)])
        path = write(tmp_path / str(length) / "events.out.tfevents.1.x", body + head + bytes(60))
        assert len(tocsin.read(path)[0].series["train/loss"]) == 9
        assert "damaged at byte" in unread(path)
    nested = part(5, part(1, part(8, b"\x08\x01\x22\xff\xff\xff\xff\x0f")))
    path = write(
        tmp_path / "tensor" / "events.out.tfevents.1.x", written([*[event(1.7e9, 1, simple("loss", 1.0))] * 9, nested])
    )
    assert "was left out: no event" in unread(path)


# --- databases ---


def database(folder: Path, script: str) -> Path:
    path = Path(shutil.copy(FIXTURES / "trackio" / "proj.db", folder / "proj.db"))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(script)
    connection.close()
    return path


SCHEMAS = {
    "endless view": "ALTER TABLE metrics RENAME TO m; CREATE VIEW metrics AS WITH RECURSIVE c(x) AS "
    "(SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS timestamp, x AS run_name, x AS step, x AS metrics FROM c",
    "huge blob": "UPDATE metrics SET metrics = zeroblob(50000000) WHERE rowid = 1",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_databases_that_cannot_be_read_say_so(tmp_path: Path, name):
    assert "no run found" in unread(database(tmp_path, SCHEMAS[name]))


def test_triggers_and_generated_columns_are_not_run(tmp_path: Path):
    script = """
    CREATE TRIGGER t AFTER UPDATE ON metrics BEGIN DELETE FROM metrics; END;
    CREATE TABLE x(a, b AS (zeroblob(1000000000)), c DEFAULT (load_extension('x')));
    CREATE TRIGGER u AFTER INSERT ON x BEGIN SELECT load_extension('x'); END;
    """
    path = database(tmp_path, script)
    before = path.read_bytes()
    assert len(tocsin.read(path)) == 2
    assert path.read_bytes() == before


def test_a_database_locked_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    connecting = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *words, **more: connecting(*words, **more | {"timeout": 0.1}))
    path = database(tmp_path, "")
    code = "import sqlite3,sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE');"
    code += "print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        try:
            said = unread(path)
        finally:
            holder.communicate("\n")
    assert "no run found" in said
    assert len(tocsin.read(path)) == 2


# --- what is no file, or no longer ---


def within(seconds: float, do: Callable[[], object]) -> None:
    """Run it in a thread that may hang without hanging the tests."""
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits"


def refused(do: Callable[[], object]) -> None:
    with pytest.raises(ReadError):
        do()


def test_pipes_sockets_and_devices_are_never_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "metrics.csv", CSV)
    for name in ("config.yaml", "train.log", "wandb-metadata.json", "metrics_epoch_1.json"):
        os.mkfifo(tmp_path / name)
    write(tmp_path / "metrics_epoch_0.json", '{"epoch": 0, "training_loss": 1.0, "validation_loss": 0.5}')
    (tmp_path / "zero.log").symlink_to("/dev/zero")
    (tmp_path / "tty.log").symlink_to("/dev/tty")
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.log")
        within(10, lambda: tocsin.check(tmp_path))
        for name in ("train.log", "zero.log", "socket.log"):
            within(10, lambda name=name: unread(tmp_path / name))
    within(10, lambda: refused(lambda: read_settings(tmp_path / "config.yaml")))


def test_a_file_that_became_a_pipe_after_it_was_listed(tmp_path: Path):
    path = write(tmp_path / "train.log", LOG)
    listed = File(path)
    assert listed.size
    path.unlink()
    os.mkfifo(path)
    for read in (lambda: listed.content(), lambda: list(listed.lines()), lambda: listed.head):
        within(10, lambda read=read: refused(read))


def test_files_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "closed" / "train.log", LOG)
    write(tmp_path / "open" / "metrics.csv", CSV)
    write(tmp_path / "open" / "config.yaml", "lr: 0.1")
    opening = os.open

    def refusing(path, *rest, **more):
        if str(path).endswith((".log", ".yaml")):
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, *rest, **more)

    monkeypatch.setattr(files.os, "open", refusing)
    assert len(tocsin.read(tmp_path)) == 1
    assert unread(tmp_path).count("cannot be read (Permission denied)") == 2
    assert "Permission denied" in unread(tmp_path / "closed" / "train.log")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_file_without_permissions(tmp_path: Path):
    path = write(tmp_path / "train.log", LOG)
    path.chmod(0)
    assert "Permission denied" in unread(path)


def test_files_that_vanish_shrink_or_grow_while_they_are_read(tmp_path: Path):
    for name in ("gone", "emptied", "shorter", "longer"):
        write(tmp_path / name / "metrics.csv", CSV)
    found = survey(tmp_path)
    (tmp_path / "gone" / "metrics.csv").unlink()
    write(tmp_path / "emptied" / "metrics.csv", "")
    write(tmp_path / "shorter" / "metrics.csv", CSV[:200])
    write(tmp_path / "longer" / "metrics.csv", CSV + CSV[-9:] * 1000)
    said, counts = {}, {}
    for bundle in found.bundles:
        runs = read_bundle(bundle)
        said[bundle.path.name if bundle.path.is_dir() else bundle.path.parent.name] = " ".join(runs.unread)
        counts |= {run.path.parent.name: len(run.series["train/loss"]) for run in runs}
    assert "no such file" in said["gone"].lower()
    assert counts["longer"] >= 59
    assert counts["shorter"] < 59


def test_a_file_that_grows_while_it_is_read_line_by_line(tmp_path: Path):
    path = write(tmp_path / "train.log", LOG * 2000)
    listed = File(path)
    taken = 0
    for line in listed.lines():
        taken += len(line) + 1
        if taken % 50_000 < 40:
            with path.open("a") as stream:
                stream.write(LOG)
    assert taken < listed.size + 3 * 2**20


# --- numbers and names ---


ODD_STEPS = ["nan", "inf", "-inf", "-5", "1e18", "1e300", "9" * 30, "", "x", "3.7"]


@pytest.mark.parametrize("odd", ODD_STEPS)
def test_odd_steps_make_no_odd_series(tmp_path: Path, odd):
    rows = [*range(1, 30), odd, *range(30, 60)]
    write(tmp_path / "a" / "metrics.csv", "step,train_loss\n" + "".join(f"{step},{0.5}\n" for step in rows))
    write(tmp_path / "b" / "log.jsonl", "".join(f'{{"step": "{step}", "train_loss": 0.5}}\n' for step in rows))
    write(tmp_path / "c" / "train.log", "".join(f"step {step} loss 0.5\n" for step in rows))
    history = [{"step": step if isinstance(step, int) else float("nan"), "loss": 0.5} for step in rows]
    write(tmp_path / "d" / "trainer_state.json", json.dumps({"log_history": history}))
    runs = tocsin.read(tmp_path)
    assert {run.path.parent.name for run in runs} == set("abcd")
    for run in runs:
        for series in run.series.values():
            assert np.all(np.diff(series.step) >= 0)
            assert 0 <= series.step.min() <= series.step.max() <= 2**53
        assert sum(len(series) for series in run.series.values()) >= 58


def test_columns_of_one_name_are_all_kept(tmp_path: Path):
    write(tmp_path / "metrics.csv", "step,loss,loss,Loss,step\n" + "".join(f"{n},1,2,3,{n}\n" for n in range(1, 20)))
    (run,) = tocsin.read(tmp_path)
    assert sorted({float(series.value[0]) for series in run.series.values()}) == [1.0, 2.0, 3.0]


ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028\r"
SCRIPT = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def hostile_names(folder: Path) -> None:
    """Escape sequences and markup wherever a log takes a text."""
    bad = ESCAPES + SCRIPT
    name = f"a{ESCAPES}{SCRIPT}".replace("/", "_")[:200]
    path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n" + os.fsencode(name)))
    values = [1.0, 0.5, *[float("nan")] * 30]
    write(
        path / "metrics.csv",
        f'step,train_loss,"{bad}"\n'.encode() + "".join(f"{n},{v},1\n" for n, v in enumerate(values)).encode(),
    )
    write(path / "args.json", json.dumps({bad: bad, "nested": {bad: [bad]}}))
    rows = [{"step": n, "loss": v, bad: v, "note": bad} for n, v in enumerate(values)]
    write(folder / "json" / "log.jsonl", lines(rows))
    trace = f'Traceback (most recent call last):\n  File "{bad}", line 3, in f\n    x\nRuntimeError: {bad}\n'
    write(folder / "console" / "train.log", f"{LOG}\n{bad} loss nan\n{trace}")
    write(
        folder / "wandb" / "run-x.wandb",
        framed([history(n, item("loss", v), item(bad, v)) for n, v in enumerate(values)]),
    )
    points = [event(1.7e9, n, simple("loss", v) + simple(bad, v)) for n, v in enumerate(values)]
    write(folder / "tb" / "events.out.tfevents.1.x", written(points))
    rows_of_html = "".join(f"<tr><td>{n}</td><td>nan</td></tr>" for n in range(1, 4))
    html = f"<table><tr><th>Step</th><th>Loss{bad}</th></tr>{rows_of_html}</table>"
    outputs = [
        {"output_type": "display_data", "data": {"text/html": html + SCRIPT, "application/javascript": "alert(1)"}},
        {"output_type": "error", "ename": bad, "evalue": bad, "traceback": [trace]},
    ]
    write(folder / "nb" / "a.ipynb", json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "outputs": outputs}]}))
    write(path / "torn" / "trainer_state.json", '{"log_history": [{"step": 1, "lo')


def test_nothing_that_a_terminal_would_obey_comes_out(tmp_path: Path, capsys):
    from tocsin.cli import main

    hostile_names(tmp_path)
    report = tocsin.check(tmp_path, keep_identifiers=True)
    assert len(report.runs) >= 6
    main(["check", str(tmp_path), "--workers", "1"])
    main(["check", str(tmp_path), "--json", "--workers", "1"])
    main(["check", str(tmp_path / "\x1b[31mnone")])
    main(["report", str(tmp_path), "--json", "-o", str(tmp_path / "x.html")])
    seen = capsys.readouterr()
    for text in (str(report), seen.out, seen.err, unread(tmp_path / "\x1b]0;x\x07")):
        assert {character for character in text if not character.isprintable()} <= {"\n"}


def test_nothing_that_a_browser_would_obey_comes_out(tmp_path: Path):
    from html.parser import HTMLParser

    from tocsin.reports import html

    hostile_names(tmp_path)
    runs = tocsin.read(tmp_path)
    report = tocsin.check(runs, keep_identifiers=True)
    page, part = html.render(report, runs), report._repr_html_()

    class Seen(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []
            self.odd: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            self.odd += [name for name, _ in attrs if name.startswith("on")]

    clean = html.render(tocsin.check(tocsin.Run("a")), [tocsin.Run("a")])
    for text, scripts in ((page, clean.count("<script")), (part, 0)):
        seen = Seen()
        seen.feed(text)
        assert seen.odd == []
        assert "img" not in seen.tags
        assert seen.tags.count("script") == scripts
        assert not set(text) & {"\x1b", "\x9b", "\x07", "\u202e", "\u2028"}
    page.encode("utf-8")


def test_random_bytes_under_every_name(tmp_path: Path):
    rng = random.Random(1)
    names = ["metrics.csv", "run-x.wandb", "events.out.tfevents.1.x", "trainer_state.json", "meta.yaml", "a.ipynb",
             "metrics.json", "wandb-summary.json", "mlflow.db", "log.jsonl", "config.yaml", "results.csv"]  # fmt: skip
    for name in names:
        write(tmp_path / name, rng.randbytes(5000))
        assert reader_of(File(tmp_path / name)) is None
    assert "no run found among 12 files" in unread(tmp_path)
