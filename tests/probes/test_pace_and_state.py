"""What the probes of time, memory, random state and EMA give, and that they leave all of it alone."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tocsin
from loops import batches, quiet, small_model
from tocsin.probes.hook import Meter
from tocsin.probes.memory import resident_mib
from tocsin.probes.pace import Pace
from tocsin.probes.parameters import ParameterState
from tocsin.probes.randomness import fingerprint
from tocsin.probes.tensors import Tensors


def draws():
    return torch.rand(1).item(), float(np.random.rand()), random.random()  # noqa: NPY002


def test_a_fingerprint_tells_the_state_and_leaves_it():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    states = [fingerprint()]
    assert states[0] == fingerprint() == int(states[0])
    assert 0 <= states[0] < 2**53
    for draw in (lambda: torch.rand(1), np.random.rand, random.random, lambda: random.gauss(0, 1)):
        draw()
        states.append(fingerprint())
    assert len(set(states)) == 5
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    assert fingerprint() == states[0]
    seen = draws()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    assert draws() == seen


@pytest.mark.parametrize("before", [True, False])
def test_waiting_is_told_from_computing(tmp_path, before):
    net = small_model()
    optimizer = torch.optim.SGD(net.parameters(), 1e-2)
    with tocsin.watch(net, optimizer, run_dir=tmp_path / "r", every=2, say=quiet) as run:
        for x, y in batches(7):
            time.sleep(0.02)
            loss = nn.functional.cross_entropy(net(x), y)
            if before:
                run.losses(total=loss)
            time.sleep(0.01)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not before:
                run.losses(total=loss)
    (read,) = tocsin.read(tmp_path / "r")
    step, data = read.series["time/step_s"], read.series["time/data_s"]
    assert step.step.tolist() == data.step.tolist() == [3, 5] + [7] * (not before)
    assert (data.value >= 0.0199).all()
    assert (step.value - data.value >= 0.0099).all()
    assert read.series["memory/rss_mib"].value.min() > 10


def test_an_evaluation_or_the_end_of_an_epoch_voids_the_interval():
    pace = Pace(Meter(lambda *_: None), "cpu")
    pace.open(False)
    pace.forward()
    pace.drop()
    pace.close()
    assert pace.read() == {}
    pace.open(True)
    pace.forward()  # before any step: nothing to wait from
    pace.close()
    assert list(pace.read()) == ["time/step_s"]
    assert pace.read() == {}


def test_memory_grows_with_what_is_held():
    (before,) = resident_mib().values()
    held = np.ones(2**23)
    (after,) = resident_mib().values()
    assert 40 < after - before < 200
    del held


@pytest.mark.parametrize(("decay", "steps"), [(0.5, 40), (0.9, 40), (0.9999, 40)])
def test_behind_is_the_share_of_the_path_that_the_average_has_not_gone(decay, steps):
    """Along a straight line at even speed the lag of an EMA is known: the mean of its weights' ages."""
    net = nn.Linear(50, 40)
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay))
    ema.update_parameters(net)  # the first update copies
    state = ParameterState(Tensors(net, []), ema)
    direction = torch.randn(40, 50)
    with torch.no_grad():
        for _ in range(steps):
            net.weight += 0.01 * direction
            ema.update_parameters(net)
    behind = float(state.read()["ema/behind"])
    lag = decay * (1 - decay**steps) / (1 - decay) / steps
    assert behind == pytest.approx(lag, rel=1e-3)


def test_without_movement_nothing_is_behind():
    net = nn.Linear(4, 4)
    state = ParameterState(Tensors(net, []), AveragedModel(net))
    assert np.isnan(float(state.read()["ema/behind"]))
    assert "ema/behind" not in ParameterState(Tensors(net, [])).read()


def test_the_start_is_kept_on_a_hundredth_of_the_entries():
    net = nn.Linear(500, 400)
    state = ParameterState(Tensors(net, []), AveragedModel(net))
    assert sum(t.numel() for t in state._start.values()) <= 0.01 * 200_000 + 32
