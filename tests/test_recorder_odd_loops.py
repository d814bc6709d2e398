"""Loops that are legal PyTorch and seldom seen: the watch neither changes nor breaks them, and says nothing false."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

import tocsin
from loops import batches, quiet, small_model
from tocsin.run import Run

Loss = Callable[[nn.Module, torch.Tensor], torch.Tensor]


def square(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = net(x).square().mean()
    return out


def watched(
    folder: Path,
    net: nn.Module,
    opt: Any,
    *,
    steps: int = 6,
    loss: Loss = square,
    said: list[str] | None = None,
    inputs: Callable[[], torch.Tensor] = lambda: torch.randn(16, 8),
    **options: Any,
) -> Run:
    """The record of a plain loop; fails where a probe was switched off."""
    heard: list[str] = [] if said is None else said
    with tocsin.watch(net, opt, run_dir=folder, every=1, say=heard.append, **options) as run:
        for _ in range(steps):
            value = loss(net, inputs())
            run.losses(total=value)
            for o in opt if isinstance(opt, list) else [opt]:
                o.zero_grad()
            value.backward()
            for o in opt if isinstance(opt, list) else [opt]:
                o.step()
    assert not [s for s in heard if "switched off" in s], heard
    return tocsin.read(folder)[0]


def values(run: Run, name: str) -> list[float]:
    return run.series[name].value.tolist()


# Tensors


def test_parameters_without_entries_and_sparse_gradients_of_empty_batches_are_measured(tmp_path: Path) -> None:
    net = nn.Linear(8, 2)
    net.register_parameter("nothing", nn.Parameter(torch.empty(0)))
    opt = torch.optim.SGD(net.parameters(), 0.1)
    assert len(values(watched(tmp_path / "a", net, opt), "grad/applied_norm")) == 6
    table = nn.Embedding(5, 4, sparse=True)
    run = watched(
        tmp_path / "b",
        table,
        torch.optim.SparseAdam(table.parameters(), 0.1),
        inputs=lambda: torch.zeros(0, dtype=torch.long),
        loss=lambda net, x: net(x).sum(),
    )
    assert values(run, "grad/applied_norm") == [0.0] * 6


def test_the_bias_of_two_classes_is_seen_to_move(tmp_path: Path) -> None:
    net = nn.Linear(8, 2)
    with torch.no_grad():
        net.bias.copy_(torch.tensor([0.2, 0.15]))  # one sign, one binade: opposite updates keep the sum of the bits
    opt = torch.optim.Adam(net.parameters(), 1e-4)
    loss: Loss = lambda net, x: nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long())  # noqa: E731
    run = watched(tmp_path / "r", net, opt, steps=60, loss=loss)
    assert set(values(run, "param/changed/bias")) == {1.0}
    assert "OPT001" not in {f.code for f in tocsin.check(run).findings}


def test_conjugated_inputs_and_lazy_modules_are_taken(tmp_path: Path) -> None:
    net = nn.Linear(8, 2, dtype=torch.complex64)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    waves = torch.randn(4, 8, dtype=torch.complex64)
    loss: Loss = lambda net, x: net(x).abs().square().mean()  # noqa: E731
    watched(tmp_path / "a", net, opt, inputs=waves.conj, loss=loss)
    lazy = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    run = watched(tmp_path / "b", lazy, torch.optim.SGD(lazy.parameters(), 0.1))
    assert len(values(run, "grad/norm/0.weight")) >= 4


# Transforms, checkpoints, graphs


def test_forwards_inside_transforms_and_fake_tensors_are_not_measured(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2))

    def with_jacobian(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        jacobian: torch.Tensor = torch.func.vmap(torch.func.jacrev(net))(x)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            net(mode.from_tensor(x))
        return square(net, x) + jacobian.square().mean()

    run = watched(tmp_path / "r", net, torch.optim.SGD(net.parameters(), 0.1), steps=70, loss=with_jacobian)
    assert len(values(run, "train/loss")) == len(values(run, "grad/norm")) == 70
    assert len(values(run, "input/mean/train")) == 8


@pytest.mark.filterwarnings("ignore")  # as errors they would switch the probe off before it does harm
def test_a_traced_model_holds_nothing_of_the_watch(tmp_path: Path) -> None:
    net, x = small_model(dropout=0.0), torch.randn(2, 8)
    with tocsin.watch(net, torch.optim.SGD(net.parameters(), 0.1), run_dir=tmp_path / "r", every=1, say=quiet) as run:
        net(x)
        run.losses(total=1.0)
        run.losses(total=1.0)
        traced = torch.jit.trace(net, x)
        assert torch.equal(traced(x), net(x))
    assert str(traced.graph).count("aten::") == str(torch.jit.trace(net, x).graph).count("aten::")


class Spent(torch.autograd.Function):
    """A square whose backward uses up what it saved, as fused kernels do."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x.clone())
        return x.square()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        result: torch.Tensor = x.mul_(2 * gradient)
        return result


@pytest.mark.parametrize("forward", ["checkpoint", "custom function"])
def test_terms_are_not_differentiated_through_code_that_has_effects(tmp_path: Path, forward: str) -> None:
    def train(enabled: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))
        opt = torch.optim.SGD(net.parameters(), 0.1)
        with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, enabled=enabled, say=quiet) as run:
            for x, _ in batches(4):
                out = checkpoint(net, x, use_reentrant=False) if forward == "checkpoint" else Spent.apply(net(x))
                a, b = out.mean(), out[:, 0].abs().mean()
                run.losses(total=a + b, a=a, b=b)
                opt.zero_grad()
                (a + b).backward()
                opt.step()
        return list(net.state_dict().values())

    assert all(torch.equal(bare, seen) for bare, seen in zip(train(False), train(True), strict=True))


def test_hooks_on_the_trunk_run_no_more_often_than_without(tmp_path: Path) -> None:
    net, calls = small_model(dropout=0.0), []
    net[5].weight.register_hook(lambda _: calls.append(1))
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, _ in batches(3):
            out = net(x)
            a, b = out.square().mean(), out.abs().mean()
            run.losses(total=a + b, a=a, b=b)
            (a + b).backward()
            opt.step()
    assert len(calls) == 3


def test_a_path_is_denied_only_where_the_whole_graph_is_seen(tmp_path: Path) -> None:
    net, weights = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), nn.Parameter(torch.zeros(2))
    opt = torch.optim.SGD([*net.parameters(), weights], 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, _ in batches(3):
            hidden = checkpoint(net, x.requires_grad_(), use_reentrant=True).square().mean()
            outside = weights.sum().exp()
            run.losses(total=hidden + outside, hidden=hidden, outside=outside)
            (hidden + outside).backward()
            opt.step()
    back = tocsin.read(tmp_path / "r")[0]
    assert values(back, "loss/path/outside") == [1, 1, 1], "the optimizer holds it, the model does not"
    assert "loss/path/hidden" not in back.series, "a re-entrant checkpoint hides its parameters"


# Optimizers


def test_the_applied_gradient_is_that_of_all_optimizers(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    opts = [torch.optim.SGD(part.parameters(), 0.1) for part in net]
    run = watched(tmp_path / "r", net, opts)
    assert values(run, "grad/applied_norm") == pytest.approx(values(run, "grad/norm"))


def test_an_optimizer_without_a_learning_rate_is_followed(tmp_path: Path) -> None:
    class Signs(torch.optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {})

        def step(self, closure: None = None) -> None:  # type: ignore[override]
            for p in self.param_groups[0]["params"]:
                p.data.sub_(p.grad.sign(), alpha=0.01)

    net = nn.Linear(8, 2)
    run = watched(tmp_path / "r", net, Signs(net.parameters()))
    assert values(run, "count/optimizer")[-1] == 6


def test_backward_passes_are_counted_on_after_a_layer_was_replaced(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for k in range(12):
            if k == 4:
                net[1] = nn.Linear(4, 2)
                opt.param_groups[0]["params"] = list(net.parameters())
            loss = square(net, torch.randn(4, 8))
            run.losses(total=loss)
            loss.backward()
            opt.step()
    assert values(tocsin.read(tmp_path / "r")[0], "count/backward")[-1] >= 11  # one passes before it is noticed


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when it first compiles an optimizer
def test_a_compiled_optimizer_step_is_compiled_no_more_often_than_without(tmp_path: Path) -> None:
    from torch._dynamo.testing import CompileCounter
    from torch._dynamo.utils import counters

    def frames(enabled: bool) -> tuple[int, int]:
        torch._dynamo.reset()
        counters.clear()
        counter = CompileCounter()
        net = nn.Linear(8, 2)
        opt = torch.optim.SGD(net.parameters(), 0.1)
        with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=3, enabled=enabled, say=quiet) as run:
            step = torch.compile(opt.step, backend=counter)
            for _ in range(12):
                opt.zero_grad(set_to_none=False)
                loss = square(net, torch.randn(4, 8))
                run.losses(total=loss)
                loss.backward()
                step()
        return counter.frame_count, counters["frames"]["total"]

    (graphs, total), (watched_graphs, watched_total) = frames(False), frames(True)
    assert watched_graphs == graphs
    assert watched_total <= total + 6, "a count that is traced is compiled again at each step"
    assert values(tocsin.read(tmp_path / "r")[0], "count/optimizer")[-1] == 12


# Numbers, exits, resuming


def test_what_is_no_number_is_left_out_and_the_rest_kept(tmp_path: Path) -> None:
    net = nn.Linear(8, 2)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    said: list[str] = []
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=said.append) as run:
        for _ in range(3):
            run.losses(total=torch.tensor([2]), wave=torch.tensor(1j), huge=10**400, one=np.array([0.5]))
            run.metrics({"val/table": np.zeros((2, 2)), "val/f1": np.float32(0.5), "val/loss": torch.tensor([0.25])})
    assert sum("switched off" in s for s in said) == 3
    back = tocsin.read(tmp_path / "r")[0]
    found = {name: values(back, name) for name in ("train/loss", "train/loss/one", "val/f1", "val/loss")}
    assert found == {
        "train/loss": [2] * 3,
        "train/loss/one": [0.5] * 3,
        "val/f1": [0.5] * 3,
        "val/loss": [0.25] * 3,
    }


def test_a_closed_outlet_and_an_exception_without_words_do_not_stop_the_record(tmp_path: Path) -> None:
    class Mute(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    def closed(_: str) -> None:
        raise ValueError("I/O operation on closed file")

    net = nn.Linear(8, 2)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with pytest.raises(Mute), tocsin.watch(net, opt, run_dir=tmp_path / "r", say=closed) as run:
        run.losses(total=1.0, word="no")
        raise Mute
    assert tocsin.read(tmp_path / "r")[0].exit == "failed"


def test_a_generator_that_is_closed_early_is_interrupted(tmp_path: Path) -> None:
    def loop() -> Any:
        net = nn.Linear(8, 2)
        opt = torch.optim.SGD(net.parameters(), 0.1)
        with tocsin.watch(net, opt, run_dir=tmp_path / "r", scheduler=[], say=quiet) as run:
            while True:
                run.losses(total=1.0)
                yield

    steps = loop()
    next(steps)
    steps.close()
    assert tocsin.read(tmp_path / "r")[0].exit == "interrupted"


def test_counts_go_on_in_a_resumed_run(tmp_path: Path) -> None:
    net = nn.Linear(8, 2)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with pytest.raises(KeyboardInterrupt), tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        for _ in range(5):
            loss = square(net, torch.randn(4, 8))
            run.losses(total=loss)
            loss.backward()
            opt.step()
        raise KeyboardInterrupt
    back = watched(tmp_path / "r", net, opt, steps=5, start_step=4)
    assert values(back, "count/optimizer") == list(range(1, 10))
    assert values(back, "count/backward") == list(range(1, 10))


def test_parameters_are_sampled_once_a_step_however_often_evaluations_close(tmp_path: Path) -> None:
    net = nn.Linear(8, 2)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=7, say=quiet) as run:
        for _ in range(2):
            for _ in range(10):
                loss = square(net, torch.randn(4, 8))
                run.losses(total=loss)
                opt.zero_grad()
                loss.backward()
                opt.step()
            run.end_epoch()
            run.metrics({"test/f1": 0.5})
    changed = tocsin.read(tmp_path / "r")[0].series["param/changed/weight"]
    assert changed.value.tolist() == [1.0] * len(changed), "no step lies between two samples of one step"
    assert len(set(changed.step.tolist())) == len(changed)
