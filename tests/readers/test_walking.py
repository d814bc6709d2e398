"""What a walk lists, and what it never touches."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from tocsin.readers import walking
from tocsin.readers.walking import walk


def make(top: Path, *names: str) -> None:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def listed(top: Path) -> list[str]:
    tree = walk(top)
    return sorted((folder / name).relative_to(top).as_posix() for folder, names in tree.files.items() for name in names)


def test_files_that_may_be_logs_are_listed(tmp_path: Path):
    make(tmp_path, "train.log", "runs/a/metrics.csv", "weights.pt", "a/picture.PNG", "a/notes", ".hydra/config.yaml")
    make(tmp_path, "events.out.tfevents.1650000000.host.bin", "data.tar.gz")
    tree = walk(tmp_path)
    assert listed(tmp_path) == [
        ".hydra/config.yaml", "a/notes", "events.out.tfevents.1650000000.host.bin", "runs/a/metrics.csv", "train.log",
    ]  # fmt: skip
    assert tree.count == 8
    assert tree.unread == []


@pytest.mark.parametrize(
    "folder", [".git", "node_modules", "__pycache__", ".venv", "lib/site-packages", ".ipynb_checkpoints"]
)
def test_folders_of_tools_are_passed_over(tmp_path: Path, folder: str):
    make(tmp_path, f"{folder}/train.log", "kept.log")
    assert listed(tmp_path) == ["kept.log"]


def test_a_virtual_environment_is_told_by_its_marker(tmp_path: Path):
    make(tmp_path, "env/pyvenv.cfg", "env/lib/x/train.log", "kept.log")
    assert listed(tmp_path) == ["kept.log"]


def test_each_file_once_whatever_the_links(tmp_path: Path):
    make(tmp_path / "top", "run-1/train.log", "other/a.log")
    make(tmp_path, "outside/b.log", "one.log")
    (tmp_path / "top" / "a-latest").symlink_to(tmp_path / "top" / "run-1")
    (tmp_path / "top" / "loop").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "up").symlink_to(tmp_path)
    (tmp_path / "top" / "self").symlink_to(tmp_path / "top" / "self")
    (tmp_path / "top" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "top" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "top" / "out2").symlink_to(tmp_path / "outside")
    (tmp_path / "top" / "copy.log").symlink_to(tmp_path / "top" / "other" / "a.log")
    (tmp_path / "top" / "link.log").symlink_to(tmp_path / "one.log")
    found = listed(tmp_path / "top")
    assert [name for name in found if not name.startswith("out")] == ["link.log", "other/a.log", "run-1/train.log"]
    assert len([name for name in found if name.startswith("out")]) == 1


def test_a_link_as_the_top_is_followed(tmp_path: Path):
    make(tmp_path / "real", "train.log")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "link") == ["train.log"]


def test_pipes_and_sockets_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, "train.log")
    os.mkfifo(tmp_path / "pipe.log")
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.log")
        assert listed(tmp_path) == ["train.log"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_folder_that_may_not_be_opened_is_said(tmp_path: Path):
    make(tmp_path, "closed/train.log", "kept.log")
    (tmp_path / "closed").chmod(0)
    try:
        assert listed(tmp_path) == ["kept.log"]
        assert "closed: cannot be looked at (Permission denied)" in walk(tmp_path).unread[0]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_what_vanishes_or_fails_while_walking_is_said_and_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, "kept.log", *(f"gone{i}/x.log" for i in range(30)))
    scandir = os.scandir

    def vanishing(path):
        if "gone" in os.fspath(path):
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    tree = walk(tmp_path)
    assert list(tree.files.values()) == [["kept.log"]]
    assert len(tree.unread) == 21
    assert "gone0: cannot be looked at (No such file or directory)" in tree.unread[0]
    assert tree.unread[-1] == "10 more files and folders could not be looked at"


def test_odd_bytes_in_names_do_not_stop_it(tmp_path: Path):
    odd = os.fsencode(tmp_path) + b"/\xb5-\x1b[31m.log"
    with open(odd, "wb") as stream:  # noqa: PTH123  bytes that pathlib cannot spell
        stream.write(b"x")
    (names,) = walk(tmp_path).files.values()
    assert [os.fsencode(name) for name in names] == [b"\xb5-\x1b[31m.log"]


def test_depth_and_number_are_bounded_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, "/".join(["d"] * 30) + "/deep.log", "a/1.log", "b/2.log", "c/3.log")
    assert listed(tmp_path) == ["a/1.log", "b/2.log", "c/3.log"]
    monkeypatch.setattr(walking, "MOST_FOLDERS", 3)
    tree = walk(tmp_path)
    assert sorted(name for names in tree.files.values() for name in names) == ["1.log", "2.log"]
    assert tree.unread == ["only the first 3 folders with 2 files were looked at; name a narrower one"]


def test_owned_folders_are_listed_and_only_searched_for_more(tmp_path: Path):
    make(tmp_path, "mine/run.json", "mine/rank0/1.jsonl", "mine/trials/one/run.json", "mine/extra.log", "other.log")
    tree = walk(tmp_path, lambda folder: (folder / "run.json").exists())
    assert sorted(tree.owned) == [tmp_path / "mine", tmp_path / "mine" / "trials" / "one"]
    assert list(tree.files) == [tmp_path]


def test_many_files_take_no_more_than_a_few_microseconds_each(tmp_path: Path, record_property):
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for at in range(250):
            (tmp_path / str(folder) / f"{at}.{'png' if at % 2 else 'log'}").touch()
    start = time.process_time()
    tree = walk(tmp_path)
    each = (time.process_time() - start) / tree.count
    record_property("figure", f"walking: {each * 1e6:.1f} µs CPU a file")
    assert (tree.count, sum(map(len, tree.files.values()))) == (5000, 2500)
    assert each < 200e-6
