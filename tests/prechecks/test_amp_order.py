"""AMP002 and OPT007 before the run: the order of backward, sanitiser, unscaling, clipping, step and update."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

import tocsin
from tocsin.findings import Finding
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.copies import copied
from tocsin.prechecks.flight import all_checks
from tocsin.prechecks.setup import Setup
from tocsin.prechecks.state import kept_random


def loss_of(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def loop(*parts):
    """A step of these parts, each a function of (model, optimizer, scaler), after the backward pass."""

    def step(model, optimizer, scaler, batch):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        scaler.scale(loss).backward()
        for part in parts:
            part(model, optimizer, scaler)
        return loss

    return step


def clean(model, *_):
    for p in model.parameters():
        p.grad.nan_to_num_(nan=0.0, posinf=1.0, neginf=-1.0)


def clean_nan(model, *_):
    for p in model.parameters():
        p.grad.nan_to_num_(nan=0.0, posinf=torch.inf, neginf=-torch.inf)


def unscale(_, optimizer, scaler):
    scaler.unscale_(optimizer)


def clip(model, *_):
    clip_grad_norm_(model.parameters(), 1.0)


def clip_values(model, *_):
    clip_grad_value_(model.parameters(), 0.1)


def step(_, optimizer, scaler):
    scaler.step(optimizer)


def update(_, __, scaler):
    scaler.update()


def plain_step(_, optimizer, __):
    optimizer.step()


def guarded(model, optimizer, scaler):
    if torch.isfinite(clip_grad_norm_(model.parameters(), 1.0)):
        scaler.step(optimizer)


def guarded_large(model, optimizer, scaler):
    if clip_grad_norm_(model.parameters(), 1.0) < 100:
        scaler.step(optimizer)


def refuse(model, *_):
    clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)


def flown(*parts, optimizer=torch.optim.SGD, scale=65536.0, enabled=True, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    batches = [(torch.randn(16, 6), torch.randint(0, 3, (16,))) for _ in range(4)]
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=enabled)
    given = Setup(model, optimizer(model.parameters(), 0.01), loss_of, batches, step=loop(*parts), scaler=scaler)
    with kept_random([batches]):
        bench = Bench(copied(given))
        return {code: judged(bench, code) for code in ("AMP002", "OPT007")}


def judged(bench, code):
    check = next(c for c in all_checks() if c.code == code)
    with bench.restored():
        return list(check.check(bench))


def said(outcomes):
    return [(code, f.subject) for code, each in outcomes.items() for f in each if isinstance(f, Finding)]


def unguarded_update(model, optimizer, scaler):
    if torch.isfinite(clip_grad_norm_(model.parameters(), 1e9)):
        scaler.step(optimizer)
        scaler.update()


HEALTHY = {
    "plain": (step, update),
    "clipped": (unscale, clip, step, update),
    "clipped by value": (unscale, clip_values, step, update),
    "cleaned after unscaling": (unscale, clean, clip, step, update),
    "guarded by hand": (unscale, guarded, update),
}
FAULTY = {
    "cleaned": ((clean, step, update), [("AMP002", "masked")]),
    "cleaned of NaN only": ((clean_nan, step, update), [("AMP002", "masked")]),
    "cleaned, then unscaled": ((clean, unscale, clip, step, update), [("AMP002", "masked")]),
    "stepped past the scaler": ((unscale, clip, plain_step, update), [("AMP002", "bypassed")]),
    "updated only after a step": ((unguarded_update,), [("AMP002", "kept")]),
    "clipped while scaled": ((clip, step, update), [("OPT007", "scaled")]),
    "values clipped while scaled": ((clip_values, step, update), [("AMP002", "masked"), ("OPT007", "scaled")]),
    "guarded and clipped while scaled": ((guarded, update), [("OPT007", "scaled")]),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("scale", [1.0, 65536.0])
def test_healthy_orders_are_clean(name, optimizer, scale):
    assert flown(*HEALTHY[name], optimizer=optimizer, scale=scale) == {"AMP002": [], "OPT007": []}


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("seed", [0, 1])
def test_faulty_orders_ring(name, optimizer, seed):
    parts, expected = FAULTY[name]
    assert said(flown(*parts, optimizer=optimizer, seed=seed)) == expected


def test_messages():
    assert flown(*FAULTY["cleaned"][0])["AMP002"][0].message == (
        "inf was planted in every gradient after backward, yet the optimizer stepped, on finite numbers of norm 0.328: "
        "something replaces them before the GradScaler looks (its scale stays 65536)"
    )
    assert flown(*FAULTY["updated only after a step"][0])["AMP002"][0].message == (
        "inf was planted in every gradient after backward: the step was skipped, but the GradScaler was not told: its "
        "scale stays 65536"
    )
    assert flown(*FAULTY["stepped past the scaler"][0])["AMP002"][0].message == (
        "inf was planted in every gradient after backward, and the optimizer stepped on it: no GradScaler stands "
        "between (its scale went from 65536 to 32768)"
    )
    assert flown(*FAULTY["clipped while scaled"][0])["OPT007"][0].message == (
        "gradients are clipped to a norm of 1 before the loss scale of 65536 is divided out, so the optimizer gets at "
        "most 1.53e-05: on the first batch 1.53e-05 of a true gradient of norm 0.345 (4.4e-05 of it), and other "
        "amounts whenever the scale changes"
    )


def test_not_checked():
    for parts, how in (((step, update), {"enabled": False}), ((update,), {}), ((unscale, refuse, step, update), {})):
        outcomes = flown(*parts, **how)
        assert not said(outcomes)
        assert outcomes["AMP002"]
    assert flown(unscale, guarded_large, update)["OPT007"]


def test_through_preflight_the_rules_name_it_and_nothing_changes():
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer, scaler = torch.optim.SGD(model.parameters(), 0.01), torch.amp.GradScaler("cpu", init_scale=1024.0)
    batches = [(torch.randn(16, 6), torch.randint(0, 3, (16,)))]
    how = {"model": model, "optimizer": optimizer, "losses": loss_of, "train": batches}
    report = tocsin.preflight(**how, step=loop(clean, step, update), scaler=scaler, select=["AMP002"])
    assert [(f.code, f.name, f.severity) for f in report.findings] == [("AMP002", "overflow-masked", "error")]
    assert scaler.get_scale() == 1024.0
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert tocsin.preflight(**how, scaler=scaler, select=["OPT007"]).not_checked[0].reason == "needs step of the Setup"
