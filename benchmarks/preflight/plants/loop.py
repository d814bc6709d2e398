"""Faults of the step, the schedule, the configuration and the metrics."""

from __future__ import annotations

import torch
from torch import nn

import tocsin
from prechecks import test_amp_order as amp
from prechecks import test_metric_probes as metrics
from prechecks import test_planned_travel as travel
from prechecks import test_unread_key as unread
from prechecks.objective_setups import cross_entropy, setup
from preflight.plants.registry import plant


def _amp(parts):
    def build(_):
        model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
        train = [(torch.randn(16, 6), torch.randint(0, 3, (16,))) for _ in range(4)]
        scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        return tocsin.Setup(model, optimizer, amp.loss_of, train, step=amp.loop(*parts), scaler=scaler)

    return build


for code, name in (("AMP002", "overflow-masked"), ("OPT007", "always-clipped")):
    plant(
        code,
        name,
        {what: _amp(parts) for what, (parts, said) in amp.FAULTY.items() if code in {c for c, _ in said}},
        {what: _amp(parts) for what, parts in amp.HEALTHY.items()},
    )

plant(
    "OPT009",
    "insufficient-travel",
    {"a rate of 1e-7": lambda _: travel._setup(1e-7), "a rate of 0": lambda _: travel._setup(0.0)},
    {"1e-3": lambda _: travel._setup(1e-3), "1e-4": lambda _: travel._setup(1e-4)},
)
plant(
    "OPT008",
    "schedule",
    {
        "a warm-up in steps, stepped each epoch": lambda _: travel._setup(
            scheduler=travel._warm(1000), scheduler_every="epoch", steps=None, epochs=30
        ),
        "a warm-up longer than the run": lambda _: travel._setup(scheduler=travel._warm(1000), config={"lr": 1e-3}),
    },
    {
        "a short warm-up": lambda _: travel._setup(scheduler=travel._warm(10)),
        "one cycle": lambda _: travel._setup(scheduler=lambda o: travel.OneCycleLR(o, 1e-3, total_steps=100)),
    },
)


def _declared(**config):
    return lambda seed: setup(cross_entropy, seed=seed, config=config)


plant("CFG001", "rehearsal", {"a rate as text": _declared(lr="1e-3")}, {"a rate as a number": _declared(lr=1e-3)})
plant(
    "CFG002",
    "rehearsal",
    {"a dropout of 50": _declared(dropout=50), "betas beyond 1": _declared(betas=[0.9, 1.5])},
    {"a dropout of .5": _declared(dropout=0.5, betas=[0.9, 0.999])},
)


def _keys(keys, read):
    def build(_):
        config = tocsin.reading(dict.fromkeys(keys, 1))
        for key in read:
            config.get(key)
        return unread._setup(config)

    return build


plant(
    "CFG005",
    "unread-key",
    {"misspelt": _keys(["droput"], ["dropout"]), "read by nothing": _keys(["width", "decay"], ["width"])},
    {"all read": _keys(["width", "decay"], ["width", "decay"]), "not for the code": _keys(["name", "tags"], [])},
)


def _scored(make, named):
    return lambda seed: make(named, seed=seed)


def _alone(values):
    return {
        f"{kind}, {name}": _scored(make, {name: metric})
        for kind, (make, named) in values.items()
        for name, metric in named.items()
    }


plant(
    "EVL001",
    "metric-disconnected",
    {name: _scored(metrics.classes, {name: metric}) for name, (metric, *_) in metrics.BROKEN.items()},
    _alone(metrics.HEALTHY),
)
plant(
    "EVL010",
    "batch-averaged-metric",
    {"macro F1": _scored(metrics.classes, {"f1": metrics.macro_f1})},
    {"accuracy": _scored(metrics.classes, {"accuracy": metrics.accuracy})},
)
