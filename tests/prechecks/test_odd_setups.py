"""What a user may hand to a preflight by mistake, and what is odd but right: one clear line, or a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

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


class Once:
    """Says that it can be iterated, and gives its batches one time only."""

    def __init__(self):
        self.left = iter(batches())

    def __iter__(self):
        return self.left


def broken_later():
    yield from batches(64)
    raise OSError("disk")


class Later:
    """Raises after four batches."""

    def __iter__(self):
        return broken_later()


def leaves(model, batch):
    raise SystemExit(0)


def twice(model, batch):
    loss = loss_of(model, batch)
    loss.backward()
    return loss


FAILING = {
    "a loader for one pass": (
        {"train": Once()},
        "train gave no batch in another pass: it must be one that can be repeated",
    ),
    "a loader that breaks off": ({"train": Later()}, "iterating train raised OSError: disk"),
    "losses that exit": ({"losses": leaves}, "losses(model, batch) raised SystemExit: 0"),
    "a complex loss": (
        {"losses": lambda m, b: loss_of(m, b) * (1 + 0j)},
        "losses(model, batch) must give a scalar tensor, or named terms with the total under 'total'; got a tensor of "
        "complex64 []",
    ),
    "a step that returns a list": (
        {"step": lambda *_: [1, 2]},
        "step(model, optimizer, scaler, batch) must give its loss as one number, losses by name, or None; got list",
    ),
    "batches of one's own graph": (
        {"train": [(x.requires_grad_() * 2, y) for x, y in batches()]},
        "copying a batch of train raised RuntimeError: Only Tensors created explicitly by the user (graph leaves) "
        "support the deepcopy protocol at the moment. ",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_while_it_is_looked_at_is_said(name):
    given, message = FAILING[name]
    with pytest.raises(tocsin.SetupError) as error:
        tocsin.preflight(**parts(**given), select=["OPT001"])
    assert str(error.value).startswith(f"preflight: {message}")


def test_a_backward_pass_inside_losses_is_told_from_a_fault_of_ours():
    with pytest.raises(tocsin.SetupError, match=r"^preflight: the backward pass of the total raised RuntimeError: "):
        tocsin.preflight(**parts(losses=twice), select=["OPT001"])


def penalised(model, batch):
    x = batch[0].clone().requires_grad_()
    z = model(x)
    slope = torch.autograd.grad(z.sum(), x, create_graph=True)[0].square().mean()
    return {"total": F.cross_entropy(z, batch[1]) + slope, "slope": slope}


class Forces(nn.Module):
    """Answers with a gradient of its own."""

    def __init__(self):
        super().__init__()
        self.energy = network()

    def forward(self, x):
        with torch.enable_grad():
            x = x if x.requires_grad else x.clone().requires_grad_()
            return torch.autograd.grad(self.energy(x).square().sum(), x, create_graph=torch.is_grad_enabled())[0]


@pytest.mark.parametrize("loss", ["penalty", "model"])
def test_losses_and_models_that_differentiate_are_evaluated_too(loss):
    given = parts(losses=penalised) if loss == "penalty" else parts(model=Forces())
    report = tocsin.preflight(**given, val=batches(32), select=["OPT001", "OPT003", "DAT006", "OPT017", "EVL007"])
    assert not report.findings
    assert {"OPT001", "OPT017", "EVL007"} <= set(report.clean)


def test_a_step_that_says_nothing_of_its_losses_is_no_nan():
    def step(model, optimizer, scaler, batch):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()

    report = tocsin.preflight(**parts(step=step), select=["AMP003", "OPT001"])
    assert not report.findings


def test_lbfgs_gets_its_closure():
    model = network()
    given = parts(model=model, optimizer=torch.optim.LBFGS(model.parameters(), max_iter=2))
    assert "OPT001" in tocsin.preflight(**given, select=["OPT001"]).clean


def test_nothing_can_be_rehearsed_while_recording_is_switched_off(monkeypatch):
    monkeypatch.setenv("TOCSIN_DISABLED", "1")
    report = tocsin.preflight(**parts(), select=["OPT001", "OPT002"])
    assert report.clean == ("OPT002",)
    assert [n.reason for n in report.not_checked] == ["nothing is recorded while TOCSIN_DISABLED is set"]


def test_what_needs_a_schedule_is_not_called_clean_without_one():
    (blind,) = tocsin.preflight(**parts(), select=["OPT008"]).not_checked
    assert (blind.code, blind.reason) == ("OPT008", "needs scheduler of the Setup")


def of_two_models(model, other, kind):
    """Losses that reach tensors beside the model they are given: another model's, or the caller's own."""
    if kind == "another model":
        return lambda m, b: F.cross_entropy(m(b[0]) + other(b[0]), b[1])
    return lambda m, b: loss_of(m, b) + 1e-3 * sum(p.square().sum() for p in model.parameters())


@pytest.mark.parametrize("kind", ["another model", "the caller's model"])
def test_losses_that_train_the_callers_tensors_are_stopped_before_they_do(kind):
    model, other = network(), network()
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], 0.1)
    given = parts(model=model, optimizer=optimizer, losses=of_two_models(model, other, kind))
    for code in ("OPT002", "OPT001"):
        with pytest.raises(tocsin.SetupError, match=r"the losses train a tensor that they were written with"):
            tocsin.preflight(**given, select=[code])
    assert all(p.grad is None and not p._backward_hooks for m in (model, other) for p in m.parameters())


class Counting(nn.Module):
    """A metric that remembers what it has seen, as those of torchmetrics do."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, target, prediction):
        self.seen += len(target)
        return (prediction.argmax(1) == target).float().mean()


def test_a_metric_with_a_memory_is_copied():
    metric = Counting()
    given = parts(metrics={"accuracy": metric}, predict=lambda m, b: (b[1], m(b[0])))
    assert tocsin.preflight(**given, select=["EVL001"]).clean == ("EVL001",)
    assert metric.seen == 0


class Drawing:
    """A collate function and a sampler with generators of their own."""

    def __init__(self, rng):
        self.rng = rng

    def __call__(self, rows):
        x, y = (torch.stack(column) for column in zip(*rows, strict=True))
        return x + torch.as_tensor(self.rng.normal(size=x.shape), dtype=x.dtype), y

    def __iter__(self):
        return iter(self.rng.permutation(96).tolist())

    def __len__(self):
        return 96


class Noisy(torch.utils.data.Dataset):
    """Adds noise in the worker."""

    def __init__(self):
        self.rows = [(x, y) for xs, ys in batches() for x, y in zip(xs, ys, strict=True)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, k):
        return self.rows[k][0] + torch.randn(4), self.rows[k][1]


def noisy_loader(kind):
    if kind == "persistent":
        seeded = torch.Generator().manual_seed(3)
        return DataLoader(Noisy(), 16, num_workers=1, persistent_workers=True, generator=seeded)
    drawing = [Drawing(np.random.default_rng(seed)) for seed in (1, 2)]
    return DataLoader(Noisy(), 16, sampler=drawing[0], collate_fn=drawing[1])


@pytest.mark.parametrize("kind", ["persistent", "collate and sampler"])
def test_the_batches_after_a_preflight_are_those_that_would_have_come(kind):
    seen = []
    for flown in (False, True):
        torch.manual_seed(5)
        loader = noisy_loader(kind)
        if flown:
            tocsin.preflight(**parts(train=loader), select=["OPT002", "DAT003"])
        seen.append([torch.cat([x for x, _ in loader]) for _ in range(2)])
    assert all(map(torch.equal, *seen))


def test_parts_beside_a_setup_are_not_passed_over():
    with pytest.raises(tocsin.SetupError, match=r"give a setup or its parts, not both; got val beside it"):
        tocsin.preflight(tocsin.Setup(**parts()), val=batches())


def test_options_of_a_rule_that_its_check_does_not_have_break_nothing():
    report = tocsin.preflight(**parts(), select=["OPT002"], options={"no-gradient-path": {"steps": 5, "share": 0.2}})
    assert report.clean == ("OPT002",)
    report = tocsin.preflight(**parts(), select=["OPT003"], options={"OPT019": {"steps": 5}})
    assert not [n for n in report.not_checked if "raised" in n.reason]


def test_options_that_nothing_has_are_refused():
    with pytest.raises(ValueError, match=r"OPT002 no-gradient-path has no option 'shares'; expected share, steps"):
        tocsin.preflight(**parts(), options={"OPT002": {"shares": 0.2}})
    with pytest.raises(tocsin.UnknownRule, match="no check and no rule has this code or name"):
        tocsin.preflight(**parts(), options={"OPT999": {}})


def changing(model, batch, count=[0]):  # noqa: B006 (counts the calls)
    """Tasks that come and go."""
    count[0] += 1
    return {"a" if count[0] % 2 else "b": (batch[1], model(batch[0]))}


INPUTS = {
    "complex": lambda x: torch.complex(x, x.flip(0)),
    "8-bit floats": lambda x: x.to(torch.float8_e4m3fn),
    "16-bit counts": lambda x: (100 * x + 1000).to(torch.uint16),
    "sparse": lambda x: x.to_sparse(),
    "truth values": lambda x: x > 0,
    "half precision": lambda x: x.bfloat16(),
}


class AnyInput(nn.Module):
    """Takes what comes."""

    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, x):
        x = x.to_dense() if x.is_sparse else x
        return self.net(x.abs() if x.is_complex() else x.float())


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_of_any_type_break_no_check(kind):
    train = [(INPUTS[kind](x), y) for x, y in batches()]
    given = parts(model=AnyInput(), train=train, val=train[:3], predict=lambda m, b: (b[1], m(b[0])))
    report = tocsin.preflight(**given, select=["DAT002", "DAT003", "OPT017", "OPT018", "EVL007"])
    assert [n.reason for n in report.not_checked if "raised" in n.reason] == []


@pytest.mark.parametrize("predict", [changing, lambda m, b: (b[1].float().mean(), m(b[0]).mean())])
def test_predictions_of_any_form_break_no_check(predict):
    metrics = {"accuracy": lambda t, p: (p.argmax(1) == t).float().mean()}
    given = parts(predict=predict, metrics=metrics, val=batches())
    report = tocsin.preflight(**given, select=["OBJ011", "OBJ010", "EVL001", "EVL010"])
    assert [n.reason for n in report.not_checked if "raised" in n.reason] == []


@dataclass
class Output:
    """An answer as a class of its own."""

    logits: torch.Tensor
    loss: object = None


class Wrapped(nn.Module):
    """Answers in a dataclass."""

    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, x):
        return Output(self.net(x))


def test_answers_in_a_dataclass_are_seen():
    given = parts(model=Wrapped(), losses=lambda m, b: F.cross_entropy(m(b[0]).logits, b[1]))
    assert tocsin.preflight(**given, select=["OPT017"]).clean == ("OPT017",)
