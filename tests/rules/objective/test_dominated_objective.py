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
from tocsin.run import Confusion, Evaluation, Run, Series

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


# ---- what the acceptance test missed


def with_norms(run: Run, step, peak, signal) -> Run:
    norms = {"peak": peak, "signal": signal}
    more = {f"loss/trunk_norm/{t}": Series.of("", np.broadcast_to(v, len(step)), step=step) for t, v in norms.items()}
    return replace(run, series={**run.series, **more})


def test_gradients_of_the_first_steps_alone_leave_the_decision_to_the_values():
    run = made(peak=GIANT, signal=FLAT)
    for peak, signal in ((2087.0, 0.1), (0.1, 0.1)):
        (finding,) = ring(with_norms(run, np.arange(1, 9), peak, signal))
        assert "% of the loss" in finding.message


@pytest.mark.parametrize(("signal", "rings"), [(0.1, 1), (50.0, 0), (np.r_[np.full(5, 0.1), 50.0], 0)])
def test_a_handful_of_gradients_over_the_whole_run_decides_where_all_agree(signal, rings):
    found = ring(with_norms(made(peak=GIANT, signal=FLAT), 1 + 90 * np.arange(6), 2087.0, signal))
    assert ["trunk's gradient" in f.message for f in found] == [True] * rings


def evaluated(run: Run, task: str, right: float) -> Run:
    """Ten evaluations of 400 samples of 10 classes; ``right`` of them correct at the end, a tenth at the start."""
    made = []
    for k in range(10):
        share = 0.1 + (right - 0.1) * k / 9
        dense = np.full((10, 10), 40 * (1 - share) / 9) + np.eye(10) * 40 * (share - (1 - share) / 9)
        made.append(Evaluation("val", task, 50 * (k + 1), "classes", 400, confusion=Confusion.of(np.rint(dense))))
    return replace(run, evaluations=tuple(made))


@pytest.mark.parametrize("task", ["signal", "signals", "kind"])
def test_a_term_thrown_up_that_falls_back_has_not_improved_where_its_task_is_at_chance(task):
    thrown = made(peak=GIANT, signal=noisy(2.3 + 20 * np.exp(-CALL / 60), 2))
    assert ring(thrown) == []  # the loss alone falls
    run = evaluated(thrown, task, 0.1)
    if task == "kind":  # the task left over belongs to the term left over
        run = replace(run, evaluations=(*run.evaluations, replace(run.evaluations[-1], task="peak")))
    (finding,) = ring(run)
    assert finding.evidence[1].source == f"evaluation:val/{task}"
    assert f"val/{task} is at most" in finding.message
    assert ring(evaluated(thrown, task, 0.6)) == []


def test_a_task_that_learns_on_features_made_for_another_is_left_behind():
    """A regression in another unit: the trunk is its own, and the other's head learns what it can."""
    at = np.arange(1, N + 1, 8)
    fell, slow, quick = noisy(1e5 * np.exp(-CALL / 60), 1), noisy(0.6 + 0.4 * FALL, 2), noisy(np.exp(-CALL / 60), 2)

    def run(signal, norm=1.0, right=0.7, peak=fell):
        terms = made(peak=peak, signal=2.3 * signal)
        return evaluated(with_norms(terms, at, 1e4, norm), "signal", right)

    (finding,) = check_run(run(slow), [dominated_objective]).findings
    assert (finding.subject, finding.step, finding.rang_at) == ("peak", 1, N)
    assert "and signal hardly shaped the shared layers: 68 % of the first loss is left" in finding.message
    assert finding.evidence[1].interval[0] > 0.6
    assert ring(run(quick)) == [], "nothing is missing"
    assert ring(run(slow, norm=30.0)) == [], "a share of .997"
    assert ring(run(slow, peak=noisy(1e5 * FALL, 1))) == [], "the large one has not been learned either"
    assert ring(replace(run(slow), evaluations=())) == [], "no task of its own"
    flat = evaluated(run(slow), "signal", 0.7).evaluations[-1]
    converged = tuple(replace(flat, step=50 * (k + 1)) for k in range(10))
    assert ring(replace(run(noisy(1.0, 2)), evaluations=converged)) == [], "it had converged before"


def test_silent_where_the_loss_is_flat_and_its_task_above_chance():
    assert ring(evaluated(made(peak=GIANT, signal=FLAT), "signal", 0.4)) == []


def test_a_reign_that_shrank_to_98_percent_is_still_one_and_a_tenth_for_the_rest_ends_it():
    def shrunk(to: float) -> Run:
        return made(peak=noisy(to + 5e4 * np.exp(-CALL / 45), 1), signal=noisy(2.3, 2, noise=0.05))

    (finding,) = ring(shrunk(150.0))
    assert finding.step == 1
    assert ring(shrunk(10.0)) == []


def test_the_rounding_of_float32_is_no_weight():
    ce, accuracy = noisy(2.3 * FALL, 1).astype("f4"), (0.9 + 0.05 * noisy(1.0, 3)).astype("f4")
    z = (1e-3 * noisy(1.0, 4)).astype("f4")
    run = made(ce=ce, z=z)
    rounded = {"train/loss": ce + z, "train/loss/accuracy": accuracy}
    run = replace(run, series={**run.series, **{k: Series.of("", v) for k, v in rounded.items()}})
    assert check_run(run, [dominated_objective]).findings == []


def test_silent_on_a_rare_class_that_is_learned_while_all_predictions_are_the_common_one():
    run = made(peak=GIANT, signal=noisy(0.7 * FALL, 2))
    for share, rings in ((0.9, 0), (0.1, 1)):  # of the class that is always predicted; with ten classes it is chance
        dense = np.zeros((10, 10))
        dense[:, 0] = 400 * (1 - share) / 9
        dense[0, 0] = 400 * share
        counts = Confusion.of(np.rint(dense))
        seen = tuple(Evaluation("val", "signal", 50 * k, "classes", counts.n, confusion=counts) for k in range(1, 11))
        assert len(ring(replace(run, evaluations=seen))) == rings
