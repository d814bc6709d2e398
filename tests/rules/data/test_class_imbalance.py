"""DAT001: fires on rare classes that are lost without a countermeasure; silent where they are found, or countered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Run

RULE = find_rule("DAT001")
LOST = [[880, 20, 0], [60, 440, 0], [30, 20, 0]]
LABELS = ("road", "car", "bike")


def findings(run):
    return check_run(run, [RULE]).findings


def ended(dense, config=None, looks=3, end="finished", **fields):
    counts = Confusion.of(dense, LABELS)
    own = [Evaluation("val", "main", s, "classes", counts.n, confusion=counts) for s in range(1, looks + 1)]
    config = {"loss": "cross_entropy"} if config is None else config
    return Run.of("r", evaluations=tuple(own), exit=end, config=config, **fields)


def test_the_rare_class_is_named_beside_the_others():
    (found,) = findings(ended(LOST))
    assert found.message == (
        "val/main: bike (1 sample for 18 of the most frequent class) has a recall of 0, at most 0.071; "
        "the other classes have 0.943; the configuration names no countermeasure"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/main", 0)
    assert found.evidence[0].interval[1] < 0.1


@pytest.mark.parametrize(
    "config",
    [
        {"class_weights": "balanced"},
        {"loss": {"name": "focal", "gamma": 2}},
        {"data": {"sampler": "WeightedRandomSampler"}},
        {"pos_weight": [1.0, 20.0]},
        {"oversample": True},
    ],
)
def test_a_countermeasure_silences_it(config):
    assert not findings(ended(LOST, config))


@pytest.mark.parametrize("config", [{"class_weights": None}, {"oversample": False}, {"sampler": "random"}])
def test_one_that_is_switched_off_does_not(config):
    assert findings(ended(LOST, config))


def test_without_a_configuration_it_is_a_note():
    (found,) = findings(ended(LOST, {}))
    assert found.severity == "note"
    assert "no configuration was recorded" in found.message


@pytest.mark.parametrize(
    "dense",
    [
        [[880, 20, 0], [60, 440, 0], [10, 10, 30]],
        [[880, 20, 0], [60, 440, 0], [3, 3, 0]],
        [[480, 20, 0], [60, 440, 0], [100, 100, 0]],
        [[300, 300, 300], [170, 170, 160], [18, 17, 15]],
        [[880, 0, 20], [60, 410, 30], [30, 20, 0]],
        np.diag([900, 500, 0]),
    ],
    ids=["found", "too few", "not rare", "nothing learned", "called, but wrongly", "absent"],
)
def test_healthy_neighbours_are_silent(dense):
    assert not findings(ended(dense))


def test_only_settled_predictions():
    assert not findings(ended(LOST, end="running"))
    assert not findings(ended(LOST, looks=2, end="killed"))


def test_a_report_by_class_in_a_log():
    recall = {"road": 0.96, "car": 0.9, "bike": 0.02}
    support = {"road": 900, "car": 500, "bike": 50}
    series = {f"val/recall/{c}": [v] for c, v in recall.items()} | {f"val/support/{c}": [v] for c, v in support.items()}
    (found,) = findings(Run.of(series=series, source="csv", config={"lr": 0.1}))
    assert found.message.startswith("val: bike (1 sample for 18 of the most frequent class) has a recall of 0.02")
    assert not findings(Run.of(series={**series, "val/recall/bike": [0.7]}, source="csv", config={"lr": 0.1}))


@given(order=st.permutations(range(3)), factor=st.integers(1, 50))
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_more_samples_change_it(order, factor):
    index = np.array(order)
    counts = Confusion.of(factor * np.array(LOST)[np.ix_(index, index)], tuple(LABELS[i] for i in order))
    own = tuple(Evaluation("val", "main", s, "classes", counts.n, confusion=counts) for s in (1, 2, 3))
    (found,) = findings(Run.of("r", evaluations=own, exit="finished", config={"lr": 1}))
    assert "bike" in found.message


def test_a_vocabulary_is_no_imbalance():
    """Forty tokens by Zipf's law: most are rare by nature, and a model of text gives up the rarest."""
    support = np.array([6000 // k for k in range(1, 41)])
    dense = np.diag(np.where(support > 600, support, 0))
    dense[:, 0] += np.where(support > 600, 0, support)
    text = Confusion.of(dense)
    run = Run.of(
        "text",
        config={"loss": "cross_entropy"},
        evaluations=[Evaluation("val", "main", s, "classes", text.n, confusion=text) for s in (1, 2, 3)],
    )
    assert {f.severity for f in check_run(run, [find_rule("DAT001")]).findings} == {"note"}


def test_one_lost_class_of_many_alike_is_a_warning():
    """Thirty classes of one size and one that has a twentieth of it: an exception, not a tail."""
    support = np.array([400] * 30 + [20])
    dense = np.diag(np.where(support > 20, support, 0))
    dense[30, 0] = 20
    counts = Confusion.of(dense)
    run = Run.of(
        config={"loss": "cross_entropy"},
        evaluations=[Evaluation("val", "main", s, "classes", counts.n, confusion=counts) for s in (1, 2, 3)],
    )
    assert [f.severity for f in check_run(run, [find_rule("DAT001")]).findings] == ["warning"]
