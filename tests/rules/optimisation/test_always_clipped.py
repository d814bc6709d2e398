"""OPT007: a clip that is always on and leaves little; what it costs, and where it comes before unscaling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimisation_loop import roots, rung, sgd
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.always_clipped import always_clipped as OPT007
from tocsin.run import Parameter, Run, Series

STEPS = 400
AT = np.arange(1, STEPS + 1, 8)
RAW = np.exp(0.4 * np.random.default_rng(3).standard_normal(AT.size))
FALLING = 0.3 + 2 * np.exp(-np.arange(STEPS) / 90)


def run_of(applied, *, raw=RAW, loss=None, optimizer="SGD", scale=None, **fields):
    flat = 2.3 + 0.05 * np.random.default_rng(0).standard_normal(STEPS)
    series = {"grad/norm": Series.of("", raw, step=AT), "train/loss": flat if loss is None else loss}
    if applied is not None:
        series["grad/applied_norm"] = Series.of("", np.broadcast_to(applied, AT.size), step=AT)
    if scale is not None:
        series["amp/scale"] = Series.of("", np.broadcast_to(scale, STEPS))
    given = {"environment": {"optimizers": [optimizer]}, "exit": "finished", **fields}
    return Run.of(series=series, parameters=(Parameter("w", 10_000, True, True),), **given)


def found_in(run):
    return judge(OPT007, run, {})[0]


def test_a_clip_at_a_thousandth():
    (found,) = check_run(run_of(1e-3), [OPT007]).findings
    assert (found.severity, found.step) == ("error", 1)
    assert found.message == (
        "the clip at 0.001 leaves 0.00099 (at most 0.0011) of the gradient, in 100% [93%, 100%] of the samples (raw "
        "norm 0.954): sgd runs as if its learning rate were divided by 1.01e+03; the training loss changed by -0.4% "
        "[-1.1%, +0.4%]"
    )


@pytest.mark.parametrize(("optimizer", "clip", "loss", "severity"), [
    ("SGD", 1e-3, FALLING, "note"),
    ("SGD", 1e-3, 2.3 - 0.1 * np.arange(STEPS) / STEPS, "warning"),
    ("AdamW", 1e-3, 2.3 - 0.1 * np.arange(STEPS) / STEPS, "note"),
    ("AdamW", 1e-3, None, "note"),
    ("AdamW", 1e-6, None, "warning"),
    ("Shampoo", 1e-3, None, "error"),
])  # fmt: skip
def test_what_it_costs_makes_the_severity(optimizer, clip, loss, severity):
    assert [f.severity for f in found_in(run_of(clip, optimizer=optimizer, loss=loss))] == [severity]


def test_before_unscaling_by_a_scale_that_changes():
    scale = np.where(np.arange(STEPS) < 200, 65536.0, 32768.0)
    applied = 0.37 / scale[AT - 1]
    (found,) = found_in(run_of(applied, scale=scale, loss=FALLING, optimizer="Adam"))
    assert found.severity == "warning"
    assert "the clip at 0.37 comes before unscaling" in found.message
    assert "unscale_" in found.remedies[0].text


def test_before_unscaling_by_a_declared_threshold():
    run = run_of(0.37 / 65536, scale=65536.0, config={"optim": {"max_grad_norm": 0.37}})
    (found,) = found_in(run)
    assert "comes before unscaling" in found.message
    assert found.evidence[-1].source == "config:optim.max_grad_norm"


def test_after_unscaling_the_scale_does_not_matter():
    (found,) = found_in(run_of(1e-3, scale=65536.0))
    assert "unscaling" not in found.message


def test_a_log_with_norms_and_a_declared_threshold():
    run = run_of(None, raw=50 * RAW, config={"max_grad_norm": 1.0}, source="hf", environment={})
    (found,) = found_in(run)
    assert found.severity == "warning"
    assert "unless the optimizer is scale-free" in found.message


@given(st.floats(0.2, 3.0), st.integers(0, 2**16))
@settings(max_examples=50, deadline=None)
def test_law_a_threshold_near_the_norms_is_silent(threshold, seed):
    """Whatever share of the steps is clipped: what is left is more than a tenth."""
    raw = np.exp(0.3 * np.random.default_rng(seed).standard_normal(AT.size))
    assert found_in(run_of(np.minimum(raw, threshold), raw=raw)) == []


class TestHealthyNeighbours:
    def test_no_clip(self):
        assert found_in(run_of(RAW)) == []

    def test_clipped_at_the_start_only(self):
        raw = np.where(np.arange(AT.size) < 20, 300.0, 0.5) * RAW
        assert found_in(run_of(np.minimum(raw, 1.0), raw=raw)) == []

    def test_a_smaller_gradient_that_is_no_clip(self):
        """Half of the parameters are in no optimizer: the applied norm is smaller, and varies."""
        assert found_in(run_of(0.05 * RAW)) == []

    def test_norms_that_were_logged_after_clipping(self):
        run = run_of(None, raw=np.ones(AT.size), config={"max_grad_norm": 1.0}, source="hf")
        assert "after clipping" in judge(OPT007, run, {})[1].reason


@pytest.mark.parametrize(("clip", "scale", "unscale", "told"), [
    (1e-3, None, True, "the clip at 0.001 leaves"),
    (1.0, 2.0**16, False, "the clip at 1 comes before unscaling"),
])  # fmt: skip
def test_in_a_real_run(tmp_path, clip, scale, unscale, told):
    report = rung(tmp_path / "r", sgd(0.01), clip=clip, scale=scale, unscale=unscale)
    assert "OPT007" in roots(report)
    assert any(told in f.message for f in report.findings if f.code == "OPT007")


def test_a_real_clip_after_unscaling_is_silent(tmp_path):
    report = rung(tmp_path / "r", sgd(0.1), clip=1.0, scale=2.0**16)
    assert "OPT007" not in {f.code for f in report.findings}
