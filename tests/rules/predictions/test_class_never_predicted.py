"""PRD003: a class that is there and never chosen; silent on rare, late, absent and small ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, check_runs, find_rule
from tocsin.run import Confusion, Evaluation, Run

RULE = find_rule("PRD003")


def findings(run):
    return check_run(run, [RULE]).findings


def evaluated(matrices, end="finished"):
    each = enumerate(matrices, 1)
    return Run.of(
        evaluations=tuple(
            Evaluation("val", "kind", 50 * i, "classes", int(np.sum(m)), confusion=Confusion.of(m)) for i, m in each
        ),
        exit=end,
    )


def matrix(*lost, supports=(60, 60, 60, 60)):
    dense = np.diag(supports)
    for c in lost:
        dense[c, 0], dense[c, c] = dense[c, c], 0
    return dense


def test_one_of_four_classes():
    (found,) = findings(evaluated([matrix(2)] * 3))
    assert (found.severity, found.subject, found.step) == ("warning", "val/kind", 50)
    assert found.message == (
        "val/kind: 1 of 4 classes never predicted over 240 inputs: class 2 (60 samples); "
        "so in each of the 3 evaluations since step 50"
    )
    low, high = found.evidence[0].interval
    assert low == 0
    assert high < 0.1


def test_a_rare_class_is_a_note():
    (found,) = findings(evaluated([matrix(3, supports=(2000, 1500, 1000, 40))] * 3))
    assert found.severity == "note"


def test_a_constant_prediction_is_another_fault():
    codes = {f.code for f in check_runs([evaluated([matrix(1, 2, 3)] * 3)], select=["PRD"]).roots}
    assert codes == {"PRD002"}


@pytest.mark.parametrize(
    "matrices",
    [
        [matrix(2, supports=(60, 60, 20, 60))] * 3,
        [matrix(2), matrix(2), matrix()],
        [matrix(2), matrix(1), matrix(3)],
        [matrix(supports=(60, 60, 0, 60))] * 3,
    ],
    ids=["small", "late", "another each time", "absent"],
)
def test_neighbours_are_silent(matrices):
    assert not findings(evaluated(matrices))


@given(st.lists(st.integers(0, 120), min_size=3, max_size=6), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_rings_exactly_when_the_support_proves_it(supports, lost):
    lost %= len(supports)
    kept = [m for c, m in enumerate(supports) if c != lost and m]
    found = findings(evaluated([matrix(lost, supports=supports)] * 3))
    others = len(kept) >= 2 or (kept and lost != 0 and not supports[0])
    assert bool(found) == bool(lost != 0 and supports[lost] >= 35 and (others if supports[0] == 0 else len(kept) >= 2))


def logged(n=12, measure="val/dice", **classes):
    made = {f"{measure}/{c.lstrip('_')}": v if np.ndim(v) else np.full(n, float(v)) for c, v in classes.items()}
    return Run.of(series=made, source="console")


def test_from_a_score_by_class():
    (found,) = findings(logged(_0=0.87, _1=0.62, _2=0, _3=0.4, _4=0))
    assert (found.severity, found.subject, found.step) == ("warning", "val/dice", 1)
    assert found.message == (
        "val/dice: 2 of 5 classes are exactly 0 in the last 12 evaluations (2, 4), the best is at 0.87"
    )
    assert findings(logged(_0=87.0, _1=62.0, _2=0, _3=40.0))[0].severity == "warning"


def test_many_classes_at_0_early_are_a_note():
    (found,) = findings(logged(2, "average_global_foreground_dice", _0=0.87, _1=0.0009, _2=0.0065, _3=0, _4=0))
    assert found.severity == "note"
    assert "too few to say" in found.message


def test_neighbours_in_logs_are_silent():
    rising = np.linspace(0.2, 0.9, 12)
    assert not findings(logged(_0=rising, _1=rising, _2=0, _3=rising))  # it still learns
    assert not findings(logged(_0=0.3, _1=0.2, _2=0, _3=0.1))  # hardly anything is learned
    assert not findings(logged(_0=0.8, _1=0.7, _2=np.r_[np.zeros(8), np.full(4, 0.2)], _3=0.6))
    assert not findings(logged(_0=0.8, _1=0.7, _2=np.full(12, np.nan), _3=0.6))
    few = logged(_0=0.8, _1=0.7, _2=0, _3=0.6).series | {"val/support/2": [2.0]}
    assert not findings(Run.of(series=few, source="console"))


def test_a_single_report_with_supports_is_judged_as_predictions_are():
    recall, support = {"a": 0.8, "b": 0.0, "c": 0.7}, {"a": 60, "b": 50, "c": 70}

    def told(support):
        series = {f"test/recall/{c}": [v] for c, v in recall.items()} | {
            f"test/support/{c}": [n] for c, n in support.items()
        }
        return findings(Run.of("r", series=series, source="console"))

    (found,) = told(support)
    assert (found.severity, found.subject) == ("warning", "test")
    assert "1 of 3 classes are never found" in found.message
    assert not told(support | {"b": 30})
    assert [f.severity for f in told({"a": 4000, "b": 50, "c": 5000})] == ["note"]


def test_a_token_beside_more_frequent_ones_is_a_note():
    """Over a fifth of an equal share, and taken for what is eight times as frequent: right by the prior."""
    dense = np.diag([400, 300, 300, *[10] * 17, 40])
    dense[20, 20], dense[20, 0], dense[20, 1] = 0, 20, 20
    (found,) = findings(evaluated([dense] * 3))
    assert found.severity == "note"
    assert 0.2 * dense.sum() / 21 < 40
    beside = dense.copy()
    beside[0, 0], beside[1, 1] = 60, 60  # the same, beside classes of its own size
    (found,) = findings(evaluated([beside] * 3))
    assert found.severity == "warning"
