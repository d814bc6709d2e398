"""OBJ008: fires where a likelihood piles up at its clamp after a spike, silent on losses that merely end near by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Parameter, Run, Series

RULE = find_rule("OBJ008")
E2 = 2 + 0.5 * math.log(2 * math.pi)


def findings(run):
    return check_run(run, [RULE]).findings


def stuck(level=E2, spike=1e6, n=300, seed=0, scatter=0.004):
    rng = np.random.default_rng(seed)
    return np.r_[spike * np.exp(-np.arange(40) / 4.0) + level, level + scatter * rng.random(n)]


def run_of(values, name="train/loss/peak_amplitude", **fields):
    return Run.of("r", series={name: values}, **fields)


def test_the_published_level_is_known_without_a_name():
    (found,) = findings(run_of(stuck()))
    assert found.message == (
        "train/loss/peak_amplitude: 170 of its last 170 values are 2.919 within 0.01, which is what a Gaussian "
        "likelihood costs with sigma at a bound of 7.389 and no error; before, it was up to 1e+06"
    )
    assert (found.severity, found.subject) == ("warning", "train/loss/peak_amplitude")
    assert found.evidence[0].value == pytest.approx(E2, abs=0.012)


def test_half_of_the_batches_off_the_clamp_are_enough():
    rng = np.random.default_rng(1)
    values = stuck(n=400)
    off = rng.random(values.size) < 0.5
    assert findings(run_of(np.where(off & (values < 3), values + 3 * rng.random(values.size), values)))


def test_the_loss_of_a_real_clamped_head_is_this_number():
    t = np.random.default_rng(0).normal(size=1000)
    sigma = math.exp(2.0)
    loss = float(np.mean(np.log(sigma) + (t - t.mean()) ** 2 / (2 * sigma**2) + 0.5 * np.log(2 * np.pi)))
    assert E2 <= loss <= E2 + 0.01


@pytest.mark.parametrize("level", [1.0, 5.0, 5.0 + E2 - 2, 3.5 + E2 - 2])
def test_other_clamps_need_a_name_that_says_a_likelihood(level):
    assert not findings(run_of(stuck(level)))
    assert findings(run_of(stuck(level), "train/loss/depth_gaussian_nll"))
    assert findings(run_of(stuck(level, spike=20.0), "val/loss", config={"loss": "gaussian_nll"}))
    assert not findings(run_of(stuck(level, spike=20.0), "train/loss/nll")), "nll may be a cross-entropy"


@pytest.mark.parametrize(
    ("config", "level"),
    [
        ({"model": {"log_sigma_max": 1.3}}, 1.3),
        ({"max_logvar": 4.6}, 2.3 + E2 - 2),
        ({"sigma_max": 30.0}, math.log(30)),
        ({"log_var_clamp": [-9, 3.2]}, 1.6),
    ],
)
def test_configured_clamps_are_known(config, level):
    (found,) = findings(run_of(stuck(level), "train/loss/x", config=config))
    assert found.evidence[-1].source.startswith("config:")


def healthy(kind):
    rng = np.random.default_rng(2)
    fall = 12 * np.exp(-np.arange(400) / 40)
    return {
        "language model that ends there": 2.92 + 8 * np.exp(-np.arange(400) / 60) + 0.003 * rng.standard_normal(400),
        "passing through": 1e4 * np.exp(-np.arange(400) / 50.0),
        "noisy about it": np.r_[1e6, E2 + 0.3 * rng.standard_normal(400)],
        "at it from the start": np.full(400, E2) + 0.002 * rng.random(400),
        "below it": np.r_[1e6, E2 - 0.02 + 0.04 * rng.random(400)],
        "few values": np.r_[1e6, [E2] * 4],
        "falling": fall + 0.5,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "language model that ends there",
        "passing through",
        "noisy about it",
        "at it from the start",
        "below it",
        "few values",
        "falling",
    ],
)
def test_healthy_neighbours_are_silent(kind):
    assert not findings(run_of(healthy(kind), "train/loss"))
    assert not findings(run_of(healthy(kind), "train/loss/depth"))


def test_a_head_that_comes_back_heals():
    values = np.r_[stuck(n=200), E2 - np.linspace(0, 2, 600)]
    (found,) = check_run(Run.of("r", series={"train/loss/x": values}, source="memory"), [RULE]).findings
    assert found.healed_at is not None
    assert found.severity == "note"


def test_a_foreign_log_with_few_digits_is_enough():
    values = np.round(np.r_[3256742.75, 812.4, 25.3, [2.92] * 12], 2)
    assert findings(run_of(values, "train/loss/peak_amplitude", source="console"))


@given(st.floats(0.05, 50.0), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_loss_that_falls_to_any_other_level_is_silent(level, seed):
    if min(abs(level - E2), 1.0) < 0.06:
        return
    assert not findings(run_of(stuck(level, seed=seed), "train/loss/x"))


@pytest.mark.parametrize("name", ["head.log_var", "heads.ink.log_deviation", "sigma", "out.logvar.weight"])
def test_a_scale_beyond_its_bound_from_the_start_is_told_by_its_gradient(name):
    (found,) = findings(shut(name))
    assert (found.severity, found.step, found.subject) == ("warning", 0, "train/loss/depth")
    assert found.message.endswith(f"no error; the gradient of {name} is exactly 0 in each of 20 samples")
    assert findings(shut(name, level=3.0)), "any customary clamp will do"


def test_without_that_gradient_a_loss_that_lies_there_proves_nothing():
    assert not findings(shut("head.weight"))
    assert not findings(shut("head.scaled.weight"))
    assert not findings(shut("head.log_var", norm=0.01))
    assert not findings(shut("head.log_var", count=0.0)), "it has no path: another rule's"
    assert not findings(shut("head.log_var", level=2.7)), "another level"


def shut(name, *, level=E2, norm=0.0, count=1.0):
    """A likelihood that comes down to its clamp, from .3 above it, as its mean learns."""
    rng, at = np.random.default_rng(0), np.arange(1, 161, 8)
    values = level + 0.3 * np.exp(-np.arange(300) / 20) + 0.004 * rng.random(300)
    sampled = {f"grad/norm/{name}": norm, f"grad/count/{name}": count, "grad/norm": 0.3}
    series = {key: Series.of(key, np.full(at.size, value), at) for key, value in sampled.items()}
    return Run.of(series={"train/loss/depth": values, **series}, parameters=(Parameter(name, 1, True, True),))
