"""The governor on a simulated clock: it holds its budget, pays the dense start back, and never samples too often."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.governor import DENSE, PAID, SELDOM, SPARSEST, UNSEEN, Governor


def simulate(governor: Governor, steps: int, step_s: float, sample_s: float, base_s: float) -> tuple[float, list[int]]:
    """Total cost and the sampled steps of a loop whose own step takes ``step_s``."""
    wall, sampled = 0.0, []
    for step in range(1, steps + 1):
        if governor.grants(step, wall):
            governor.opened()
            governor.charge(sample_s)
            governor.closed(step)
            sampled.append(step)
            wall += sample_s
        governor.charge(base_s)
        wall += step_s + base_s
    return governor.spent_s / wall, sampled


@settings(max_examples=40, deadline=None)
@given(st.floats(0.005, 0.1), st.floats(1e-3, 0.5), st.floats(1e-4, 0.02))
def test_the_budget_is_held_in_the_long_run(budget: float, step_s: float, sample_s: float) -> None:
    share, sampled = simulate(Governor(budget), 20_000, step_s, sample_s, base_s=2e-6)
    seldom = math.log(20_000 / PAID, SELDOM) + 1
    least = (DENSE + seldom) * sample_s * UNSEEN / (20_000 * step_s)
    assert share <= max(budget, 15e-6 / step_s) * 1.001 + least
    assert sampled[:DENSE] == list(range(1, DENSE + 1))


def test_the_dense_start_is_paid_back_before_the_next_sample() -> None:
    _, sampled = simulate(Governor(0.01), 2000, step_s=0.02, sample_s=0.002, base_s=0.0)
    # 8 samples and the next cost 9 x 2 ms x 1.15 = 20.7 ms, earned at 0.2 ms a step: after 103 steps of 20 ms
    assert 96 <= sampled[DENSE] <= 110


def test_a_budget_that_is_used_up_still_leaves_a_few_samples() -> None:
    _, sampled = simulate(Governor(0.001), 10**6 // 100, step_s=0.01, sample_s=0.002, base_s=5e-4)
    late = sampled[DENSE:]
    assert late[0] == PAID
    assert all(b <= math.ceil(SELDOM * a) for a, b in itertools.pairwise(late))
    assert len(late) <= math.log(10_000 / PAID, SELDOM) + 2


def test_samples_thin_out_however_cheap_they_are() -> None:
    _, sampled = simulate(Governor(0.1), 20_000, step_s=0.5, sample_s=1e-4, base_s=0.0)
    late = [b - a for a, b in itertools.pairwise(sampled) if a > 128 * SPARSEST]
    assert set(late) == {SPARSEST}
    assert len(sampled) < 1200


@pytest.mark.parametrize("every", [1, 7])
def test_a_fixed_schedule_repeats_exactly(every: int) -> None:
    _, sampled = simulate(Governor(every=every), 50, 1e-3, 1.0, 0.0)
    assert sampled == list(range(1, 51, every))


def test_steps_of_earlier_attempts_earn_nothing() -> None:
    assert Governor(done=1_000_000).earned_s(1_000_010, 0.0) == pytest.approx(Governor().earned_s(10, 0.0))
