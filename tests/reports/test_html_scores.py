"""Tables of an evaluation against scikit-learn, thinned heat maps that lose no sample, settings with their types."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tocsin.reports.scores import MOST_BINS, SIDE, class_rows, heat_map, ordered, scatter, scores
from tocsin.reports.settings import settings
from tocsin.run import Confusion, Evaluation, Moments


def confusion(classes: int, seed: int = 0, labels: tuple[str, ...] = ()) -> tuple[Confusion, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, 5000)
    prediction = np.where(rng.random(5000) < 0.6, target, rng.integers(0, max(1, classes // 2), 5000))
    dense = np.zeros((classes, classes), int)
    np.add.at(dense, (target, prediction), 1)
    return Confusion.of(dense, labels), target, prediction


def test_class_scores_are_those_of_sklearn():
    c, target, prediction = confusion(7)
    precision, recall, f1, support = precision_recall_fscore_support(target, prediction, zero_division=0)
    rows = class_rows(c)
    assert [r.support for r in rows] == support.tolist()
    assert [r.recall for r in rows] == pytest.approx(recall)
    assert [r.precision for r in rows] == pytest.approx(precision)
    assert [r.f1 for r in rows] == pytest.approx(f1)
    assert all(r.interval[0] <= r.recall <= r.interval[1] for r in rows)


def test_a_class_that_is_never_predicted_has_no_precision_and_f1_zero():
    row = class_rows(Confusion.of([[3, 0], [2, 0]]))[1]
    assert np.isnan(row.precision)
    assert row.f1 == 0


def test_a_class_that_never_occurs_has_no_f1():
    assert np.isnan(class_rows(Confusion.of([[3, 1], [0, 0]]))[1].f1)


@pytest.mark.parametrize("classes", [2, 20, 21, 57, 500])
@pytest.mark.parametrize("numbered", [True, False])
def test_heat_map_is_bounded_and_holds_every_sample(classes, numbered):
    labels = tuple(f"{k} dB" if numbered else f"mod-{k}" for k in range(classes))
    c, *_ = confusion(classes, labels=labels)
    heat = heat_map(c)
    assert heat is not None
    assert len(heat.labels) == min(classes, MOST_BINS)
    assert heat.count.sum() == c.n
    assert heat.share.sum(axis=1) == pytest.approx((heat.count.sum(axis=1) > 0).astype(float))
    assert bool(heat.thinned) == (classes > MOST_BINS)


def test_neighbours_are_joined_where_classes_are_ordered_and_small_classes_elsewhere():
    c, *_ = confusion(40, labels=tuple(f"{k} dB" for k in range(40)))
    assert heat_map(c).labels[:2] == ("0 dB to 1 dB", "2 dB to 3 dB")
    dense = np.zeros((40, 40), int)
    dense[np.arange(40), 33] = 5
    attractor = heat_map(Confusion.of(dense, tuple(f"m{k}" for k in range(40))))
    assert "m33" in attractor.labels, "the class that attracts all predictions is shown by itself"
    assert attractor.labels[-1] == "21 other"


def test_many_classes_need_no_dense_matrix():
    c = Confusion(90_000, np.array([5, 89_999]), np.array([5, 3]), np.array([4, 4]))
    s = scores(Evaluation("val", "lm", 1, "ids", 8, confusion=c))
    assert s.heat.count.sum() == 8
    assert [r.label for r in s.rows] == ["class 3", "class 5", "class 89999"]


def test_a_claimed_number_of_classes_beyond_reason_is_not_tabulated():
    c = Confusion(10**12, np.array([5]), np.array([5]), np.array([4]))
    s = scores(Evaluation("val", "x", 1, "ids", 4, confusion=c))
    assert s.heat is None
    assert s.rows == ()


def test_long_tables_keep_the_classes_of_lowest_recall():
    c, *_ = confusion(60)
    s = scores(Evaluation("val", "x", 1, "classes", c.n, confusion=c))
    recalls = [r.recall for r in class_rows(c)]
    assert s.rows_left_out == 20
    assert [r.recall for r in s.rows] == sorted(recalls)[:40]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("0 dB", "2 dB"), True),
        (("1", "2", "10"), True),
        (("2", "1"), False),
        (("a", "b"), False),
        (("", "1"), False),
        ((), False),
    ],
)
def test_order_of_classes_is_read_off_their_labels(labels, expected):
    assert ordered(labels) is expected


def test_scatter_puts_equal_values_on_the_dashed_line():
    t = np.linspace(-3, 3, 50)
    s = scatter(Moments.of(t, t))
    x1, y1, x2, y2 = s.identity
    points = [tuple(map(float, p.removesuffix("h0").split())) for p in s.path.split("M")[1:]]
    assert len(points) == s.shown == 50
    assert (x1, y1, x2, y2) == (0, SIDE, SIDE, 0)
    assert all(abs(x + y - SIDE) < 0.11 for x, y in points)


@pytest.mark.parametrize(("t", "p"), [([1.0], [2.0]), ([1, 1, 1], [2, 2, 2]), ([-1e308, 1e308], [0, 1])])
def test_scatter_of_degenerate_samples_stays_inside_its_frame(t, p):
    s = scatter(Moments.of(t, p) if max(map(abs, t)) < 1e300 else _sample(t, p))
    numbers = [float(v) for point in s.path.split("M")[1:] for v in point.removesuffix("h0").split()]
    assert all(-0.1 <= v <= SIDE + 0.1 for v in numbers)


def _sample(t: list[float], p: list[float]) -> Moments:
    return Moments(2, 0, 0, 1, 1, 0, 0, 0, 0, 0, np.asarray(t, float), np.asarray(p, float))


def test_no_scatter_without_a_sample():
    assert scatter(Moments.of([], [])) is None


def test_settings_keep_types_order_and_nesting():
    rows, whole = settings({"b": {"lr": "5e-5", "x": 1.5, "none": None}, "a": [1, "two"], "e": {}})
    assert whole
    assert [(r.depth, r.dotted, r.value, r.kind) for r in rows] == [
        (0, "b", "", ""),
        (1, "b.lr", '"5e-5"', "text"),
        (1, "b.x", "1.5", "float"),
        (1, "b.none", "None", "null"),
        (0, "a", '[1, "two"]', "list of 2"),
        (0, "e", "{}", "empty group"),
    ]


def test_settings_are_bounded_even_when_they_hold_themselves():
    loop: dict[str, object] = {}
    loop["again"] = loop
    loop["twice"] = loop
    rows, whole = settings(loop)
    assert len(rows) == 1000
    assert not whole
    endless: list[object] = []
    endless.append(endless)
    assert len(settings({"x": endless})[0][0].value) < 100
