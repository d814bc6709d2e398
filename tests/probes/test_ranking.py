"""Areas under the ROC curve of each class, against scikit-learn, and the bounds of the sample that they rest on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tocsin.probes.predictions import OpenEvaluations
from tocsin.probes.ranking import ScoreRows
from tocsin.run import AUC_CELLS, AUC_ROWS


def areas(t: torch.Tensor, p: torch.Tensor, size: int = 50, kind: str | None = None) -> tuple[float, ...]:
    found = OpenEvaluations()
    for a, b in zip(t.split(size), p.split(size), strict=True):
        found.add("val", "main", a, b, kind, None)  # type: ignore[arg-type]
    (evaluation,) = found.close(1, 1.0, 0.0)
    return evaluation.auc


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_classes_equal_scikit_learn_with_ties_too(seed: int, tied: bool, probabilities: bool) -> None:
    g = torch.Generator().manual_seed(seed)
    t, p = torch.randint(0, 4, (120,), generator=g), torch.randn(120, 4, generator=g)
    p[torch.arange(120), t] += 1
    p = (2 * p).round() / 2 if tied else p
    soft = p.softmax(dim=1)
    found = areas(t, soft if probabilities else p)
    ranked = soft if probabilities else p - p.logsumexp(dim=1, keepdim=True)
    want = [roc_auc_score((t == k).numpy(), ranked[:, k].numpy()) for k in range(4)]
    assert found == pytest.approx(want, abs=1e-12)


def test_binary_gives_both_classes_and_labels_each_their_own() -> None:
    g = torch.Generator().manual_seed(0)
    t = torch.randint(0, 2, (90, 3), generator=g)
    p = (t + torch.randn(90, 3, generator=g)).round()
    first = roc_auc_score(t[:, 0], p[:, 0])
    assert areas(t[:, 0], p[:, 0], kind="binary") == pytest.approx((first, first))
    assert areas(t, p, kind="multilabel") == pytest.approx([roc_auc_score(t[:, k], p[:, k]) for k in range(3)])


def test_few_rows_of_a_class_and_unusable_rows_are_left_out() -> None:
    t, p = torch.tensor([0] * 20 + [1] * 20 + [2] * 4 + [-100, 7]), torch.randn(46, 3)
    p[0, 0] = math.nan
    found = areas(t, p)
    assert math.isnan(found[2])
    used = slice(1, 44)
    ranked = p[used] - p[used].logsumexp(dim=1, keepdim=True)
    assert found[0] == pytest.approx(roc_auc_score((t[used] == 0).numpy(), ranked[:, 0].numpy()))
    assert areas(t[:4], p[1:5]) == ()
    assert areas(torch.zeros(40).long(), torch.zeros(40).long()) == ()


@pytest.mark.parametrize(("k", "size"), [(3, 7), (3, 5000), (1000, 64), (1, 999)])
def test_the_sample_is_bounded_and_systematic(k: int, size: int) -> None:
    rows, seen = ScoreRows(), 0
    while seen < 12_000:
        place = torch.arange(seen, seen + size)
        rows.add(place, place[:, None].expand(-1, k).float())
        seen += size
    kept = torch.cat(rows._truth)
    room = min(AUC_ROWS, AUC_CELLS // k)
    assert room / 2 - 1 <= len(kept) <= room
    assert kept.tolist() == list(range(0, seen, rows.stride))
    assert sum(s.numel() for s in rows._scores) <= AUC_CELLS


def test_more_classes_than_can_be_ranked_cost_nothing() -> None:
    rows = ScoreRows()
    rows.add(torch.zeros(5).long(), torch.zeros(5, 5000))
    assert rows.areas() == ()


def test_a_kept_row_is_a_copy() -> None:
    t, p = torch.arange(40) % 2, torch.randn(40, 2)
    rows = ScoreRows()
    rows.add(t, p)
    before = rows.areas()
    p.zero_()
    assert rows.areas() == before
    assert np.isfinite(before).all()
