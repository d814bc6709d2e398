"""``tocsin.check`` and ``tocsin.read`` take what people have in hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tocsin
from tocsin import record
from tocsin.run import Run


def written(folder: Path, loss: float) -> Path:
    writer = record.open_record(folder, config={}, environment={})
    writer.rows([(step, None, 0.0, {"train/loss": loss}) for step in range(1, 65)])
    writer.close("finished")
    return folder


def test_check_takes_a_folder_a_run_and_lists_of_either(tmp_path: Path) -> None:
    bad, good = written(tmp_path / "bad", float("nan")), written(tmp_path / "good", 1.0)
    (run,) = tocsin.read(bad)
    for target in (bad, str(bad), run, [bad], [str(bad), good], [run, good], tmp_path):
        assert "AMP003" in {f.code for f in tocsin.check(target).findings}
    assert [r.name for r in tocsin.read(tmp_path)] == ["bad", "good"]
    assert {f.run for f in tocsin.check([bad, good]).findings} == {"bad"}


@pytest.mark.parametrize("nothing", [[], (), {}, None, 42])
def test_nothing_to_check_is_said(nothing: object) -> None:
    with pytest.raises(TypeError, match="expected a run folder, a Run, or a list of them"):
        tocsin.check(nothing)  # type: ignore[arg-type]


def test_a_path_without_a_run_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(tocsin.ReadError, match="no run found"):
        tocsin.check([Run.of(series={"train/loss": [1.0]}), tmp_path])


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"options": {"non-finit": {}}}, ValueError, "no rule 'non-finit'"),
        (
            {"options": {"constant-prediction": {"shar": 1}}},
            ValueError,
            "PRD002 constant-prediction has no option 'shar'",
        ),
        ({"baseline": "known.json"}, TypeError, "got 'known.json'. Of a file: json.loads"),
        ({"baseline": [{}]}, TypeError, "each a mapping with a `code`; got {}"),
    ],
)
def test_a_slip_in_what_to_leave_out_is_said(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        tocsin.check(Run.of(series={"train/loss": [1.0]}), **wrong)
