"""What a user may hand to a preflight by mistake, and what is odd but right: one clear line, or a report."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tocsin


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def loss_of(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def batches(n=96, size=16):
    torch.manual_seed(1)
    x, y = torch.randn(n, 4), torch.randint(0, 3, (n,))
    return [(x[k : k + size], y[k : k + size]) for k in range(0, n, size)]


def parts(**given):
    model = given.pop("model", None) or network()
    optimizer = given.pop("optimizer", None) or torch.optim.SGD(model.parameters(), 0.1)
    return {"model": model, "optimizer": optimizer, "losses": loss_of, "train": batches(), **given}


def another_scheduler():
    return torch.optim.lr_scheduler.StepLR(torch.optim.SGD(network().parameters(), 0.1), 3)


REFUSED = {
    "epochs in words": (
        lambda: parts(epochs="three"),
        "epochs must be a number of epochs above 0, got 'three'",
    ),
    "endless epochs": (
        lambda: parts(epochs=float("inf")),
        "epochs must be a number of epochs above 0, got inf",
    ),
    "no epochs": (lambda: parts(epochs=-1), "epochs must be a number of epochs above 0, got -1"),
    "half a step": (
        lambda: parts(steps=30.5),
        "steps must be a whole number of optimizer steps, 1 or more, got 30.5",
    ),
    "no accumulation": (
        lambda: parts(accumulate="2"),
        "accumulate must be a whole number of batches, 1 or more, got '2'",
    ),
    "half an accumulation": (
        lambda: parts(accumulate=2.5),
        "accumulate must be a whole number of batches, 1 or more, got 2.5",
    ),
    "another rhythm": (
        lambda: parts(scheduler_every="batch"),
        "scheduler_every must be 'step' or 'epoch', got 'batch'",
    ),
    "metrics in a list": (
        lambda: parts(metrics=[F.mse_loss]),
        "metrics must be functions metric(target, prediction) by name, got list",
    ),
    "a metric's value": (
        lambda: parts(metrics={"f1": 0.5}),
        "metrics must be functions metric(target, prediction) by name, got dict",
    ),
    "a loss scale": (lambda: parts(scaler=1024), "scaler must be a torch.amp.GradScaler, got int"),
    "a rate": (
        lambda: parts(scheduler=0.1),
        "scheduler must be a learning-rate scheduler or several, got float",
    ),
    "a scheduler of another optimizer": (
        lambda: parts(scheduler=another_scheduler()),
        "scheduler changes the rates of another optimizer than the one that is given; build it from that one",
    ),
    "a script": (
        lambda: parts(model=torch.jit.script(network())),
        "model is compiled by torch.jit.script, which takes no hooks; give the module that it was made from",
    ),
    "a lazy layer": (
        lambda: parts(model=nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 3))),
        "model has lazy tensors without a shape; call it with one batch before the optimizer is made",
    ),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_a_part_of_the_wrong_kind_is_named(name):
    made, message = REFUSED[name]
    with pytest.raises(tocsin.SetupError) as error:
        tocsin.preflight(**made(), select=["OPT009"])
    assert str(error.value) == f"preflight: {message}"


def test_each_optimizer_may_have_a_scheduler():
    model = network()
    optimizers = [torch.optim.SGD(model[k].parameters(), 0.1) for k in (0, 2)]
    schedulers = [torch.optim.lr_scheduler.StepLR(o, 3) for o in optimizers]
    given = parts(model=model, optimizer=optimizers, scheduler=schedulers, steps=40)
    report = tocsin.preflight(**given, select=["OPT009", "OPT008"])
    assert [schedule.last_epoch for schedule in schedulers] == [0, 0]
    assert not report.findings
