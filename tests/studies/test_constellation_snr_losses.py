"""The gate of the SNR losses: a gradient where it is wrong, more of both value and gradient where it is more wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from tocsin.studies.constellation.objective import head_losses, snr_losses
from tocsin.studies.constellation.objective.snr_losses import OF_LOGITS, Loss, of_logits

LEVELS = torch.arange(0, 32, 2, dtype=torch.float64)
S = LEVELS.numel()
NAMES = [*OF_LOGITS, "log-distance"]
ORDINAL = [name for name in NAMES if name != "ce"]
Floats = NDArray[np.float64]


def loss_of(name: str) -> Loss:
    return of_logits(name, alpha=0.5)  # type: ignore[arg-type]


def mostly(level: int, height: float = 3.0) -> Tensor:
    """Logits [1, S] that favour one level."""
    return (torch.arange(S) == level).double()[None] * height


def judged(loss: Loss, logits: Tensor, target: int) -> tuple[float, float]:
    """Value and gradient norm of the logits."""
    logits = logits.clone().requires_grad_()
    value = loss(logits, torch.tensor([target]), LEVELS)
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(gradient).all()
    return float(value.detach()), float(gradient.norm())


@pytest.mark.parametrize("name", NAMES)
def test_every_wrong_prediction_has_a_gradient(name: str) -> None:
    for target in range(S):
        assert judged(loss_of(name), torch.randn(1, S, dtype=torch.float64), target)[1] > 1e-4
        assert all(judged(loss_of(name), mostly(k), target)[1] > 1e-3 for k in range(S) if k != target)


@pytest.mark.parametrize("name", ORDINAL)
@pytest.mark.parametrize("target", [0, 5, S - 1])
def test_value_and_gradient_grow_with_the_distance(name: str, target: int) -> None:
    """The gradient is that of a prediction which hesitates between the target and the level: what moves mass back."""
    for side in (range(target, S), range(target, -1, -1)):
        values = [judged(loss_of(name), mostly(k, 30), target)[0] for k in side]
        torn = [torch.maximum(mostly(k, 30), mostly(target, 30)) for k in side[1:]]
        norms = [judged(loss_of(name), logits, target)[1] for logits in torn]
        assert values == sorted(set(values))
        assert norms == sorted(set(norms))


def test_cross_entropy_grows_with_the_wrong_certainty_but_not_with_the_distance() -> None:
    values, norms = zip(*(judged(loss_of("ce"), mostly(9, h), 2) for h in (0.0, 1.0, 2.0, 4.0, 8.0)), strict=True)
    assert list(values) == sorted(set(values))
    assert list(norms) == sorted(set(norms))
    assert judged(loss_of("ce"), mostly(9), 2) == pytest.approx(judged(loss_of("ce"), mostly(3), 2))


@pytest.mark.parametrize("name", NAMES)
def test_of_all_sure_predictions_the_target_costs_least(name: str) -> None:
    for target in range(S):
        costs = [judged(loss_of(name), mostly(k, 30.0), target)[0] for k in range(S)]
        assert int(np.argmin(costs)) == target
        assert sorted(costs)[1] > costs[target] + 1e-3
        if name != "soft-ordinal":
            assert costs[target] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_descent_from_anywhere_ends_at_the_target(name: str) -> None:
    target = torch.tensor([0, 3, 8, S - 1])
    logits = torch.randn(4, S, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss_of(name)(logits, target, LEVELS).backward()
        optimizer.step()
    if name in ("expectation-mse", "smooth-l1"):
        found = snr_losses.expected_snr(logits, LEVELS).div(2).round().long()
    else:
        found = logits.argmax(1)
    assert torch.equal(found, target)


def probabilities(logits: Floats) -> Floats:
    return np.asarray(special.softmax(logits, axis=1))


def twin(name: str, logits: Floats, target: NDArray[np.int64], levels: Floats) -> float:
    """The same loss frame by frame, in plain loops."""
    p, step, spread = probabilities(logits), np.diff(levels).min(), levels.std()
    costs = []
    for row, t in zip(p, target, strict=True):
        d = np.abs(levels - levels[t]) / step
        kernel = (d + 0.1) ** -2 / ((d + 0.1) ** -2).sum()
        label = np.exp(-d) / np.exp(-d).sum()
        off = (row @ levels - levels[t]) / spread
        corner = step / spread
        distributions = [np.cumsum(row), np.cumsum(np.arange(levels.size) == t)]
        apart = [(a - b) ** 2 * gap / step for a, b, gap in zip(*distributions, np.diff(levels), strict=False)]
        costs.append(
            {
                "ce": -np.log(row[t]),
                "soft-ordinal": stats.entropy(label) + stats.entropy(label, row),
                "emd2": sum(apart),
                "log-distance": -np.log(row[t]) - 0.5 * row @ np.log(kernel),
                "expectation-mse": off**2,
                "smooth-l1": off**2 / (2 * corner) if abs(off) < corner else abs(off) - corner / 2,
            }[name]
        )
    return float(np.mean(costs))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [np.arange(0.0, 32, 2), np.asarray([-20.0, -10, 0, 2, 4, 30])])
def test_it_equals_its_twin(name: str, levels: Floats) -> None:
    rng = np.random.default_rng(1)
    logits, target = rng.normal(0, 3, (64, levels.size)), rng.integers(0, levels.size, 64)
    given = torch.from_numpy(logits), torch.from_numpy(target), torch.from_numpy(levels)
    assert float(loss_of(name)(*given)) == pytest.approx(twin(name, logits, target, levels), rel=1e-12)
    single = loss_of(name)(given[0].float(), given[1], given[2].float())
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(twin(name, logits, target, levels), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_is_not_hidden(name: str) -> None:
    logits = torch.zeros(2, S, dtype=torch.float64)
    logits[1, 4] = torch.nan
    assert torch.isnan(loss_of(name)(logits, torch.tensor([0, 1]), LEVELS))


def test_the_log_distance_is_the_published_one() -> None:
    """Values by class distance for a sure prediction, as measured on the code that is known as backwards 1/d^2."""
    found = [
        float(snr_losses.expected_log_distance(mostly(d, 60.0), torch.tensor([0]), LEVELS)) for d in (0, 1, 2, 4, 8, 15)
    ]
    assert found == pytest.approx([0.03, 4.8, 6.1, 7.4, 8.8, 10.1], abs=0.06)


@pytest.mark.parametrize("name", ["expectation-mse", "smooth-l1"])
def test_a_regression_output_has_a_gradient_that_does_not_shrink_with_the_error(name: str) -> None:
    loss, target = snr_losses.OF_REGRESSION[name], torch.tensor([8])  # type: ignore[index]
    right = snr_losses.standardised(LEVELS, LEVELS)[8]
    values, slopes = [], []
    for error in (0.0, 0.1, 0.5, 1.0, 3.0):
        output = (right + error).reshape(1).requires_grad_()
        value = loss(output, target, LEVELS)
        (slope,) = torch.autograd.grad(value, output)
        values.append(float(value.detach()))
        slopes.append(float(slope))
    assert values[0] == 0.0
    assert values == sorted(set(values))
    assert slopes == sorted(slopes)
    assert slopes[1] > 0


def test_corn_equals_its_twin_on_conditional_training_sets() -> None:
    rng = np.random.default_rng(2)
    logits, target = rng.normal(0, 2, (50, S - 1)), rng.integers(0, S, 50)
    total, pairs = 0.0, 0
    for k in range(S - 1):
        inside = target > k - 1  # y > r_{k-1}
        above = target[inside] > k
        total -= np.where(above, special.log_expit(logits[inside, k]), special.log_expit(-logits[inside, k])).sum()
        pairs += inside.sum()
    found = head_losses.corn(torch.from_numpy(logits), torch.from_numpy(target))
    assert float(found) == pytest.approx(total / pairs, rel=1e-12)


def cumulative(level: int) -> Tensor:
    """Logits of CORN [1, S - 1] that are sure of a level."""
    return torch.where(torch.arange(S - 1) < level, 4.0, -4.0).double()[None]


@pytest.mark.parametrize("target", [0, 6, S - 1])
def test_corn_passes_the_gate_from_either_side(target: int) -> None:
    for side in (range(target, S), range(target, -1, -1)):
        found = []
        for level in side:
            logits = cumulative(level).requires_grad_()
            value = head_losses.corn(logits, torch.tensor([target]))
            (gradient,) = torch.autograd.grad(value, logits)
            found.append((float(value.detach()), float(gradient.norm())))
        values, norms = zip(*found, strict=True)
        assert values[0] == min(values)
        assert norms[0] == min(norms) > 0
        # Above the target only one task was trained on; below it each level more is one task more that is wrong.
        assert list(values) == sorted(values)


def test_the_discretised_gaussian_equals_scipy_and_sums_to_one() -> None:
    rng = np.random.default_rng(3)
    mean, deviation = rng.normal(0, 1, 40), np.exp(rng.normal(-1, 1, 40))
    levels = LEVELS.numpy()
    edges = ((levels[1:] + levels[:-1]) / 2 - levels.mean()) / levels.std()
    cdf = stats.norm.cdf(edges[None], mean[:, None], deviation[:, None])
    expected = np.diff(np.concatenate([np.zeros((40, 1)), cdf, np.ones((40, 1))], 1), axis=1)
    given = torch.from_numpy(mean), torch.from_numpy(deviation).log()
    found = head_losses.discretised_gaussian(*given, LEVELS).exp().numpy()
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-15)
    assert np.allclose(found.sum(1), 1, atol=1e-9)
    target = torch.from_numpy(rng.integers(0, S, 40))
    far = expected[np.arange(40), target.numpy()] > 1e-12
    nll = head_losses.discretised_gaussian_nll(given[0][far], given[1][far], target[far], LEVELS)
    assert float(nll) == pytest.approx(-np.log(expected[np.arange(40), target.numpy()][far]).mean(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_discretised_gaussian_has_a_gradient_however_far_off_and_however_sure(dtype: torch.dtype) -> None:
    levels, target = LEVELS.to(dtype), torch.tensor([3])
    right = snr_losses.standardised(levels, levels)[3]
    for log_deviation in (-6.0, -2.0, 0.0, 3.0):
        found = []
        for error in (0.2, 0.5, 1.0, 2.0, 20.0):
            mean = (right + error).reshape(1).requires_grad_()
            spread = torch.full((1,), log_deviation, dtype=dtype, requires_grad=True)
            value = head_losses.discretised_gaussian_nll(mean, spread, target, levels)
            slopes = torch.autograd.grad(value, (mean, spread))
            assert all(torch.isfinite(slope).all() for slope in slopes)
            assert float(slopes[0]) > 0
            found.append((float(value.detach()), float(slopes[0])))
        values, gradients = zip(*found, strict=True)
        assert list(values) == sorted(set(values))
        if log_deviation < 0:
            assert list(gradients) == sorted(gradients)


def test_the_best_gaussian_is_at_the_target() -> None:
    target = torch.tensor([0, 7, S - 1])
    mean, spread = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    parameters = [mean.requires_grad_(), spread.requires_grad_()]
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        head_losses.discretised_gaussian_nll(mean, spread, target, LEVELS).backward()
        optimizer.step()
    assert torch.equal(head_losses.discretised_gaussian(mean, spread, LEVELS).argmax(1), target)
