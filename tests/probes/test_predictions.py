"""Evaluation accumulators against sklearn and numpy, whatever the batching."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, r2_score

from tocsin.probes.joint_moments import SAMPLE_PAIRS
from tocsin.probes.kinds import UnreadableError, kind_of
from tocsin.probes.predictions import Accumulator, OpenEvaluations, opened
from tocsin.run import Evaluation, Kind

SMALL = settings(max_examples=30, deadline=None)


def accumulate(t: torch.Tensor, p: torch.Tensor, cuts: list[int], kind: Kind | None = None) -> Evaluation:
    edges = [0, *sorted({c % (len(t) + 1) for c in cuts}), len(t)]
    parts = [(t[a:b], p[a:b]) for a, b in itertools.pairwise(edges) if b > a]
    found: Accumulator = opened("val", "main", *parts[0], kind, None)
    for part in parts:
        found.add(*part)
    return found.close(3, 1.0, 0.5, {})


@SMALL
@given(st.integers(0, 2**31), st.lists(st.integers(0, 100), max_size=4))
def test_confusion_equals_sklearn_however_batched(seed: int, cuts: list[int]) -> None:
    g = torch.Generator().manual_seed(seed)
    t, p = torch.randint(0, 4, (57,), generator=g), torch.randn(57, 4, generator=g)
    evaluation = accumulate(t, p, cuts)
    assert evaluation.kind == "classes"
    assert evaluation.confusion is not None
    assert np.array_equal(evaluation.confusion.dense(), confusion_matrix(t, p.argmax(1), labels=range(4)))
    ids = accumulate(t, p.argmax(1), cuts)
    assert ids.kind == "ids"
    assert ids.confusion is not None
    k = ids.confusion.classes
    assert np.array_equal(ids.confusion.dense(), evaluation.confusion.dense()[:k, :k])


@SMALL
@given(st.integers(0, 2**31), st.lists(st.integers(0, 2000), max_size=4), st.floats(-1e4, 1e4))
def test_moments_equal_numpy_however_batched(seed: int, cuts: list[int], offset: float) -> None:
    rng = np.random.default_rng(seed)
    t = rng.normal(size=1500) + offset
    p = 0.5 * t + rng.normal(size=1500)
    evaluation = accumulate(torch.from_numpy(t), torch.from_numpy(p), cuts)
    (m,) = evaluation.moments
    assert m.n == evaluation.n == 1500
    assert m.mean_prediction == pytest.approx(p.mean(), rel=1e-12, abs=1e-12)
    assert m.cov == pytest.approx(np.cov(t, p, bias=True)[0, 1], rel=1e-9)
    assert m.r2 == pytest.approx(r2_score(t, p), rel=1e-6, abs=1e-6)
    assert (m.min_target, m.max_prediction) == (t.min(), p.max())
    assert SAMPLE_PAIRS // 2 <= len(m.sample_target) <= SAMPLE_PAIRS
    assert np.array_equal(m.sample_target, t[:: m.stride])
    assert np.array_equal(m.sample_prediction, p[:: m.stride])


@pytest.mark.parametrize(
    ("target", "prediction", "kind"),
    [
        (torch.zeros(5, dtype=torch.long), torch.zeros(5, 3), "classes"),
        (torch.zeros(5, dtype=torch.long), torch.zeros(5, dtype=torch.long), "ids"),
        (torch.rand(5), torch.rand(5), "regression"),
        (torch.rand(5, 2), torch.rand(5, 2), "regression"),
        (torch.rand(5), torch.rand(5, 1), "regression"),
        (torch.tensor([0, 1, 1]), torch.rand(3), "binary"),
        (torch.tensor([0.0, 1, 1]), torch.randn(3, 1), "binary"),
        (torch.tensor([[0.0], [1], [1]]), torch.randn(3, 1), "binary"),
        (torch.tensor([[0, 1], [1, 1]]), torch.randn(2, 2), "multilabel"),
        (torch.tensor([[0.0, 1], [1, 1]]), torch.randn(2, 2), "multilabel"),
    ],
)
def test_kinds(target: torch.Tensor, prediction: torch.Tensor, kind: str) -> None:
    assert kind_of(target, prediction) == kind


def test_maps_are_flattened() -> None:
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    found = accumulate(target, logits, [])
    assert found.kind == "classes"
    assert found.n == 40
    assert found.confusion is not None
    want = confusion_matrix(target.flatten(), logits.argmax(1).flatten(), labels=range(3))
    assert np.array_equal(found.confusion.dense(), want)


def test_nonfinite_rows_are_counted_and_ignored_classes_dropped() -> None:
    logits = torch.randn(6, 3)
    logits[1, 2] = float("nan")
    target = torch.tensor([0, 1, -100, 2, 1, 7])
    found = accumulate(target, logits, [])
    assert (found.n, found.nonfinite) == (3, 1)
    values = accumulate(torch.tensor([1.0, 2.0, float("inf")]), torch.tensor([1.0, float("nan"), 3.0]), [])
    assert (values.n, values.nonfinite) == (1, 2)


def test_multilabel_counts() -> None:
    t = torch.tensor([[1, 0], [1, 1], [0, 1]])
    p = torch.tensor([[0.9, 0.2], [0.1, 0.8], [0.7, 0.4]])
    table = accumulate(t, p, [1]).labels_confusion
    assert table is not None
    assert table.tolist() == [[1, 1, 1, 0], [1, 0, 1, 1]]


def test_what_fits_nothing_says_what_came() -> None:
    with pytest.raises(UnreadableError, match=r"got target int64 \[5\] and prediction float32 \[4, 3\]"):
        kind_of(torch.zeros(5, dtype=torch.long), torch.zeros(4, 3))
    with pytest.raises(UnreadableError, match="the batches before had 3"):
        a = opened("v", "m", torch.zeros(2, dtype=torch.long), torch.zeros(2, 3), None, None)
        a.add(torch.zeros(2, dtype=torch.long), torch.zeros(2, 3))
        a.add(torch.zeros(2, dtype=torch.long), torch.zeros(2, 4))


@SMALL
@given(st.integers(0, 2**31), st.lists(st.integers(0, 100), max_size=6), st.booleans())
def test_logits_and_probabilities_are_told_apart_by_all_batches_together(
    seed: int, cuts: list[int], probabilities: bool
) -> None:
    g = torch.Generator().manual_seed(seed)
    t, logits = torch.randint(0, 2, (12, 3), generator=g), torch.rand(12, 3, generator=g) * 0.9 - 0.3
    logits[0] = -2.0  # most batches hold logits that lie in [0, 1]
    p = logits.sigmoid() if probabilities else logits
    p[3] = float("nan")
    used = np.arange(12) != 3
    want = confusion_matrix(t[used, 0], logits[used, 0] > 0, labels=range(2))
    binary = accumulate(t[:, 0], p[:, 0], cuts, "binary")
    assert binary.confusion is not None
    assert np.array_equal(binary.confusion.dense(), want)
    table = accumulate(t, p, cuts, "multilabel").labels_confusion
    assert table is not None
    assert table[0].tolist() == [want[1, 1], want[0, 1], want[1, 0], want[0, 0]]


def evaluated(*pairs: tuple[object, object], **options: object) -> Evaluation:
    """What ``run.evaluate`` makes of these batches."""
    found = OpenEvaluations()
    for target, prediction in pairs:
        found.add("val", "main", target, prediction, options.get("kind"), options.get("labels"))  # type: ignore[arg-type]
    (evaluation,) = found.close(1, 1.0, 0.0)
    return evaluation


def test_arrays_are_taken_read_only_reversed_byte_swapped_and_with_labels_in_an_array() -> None:
    target, logits = np.array([0, 1, 2, 0]), np.random.default_rng(0).normal(size=(4, 3))
    frozen = logits.copy()
    frozen.flags.writeable = False
    pairs = [(target, frozen), (target[::-1], logits[::-1]), (target.astype(">i4"), logits.astype(">f4"))]
    for pair in pairs:
        found = evaluated(pair, labels=np.array(["a", "b", "c"]))
        assert found.n == 4
        assert found.confusion is not None
        assert found.confusion.labels == ("a", "b", "c")


def test_empty_batches_decide_nothing() -> None:
    found = evaluated((torch.zeros(0), torch.zeros(0)), (torch.randn(4), torch.randn(4)))
    assert (found.kind, found.n) == ("regression", 4)


def test_the_class_axis_may_be_the_last() -> None:
    target, logits = torch.randint(0, 5, (2, 7)), torch.randn(2, 7, 5)
    last, second = evaluated((target, logits)), evaluated((target, logits.movedim(-1, 1)))
    assert last.confusion is not None
    assert second.confusion is not None
    assert np.array_equal(last.confusion.dense(), second.confusion.dense())


def test_a_target_beyond_many_classes_adds_none() -> None:
    found = evaluated((torch.tensor([1, 5000]), torch.randn(2, 2000)), (torch.tensor([2, 3]), torch.randn(2, 2000)))
    assert found.confusion is not None
    assert (found.confusion.classes, found.n) == (2000, 3)


@pytest.mark.parametrize(
    ("pairs", "kind", "words"),
    [
        ([(torch.tensor([0, 1]), torch.tensor([-1, 1]))], None, "expected ids from 0 to 1048575, got -1"),
        ([(torch.tensor([0, 1]), torch.tensor([2**40, 1]))], None, "expected ids from 0 to 1048575"),
        ([(torch.zeros(2), torch.rand(2)), (torch.tensor([3.0, 4.0]), torch.rand(2))], None, "kind='regression'"),
        ([(torch.randn(4, 3), torch.randn(4, 3)), (torch.randn(3), torch.randn(3))], None, "the batches before had 3"),
        ([(torch.zeros(2), torch.zeros(2))], "regresion", "kind is one of classes"),
        ([(torch.zeros(2).long(), torch.zeros(2))], "classes", "is no \\[N, K\\]"),
        ([(torch.zeros(2), torch.zeros(2))], "multilabel", "is no \\[N, K\\]"),
        ([(torch.randn(2) * 1j, torch.randn(2) * 1j)], None, "view_as_real"),
        ([(["a"], ["b"])], None, "expected numbers"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_words(pairs: list[tuple[object, object]], kind: str, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        evaluated(*pairs, kind=kind)
