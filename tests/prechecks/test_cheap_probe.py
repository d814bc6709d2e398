"""The cheap probe against sklearn, and its intervals against repeated draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Reference
from sklearn.linear_model import RidgeCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneOut, PredefinedSplit, cross_val_predict

from tocsin.prechecks.cheap_probe import PENALTIES, Ridge, grouped_folds, held_out, random_folds
from tocsin.prechecks.probe_tables import chosen_rows, features, input_columns, input_rows, normal_scores, standardised
from tocsin.prechecks.probe_targets import of_amounts, of_classes, probe_targets
from tocsin.prechecks.samples import Samples


def _table(n=300, p=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, p))


def _amounts(n=300, seed=0, noise=0.5):
    x = _table(n, seed=seed)
    y = x[:, 0] + noise * np.random.default_rng(seed + 1).standard_normal(n)
    return x, of_amounts("y", np.arange(n), y[:, None])


def test_coefficients_and_loo_error_are_those_of_sklearn():
    x = _table(60)
    y = x[:, :1] + 0.5 * _table(60, 1, seed=1)
    ridge = Ridge.fitted(x, y, np.ones(60))
    for k, penalty in enumerate(PENALTIES * 60):
        reference = Reference(alpha=penalty).fit(x, y[:, 0])
        assert np.allclose(ridge.predictions(x)[k][:, 0], reference.predict(x))
        alone = cross_val_predict(Reference(alpha=penalty), x, y[:, 0], cv=LeaveOneOut())
        assert np.isclose(ridge.loo[k], ((alone - y[:, 0]) ** 2).sum())
    assert PENALTIES[ridge.best] * 60 == RidgeCV(alphas=PENALTIES * 60).fit(x, y[:, 0]).alpha_


def test_weights_are_those_of_sklearn():
    x, weight = _table(80), np.random.default_rng(3).uniform(0.2, 3, 80)
    y = x[:, :1] ** 3
    ridge = Ridge.fitted(x, y, weight)
    reference = Reference(alpha=PENALTIES[3] * weight.sum()).fit(x, y[:, 0], sample_weight=weight)
    assert np.allclose(ridge.predictions(x)[3][:, 0], reference.predict(x))


def test_skill_of_amounts_is_the_cross_validated_r_squared():
    x, answer = _amounts()
    folds = random_folds(300)
    predicted = cross_val_predict(RidgeCV(alphas=PENALTIES * 240), x, answer.columns[:, 0], cv=PredefinedSplit(folds))
    y = answer.columns[:, 0]
    means = np.array([y[folds != f].mean() for f in folds])
    expected = 1 - ((y - predicted) ** 2).sum() / ((y - means) ** 2).sum()
    assert held_out(x, answer, folds).skill == pytest.approx(expected, abs=1e-9)


def test_skill_of_classes_is_the_balanced_accuracy_above_chance():
    x = _table(400)
    labels = (x[:, 0] > 1).astype(int) + (x[:, 0] > 1.5)
    answer, folds = of_classes("y", np.arange(400), labels), random_folds(400)
    held = held_out(x, answer, folds)
    predicted = np.zeros(400, int)
    for fold in range(5):
        fit, out = folds != fold, folds == fold
        ridge = Ridge.fitted(x[fit], answer.columns[fit], answer.weight_among(fit))
        predicted[out] = ridge.predictions(x[out])[ridge.best].argmax(axis=1)
    accuracy = balanced_accuracy_score(labels, predicted)
    assert held.skill == pytest.approx((accuracy - 1 / 3) / (2 / 3))
    assert held.skill > 0.4


def test_no_skill_where_nothing_is_to_be_known(record_property):
    skills, hits = [], 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        answer = of_classes("y", np.arange(200), random.integers(0, 3, 200))
        held = held_out(random.standard_normal((200, 5)), answer, random_folds(200))
        skills.append(held.skill)
        hits += held.interval()[0] > 0
    record_property("figure", f"cheap probe without information: largest skill of 40 {max(skills):.3f}, {hits} rang")
    assert abs(np.mean(skills)) < 0.03
    assert hits <= 4  # 1 expected; binomial 1e-2 bound
    assert max(skills) < 0.2


def test_interval_of_a_difference_covers():
    """Probe of one column less that of another: over fresh draws, its long-run value lies within in most."""
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        x = random.standard_normal((200, 2))
        y = x[:, 0] + x[:, 1] * 0.5 + random.standard_normal(200)
        answer, folds = of_amounts("y", np.arange(200), y[:, None]), random_folds(200)
        first, second = (held_out(x[:, k : k + 1], answer, folds) for k in (0, 1))
        found.append((first.skill - second.skill, *first.less(second)))
    centre = np.mean([f[0] for f in found])
    covered = sum(low <= centre <= high for _, low, high in found)
    assert 52 <= covered <= 60


def test_clusters_widen_the_interval():
    x, answer = _amounts()
    held = held_out(x, answer, random_folds(300))
    again = held_out(np.repeat(x, 3, axis=0), of_amounts("y", np.arange(900), np.repeat(answer.columns, 3, axis=0)),
                     np.repeat(random_folds(300), 3))  # fmt: skip
    width = np.diff(again.interval(np.repeat(np.arange(300), 3)))
    assert width == pytest.approx(np.diff(held.interval()), rel=0.1)
    assert np.diff(again.interval()) < 0.7 * width
    assert np.isnan(held.interval(np.zeros(300))).all()


def test_lenient_is_never_worse():
    x, answer = _amounts(noise=3.0)
    folds = grouped_folds(np.arange(300) % 12)
    assert held_out(x, answer, folds, lenient=True).skill >= held_out(x, answer, folds).skill - 1e-3


def test_grouped_folds_keep_groups_whole_and_even():
    groups = np.random.default_rng(0).integers(0, 23, 500)
    folds = grouped_folds(groups)
    assert all(np.unique(folds[groups == g]).size == 1 for g in range(23))
    assert np.bincount(folds).min() > 70


def test_normal_scores_are_those_of_scipy():
    from scipy.stats import norm, rankdata

    x = np.round(_table(50, 3), 1)
    expected = norm.ppf((rankdata(x, axis=0) - 0.5) / 50)
    assert np.allclose(normal_scores(x), expected)


@pytest.mark.parametrize("columns", [1, 5, 60, 300, 3000])
def test_features_are_few_finite_and_standardised(columns):
    table = _table(256, columns) * np.logspace(-8, 8, columns)
    table[3, 0], table[5, -1] = np.nan, np.inf
    x = features(table)
    assert x.shape[1] < 400
    assert np.isfinite(x).all()
    assert np.allclose(x.mean(axis=0), 0, atol=1e-6)


def test_features_see_what_is_not_linear():
    x = _table(800, 2)
    answer = of_amounts("y", np.arange(800), np.cos(2 * x[:, :1]))
    folds = random_folds(800)
    assert held_out(standardised(x), answer, folds).skill < 0.05
    assert held_out(features(x), answer, folds).skill > 0.8


def test_features_of_nothing_have_no_columns():
    assert features(np.ones((100, 3))).shape == (100, 0)
    assert held_out(np.zeros((100, 0)), _amounts(100)[1], random_folds(100)).skill == pytest.approx(0, abs=1e-6)


def _samples(inputs, **targets):
    return Samples(inputs=inputs, targets=targets, batch=np.arange(len(inputs[0])) // 10)


def test_inputs_lie_beside_each_other_and_codes_are_told():
    samples = _samples([torch.ones(20, 2, 3), torch.zeros(20, 4, dtype=torch.uint8)])
    assert input_columns(samples) == 10
    assert input_rows(samples, np.arange(5)).shape == (5, 10)
    assert input_columns(_samples([torch.ones(20, 2, dtype=torch.int64)])) is None


def test_rows_are_bounded():
    assert len(chosen_rows(100, 10)) == 100
    assert len(chosen_rows(10_000, 10)) == 2000
    assert len(chosen_rows(10_000, 10**7)) == 512
    wide = _samples([torch.ones(3, 200_000)])
    assert input_rows(wide, np.arange(3)).shape[1] <= 2**13


def test_targets_that_cannot_be_answered_are_left_out():
    labels = torch.arange(300) % 3
    labels[:5] = -100
    samples = _samples(
        [torch.ones(300, 2)],
        label=labels,
        constant=torch.ones(300),
        amount=torch.arange(300.0),
        holes=torch.where(torch.arange(300) % 2 > 0, torch.arange(300.0), torch.nan),
        one=torch.zeros(300, dtype=torch.int64),
    )
    found = {one.task: one for one in probe_targets(samples, np.arange(300))}
    assert set(found) == {"label", "amount", "holes"}
    assert found["label"].labels.size == 295
    assert found["holes"].rows.size == 150
    assert probe_targets(samples, np.arange(50)) == []
