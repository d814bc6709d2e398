"""Faults of the network, its modes and its batches."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import tocsin
from prechecks import test_accumulation_scale as accumulation
from prechecks import test_batch_mixing as mixing
from prechecks import test_cannot_overfit as overfit
from prechecks import test_mode_gap as modes
from prechecks import test_single_sample_batch as single
from prechecks.objective_setups import cross_entropy, network, setup
from preflight.plants.registry import plant


def _plain(model, losses, train, **parts):
    return tocsin.Setup(model, torch.optim.SGD(model.parameters(), 0.1), losses, train, **parts)


def _mixing(make):
    return lambda seed: _plain(make(), lambda m, b: m(b[0]).square().mean(), mixing.numbers(4, 5, seed=seed))


plant(
    "OPT017",
    "batch-mixing",
    {name: _mixing(make) for name, make in mixing.MIXED.items()},
    {name: _mixing(make) for name, make in mixing.APART.items()},
)

plant(
    "OPT019",
    "cannot-overfit",
    {"a model that is blind": lambda s: overfit.setup(overfit.Blind(), cross_entropy, overfit.classes(s))},
    {
        name: lambda s, m=model, loss=loss, data=data: overfit.setup(m(), loss, data(s))
        for name, (model, loss, data) in overfit.HEALTHY.items()
    },
)

plant(
    "EVL007",
    "train-eval-mode-gap",
    {
        **{
            f"{name} stays on": lambda s, by=by: modes.setup(modes.Functional(by), modes.batches(seed=s))
            for name, by in modes.DROPPED.items()
        },
        "BatchNorm of two samples": lambda s: modes.setup(modes.network(), modes.batches(2, seed=s)),
        "momentum 0": lambda s: modes.setup(modes.network(momentum=0.0), modes.batches(seed=s)),
    },
    {
        **{name: lambda s, make=make: modes.setup(make(), modes.batches(seed=s)) for name, make in modes.QUIET.items()},
        "BatchNorm of 16 samples": lambda s: modes.setup(modes.network(), modes.batches(16, seed=s)),
    },
)


def _sums(loss, **how):
    return lambda seed: accumulation.setup(loss, seed=seed, **how)


def _texts(low, high, **how):
    return lambda seed: accumulation.setup(
        accumulation.per_token, seed=seed, batches=accumulation.texts((low, high), seed), **how
    )


plant(
    "OPT018",
    "accumulation-scale",
    {
        "a sum over samples, accumulated": _sums(accumulation.summed),
        "means over 1 to 32 tokens, accumulated": _texts(1, 33),
        "a contrastive loss, accumulated": _sums(accumulation.contrastive),
    },
    {
        "a mean, accumulated": _sums(accumulation.mean),
        "a mean": _sums(accumulation.mean, accumulate=1),
        "means over 24 to 32 tokens, accumulated": _texts(24, 33),
        "means over 1 to 32 tokens, not accumulated": _texts(1, 33, accumulate=1),
        "a contrastive loss, not accumulated": _sums(accumulation.contrastive, accumulate=1),
    },
)


def _of(n, norm, **how):
    model = single.net(norm)
    return _plain(model, single.cross_entropy, DataLoader(single.rows(n), 8, shuffle=True, **how))


plant(
    "DAT010",
    "single-sample-batch",
    {"33 samples in batches of 8, BatchNorm": lambda _: _of(33, nn.BatchNorm1d(8))},
    {
        "34 samples": lambda _: _of(34, nn.BatchNorm1d(8)),
        "33 samples, drop_last": lambda _: _of(33, nn.BatchNorm1d(8), drop_last=True),
        "33 samples, LayerNorm": lambda _: _of(33, nn.LayerNorm(8)),
    },
)


def _left_out(seed):
    given = setup(cross_entropy, seed=seed)
    return _plain_with(given, [*given.model.parameters()][:2])


def _plain_with(given, parameters):
    return tocsin.Setup(given.model, torch.optim.SGD(parameters, 0.1), given.losses, given.train)


def _frozen(seed):
    given = setup(cross_entropy, seed=seed)
    given.model[0].requires_grad_(False)
    return _plain_with(given, [p for p in given.model.parameters() if p.requires_grad])


def _spare(seed):
    model = nn.ModuleDict({"used": network(), "spare": nn.Linear(100, 100)})
    given = setup(cross_entropy, seed=seed)
    return _plain(model, lambda m, b: F.cross_entropy(m["used"](b[0]), b[1]), given.train)


def _detached(model, batch):
    return F.cross_entropy(model[2](model[1](model[0](batch[0])).detach()), batch[1])


plant(
    "OPT002",
    "no-gradient-path",
    {
        "a layer that no optimizer holds": _left_out,
        "a layer that nothing calls": _spare,
        "detach() in the middle": lambda s: setup(_detached, seed=s),
    },
    {"all trained": lambda s: setup(cross_entropy, seed=s), "a layer frozen as meant": _frozen},
)
