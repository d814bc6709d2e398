"""OPT004: updates that move nothing while the loss stands, or that replace the weights while it rises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import faulty
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.update_ratio import update_ratio as OPT004
from tocsin.run import Parameter, Run, Series

STEPS = 400
AT = np.arange(1, STEPS + 1, 8)


def run_of(ratios, loss=None):
    """Ratios by tensor: a number or one a sample; all of 1000 entries but ``bias``."""
    flat = 2.3 + 0.05 * np.random.default_rng(0).standard_normal(STEPS)
    series = {f"update/ratio/{n}": Series.of("", np.broadcast_to(u, AT.size), step=AT) for n, u in ratios.items()}
    series |= {"train/loss": flat if loss is None else loss, "count/optimizer": np.arange(1, STEPS + 1)}
    table = tuple(Parameter(n, 10 if n == "bias" else 1000, True, True) for n in ratios)
    return Run.of(series=series, parameters=table, exit="finished")


def found_in(run):
    return judge(OPT004, run, {})[0]


def test_too_small():
    (found,) = check_run(run_of({"a": 1e-6, "b": 2e-6, "bias": 0.3}), [OPT004]).findings
    assert (found.subject, found.severity, found.step) == ("too small", "warning", 1)
    assert found.message == (
        "400 optimizer steps moved 9 of 10 entries by at most 0.0008 of their size, by updates of 2e-06 (b); the "
        "training loss changed by -0.4% [-1.1%, +0.4%]"
    )


def test_a_rate_that_a_schedule_bends_is_summed_not_averaged():
    """The samples of a cosine are one trend: their mean has no interval, their sum does."""
    decay = 3e-6 * (1 + np.cos(np.pi * AT / STEPS))
    (found,) = found_in(run_of({"a": decay}))
    assert "by at most 0.0012 of their size" in found.message
    assert found_in(run_of({"a": 100 * decay})) == []


def test_too_large_begins_where_it_lasts():
    loss = np.r_[np.full(200, 1.0), np.linspace(1, 2, 200)] + 0.01 * np.random.default_rng(0).standard_normal(STEPS)
    ratios = np.where(AT > 100, 0.4, 0.001)
    (found,) = found_in(run_of({"a": ratios}, loss))
    assert (found.subject, found.step) == ("too large", 105)


@given(st.floats(1e-8, 1e-2), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_law_a_loss_that_falls_is_never_blamed(ratio, seed):
    noise = np.exp(0.05 * np.random.default_rng(seed).standard_normal(STEPS))
    assert found_in(run_of({"a": ratio}, (0.3 + 2 * np.exp(-np.arange(STEPS) / 90)) * noise)) == []


@pytest.mark.parametrize("ratio", [1e-3, 3e-5])
def test_a_flat_loss_alone_is_not_the_updates_fault(ratio):
    assert found_in(run_of({"a": ratio})) == []


def test_one_large_tensor_that_moves_is_enough():
    assert found_in(run_of({"a": 1e-7, "b": 1e-3})) == []


def test_an_annealed_tail_is_legal():
    tail = 1e-3 * np.cos(np.linspace(0, np.pi / 2, AT.size)) + 1e-9
    assert found_in(run_of({"a": tail}, 0.3 + 2 * np.exp(-np.arange(STEPS) / 90))) == []


def test_large_updates_with_a_falling_loss_are_silent():
    assert found_in(run_of({"a": 0.4}, 0.3 + 2 * np.exp(-np.arange(STEPS) / 90))) == []


def test_large_updates_of_small_tensors_are_silent():
    assert found_in(run_of({"a": 1e-3, "bias": 0.7}, np.linspace(1, 2, STEPS))) == []


def test_few_samples_are_not_checked():
    run = faulty.build("updates-of-nothing", 0).prefix(3)
    assert judge(OPT004, run, {})[1] is not None
