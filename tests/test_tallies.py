"""Scores and counts by class of one evaluation: a constant, classes never found, nothing predicted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import tallies
from tocsin.run import Run


def run_of(recall, support, **more):
    series = {f"val/recall/{c}": [v] for c, v in recall.items()} | {f"val/support/{c}": [n] for c, n in support.items()}
    return Run.of(series=series | more, source="console")


def told(recall, support):
    (report,) = tallies.reports(run_of(recall, support))
    return tallies.one_class(report)


def test_one_class_has_all_the_recall():
    found = told({"a": 1.0, "b": 0.0}, {"a": 50, "b": 18})
    assert (found.report.classes[found.index], found.others, found.count) == ("a", 18, 1)
    assert told({"a": 100, "b": 0, "c": 0}, {"a": 50, "b": 18, "c": 9}).others == 27
    assert told({"a": 1.0, "b": 0.02}, {"a": 50, "b": 60}) is None
    assert told({"a": 0.98, "b": 0.0}, {"a": 50, "b": 18}) is None
    assert told({"a": 0.0, "b": 0.0}, {"a": 50, "b": 18}) is None


def test_classes_without_targets_and_averages_do_not_count():
    assert not [*tallies.reports(run_of({"a": 1.0, "b": 0.0}, {"a": 50, "b": 0}))]
    assert not [*tallies.reports(run_of({"a": 1.0, "macro": 0.5}, {"a": 50, "macro": 60}))]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=6), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_report_of_real_predictions_is_one_class_exactly_when_they_are(sizes, constant, random):
    targets = [c for c, n in enumerate(sizes) for _ in range(n)]
    given_all = constant % 2 == 0
    predicted = [constant % len(sizes) if given_all else random.randrange(len(sizes)) for _ in targets]
    recall = {
        str(c): np.mean([p == c for t, p in zip(targets, predicted, strict=True) if t == c] or [0])
        for c in range(len(sizes))
    }
    for report in tallies.reports(run_of(recall, {str(c): n for c, n in enumerate(sizes)})):
        found = tallies.one_class(report)
        kept = {p for t, p in zip(targets, predicted, strict=True)}
        if len(kept) == 1 and str(constant % len(sizes)) in report.classes:
            assert found is not None
        if found is not None:
            hits = {t for t, p in zip(targets, predicted, strict=True) if t == p}
            assert len(hits) == 1


def test_nothing_predicted_needs_targets_and_both_counts():
    counts = {"val/support": [40, 40], "val/predicted": [0, 0], "val/correct": [0, 0]}
    assert tallies.nothing_predicted(Run.of(series=counts), 35).split == "val"
    assert tallies.nothing_predicted(Run.of(series=counts | {"val/predicted": [0, 3]}), 35) is None
    assert tallies.nothing_predicted(Run.of(series=counts | {"val/support": [9, 9]}), 35) is None
    other = {f"{s}/{k}": [v] for s in ("train", "val") for k, v in (("standard", 999), ("predict", 0), ("right", 0))}
    assert tallies.nothing_predicted(Run.of(series=other), 35).also == ("train",)
