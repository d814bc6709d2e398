"""Scores averaged over batches, against scikit-learn's scores of each batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
)

from tocsin.probes.predictions import OpenEvaluations
from tocsin.run import Evaluation


def evaluated(pairs: list[tuple[torch.Tensor, torch.Tensor]], kind: str | None = None) -> Evaluation:
    found = OpenEvaluations()
    for target, prediction in pairs:
        found.add("val", "main", target, prediction, kind, None)  # type: ignore[arg-type]
    (evaluation,) = found.close(1, 1.0, 0.0)
    return evaluation


def batched(t: torch.Tensor, p: torch.Tensor, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(t.split(size), p.split(size), strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([3, 5, 70]), st.integers(5, 30))
def test_classes_equal_scikit_learns_scores_of_each_batch(seed: int, k: int, size: int) -> None:
    g = torch.Generator().manual_seed(seed)
    t, p = torch.randint(0, k, (61,), generator=g), torch.randn(61, k, generator=g)
    p[torch.arange(61), t] += 1.5
    pairs = batched(t, p, size)
    each = [(a.numpy(), b.argmax(1).numpy()) for a, b in pairs]
    options = {"average": "macro", "zero_division": 0}
    want = {
        "accuracy": np.mean([accuracy_score(a, b) for a, b in each]),
        "f1_macro": np.mean([f1_score(a, b, **options) for a, b in each]),
        "f1_macro_all": np.mean([f1_score(a, b, labels=range(k), **options) for a, b in each]),
        "f1_weighted": np.mean([f1_score(a, b, average="weighted", zero_division=0) for a, b in each]),
        "precision_macro": np.mean([precision_score(a, b, **options) for a, b in each]),
        "recall_macro": np.mean([recall_score(a, b, **options) for a, b in each]),
        "recall_balanced": np.mean([recall_score(a, b, labels=np.unique(a), **options) for a, b in each]),
    }
    assert dict(evaluated(pairs).batchwise) == pytest.approx(want, abs=1e-6)
    ids = {name: value for name, value in want.items() if name != "f1_macro_all"}
    assert dict(evaluated([(a, b.argmax(1)) for a, b in pairs]).batchwise) == pytest.approx(ids, abs=1e-6)


@pytest.mark.parametrize("probabilities", [True, False])
def test_binary_and_multilabel_are_read_as_their_confusion_is(probabilities: bool) -> None:
    g = torch.Generator().manual_seed(1)
    t, logits = torch.randint(0, 2, (40, 3), generator=g), torch.randn(40, 3, generator=g)
    p = logits.sigmoid() if probabilities else logits
    binary = evaluated(batched(t[:, 0], p[:, 0], 10), "binary").batchwise
    each = [(a.numpy(), (b > 0).numpy()) for a, b in batched(t, logits, 10)]
    assert binary["f1"] == pytest.approx(np.mean([f1_score(a[:, 0], b[:, 0]) for a, b in each]), abs=1e-6)
    assert binary["accuracy"] == pytest.approx(np.mean([(a[:, 0] == b[:, 0]).mean() for a, b in each]), abs=1e-6)
    many = evaluated(batched(t, p, 10), "multilabel").batchwise
    macro = np.mean([f1_score(a, b, average="macro", zero_division=0) for a, b in each])
    micro = np.mean([f1_score(a, b, average="micro") for a, b in each])
    assert dict(many) == pytest.approx({"f1_macro": macro, "f1_micro": micro}, abs=1e-6)


def test_regression_averages_over_batches_and_outputs() -> None:
    g = torch.Generator().manual_seed(2)
    t = torch.randn(50, 2, generator=g)
    p = 0.5 * t + 0.3 * torch.randn(50, 2, generator=g)
    found = evaluated(batched(t, p, 16)).batchwise
    each = [(a.numpy(), b.numpy()) for a, b in batched(t, p, 16)]
    assert found["r2"] == pytest.approx(np.mean([r2_score(a, b) for a, b in each]), rel=1e-6)
    assert found["mse"] == pytest.approx(np.mean([mean_squared_error(a, b) for a, b in each]), rel=1e-6)
    assert evaluated([(t, p)]).batchwise == {}
    assert "r2" not in evaluated([(t, p), (t[:1], p[:1])]).batchwise


def test_many_batches_are_folded_and_one_is_none() -> None:
    g = torch.Generator().manual_seed(3)
    t, p = torch.randint(0, 4, (600,), generator=g), torch.randn(600, 4, generator=g)
    found = evaluated(batched(t, p, 4)).batchwise
    want = np.mean([f1_score(a, b.argmax(1), average="macro", zero_division=0) for a, b in batched(t, p, 4)])
    assert found["f1_macro"] == pytest.approx(want, abs=1e-6)
    assert evaluated([(t, p)]).batchwise == {}


def test_a_batch_without_a_usable_row_leaves_nothing_to_average() -> None:
    t, p = torch.tensor([0, 1, -100, -100]), torch.randn(4, 3)
    assert "accuracy" not in evaluated(batched(t, p, 2)).batchwise
