"""CMP001 confounded-comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from rules.runs.studies import findings, grid, outcomes, scored, unlike
from tocsin.findings import NotChecked
from tocsin.rules.runs.confounded_comparison import confounded_comparison as rule
from tocsin.run import Event, Run


def test_a_cause_is_named_though_three_settings_differ():
    (finding,) = findings(
        rule,
        scored(
            "vague-wave",
            0.2523,
            shuffle=True,
            lr=1e-4,
            epochs=32,
            pretrained="snowy/last.pt",
            notes="+1.78% over snowy-valley from shuffling",
        ),
        scored("snowy-valley", 0.2345, shuffle=False, lr=1e-3, epochs=4),
    )
    assert finding.message == (
        'vague-wave is compared with snowy-valley ("+1.78% over snowy-valley from shuffling"), yet they differ in 3 '
        "settings: shuffle: True against False; lr: 0.0001 against 0.001; pretrained: snowy/last.pt against none "
        "(val/accuracy 0.2523 against 0.2345): no one of them can be named as the cause"
    )
    assert finding.severity is None
    assert finding.subject == "vague-wave / snowy-valley"
    assert [e.source for e in finding.evidence] == [
        "config:notes", "config:shuffle", "config:lr", "config:pretrained", "val/accuracy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "note",
    [
        "b improved on a",
        "thanks to relu better than a",
        "beats a",
        "from a -> b: gain from relu",
        "confirmed: superior to a",
    ],
)
def test_words_that_compare(note):
    assert findings(
        rule, scored("b01", lr=1, act="relu", notes=note.replace(" a", " a01")), scored("a01", lr=2, act="gelu")
    )


def test_a_note_of_the_log_counts_like_one_of_the_configuration():
    noted = Run.of("b01", config={"lr": 1, "wd": 2}, events=(Event("note", "wd makes it better than a01"),))
    (finding,) = findings(rule, noted, scored("a01", lr=2, wd=1))
    assert finding.evidence[0].source == "event:note"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"lr": 1, "notes": "better than a01"}, {"lr": 2}),  # one factor: that is what an experiment is
        ({"lr": 1, "seed": 3, "epochs": 9, "out_dir": "x", "notes": "better than a01"}, {"lr": 2, "seed": 4}),
        ({"lr": 1, "wd": 2, "notes": "same data as a01"}, {"lr": 2, "wd": 3}),  # named, not compared
        ({"lr": 1, "wd": 2, "notes": "better than the paper"}, {"lr": 2, "wd": 3}),  # compared with no run
        ({"lr": 1, "wd": 2}, {"lr": 2, "wd": 3}),
    ],
)  # fmt: skip
def test_silent_beside_it(one, two):
    assert findings(rule, scored("b01", **one), scored("a01", **two)) == []


def test_a_folder_of_unlike_runs_is_no_comparison():
    assert findings(rule, *unlike()) == []
    (outcome,) = outcomes(rule, scored("b01", lr=1, wd=2), scored("a01", lr=2, wd=3))
    assert isinstance(outcome, NotChecked)


def test_a_grid_and_a_random_search_vary_their_factors_apart():
    assert outcomes(rule, *grid()) == []
    rng = np.random.default_rng(0)
    search = [scored(f"t{k}", lr=float(rng.random()), wd=float(rng.random()), study="s") for k in range(20)]
    assert outcomes(rule, *search) == []


def test_factors_that_always_change_together_are_a_note():
    study = [scored(f"t{k}", model=m, lr=lr, seed=k, sweep="s") for k, (m, lr) in enumerate([("a", 1), ("b", 2)] * 2)]
    (finding,) = findings(rule, *study)
    assert finding.severity == "note"
    assert "never vary model and lr apart (a with 1, b with 2)" in finding.message


def test_in_a_report():
    runs = [scored("b01", lr=1, wd=2, notes="better than a01"), scored("a01", lr=2, wd=1)]
    assert [f.code for f in tocsin.check(runs, select=["CMP001"]).roots] == ["CMP001"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=5), st.booleans())
def test_law_it_rings_where_more_than_one_setting_differs_whatever_the_order(differ, swapped):
    one = {f"width{chr(97 + k)}": k for k in range(len(differ))}
    two = {key: value + changed for (key, value), changed in zip(one.items(), differ, strict=True)}
    runs = [scored("b01", **one, notes="better than a01"), scored("a01", **two)]
    assert bool(findings(rule, *(runs[::-1] if swapped else runs))) == (sum(differ) > 1)
