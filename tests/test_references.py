"""References: which loss a series is, and what the best constant would have scored in its place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from corpus.ingredients import classified, metric_series, regressed
from tocsin.loss_names import Loss, family_in, loss_of
from tocsin.reference_losses import of_classes
from tocsin.references import evaluations_of, reference, references
from tocsin.run import Confusion, Evaluation, Moments, Run

RNG = np.random.default_rng(0)
CLASSES = [classified(RNG, k, 2.0, priors=(0.6, 0.3, 0.1), n=500, task="kind") for k in (1, 2, 3)]
VALUES = [regressed(RNG, k, 0.5, n=300, task="depth") for k in (1, 2, 3)]
SUPPORT = CLASSES[-1].confusion.support


def run_with(evaluations, series=None, config=None):
    logged = {name: [v] * 3 if np.ndim(v) == 0 else v for name, v in (series or {}).items()}
    return Run.of(series={**metric_series(evaluations), **logged}, evaluations=tuple(evaluations), config=config or {})


def mse(e):
    m = e.moments[0]
    return m.var_target + m.var_prediction - 2 * m.cov + (m.mean_prediction - m.mean_target) ** 2


def log_loss(counts):
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("bce", "binary cross-entropy"),
        ("BCEWithLogitsLoss", "binary cross-entropy"),
        ("CrossEntropyLoss", "cross-entropy"),
        ("cross_entropy", "cross-entropy"),
        ("kind_ce", "cross-entropy"),
        ("FocalLoss", "focal loss"),
        ("depth_mse", "MSE"),
        ("MSELoss", "MSE"),
        ("l1", "MAE"),
        ("smooth_l1", "smooth L1"),
        ("SmoothL1Loss", "smooth L1"),
        ("GaussianNLLLoss", "Gaussian NLL"),
        ("nll", "NLL"),
        ("huber", "Huber loss"),
        ("depth", ""),
        ("bce_dice", ""),
        ("log_mse", ""),
        ("mse_ratio", ""),
        ("bce_mse", ""),
        ("voice", ""),
        ("balance", ""),
    ],
)
def test_a_loss_is_told_by_its_words(name, family):
    assert family_in(name) == family


@pytest.mark.parametrize(
    ("name", "config", "family", "known"),
    [
        ("val/loss/depth_mse", {}, "MSE", {}),
        ("val/loss", {}, None, {}),
        ("val/loss", {"loss": "mse"}, "MSE", {}),
        ("val/loss", {"training": {"criterion": "torch.nn.CrossEntropyLoss"}}, "cross-entropy", {}),
        ("val/loss", {"loss": {"name": "focal", "gamma": 2}}, "focal loss", {"gamma": 2}),
        ("val/loss/kind", {"loss": {"kind": {"type": "focal", "gamma": 1}, "depth": "l1"}}, "focal loss", {"gamma": 1}),
        ("val/loss/depth", {"loss": {"kind": {"type": "focal"}, "depth": "l1"}}, "MAE", {}),
        ("val/loss/other", {"loss": {"kind": "ce", "depth": "l1"}}, None, {}),
        ("val/loss/depth", {"loss": "l1"}, None, {}),
        ("val/loss/kind_ce", {"label_smoothing": 0.1}, "cross-entropy", {"label_smoothing": 0.1}),
        ("val/loss", {"loss": {"depth": 0.5, "kind": 1.0}}, None, {}),
    ],
)
def test_name_and_configuration_say_which_loss(name, config, family, known):
    loss = loss_of(Run.of(series={name: [1.0]}, config=config), name)
    assert (loss.family if loss else None) == family
    assert loss is None or known.items() <= dict(loss.parameters).items()


def test_cross_entropy_of_the_largest_information_without_input():
    run = run_with(CLASSES, {"val/loss/kind_ce": 0.4})
    found = reference(run, "val/loss/kind_ce")
    assert found.value == pytest.approx(log_loss(SUPPORT))
    assert found.zero == pytest.approx(math.log(3))
    assert (found.source, found.step, found.of, found.sign) == ("evaluation:val/kind", 3, "cross-entropy", -1)


def test_smoothing_and_weights_may_or_may_not_be_in_what_was_logged():
    config = {"label_smoothing": 0.2, "class_weights": [1.0, 2.0, 5.0]}
    found = reference(run_with(CLASSES, {"val/loss/kind_ce": 0.4}, config), "val/loss/kind_ce")
    plain = reference(run_with(CLASSES, {"val/loss/kind_ce": 0.4}), "val/loss/kind_ce").value
    assert found.low <= plain <= found.high
    assert found.low < found.value <= found.high


def test_weights_that_are_not_known_leave_no_reference():
    run = run_with(CLASSES, {"val/loss/kind_ce": 0.4}, {"class_weights": "balanced"})
    assert reference(run, "val/loss/kind_ce") is None


def test_a_focal_loss_without_its_exponent_has_none():
    assert reference(run_with(CLASSES, {"val/loss/kind_focal": 0.4}), "val/loss/kind_focal") is None
    found = reference(run_with(CLASSES, {"val/loss/kind_focal": 0.4}, {"focal_gamma": 2.0}), "val/loss/kind_focal")
    assert 0 < found.value < log_loss(SUPPORT)
    assert found.zero == pytest.approx((2 / 3) ** 2 * math.log(3))


def test_focal_loss_of_a_binary_task_weighs_the_positives_with_alpha():
    counts = Confusion.of([[60, 10], [20, 10]])
    e = Evaluation("val", "t", 1, "binary", 100, confusion=counts)
    found = of_classes(e, Loss("focal loss", {"gamma": 2.0, "alpha": 0.25}))
    target = torch.cat([torch.zeros(70), torch.ones(30)]).double()
    grid = torch.linspace(-4, 4, 20001).double()
    p = torch.sigmoid(grid)[:, None]
    pt, a = torch.where(target == 1, p, 1 - p), torch.where(target == 1, 0.25, 0.75)
    assert found.value == pytest.approx((-a * (1 - pt) ** 2 * pt.log()).mean(dim=1).min().item(), rel=1e-5)


def test_multilabel_means_over_its_labels():
    table = np.array([[10, 5, 10, 75], [0, 0, 50, 50]])
    e = Evaluation("val", "tags", 1, "multilabel", 100, labels_confusion=table)
    found = of_classes(e, Loss("binary cross-entropy"))
    target = torch.zeros(100, 2).double()
    target[:20, 0], target[:50, 1] = 1, 1
    best = torch.logit(torch.tensor([0.2, 0.5]).double()).expand(100, 2)
    assert found.value == pytest.approx(functional.binary_cross_entropy_with_logits(best, target).item())
    assert found.zero == pytest.approx(math.log(2))


@pytest.mark.parametrize("family", ["MSE", "RMSE", "MAE", "Huber loss", "smooth L1"])
def test_losses_on_values_are_those_of_the_recorded_predictions(family):
    words = {"MSE": "mse", "RMSE": "rmse", "MAE": "mae", "Huber loss": "huber", "smooth L1": "smooth_l1"}
    t, p = (torch.as_tensor(v) for v in (VALUES[-1].moments[0].sample_target, VALUES[-1].moments[0].sample_prediction))
    loss = {
        "MSE": functional.mse_loss,
        "RMSE": lambda a, b: functional.mse_loss(a, b).sqrt(),
        "MAE": functional.l1_loss,
        "Huber loss": lambda a, b: functional.huber_loss(a, b, delta=20.0),
        "smooth L1": lambda a, b: functional.smooth_l1_loss(a, b, beta=20.0),
    }[family]
    name, config = f"val/loss/depth_{words[family]}", {"huber_delta": 20.0, "smooth_l1_beta": 20.0}
    found = reference(run_with(VALUES, {name: loss(p, t).item()}, config), name)
    grid = torch.linspace(100, 400, 30001).double()
    least = min(loss(c.expand(len(t)), t).item() for c in grid[::10])
    assert found.value == pytest.approx(least, rel=1e-4)
    assert found.zero == pytest.approx(loss(torch.zeros_like(t), t).item())
    assert reference(run_with(VALUES, {name: 1e-3}, config), name) is None, "in other units"


def test_an_unnamed_loss_is_known_by_its_digits():
    own = [mse(e) for e in VALUES]
    assert reference(run_with(VALUES, {"val/loss": own}), "val/loss").of == "MSE"
    half = reference(run_with(VALUES, {"val/loss": [v / 2 for v in own]}), "val/loss")
    assert half.value == pytest.approx(VALUES[-1].moments[0].var_target / 2)
    assert reference(run_with(VALUES, {"val/loss": [v * 1.01 for v in own]}), "val/loss") is None
    assert reference(run_with(CLASSES, {"val/loss": 0.5}), "val/loss") is None


def test_gaussian_likelihood_with_and_without_its_constant():
    run = run_with(VALUES, {"val/loss/depth_nll": 4.0})
    found = reference(run, "val/loss/depth_nll")
    best = 0.5 * (math.log(VALUES[-1].moments[0].var_target) + 1)
    assert (found.low, found.high) == pytest.approx((best, best + 0.5 * math.log(2 * math.pi)))
    clamped = run_with(
        VALUES, {"val/loss": 4.0}, {"loss": {"name": "gaussian_nll", "log_sigma_max": 2.0, "full": True}}
    )
    s = math.exp(2.0)
    want = math.log(s) + 0.5 * math.log(2 * math.pi) + VALUES[-1].moments[0].var_target / (2 * s * s)
    assert reference(clamped, "val/loss").value == pytest.approx(want)


def test_scores_of_the_best_constant_class():
    run = run_with(CLASSES)
    share = SUPPORT / SUPPORT.sum()
    assert reference(run, "val/kind/accuracy").value == pytest.approx(share.max())
    best = 2 * share.max() / (1 + share.max()) / 3
    assert reference(run, "val/kind/f1_macro").value == pytest.approx(best)
    assert reference(run_with(VALUES), "val/depth/r2").value == 0
    percent = reference(run_with(CLASSES, {"val/acc": 100 * CLASSES[-1].metrics["val/kind/accuracy"]}), "val/acc")
    assert percent.value == pytest.approx(100 * share.max())
    assert reference(run_with(CLASSES, {"val/kind/f1": 0.001}), "val/kind/f1") is None, "of no definition"


def test_scores_of_any_constant_need_no_predictions():
    run = Run.of(series={"val/r2": [0.1], "val/auroc": [90.0], "val/pearson": [0.2], "val/auprc": [0.5]})
    assert reference(run, "val/r2").value == 0
    assert reference(run, "val/auroc").value == 50
    assert math.isnan(reference(run, "val/pearson").value)
    assert reference(run, "val/auprc") is None


def test_what_the_user_gives_wins():
    run = run_with(CLASSES, {"val/loss/kind_ce": 0.4, "reference/val/loss/kind_ce": 0.9, "val/loss/signal": 1.6})
    assert reference(run, "val/loss/kind_ce").value == 0.9
    assert reference(run, "val/loss/kind_ce").source == "reference/val/loss/kind_ce"
    assert reference(run, "val/loss/signal") is None


def test_a_series_belongs_to_the_task_that_it_names():
    run = run_with([*CLASSES, *VALUES], {"val/loss": 1.0, "val/loss/depth": 1.0, "val/acc": 1.0})
    assert evaluations_of(run, "val/loss/depth")[0].task == "depth"
    assert evaluations_of(run, "val/depth/r2")[0].task == "depth"
    assert evaluations_of(run, "val/acc") == []
    assert evaluations_of(run, "val/loss") == []
    assert evaluations_of(run_with(CLASSES, {"val/acc": 1.0}), "val/acc")[0].task == "kind"


def test_all_references_of_a_run_losses_first():
    run = run_with([*CLASSES, *VALUES], {"val/loss/kind_ce": 0.4, "train/loss/kind_ce": 0.4})
    names = [found.name for found in references(run)]
    assert names == ["val/loss/kind_ce", "val/depth/r2", "val/kind/accuracy", "val/kind/f1_macro"]


@pytest.mark.parametrize("odd", [Moments.of([], []), Moments.of([1.0], [2.0]), Moments.of(np.zeros(9), np.ones(9))])
def test_odd_targets_break_nothing(odd):
    e = Evaluation("val", "x", 1, "regression", 9, moments=(odd,))
    for name in ("mse", "mae", "huber", "nll", "rmse"):
        reference(run_with([e], {f"val/loss/x_{name}": 1.0}), f"val/loss/x_{name}")
    hollow = Evaluation("val", "x", 1, "classes", 3)
    assert reference(run_with([hollow], {"val/loss/x_ce": 1.0}), "val/loss/x_ce") is None
