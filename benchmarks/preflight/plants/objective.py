"""Faults of the loss and its terms."""

from __future__ import annotations

import torch
from torch import nn

from prechecks import test_initial_loss as initial
from prechecks import test_loss_on_probabilities_setup as forms
from prechecks import test_term_pulls_setup as pulls
from prechecks import test_term_without_gradient_setup as cut
from prechecks import test_train_eval_loss_scale_setup as scales
from prechecks.objective_setups import TwoHeads, binary, setup
from preflight.plants.registry import plant


def _heads(losses):
    return lambda seed: setup(losses, model=TwoHeads, seed=seed)


plant(
    "OBJ001",
    "dominated-objective",
    {"targets in units of a thousandth": _heads(pulls.two(1000.0))},
    {
        "terms of one scale": _heads(pulls.two()),
        "5 times": _heads(pulls.two(5.0)),
        "30 times, weighted": _heads(pulls.two(30.0, 0.03)),
        "switched off": _heads(pulls.two(1000.0, 0.0)),
        "a small penalty by name": _heads(pulls.two(1.0, 1e-6, "l2")),
    },
)
plant(
    "OBJ005",
    "gradient-conflict",
    {"opposite goals": _heads(pulls.apart)},
    {
        "two tasks": _heads(pulls.two()),
        "one is subtracted": _heads(pulls.against),
        "adversary": _heads(pulls.adversary),
    },
)
plant(
    "OBJ007",
    "term-without-gradient",
    {name: lambda s, losses=losses: setup(losses, seed=s) for name, losses in cut.CUT.items()},
    {
        **{name: lambda s, losses=losses: setup(losses, seed=s) for name, losses in cut.HEALTHY.items()},
        "learned weights": _heads(cut.kendall),
    },
)


def _scale(losses, val_losses, model=None, **parts):
    return lambda seed: setup(losses, val_losses=val_losses, model=model, seed=seed, **parts)


plant(
    "OBJ006",
    "train-eval-loss-scale",
    {name: _scale(a, b, **parts) for name, (a, b, parts) in scales.NAMED.items()},
    {
        **{name: _scale(a, b, model) for name, (a, b, model) in scales.HEALTHY.items()},
        "focal in training": _scale(scales.focal, scales.cross_entropy),
    },
)
plant(
    "OBJ010",
    "loss-on-probabilities",
    {
        **{
            name: lambda s, make=make, losses=losses, model=model: make(losses, model=model, seed=s)
            for name, (make, losses, model, _) in forms.FAULTY.items()
        },
        "sigmoid twice": lambda s: setup(
            binary, model=forms.ones(nn.Sigmoid()), target="binary", seed=s, predict=forms.of_one
        ),
    },
    {name: lambda s, parts=parts: setup(seed=s, **parts) for name, parts in forms.HEALTHY.items()},
)


def _weights_kept(seed):
    given = initial.told(initial.known, seed)
    with torch.no_grad():
        given.model.weight.mul_(2)
    return given


plant(
    "OBJ011",
    "initial-loss",
    {
        **{name: lambda s, parts=parts: setup(seed=s, **parts) for name, parts in initial.FAR.items()},
        "the answer in the input": lambda s: initial.told(seed=s),
        "summed": lambda s: setup(initial.summed, seed=s),
    },
    {
        **{name: lambda s, parts=parts: setup(seed=s, **parts) for name, parts in initial.HEALTHY.items()},
        "weights trained before": _weights_kept,
    },
)
