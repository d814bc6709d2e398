"""Folders for the tests of the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from record.sample_record import fill, opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a run may be recorded; the folder does not exist yet."""
    return tmp_path / "runs" / "first"


@pytest.fixture
def recorded(folder: Path) -> Path:
    """A finished run."""
    writer = opened(folder)
    fill(writer)
    writer.close("finished")
    return folder


@pytest.fixture(autouse=True)
def _no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
