"""What a preflight was told to ignore is said in its report."""

from __future__ import annotations

import pytest

import tocsin
from prechecks.objective_setups import cross_entropy, setup


@pytest.mark.parametrize("word", ["OPT017", "opt017", "batch-mixing"])
def test_an_ignored_check_is_not_checked(word: str) -> None:
    report = tocsin.preflight(setup(cross_entropy), select=["OPT017", "OPT002"], ignore=[word])
    assert "OPT017" not in report.clean
    assert [n.name for n in report.not_checked if n.reason.startswith("left out by ignore")] == ["batch-mixing"]


def test_one_word_is_no_list_of_letters() -> None:
    report = tocsin.preflight(setup(cross_entropy), select="OPT017", ignore="OPT017")
    assert [n.code for n in report.not_checked] == ["OPT017"]
    assert not report.clean
