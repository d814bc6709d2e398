"""The shipped record rings with its cause leading, and nothing in it names a machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import tocsin

EXAMPLE = Path(__file__).parents[1] / "examples" / "failing_run"
README = Path(__file__).parents[1] / "README.md"


def test_the_shipped_record_rings_amp002_alone_at_the_root() -> None:
    report = tocsin.check(EXAMPLE)
    assert [f.code for f in report.roots] == ["AMP002"]
    assert not report.unread


def test_the_readme_shows_what_the_shipped_record_gives() -> None:
    shown = re.search(r"\$ tocsin check examples/failing_run\n(.*?)```", README.read_text(), re.DOTALL)
    assert shown is not None
    (root,) = tocsin.check(EXAMPLE).roots
    assert root.message in " ".join(shown.group(1).split())


def test_the_shipped_record_names_no_machine() -> None:
    told = json.loads((EXAMPLE / "run.json").read_text())
    assert not {"host", "pid", "process_start"} & set(told["attempts"][0])
    assert not any(re.search(r"/(home|root|work|tmp)/|@", f.read_text()) for f in EXAMPLE.rglob("*.json*"))
