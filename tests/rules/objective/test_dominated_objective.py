"""OBJ001 dominated-objective."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.findings import Finding, NotChecked
from tocsin.rules.objective.dominated_objective import dominated_objective
from tocsin.run import Run, Series

N = 500
CALL = np.arange(N)


def ring(run: Run, **options) -> list[Finding]:
    found = dominated_objective.check(run, **options)
    return [dominated_objective.ring(run, f) for f in found if isinstance(f, Finding)]


def noisy(level, seed: int, noise: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.broadcast_to(level, CALL.shape) * np.exp(noise * rng.standard_normal(CALL.size))


def made(weight: dict[str, float] | None = None, **terms) -> Run:
    """A run of these terms; their weighted sum is the total."""
    total = sum((weight or {}).get(t, 1.0) * v for t, v in terms.items())
    return Run.of(series={"train/loss": total, **{f"train/loss/{t}": v for t, v in terms.items()}}, exit="finished")


FALL = np.exp(-CALL / 300)
GIANT = noisy(3_256_742.75 * FALL, 1)
FLAT = noisy(3.75, 2)


def test_report_004_a_peak_amplitude_above_all():
    run = made(peak_amplitude=GIANT, signal=FLAT, threshold=noisy(0.4, 3))
    (finding,) = ring(run)
    assert (finding.subject, finding.step, finding.severity) == ("peak_amplitude", 1, "warning")
    assert finding.message == (
        "peak_amplitude has 99.99970 % of the loss over the 500 calls since step 1 (6.19e+05 against 3.35 for signal, "
        "0.436 for threshold), and signal, threshold did not improve (a fall by more than 4.9 % is ruled out)"
    )
    assert [e.source for e in finding.evidence] == [
        f"train/loss/{t}" for t in ("peak_amplitude", "signal", "threshold")
    ]
    low, high = finding.evidence[1].interval
    assert -0.1 < low < high


def test_it_rings_live_at_the_first_look_past_256_calls():
    (finding,) = check_run(made(peak=GIANT, signal=FLAT), [dominated_objective]).findings
    assert (finding.step, finding.rang_at, finding.healed_at) == (1, 256, None)


def test_a_reign_that_begins_later_has_its_step_within_a_block():
    value = np.where(CALL < 200, 4.0, 1e4) * np.exp(-np.maximum(CALL - 200, 0) / 200)
    (finding,) = ring(made(peak=noisy(value, 1), signal=FLAT))
    assert 193 <= finding.step <= 209


def test_learned_or_fixed_weights_are_recovered_from_the_total():
    terms = {"peak": noisy(30 * FALL, 1), "signal": FLAT}
    assert ring(made(**terms)) == []
    (finding,) = ring(made({"peak": 500.0}, **terms))
    assert finding.message.startswith("peak (weight 500) has 99.9")


def test_the_gradient_at_the_trunk_decides_where_it_is_recorded():
    at = np.arange(1, N + 1, 8)

    def with_norms(run: Run, large: float) -> Run:
        norms = {"peak": large, "signal": 0.02}
        made = {f"loss/trunk_norm/{t}": Series.of("", np.full(at.size, v), step=at) for t, v in norms.items()}
        return replace(run, series={**run.series, **made})

    balanced = made(peak=noisy(4 * FALL, 1), signal=FLAT)
    assert ring(balanced) == []
    (finding,) = ring(with_norms(balanced, 50.0))
    assert "99.96 % of the trunk's gradient" in finding.message
    assert (finding.evidence[0].source, finding.evidence[0].value) == ("loss/trunk_norm/peak", 50.0)
    assert ring(with_norms(made(peak=GIANT, signal=FLAT), 0.03)) == []


# ---- nearest healthy neighbours


def test_silent_on_the_spike_of_a_likelihood_that_was_gone_by_step_50():
    value = noisy(np.where(CALL < 50, 3_256_742.75 * np.exp(-CALL / 3), 2.92 * FALL), 1)
    assert check_run(made(peak=value, signal=FLAT), [dominated_objective]).findings == []


def test_silent_when_the_others_improve_although_dominated():
    assert ring(made(peak=GIANT, signal=noisy(3.75 * FALL, 2))) == []
    # one that improves is enough: the small terms do get their share of the step
    assert ring(made(peak=GIANT, signal=noisy(3.75 * FALL, 2), threshold=FLAT)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("norm_of_weights", 1e-4 * (1 + 1e-5 * np.sin(CALL))),  # no batch noise: not a task
        ("constant", np.full(N, 1e-4)),
        ("l2", noisy(1e-4, 3)),
        ("kl_loss", noisy(0.01, 3)),
        ("aux_balance", noisy(1.0, 3) * 0.005),
        ("off", np.zeros(N)),
        ("almost_off", np.where(CALL % 3 == 0, noisy(1e-3, 3), 0.0)),
    ],
)
def test_silent_on_terms_that_are_small_on_purpose(name, value):
    assert ring(made(main=noisy(2.3 * FALL, 1), **{name: value})) == []


def test_silent_on_a_task_that_has_converged():
    early = 1e-4 + 2 * np.exp(-CALL / 20)
    assert ring(made(main=noisy(200 * FALL, 1), other=noisy(early, 2))) == []


def test_silent_on_a_curriculum_before_and_after_it_starts():
    late = np.where(CALL < 250, 0.0, noisy(1.0 * np.exp(-(CALL - 250) / 100), 2))
    assert check_run(made(main=noisy(2.3 * FALL, 1), late=late), [dominated_objective]).findings == []


def test_silent_on_a_term_that_the_total_does_not_contain():
    assert ring(made({"seen": 0.0}, main=noisy(2.3 * FALL, 1), seen=noisy(40.0, 2))) == []
    assert ring(made({"seen": 0.0}, main=noisy(2.3 * FALL, 1), seen=noisy(0.001, 2))) == []


def test_silent_while_nothing_moves_yet():
    assert ring(made(peak=noisy(3e6, 1), signal=FLAT)) == []


def test_silent_when_the_tasks_own_metric_improves():
    run = made(peak=GIANT, signal=FLAT)
    rising, flat = np.linspace(0.3, 0.8, 10), np.full(10, 0.3)
    for name, value, rings in (
        ("val/signal/r2", rising, 0),
        ("val/mae_signal", -rising, 0),
        ("val/signal/r2", flat, 1),
    ):
        metric = Series.of("", value, step=50 * np.arange(1, 11))
        assert len(ring(replace(run, series={**run.series, name: metric}))) == rings


def test_silent_on_noise_too_wide_to_rule_out_improvement():
    assert ring(made(peak=GIANT, signal=noisy(3.75, 2, noise=1.5))) == []


def test_too_little_is_not_checked():
    few = made(peak=GIANT, signal=FLAT).prefix(200)
    for run in (few, Run.of(series={"train/loss": GIANT, "train/loss/peak": GIANT})):
        (outcome,) = dominated_objective.check(run)
        assert isinstance(outcome, NotChecked)


def test_healthy_sets_of_terms_seldom_ring(record_property):
    """Raw-scale terms up to 1e6 apart, weights, noise and time constants at random; all tasks learn at some pace."""
    rng, alarms, runs = np.random.default_rng(5), 0, 40
    for i in range(runs):
        terms = {}
        for t in range(int(rng.integers(2, 5))):
            fall = rng.uniform(0.3, 0.95) * (1 - np.exp(-CALL / rng.uniform(100, 1500)))
            terms[f"t{t}"] = noisy(10 ** rng.uniform(-2, 4) * (1 - fall), 10 * i + t, rng.uniform(0.02, 0.4))
        alarms += bool(check_run(made(**terms), [dominated_objective]).findings)
    record_property("figure", f"OBJ001: {alarms} false alarms in {runs} random sets of terms that all learn")
    assert alarms <= 1


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-9, 1e9), st.permutations(["peak", "signal", "threshold"]))
def test_law_units_and_order_do_not_matter(unit, order):
    terms = {"peak": GIANT * unit, "signal": FLAT * unit, "threshold": noisy(0.4, 3) * unit}
    (finding,) = ring(made(**{t: terms[t] for t in order}))
    assert (finding.subject, finding.step) == ("peak", 1)
