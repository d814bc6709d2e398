"""OBJ006 before the run."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prechecks.objective_setups import CLASSES, cross_entropy, look, network, setup
from tocsin.prechecks.checks.train_eval_loss_scale import train_eval_loss_scale


def summed(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")


def divided(by):
    return lambda model, batch: cross_entropy(model, batch) / by


def focal(model, batch):
    each = F.cross_entropy(model(batch[0]), batch[1], reduction="none")
    return ((1 - (-each).exp()) ** 2 * each).mean()


def smoothed(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.1)


def with_aux(model, batch):
    ce, aux = cross_entropy(model, batch), model(batch[0]).square().mean()
    return {"total": ce + 3 * aux, "ce": ce, "aux": aux}


def named(model, batch):
    ce = cross_entropy(model, batch)
    return {"total": ce, "ce": ce}


NAMED = {
    "times the batch size": (cross_entropy, summed, {}),
    "divided by the batch size": (summed, cross_entropy, {}),
    "divided by accumulate": (cross_entropy, divided(4), {"accumulate": 4}),
    "divided by the number of batches of train": (cross_entropy, divided(5), {"batches": 5}),
    "exactly so in each": (cross_entropy, divided(0.37), {}),
}


@pytest.mark.parametrize("said", NAMED)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_factor_of_code_rings_and_is_named(said, seed):
    losses, val_losses, parts = NAMED[said]
    (finding,), _ = look(train_eval_loss_scale, setup(losses, val_losses=val_losses, seed=seed, **parts))
    assert finding.severity == "warning"
    assert finding.message.endswith(said)


def test_the_message_is_exact():
    (finding,), _ = look(train_eval_loss_scale, setup(cross_entropy, val_losses=summed))
    first = finding.evidence[0]
    assert finding.message == (
        "on the same 6 training batches the evaluation's loss is 32 [32, 32] times that of training "
        f"({first.limit:.4g} against {first.value:.4g}), times the batch size"
    )


def test_batches_of_unequal_size_show_the_batch_size():
    given = setup(cross_entropy, val_losses=summed)
    given.train[-1] = tuple(t[:20] for t in given.train[-1])
    (finding,), _ = look(train_eval_loss_scale, given)
    assert finding.message.endswith("times the batch size")


def dropped():
    return nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.8), nn.Linear(64, CLASSES))


HEALTHY = {
    "the same": (cross_entropy, cross_entropy, network),
    "dropout and batch statistics": (cross_entropy, cross_entropy, dropped),
    "smoothing in training": (smoothed, cross_entropy, network),
    "one term of several": (with_aux, cross_entropy, network),
    "named": (named, named, network),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_function_rings_nowhere(name, seed):
    losses, val_losses, model = HEALTHY[name]
    assert look(train_eval_loss_scale, setup(losses, val_losses=val_losses, model=model, seed=seed)) == ([], [])


@pytest.mark.parametrize("seed", [0, 1])
def test_another_loss_that_is_near_proportional_is_a_note(seed):
    (finding,), _ = look(train_eval_loss_scale, setup(focal, val_losses=cross_entropy, seed=seed))
    assert finding.severity == "note"


def test_losses_that_need_training_mode_are_not_checked():
    def losses(model, batch):
        if not model.training:
            raise RuntimeError("targets are for training")
        return cross_entropy(model, batch)

    found, unable = look(train_eval_loss_scale, setup(losses, val_losses=cross_entropy))
    assert (found, len(unable)) == ([], 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_losses_without_a_ratio_say_nothing(bad):
    def odd(model, batch):
        return cross_entropy(model, batch).detach() * torch.tensor(bad)

    assert look(train_eval_loss_scale, setup(cross_entropy, val_losses=odd))[0] == []
