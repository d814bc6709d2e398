"""What notes beside runs say, and what they do not."""

from __future__ import annotations

import pytest

from tocsin import claims
from tocsin.run import Event, Run


def noted(name: str, notes: str = "", **config) -> Run:
    return Run.of(name, series={"val/accuracy": config.pop("scores", [50.0])}, config={**config, "notes": notes})


def compared(*runs: Run) -> list[tuple[int, tuple[int, ...]]]:
    return [(c.by, c.others) for c in claims.comparisons(runs)]


def test_texts_stand_where_people_write_them():
    run = Run.of(
        config={"notes": "one", "wandb": {"tags": ["two", "three"]}, "lr": "four", "data": {"description": "five"}},
        environment={"comment": "six"},
        events=(Event("note", "seven"), Event("warning", "eight")),
    )
    assert [(said.source, said.text) for said in claims.texts(run)] == [
        ("config:notes", "one"), ("config:wandb.tags.0", "two"), ("config:wandb.tags.1", "three"),
        ("config:data.description", "five"), ("environment:comment", "six"), ("event:note", "seven"),
    ]  # fmt: skip


def test_a_run_is_meant_by_its_name_or_the_last_part_of_its_path():
    assert compared(noted("runs/b-2", "better than a-1"), noted("runs/a-1")) == [(0, (1,))]
    assert compared(noted("b-2", "better than a-10"), noted("a-1")) == []
    assert compared(noted("b-2", "logs are better than before"), noted("x/logs"), noted("y/logs")) == []


@pytest.mark.parametrize("note", ["12 % better: from 27.58 to 45.45", "worse than α=0.5", "better than alpha = 0.5"])
def test_within_a_study_a_score_or_a_setting_names_a_run(note):
    mine, other = noted("mine", note, alpha=1, study="s"), noted("other", alpha=0.5, study="s", scores=[20.0, 27.58])
    assert compared(mine, other) == [(0, (1,))]
    assert compared(mine, other, noted("third", alpha=0.5, study="s", scores=[27.58])) == []  # which of the two?
    assert compared(mine, noted("other", alpha=0.5, scores=[27.58])) == []  # no study


def test_a_note_that_compares_nothing():
    assert compared(noted("mine", "same seed as other-1"), noted("other-1")) == []


@pytest.mark.parametrize(("text", "best"), [("BEST", True), ("this is not the best", False), ("best_model.pt", False)])
def test_called_best(text, best):
    assert (claims.called_best(noted("r", text)) is not None) == best
