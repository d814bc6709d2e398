"""RUN005: waiting for data, and memory that grows to the end; fast loaders and caches that fill are silent."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tocsin
from tocsin.engine import check_run, judge
from tocsin.rules.life.data_starved import data_starved as RUN005
from tocsin.run import Run, Series

AT = np.arange(1, 401, 8)


def waits(share, step_s=4.0, seed=0):
    noise = 1 + 0.1 * np.random.default_rng(seed).standard_normal(AT.size)
    clock = {"step": AT, "time": step_s * AT}
    series = {
        "time/step_s": Series.of("", np.full(AT.size, step_s), **clock),
        "time/data_s": Series.of("", np.clip(share * step_s * noise, 0, None), **clock),
    }
    return Run.of(series=series, exit="finished")


def memory(values):
    return Run.of(series={"memory/rss_mib": Series.of("", values, step=AT)}, exit="finished")


def found_in(run):
    return judge(RUN005, run, {})[0]


def test_three_quarters_of_each_step():
    (found,) = check_run(waits(0.75), [RUN005]).findings
    assert (found.subject, found.severity, found.step) == ("waiting", "warning", 9)
    assert found.message == (
        "76% [73%, 79%] of the step time is spent waiting for data (median 3 s a step): 20 min of 26 min so far"
    )


@pytest.mark.parametrize(
    ("share", "step_s", "severity"), [(0.75, 0.01, "note"), (0.75, 4.0, "warning"), (0.2, 4.0, None)]
)
def test_what_was_lost_makes_the_severity(share, step_s, severity):
    assert [f.severity for f in found_in(waits(share, step_s))] == ([severity] if severity else [])


@given(st.floats(0, 1.5), st.integers(0, 2**16))
@settings(max_examples=50, deadline=None)
def test_law_only_shares_above_the_limit_ring(share, seed):
    found = found_in(waits(share, seed=seed))
    assert not found if share < 0.29 else bool(found) or share < 0.35


@pytest.mark.parametrize(("per_step", "severity"), [(20.0, "warning"), (5.0, "note"), (0.5, None)])
def test_memory_that_grows(per_step, severity):
    noise = np.random.default_rng(0).standard_normal(AT.size)
    found = found_in(memory(2000 + per_step * AT + noise))
    assert [(f.subject, f.severity) for f in found] == ([("memory", severity)] if severity else [])


def test_a_cache_that_fills_is_silent():
    noise = np.random.default_rng(0).standard_normal(AT.size)
    assert found_in(memory(np.minimum(1000 + 100.0 * AT, 12_000) + noise)) == []


def test_one_jump_is_no_growth():
    noise = np.random.default_rng(0).standard_normal(AT.size)
    assert found_in(memory(np.where(AT > 300, 9000.0, 2000.0) + noise)) == []


def test_few_samples_are_not_checked():
    assert judge(RUN005, waits(0.75).prefix(60), {})[1] is not None


@pytest.mark.parametrize(("delay", "rings"), [(0.015, True), (0.0, False)])
def test_in_a_real_run(tmp_path, delay, rings):
    net = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    with tocsin.watch(net, optimizer, run_dir=tmp_path / "r", every=2, say=lambda _: None) as run:
        for _ in range(50):
            time.sleep(delay)
            loss = net(torch.ones(4, 8)).square().mean()
            time.sleep(0.001)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.losses(total=loss)
    assert [f.severity for f in run.findings if f.code == "RUN005"] == (["note"] if rings else [])
