"""PRD010: fires on a band that the model tells apart and never answers; a note where nothing tells it apart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Run

RULE = find_rule("PRD010")
LABELS = tuple(f"{v} dB" for v in range(-20, -4, 2))
SENT = [0, 0, 20, 20, 20, 20, 30, 90]


def findings(run):
    return check_run(run, [RULE]).findings


def sound(k=8, each=200):
    return np.full((k, k), each // (4 * k), dtype=int) + np.eye(k, dtype=int) * (3 * each // 4)


def zone():
    """The two weakest levels are sent away, mostly to the strongest, which is told apart from them."""
    counts = sound()
    counts[:2] = SENT
    return counts


def ended(dense, labels=LABELS, looks=3, end="finished", baseline=None):
    counts = Confusion.of(dense, labels)
    own = [Evaluation("val", "snr", s, "ids", counts.n, confusion=counts) for s in range(1, looks + 1)]
    if baseline is not None:
        other = Confusion.of(baseline, labels)
        own.append(Evaluation("val", "snr", looks, "ids", other.n, confusion=other, baseline="ridge"))
    return Run.of("r", evaluations=tuple(own), exit=end)


def test_the_band_is_named_with_where_it_goes():
    (found,) = findings(ended(zone()))
    assert found.message == (
        "val/snr: -20 dB to -18 dB (2 classes, 400 samples) get not one correct answer, 45 % go to -6 dB, whose own "
        "samples get it 26 % more often at least; so in each of the 3 evaluations since step 1"
    )
    assert found.evidence[0].interval[1] < 1 / 8


def test_a_band_that_looks_like_its_taker_is_a_note():
    counts = sound()
    counts[:3] = [0, 0, 0, 160, 10, 10, 10, 10]  # -14 dB looks alike: one answer for all of them is right
    counts[3] = [0, 0, 0, 160, 10, 10, 10, 10]
    (found,) = findings(ended(counts))
    assert found.severity == "note"


def test_a_baseline_decides():
    better, blind = sound(), zone()
    alike = sound()
    alike[:3] = alike[3] = [0, 0, 0, 160, 10, 10, 10, 10]
    (found,) = findings(ended(alike, baseline=better))
    assert found.severity == "warning"
    assert "the baseline ridge gets" in found.message
    told = zone()
    told[:2] = [0, 0, 40, 40, 40, 40, 20, 20]
    (found,) = findings(ended(told, baseline=blind))
    assert found.severity == "note"


@pytest.mark.parametrize(
    "run",
    [
        ended(sound()),
        ended(zone(), labels=tuple("abcdefgh")),
        ended(zone(), labels=()),
        ended(zone() // 40),
        ended(zone(), end="running"),
        ended(np.eye(8, dtype=int)[[7] * 8] * 100),
    ],
    ids=["sound", "no scale", "no labels", "few", "running", "constant"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_one_dead_class_is_no_band():
    counts = sound()
    counts[0] = SENT
    counts[0, 0] = 0
    assert not findings(ended(counts))


def test_an_absent_class_between_two_dead_ones_is_stepped_over():
    counts = zone()
    counts[2] = [20, 0, 0, 10, 10, 20, 20, 120]
    counts[1] = 0
    (found,) = findings(ended(counts))
    assert "-20 dB to -16 dB (2 classes" in found.message


def test_a_log_gives_a_note():
    f1 = {f"val/f1/{v}": [0.0] * 4 if v < -16 else [0.3, 0.5, 0.6, 0.7] for v in range(-20, -4, 2)}
    support = {f"val/support/{v}": [200.0] * 4 for v in range(-20, -4, 2)}
    (found,) = findings(Run.of(series={**f1, **support}, source="csv"))
    assert (found.severity, found.subject) == ("note", "val/f1")
    assert "-20 to -18 (2 of 8 classes) are exactly 0" in found.message
    few = {**support, "val/support/-20": [4.0] * 4, "val/support/-18": [4.0] * 4}
    assert not findings(Run.of(series={**f1, **few}, source="csv"))


@given(order=st.permutations(range(8)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_ids_does_not_matter(order):
    index = np.array(order)
    labels = tuple(LABELS[i] for i in order)
    (found,) = findings(ended(zone()[np.ix_(index, index)], labels))
    (plain,) = findings(ended(zone()))
    assert replace(found, evidence=()) == replace(plain, evidence=())
