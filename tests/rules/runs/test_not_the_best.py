"""CMP005 not-the-best."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.runs.studies import findings, grid, outcomes, scored, unlike
from tocsin.findings import NotChecked
from tocsin.rules.runs.not_the_best import not_the_best as rule
from tocsin.run import Run, Series


def test_another_one_has_the_record():
    (finding,) = findings(
        rule,
        scored("plasma", 46.31, notes="⭐ BEST", project="amc", study="amc"),
        scored("resnet", 48.65, study="amc"),
        scored("cloud", 41.77, study="amc"),
    )
    assert finding.message == (
        'plasma is called best ("⭐ BEST"), but resnet is better: val/accuracy 46.31 against 48.65'
    )
    assert [(e.source, e.value) for e in finding.evidence] == [("config:notes", "⭐ BEST"), ("val/accuracy", 46.31)]


def test_whether_the_lead_is_noise_is_said():
    def of(name: str, r2: float, n: int, **config) -> Run:
        return scored(name, r2, "test/r2", study="s", test_samples=n, **config)

    (few,) = findings(rule, of("one", -0.0457, 144, tags=["best"]), of("two", -0.0226, 144))
    assert few.message.endswith("with 144 samples even that lead is within noise, so none of them is known to be best")
    (many,) = findings(rule, of("one", -0.0457, 10**6, tags=["best"]), of("two", -0.0226, 10**6))
    assert many.message.endswith("; a lead beyond the noise of 1000000 samples")


@pytest.mark.parametrize("said", ["best", "the best!", "Run 1 was actually the best of all", "best config", "✅ best"])
def test_what_calls_a_run_best(said):
    assert findings(rule, scored("aaa", 0.1, notes=said, study="s"), scored("bbb", 0.2, study="s"))


@pytest.mark.parametrize(
    "said",
    ["not the best", "second best", "best epoch 12", "best val_loss 0.9", "saves best_model.pt",
     "load best model at end", "best accuracy 0.7 at step 9", "a good run"],
)  # fmt: skip
def test_what_does_not(said):
    assert findings(rule, scored("aaa", 0.1, notes=said, study="s"), scored("bbb", 0.2, study="s")) == []


def test_best_by_one_score_is_enough():
    def both(name: str, accuracy: float, f1: float, **config) -> Run:
        run = scored(name, accuracy, study="s", **config)
        return replace(run, series={**run.series, "val/f1": Series.of("val/f1", [f1])})

    assert outcomes(rule, both("aaa", 0.8, 0.6, tags=["best"]), both("bbb", 0.7, 0.7)) == []
    assert findings(rule, both("aaa", 0.6, 0.6, tags=["best"]), both("bbb", 0.7, 0.7))


def test_other_label_spaces_and_strangers_are_no_rivals():
    assert findings(rule, scored("aaa", 0.1, tags=["best"]), scored("bbb", 0.2), *unlike()) == []
    (outcome,) = outcomes(
        rule, scored("aaa", 0.1, tags=["best"], num_classes=9, study="s"), scored("bbb", 0.2, num_classes=2, study="s")
    )
    assert isinstance(outcome, NotChecked)
    assert findings(rule, *grid()) == []


def test_errors_count_downwards():
    runs = scored("aaa", 0.1, "val/rmse", tags=["best"], study="s"), scored("bbb", 0.2, "val/rmse", study="s")
    assert findings(rule, *runs) == []
    assert findings(rule, scored("aaa", 0.3, "val/rmse", tags=["best"], study="s"), runs[1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(0, 5))
def test_law_it_rings_exactly_where_another_is_higher(values, marked):
    marked %= len(values)
    runs = [
        scored(f"run{k}", v, study="s", **({"tags": ["best"]} if k == marked else {})) for k, v in enumerate(values)
    ]
    assert bool(findings(rule, *runs)) == (max(values) > values[marked])
