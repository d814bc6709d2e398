"""PRD012: fires on a class that ranks well and is never said; silent where it does not rank or is rare."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.rules.predictions.prior_not_features import _interval
from tocsin.run import Confusion, Evaluation, Run

RULE = find_rule("PRD012")
NEVER = [[180, 0, 20], [60, 0, 60], [20, 0, 180]]
LABELS = ("cat", "dog", "fox")


def findings(run):
    return check_run(run, [RULE]).findings


def ended(dense, auc, end="finished", looks=3, kind="classes"):
    counts = Confusion.of(dense, LABELS[: len(dense)])
    own = [Evaluation("val", "main", s, kind, counts.n, confusion=counts, auc=auc) for s in range(1, looks + 1)]
    return Run.of("r", evaluations=tuple(own), exit=end)


def test_the_class_is_named_with_how_well_it_ranks():
    (found,) = findings(ended(NEVER, (0.9, 0.91, 0.9)))
    assert found.message == (
        "val/main: dog (120 samples, 23 %) is never predicted, yet its score ranks it above the others 91 % of the "
        "time; so in each of the 3 evaluations since step 1"
    )
    assert (found.severity, found.step) == ("warning", 1)
    assert "PRD003" in found.explains


@pytest.mark.parametrize(
    ("dense", "auc"),
    [
        (NEVER, (0.9, 0.6, 0.9)),
        (NEVER, (0.9, 0.82, 0.9)),
        (NEVER, (0.9, math.nan, 0.9)),
        ([[180, 5, 15], [60, 3, 57], [20, 0, 180]], (0.9, 0.95, 0.9)),
        ([[180, 0, 20], [10, 0, 10], [20, 0, 180]], (0.9, 0.95, 0.9)),
        (NEVER, ()),
    ],
    ids=["unseen", "within noise", "unknown", "said", "few", "no scores"],
)
def test_healthy_neighbours_are_silent(dense, auc):
    assert not findings(ended(dense, auc))
    assert not findings(ended(NEVER, (0.9, 0.95, 0.9), end="running"))


def test_a_rare_class_is_a_note():
    (found,) = findings(ended([[900, 0, 100], [30, 0, 20], [100, 0, 900]], (0.9, 0.93, 0.9)))
    assert found.severity == "note"


def test_labels_of_a_multilabel_task():
    table = np.array([[0, 0, 100, 300], [150, 20, 30, 200]])
    own = [Evaluation("val", "tags", s, "multilabel", 400, labels_confusion=table, auc=(0.9, 0.9)) for s in (1, 2, 3)]
    (found,) = findings(Run.of("r", evaluations=tuple(own), exit="finished"))
    assert found.message.startswith("val/tags: label 0 (100 samples, 25 %) is never predicted")


def test_the_interval_counts_the_sampled_rows_alone():
    whole, sampled = _interval(0.9, 200, 2000, 3), _interval(0.9, 2000, 20_000, 3)
    assert sampled[1] - sampled[0] > whole[1] - whole[0]
    assert all(math.isnan(v) for v in _interval(0.9, 1, 100_000, 3))


def test_the_interval_holds_what_it_should():
    """About 95 % of the areas of normal scores lie in it."""
    rng, inside, true = np.random.default_rng(0), 0, 0.5 * (1 + math.erf(1.2 / 2))
    for _ in range(200):
        p, q = rng.normal(1.2, 1, 60), rng.normal(0, 1, 240)
        area = float((p[:, None] > q).mean())
        low, high = _interval(area, 60, 300, 3)
        inside += low <= true <= high
    assert 0.9 <= inside / 200 <= 1.0


@given(auc=st.floats(0, 1), share=st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_only_a_high_area_rings(auc, share):
    m = int(400 * share)
    run = ended([[400 - m, 0, 40], [m, 0, 0], [30, 0, 300]], (0.9, auc, 0.9))
    assert not (findings(run) and auc < 0.8)


@pytest.mark.parametrize(("area", "severity"), [(0.9995, "warning"), (0.9, "note")])
def test_a_rare_class_whose_ranking_proves_it_is_a_warning(area, severity):
    """80 of 2,080: odds of 1 to 25 are made good by an area above 1 - 1/50."""
    dense = [[900, 0, 100], [40, 0, 40], [100, 0, 900]]
    (found,) = findings(ended(dense, (0.9, area, 0.9)))
    assert found.severity == severity


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_an_area_bounds_the_steepest_slope(bins):
    """Scores in bins (with, without the class): max p(bin | class) / p(bin | others) >= 1 / (2 (1 - area))."""
    ours, others = (np.array(column, float) for column in zip(*bins, strict=True))
    if not (ours.sum() and others.sum()):
        return
    p, q = ours / ours.sum(), others / others.sum()
    below = np.cumsum(q) - q
    area = float(p @ (below + q / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        steepest = float(np.nanmax(np.where(p > 0, p / q, np.nan)))
    assert area >= 1 or steepest >= 1 / (2 * (1 - area)) - 1e-9
