"""A preflight changes nothing of the caller's, and says in one line what it cannot use."""

from __future__ import annotations

import copy
import random
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import tocsin
from tocsin.cli import main

FAST = ["OPT002", "OPT017", "OPT018", "OPT019", "CFG002"]


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))


def loss_of(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def predict(model, batch):
    return batch[1], model(batch[0])


def noisy(model, batch):
    """Draws from every random state, and writes into what it is given."""
    batch[0].add_(0.01 * torch.randn_like(batch[0]) + 0.01 * np.random.rand() + 0.01 * random.random())  # noqa: NPY002
    return loss_of(model, batch)


def whole_step(model, optimizer, scaler, batch):
    optimizer.zero_grad()
    loss = loss_of(model, batch)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return loss


class Caller:
    """All that a caller has, in a state that is easily disturbed: half trained, gradients kept, mixed modes."""

    def __init__(self, losses=loss_of, *, kind="list"):
        torch.manual_seed(0)
        self.model = network()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 0.01)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 40)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
        self.x, self.y = x, y
        self.generator = torch.Generator().manual_seed(5)
        sets = TensorDataset(x, y)
        self.train = (
            [(x[k : k + 16], y[k : k + 16]) for k in range(0, 64, 16)]
            if kind == "list"
            else DataLoader(sets, 16, shuffle=True, generator=self.generator)
        )
        for batch in list(self.train)[:3]:
            whole_step(self.model, self.optimizer, self.scaler, batch)
            self.scheduler.step()
        self.model[3].eval()
        self.parts = {
            "model": self.model, "optimizer": self.optimizer, "losses": losses, "train": self.train, "val": self.train,
            "predict": predict, "scaler": self.scaler, "scheduler": self.scheduler, "steps": 40, "accumulate": 2,
            "config": {"lr": 0.01, "inner": {"depth": [1, 2]}},
        }  # fmt: skip

    def state(self):
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "modes": [m.training for m in self.model.modules()],
                "grads": [p.grad for p in self.model.parameters()],
                "asked": [p.requires_grad for p in self.model.parameters()],
                "optimizer": self.optimizer.state_dict(),
                "scheduler": {k: v for k, v in self.scheduler.state_dict().items() if not callable(v)},
                "scaler": self.scaler.state_dict(),
                "data": (self.x, self.y),
                "config": self.parts["config"],
                "torch": torch.get_rng_state(),
                "numpy": np.random.get_state(),  # noqa: NPY002
                "python": random.getstate(),
                "generator": self.generator.get_state(),
                "hooks": [
                    len(getattr(m, name))
                    for m in self.model.modules()
                    for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
                ],
                "tensor hooks": [
                    (len(p._backward_hooks or ()), len(p._post_accumulate_grad_hooks or ()))
                    for p in self.model.parameters()
                ],
                "step hooks": [
                    len(self.optimizer._optimizer_step_pre_hooks), len(self.optimizer._optimizer_step_post_hooks)
                ],
                "grad mode": torch.is_grad_enabled(),
            }
        )  # fmt: skip


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def unchanged(caller, **how):
    before = caller.state()
    report = tocsin.preflight(**caller.parts, options={"OPT019": {"steps": 5}}, **how)
    after = caller.state()
    assert [key for key in before if not same(before[key], after[key])] == []
    return report


@pytest.mark.parametrize("kind", ["list", "loader"])
@pytest.mark.parametrize("losses", [loss_of, noisy])
def test_nothing_changes(kind, losses):
    caller = Caller(losses, kind=kind)
    assert unchanged(caller).clean


@pytest.mark.parametrize("kind", ["list", "loader"])
def test_nothing_changes_with_a_step_of_ones_own(kind):
    caller = Caller(kind=kind)
    caller.parts |= {"step": whole_step}
    unchanged(caller, select=["AMP002", "OPT007", "OPT003"])


def test_nothing_changes_when_a_function_raises():
    caller = Caller()
    calls = []

    def breaks(model, batch):
        calls.append(1)
        if len(calls) > 5:
            raise RuntimeError("by design")
        return noisy(model, batch)

    caller.parts["losses"] = breaks
    before = caller.state()
    with pytest.raises(tocsin.SetupError):
        tocsin.preflight(**caller.parts)
    after = caller.state()
    assert [key for key in before if not same(before[key], after[key])] == []


def test_functions_that_use_the_callers_model_are_told_so():
    caller = Caller()
    caller.parts["losses"] = lambda _, batch: loss_of(caller.model, batch)
    before = caller.state()
    with pytest.raises(tocsin.SetupError) as error:
        tocsin.preflight(**caller.parts)
    assert str(error.value) == (
        "preflight: losses(model, batch) raised SetupError: it calls the model that it was written with; preflight "
        "works on a copy, so use the one it is given"
    )
    after = caller.state()
    assert [key for key in before if not same(before[key], after[key])] == []


def test_the_same_call_gives_the_same_report():
    first, second = (
        tocsin.preflight(**Caller().parts, select=FAST, options={"OPT019": {"steps": 5}}) for _ in range(2)
    )
    assert first.findings == second.findings
    assert first.clean == second.clean


PARTS = (
    "model, optimizer, losses, train, val, predict, step, scaler, scheduler, scheduler_every, epochs, steps, "
    "accumulate, config, raw, group, nuisance, metrics"
)


def changed(**parts):
    return lambda: {**Caller().parts, **parts}


def with_schedule(total):
    parts = Caller().parts
    optimizer = torch.optim.SGD(parts["model"].parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total)
    return {**parts, "optimizer": optimizer, "scheduler": schedule}


def raising(*_):
    raise KeyError("label")


REFUSED = {
    "an iterator": (
        changed(train=iter([1])),
        "preflight: train must be batches that can be iterated again, such as a DataLoader or a list, got "
        "list_iterator",
    ),
    "a generator": (
        changed(val=(k for k in range(3))),
        "preflight: val must be batches that can be iterated again, such as a DataLoader or a list, got generator",
    ),
    "no model": (changed(model=None), "preflight: model must be a torch.nn.Module, got NoneType"),
    "no optimizer": (
        changed(optimizer=[]),
        "preflight: optimizer must be a torch.optim.Optimizer or several, got list",
    ),
    "a scheduler that ends too early": (
        lambda: with_schedule(20),
        "preflight: the scheduler raised ValueError after planned step 21: Tried to step 21 times. The specified "
        "number of total steps is 20",
    ),
    "a loss value": (changed(losses=1.0), "preflight: losses must be a function losses(model, batch), got float"),
    "a metric for predict": (changed(predict="f1"), "preflight: predict must be a function, got str"),
    "no accumulation": (
        changed(accumulate=0),
        "preflight: accumulate must be a whole number of batches, 1 or more, got 0",
    ),
    "no batch": (changed(train=[]), "preflight: train gave no batch"),
    "a loader that raises": (
        changed(train=DataLoader(TensorDataset(torch.zeros(4, 4)), collate_fn=raising)),
        "preflight: iterating train raised KeyError: 'label'",
    ),
    "losses that raise": (
        changed(losses=raising),
        "preflight: losses(model, batch) raised KeyError: 'label'",
    ),
    "losses per sample": (
        changed(losses=lambda model, batch: model(batch[0])),
        "preflight: losses(model, batch) must give a scalar tensor, or named terms with the total under 'total'; got "
        "a tensor of float32 [16, 3]",
    ),
    "losses as a float": (
        changed(losses=lambda *_: 1.0),
        "preflight: losses(model, batch) must give a scalar tensor, or named terms with the total under 'total'; got "
        "float",
    ),
    "terms without a total": (
        changed(losses=lambda model, batch: {"a": model(batch[0]).sum()}),
        "preflight: losses(model, batch) must give a scalar tensor, or named terms with the total under 'total'; got "
        "no total",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_said_in_one_line(name):
    parts, message = REFUSED[name]
    with pytest.raises(tocsin.SetupError) as error:
        tocsin.preflight(**parts(), select=["OPT002", "CFG002"])
    assert str(error.value) == message


def test_missing_and_unknown_parts():
    parts = Caller().parts
    with pytest.raises(tocsin.SetupError, match=r"^preflight: unknown: los; missing: losses; a Setup has model, "):
        tocsin.preflight({**{k: v for k, v in parts.items() if k != "losses"}, "los": loss_of})
    with pytest.raises(tocsin.SetupError, match=r"expected a Setup, a mapping of its parts, or .*; got int$"):
        tocsin.preflight(3)


MODULE = """
import torch
from torch import nn
from torch.nn import functional as F

def setup(scale=1.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
    return model, torch.optim.SGD(model.parameters(), 0.1), loss, [(x, y)] * 4

def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])

def detached():
    model, optimizer, _, batches = setup()
    return model, optimizer, lambda m, b: loss(m, b).detach(), batches

def broken():
    raise ValueError("no data here")

def breaks():
    model, optimizer, _, batches = setup()
    return model, optimizer, lambda m, b: loss(m, b[5]), batches

def nothing():
    return None
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of this test alone in an empty working folder."""
    name = f"made_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize(("function", "code"), [("setup", 0), ("detached", 1)])
def test_the_command_exits_as_check_does(module, capsys, function, code):
    assert main(["preflight", f"{module}:{function}", "--select", "OPT002"]) == code
    shown = capsys.readouterr()
    assert ("error OPT002 no-gradient-path" in shown.out) == (code == 1)
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ("broken", "{m}:broken raised ValueError: no data here"),
        ("none", "{m} has no function none; it has breaks, broken, detached, loss, nothing, setup"),
        ("breaks", "preflight: losses(model, batch) raised IndexError: tuple index out of range"),
        ("nothing", "preflight: expected a Setup, a mapping of its parts, or (model, optimizer, losses, train, val); "
         "got NoneType"),
    ],
)  # fmt: skip
def test_the_command_says_a_mistake_in_one_line(module, capsys, function, line):
    assert main(["preflight", f"{module}:{function}", "--select", "OPT002"]) == 2
    assert capsys.readouterr().err == f"tocsin: {line.format(m=module)}\n"


def test_a_module_that_is_not_there(module, capsys):
    assert main(["preflight", "nowhere:setup"]) == 2
    assert capsys.readouterr().err == (
        "tocsin: cannot import nowhere: ModuleNotFoundError: No module named 'nowhere'\n"
    )
