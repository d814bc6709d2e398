"""OPT009, OPT008, CFG001, CFG002 through preflight: what is planned cannot work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, LinearLR, OneCycleLR, ReduceLROnPlateau

from prechecks.probe_setups import batches, found, setup


def _setup(lr=1e-3, kind=torch.optim.AdamW, scheduler=None, size=1.0, **parts):
    x = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    given = setup(batches(40, 10, x=x, y=x[:, 0]))
    with torch.no_grad():
        given.model.weight.copy_(torch.linspace(-1, 1, 8) * size)
    optimizer = kind(given.model.parameters(), lr=lr, **parts.pop("with_", {}))
    made = scheduler(optimizer) if scheduler is not None else None
    parts = {"steps": 100, **parts}
    return setup(given.train, model=given.model, optimizer=optimizer, scheduler=made, **parts)


def test_a_rate_that_moves_nothing_and_its_message():
    (finding,), _ = found("OPT009", _setup(1e-7))
    assert finding.message == (
        "100 planned optimizer steps at a learning rate of at most 1e-07 can move no weight by more than 4.8e-05 of "
        "its size (at most 3.16 learning rates a step; weight is the nearest, of RMS 0.65)"
    )
    assert (finding.name, finding.severity) == ("insufficient-travel", "warning")


def test_the_bound_is_one_that_adam_keeps_and_nearly_reaches():
    """The worst case of Kingma & Ba 2015: a gradient that comes once in many steps."""
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer, largest = torch.optim.Adam([p], lr=1.0, eps=0), 0.0
    for k in range(3000):
        p.grad, before = torch.ones(1) if k == 2999 else torch.full((1,), 1e-12), float(p.detach())
        optimizer.step()
        largest = max(largest, abs(float(p.detach()) - before))
    assert 2.5 < largest <= 0.1 / np.sqrt(0.001)


@pytest.mark.parametrize("lr", [1e-3, 1e-4, 1e-5 * 10])
def test_silent_at_rates_that_move_it(lr):
    assert found("OPT009", _setup(lr)) == ([], [])
    assert found("OPT009", _setup(lr, size=0.02)) == ([], [])


def test_silent_on_a_weight_that_begins_at_zero():
    assert found("OPT009", _setup(1e-7, size=0.0)) == ([], [])


def test_a_schedule_that_divides_the_rate():
    (finding,), _ = found("OPT009", _setup(1e-3, scheduler=lambda o: LambdaLR(o, lambda _: 1e-4)))
    assert "at most 1e-07" in finding.message


def test_a_rate_of_zero_is_an_error_for_every_optimizer():
    (finding,), _ = found("OPT009", _setup(0.0, kind=torch.optim.SGD))
    assert finding.severity == "error"
    assert finding.message == "the learning rate is 0 in all 100 planned optimizer steps: nothing can be learned"


def test_sgd_no_plan_and_measured_schedules_are_not_checked():
    assert found("OPT009", _setup(1e-7, kind=torch.optim.SGD))[1][0].startswith("no bound")
    assert found("OPT009", _setup(1e-7, steps=None))[1][0].startswith("needs steps")
    assert found("OPT009", _setup(1e-7, scheduler=ReduceLROnPlateau))[1][0].startswith("needs steps")


def test_weight_decay_moves_too():
    assert found("OPT009", _setup(1e-4, size=10.0, with_={"weight_decay": 10.0}))[0] == []
    assert len(found("OPT009", _setup(1e-4, size=10.0, with_={"weight_decay": 0.0}))[0]) == 1


def _warm(total):
    return lambda optimizer: LinearLR(optimizer, 1e-3, 1.0, total_iters=total)


def test_a_warm_up_in_steps_that_is_stepped_each_epoch():
    given = _setup(scheduler=_warm(1000), scheduler_every="epoch", steps=None, epochs=30)
    (finding,), _ = found("OPT008", given)
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "the learning rate was still rising when the run ended: 1e-06 at step 1, 3e-05 at"
    )
    assert "config:lr" in {e.source for e in finding.evidence}


def test_a_warm_up_that_is_longer_than_the_run():
    (finding,), _ = found("OPT008", _setup(scheduler=_warm(1000), config={"lr": 1e-3}))
    assert finding.severity == "warning"
    once = lambda o: OneCycleLR(o, 1e-3, total_steps=4000, pct_start=0.3, anneal_strategy="linear")  # noqa: E731
    assert len(found("OPT008", _setup(scheduler=once))[0]) == 1


def test_silent_on_schedules_that_arrive():
    for scheduler in (
        _warm(10),
        lambda o: OneCycleLR(o, 1e-3, total_steps=100),
        lambda o: LambdaLR(o, lambda k: min(1.0, (k + 1) / 20) * (1 - k / 101)),
    ):
        assert found("OPT008", _setup(scheduler=scheduler))[0] == []
    noam = lambda o: LambdaLR(o, lambda k: 0.04 * min((k + 1) ** -0.5, (k + 1) * 20**-1.5))  # noqa: E731
    assert found("OPT008", _setup(1.0, scheduler=noam))[0] == []


def test_both_see_the_same_plan_in_one_preflight():
    import tocsin

    report = tocsin.preflight(_setup(1e-3, scheduler=_warm(1000), size=0.1), select=["OPT008", "OPT009"])
    assert [f.code for f in report.findings] == ["OPT008"]


def test_a_number_as_text_and_an_impossible_one():
    (text,), _ = found("CFG001", _setup(config={"optimizer": {"lr": "5e-5"}}))
    assert "5e-5" in text.message
    (impossible,), _ = found("CFG002", _setup(config={"model": {"dropout": 1.5}}))
    assert "1.5" in impossible.message
    assert found("CFG001", _setup(config={"optimizer": {"lr": 5e-5}})) == ([], [])
    assert found("CFG002", _setup(config={"model": {"dropout": 0.5}})) == ([], [])
