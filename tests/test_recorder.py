"""What ``tocsin.watch`` means: steps, windows, evaluations, exits; and that it never changes or breaks the run."""

from __future__ import annotations

import copy
import io
import math
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import tocsin
from loops import batches, quiet, small_model, train
from tocsin.engine import check_runs
from tocsin.probes import steps
from tocsin.run import Run


def read(folder: Path) -> Run:
    return tocsin.read(folder)[0]


def values(run: Run, name: str) -> list[float]:
    series = run.get(name)
    assert series is not None, f"{name} not in {sorted(run.series)}"
    return series.value.tolist()


# Meanings


@pytest.mark.parametrize("before", [True, False])
def test_a_step_is_a_call_and_counters_stand_beside_it(tmp_path: Path, before: bool) -> None:
    train(tmp_path / "r", steps=12, before=before, every=1)
    run = read(tmp_path / "r")
    loss = run.get("train/loss")
    assert loss is not None
    assert loss.step.tolist() == list(range(1, 13))
    assert values(run, "count/backward") == list(range(1, 13))
    assert values(run, "count/optimizer") == list(range(1, 13))
    norm = run.get("grad/norm")
    assert norm is not None
    assert norm.step.tolist() == list(range(1, 13))


@pytest.mark.parametrize("before", [True, False])
def test_values_are_those_of_their_step(tmp_path: Path, before: bool) -> None:
    """Gradient norm, update and loss of step k agree with a hand-made twin, whichever side losses is called on."""
    train(tmp_path / "r", steps=5, before=before, every=1, model=small_model(dropout=0.0))
    net = small_model(dropout=0.0)
    opt = torch.optim.Adam(net.parameters(), 1e-2)
    norms, ratios = [], []
    for x, y in batches(5):
        opt.zero_grad()
        out = net(x)
        (nn.functional.cross_entropy(out, y) + 0.01 * out.square().mean()).backward()
        norms.append(float(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).norm()))
        old = net[0].weight.detach().clone()
        opt.step()
        stride = -(-old.numel() // 16) | 1
        moved, was = (net[0].weight.detach() - old).flatten()[::stride], old.flatten()[::stride]
        ratios.append(float(moved.norm() / was.norm()))
    run = read(tmp_path / "r")
    assert values(run, "grad/norm") == pytest.approx(norms, rel=1e-5)
    assert values(run, "grad/applied_norm") == pytest.approx(norms, rel=1e-5)
    assert values(run, "update/ratio/0.weight") == pytest.approx(ratios, rel=1e-4)


def test_raw_gradient_is_before_clipping_and_applied_after(tmp_path: Path) -> None:
    net = small_model(dropout=0.0)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, y in batches(4):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
            opt.step()
    back = read(tmp_path / "r")
    assert min(values(back, "grad/norm")) > 0.1
    assert values(back, "grad/applied_norm") == pytest.approx([1e-3] * 4, rel=1e-2)


@pytest.mark.parametrize("before", [True, False])
def test_accumulation_counts_micro_batches_and_still_sees_optimizer_steps(tmp_path: Path, before: bool) -> None:
    train(tmp_path / "r", steps=24, before=before, accumulate=4, every=3)
    run = read(tmp_path / "r")
    assert values(run, "count/backward")[-1] == 24
    assert values(run, "count/optimizer")[-1] == 6
    assert len(values(run, "grad/applied_norm")) >= 4


def test_a_loop_that_never_calls_losses_counts_optimizer_steps(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, y in batches(6):
            opt.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            opt.step()
        run.evaluate("val", target=y, prediction=net(x))
    back = read(tmp_path / "r")
    assert values(back, "count/optimizer")[-1] == 6
    assert back.evaluations[0].step == 6
    assert len(values(back, "grad/norm")) >= 4


def test_gradient_paths_and_trunk_gradients_of_terms(tmp_path: Path) -> None:
    net = small_model(dropout=0.0)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, y in batches(5):
            opt.zero_grad()
            out = net(x)
            ce, size = nn.functional.cross_entropy(out, y), out.square().mean()
            gap = (out.argmax(dim=1) - y).abs().float().mean()
            run.losses(total=ce + size + gap, ce=ce, size=size, gap=gap, lr=0.1)
            trunk = net[5].weight
            want = float(torch.autograd.grad(ce, trunk, retain_graph=True)[0].norm())
            (ce + size + gap).backward()
            opt.step()
    back = read(tmp_path / "r")
    assert values(back, "loss/path/ce") == [1] * 5
    assert values(back, "loss/path/gap") == [0] * 5
    assert "loss/path/lr" not in back.series
    assert values(back, "loss/trunk_norm/ce")[-1] == pytest.approx(want, rel=1e-5)


def test_evaluations_are_grouped_by_split_and_task_and_joined_by_metrics(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        for _ in range(2):
            loss = net(torch.randn(4, 8)).sum()
            run.losses(total=loss)
            loss.backward()
            opt.step()
            for x, y in batches(3):
                run.evaluate("val", target=y, prediction=net(x), task="kind", labels=["a", "b", "c"])
                run.evaluate("val", target=x[:, 0], prediction=net(x)[:, 0], task="level")
            run.metrics({"val/f1": 0.5, "train/f1": 0.7})
            run.end_epoch()
    found = read(tmp_path / "r").of_kind()
    assert {k: [(e.step, e.epoch, e.n, e.kind) for e in v] for k, v in found.items()} == {
        "val/kind": [(1, 1.0, 96, "classes"), (2, 2.0, 96, "classes")],
        "val/level": [(1, 1.0, 96, "regression"), (2, 2.0, 96, "regression")],
    }
    assert found["val/kind"][0].metrics == {"val/f1": 0.5}
    confusion = found["val/kind"][0].confusion
    assert confusion is not None
    assert confusion.labels == ("a", "b", "c")


def test_the_kept_checkpoint_is_an_event_at_its_step(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    with tocsin.watch(model, optimizer, run_dir=tmp_path / "r", say=quiet) as recorder:
        for x, y in batches(3):
            recorder.losses(total=nn.functional.cross_entropy(model(x), y))
            recorder.kept("val/loss")
        recorder.kept()
    kept = [(e.step, e.text, dict(e.data)) for e in read(tmp_path / "r").events if e.kind == "best"]
    named = [(k, "best val/loss", {"metric": "val/loss"}) for k in (1, 2, 3)]
    assert kept == [*named, (3, "best", {})]


def test_inputs_are_fingerprinted_by_mode(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    data = batches(12)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        for _ in range(2):
            for x, y in data:
                loss = nn.functional.cross_entropy(net(x), y)
                run.losses(total=loss)
                loss.backward()
                opt.step()
            with torch.no_grad():
                run.evaluate("val", target=y, prediction=net(x))
            run.end_epoch()
    back = read(tmp_path / "r")
    prints = values(back, "input/fingerprint/train")
    assert len(prints) == 16
    assert prints[:8] == prints[8:], "the same order every epoch"
    assert len(set(prints)) == 8
    assert len(values(back, "input/fingerprint/eval")) == 2
    assert values(back, "input/mean/train")[0] == pytest.approx(float(data[0][0].mean()), rel=1e-5)


def test_exits_are_recorded_and_reraised(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with pytest.raises(ZeroDivisionError), tocsin.watch(net, opt, run_dir=tmp_path / "f", say=quiet) as run:
        run.losses(total=1.0)
        1 / 0  # noqa: B018
    failed = read(tmp_path / "f")
    assert failed.exit == "failed"
    assert any("ZeroDivisionError" in e.text for e in failed.events if e.kind == "exception")
    with pytest.raises(KeyboardInterrupt), tocsin.watch(net, opt, run_dir=tmp_path / "i", say=quiet) as run:
        run.losses(total=1.0)
        raise KeyboardInterrupt
    assert read(tmp_path / "i").exit == "interrupted"
    with tocsin.watch(net, opt, run_dir=tmp_path / "d", say=quiet) as run:
        run.losses(total=1.0)
    assert read(tmp_path / "d").exit == "finished"


def test_an_unfinished_run_is_resumed_and_a_finished_one_left_alone(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with pytest.raises(KeyboardInterrupt), tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        for k in range(10):
            run.losses(total=float(k))
        raise KeyboardInterrupt
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", start_step=6, say=quiet) as run:
        for k in range(6):
            run.losses(total=100.0 + k)
    loss = read(tmp_path / "r").get("train/loss")
    assert loss is not None
    assert loss.step.tolist() == list(range(1, 13))
    assert loss.value.tolist() == [0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105]
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        run.losses(total=1.0)
    assert run.folder == tmp_path / "r-2"


def test_nested_and_disabled_watches_are_inert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    said: list[str] = []
    with tocsin.watch(net, opt, run_dir=tmp_path / "a", say=quiet) as outer:
        with tocsin.watch(net, opt, run_dir=tmp_path / "b", say=said.append) as inner:
            inner.losses(total=1.0)
        outer.losses(total=1.0)
    assert len(said) == 1
    assert not (tmp_path / "b").exists()
    monkeypatch.setenv("TOCSIN_DISABLED", "1")
    with tocsin.watch(net, opt, run_dir=tmp_path / "c") as off:
        off.losses(total=1.0)
        off.end_epoch()
    assert not (tmp_path / "c").exists()
    assert off.findings == []


def test_several_optimizers_are_keyed_and_another_one_in_the_process_counts_as_optimizer(tmp_path: Path) -> None:
    net = small_model()
    first = torch.optim.SGD(net[0].parameters(), 0.1)
    second = torch.optim.SGD(net[3].parameters(), 0.2)
    third = torch.optim.SGD(net[5].parameters(), 0.3)
    with tocsin.watch(net, [first, second], run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, y in batches(3):
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            loss.backward()
            for opt in (first, second, third):
                opt.step()
    back = read(tmp_path / "r")
    assert values(back, "lr/opt/1/0") == [0.2]
    assert all(p.in_optimizer for p in back.parameters)


def test_parameters_outside_every_optimizer_frozen_ones_and_embeddings_are_told(tmp_path: Path) -> None:
    net = nn.ModuleDict({"emb": nn.Embedding(5, 4), "body": nn.Linear(4, 4), "head": nn.Linear(4, 2)})
    net["body"].weight.requires_grad_(False)
    opt = torch.optim.SGD([*net["emb"].parameters(), *net["body"].parameters()], 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for step in range(3):
            if step == 2:
                net["body"].weight.requires_grad_(True)
            loss = net["head"](net["body"](net["emb"](torch.arange(5)))).square().sum()
            run.losses(total=loss)
            opt.zero_grad()
            loss.backward()
            opt.step()
    back = read(tmp_path / "r")
    rows = {p.name: p for p in back.parameters}
    assert not rows["head.weight"].in_optimizer
    assert rows["emb.weight"].role == "embedding"
    assert values(back, "param/changed/head.weight") == [0, 0, 0]
    assert values(back, "param/changed/emb.weight") == [1, 1, 1]
    unfrozen = back.get("grad/norm/body.weight")
    assert unfrozen is not None
    assert unfrozen.step.tolist() == [3]


# AMP


@pytest.mark.parametrize("fused", [False, True])
def test_skipped_amp_steps_are_counted_fused_and_unfused(tmp_path: Path, fused: bool) -> None:
    net = small_model(dropout=0.0)
    opt = torch.optim.Adam(net.parameters(), 1e-3, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", scaler=scaler, every=1, say=quiet) as run:
        for k, (x, y) in enumerate(batches(8)):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            scaler.scale(loss).backward()
            if k in (2, 5):
                net[0].weight.grad[0, 0] = float("inf")
            scaler.step(opt)
            scaler.update()
    back = read(tmp_path / "r")
    assert values(back, "count/skipped")[-1] == 2
    assert values(back, "count/optimizer")[-1] == 6
    assert values(back, "amp/scale") == [1024, 1024, 512, 512, 512, 256, 256, 256]
    assert max(values(back, "grad/norm")) < 10, "unscaled"


def test_a_loss_scale_that_falls_to_zero_switches_no_probe_off(tmp_path: Path) -> None:
    net = small_model(dropout=0.0)
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**-147)
    said: list[str] = []
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", scaler=scaler, every=1, say=said.append) as run:
        for x, y in batches(8):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            scaler.scale(loss * float("inf")).backward()
            scaler.step(opt)
            scaler.update()
    back = read(tmp_path / "r")
    assert values(back, "amp/scale")[-1] == 0
    assert values(back, "count/skipped")[-1] == 3
    assert "grad/nonfinite" in back.series
    assert not [text for text in said if "off" in text]


# Never change, break or follow the run


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("amp", [False, True])
def test_parameters_losses_and_random_state_are_bit_identical(
    tmp_path: Path, before: bool, accumulate: int, amp: bool
) -> None:
    outcome = []
    for folder in (None, tmp_path / "r"):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8) if amp else None
        net, losses, _ = train(folder, steps=15, before=before, accumulate=accumulate, scaler=scaler, every=1)
        outcome.append((losses, torch.get_rng_state(), [p.detach().clone() for p in net.parameters()]))
    assert outcome[0][0] == outcome[1][0]
    assert torch.equal(outcome[0][1], outcome[1][1])
    assert all(torch.equal(a, b) for a, b in zip(outcome[0][2], outcome[1][2], strict=True))


def test_the_model_can_be_copied_saved_averaged_and_pickled_while_watched(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        x, y = batches(1)[0]
        nn.functional.cross_entropy(net(x), y).backward()
        opt.step()
        run.losses(total=1.0)
        for clone in (copy.deepcopy(net), AveragedModel(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 (bytes made here)
            clone(x)
        file = io.BytesIO()
        torch.save(net, file)
        copy.deepcopy(opt)
        pickle.dumps(opt)
    assert len(values(read(tmp_path / "r"), "input/mean/train")) == 1, "copies did not report"
    (tmp_path / "model.pt").write_bytes(file.getvalue())
    code = (
        "import sys; sys.modules['tocsin'] = None\nimport torch\n"
        f"m = torch.load({str(tmp_path / 'model.pt')!r}, weights_only=False)\nm(torch.zeros(1, 8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_detached_loop_is_as_it_was(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.Adam(net.parameters())
    train(tmp_path / "r", steps=3, model=net, optimizer=opt)
    assert not net._forward_pre_hooks
    assert not opt._optimizer_step_pre_hooks
    assert not any(m._forward_hooks for m in net.modules())
    assert not any(p._post_accumulate_grad_hooks for p in net.parameters())
    assert not steps._listeners


@pytest.mark.parametrize("when", ["pre", "post"])
def test_a_watch_may_end_while_another_thread_steps(tmp_path: Path, when: str) -> None:
    """torch raises in that thread where the hooks of all optimizers change while it goes through them."""
    inside, ended, raised = threading.Event(), threading.Event(), []

    def slow(*_: object) -> None:
        if threading.current_thread() is other:
            inside.set()
            ended.wait(10)

    def train_alone() -> None:
        opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
        try:
            opt.step()
        except RuntimeError as error:
            raised.append(error)

    put_on = getattr(sys.modules["torch.optim.optimizer"], f"register_optimizer_step_{when}_hook")
    handle, other = put_on(slow), threading.Thread(target=train_alone)
    net = small_model()
    run = tocsin.watch(net, torch.optim.SGD(net.parameters()), run_dir=tmp_path / "r", say=quiet)
    other.start()
    inside.wait(10)
    run.finish("finished")
    ended.set()
    other.join()
    handle.remove()
    assert not raised


def test_the_memory_of_tensors_can_be_resized_as_before(tmp_path: Path) -> None:
    net = small_model()
    with tocsin.watch(net, torch.optim.SGD(net.parameters()), run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for x, y in batches(3):
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            loss.backward()
    for p in net.parameters():
        assert p.untyped_storage().resizable()
        assert p.grad is not None
        assert p.grad.untyped_storage().resizable()


def test_double_precision_is_measured(tmp_path: Path) -> None:
    said: list[str] = []
    net = small_model().double()
    opt = torch.optim.SGD(net.parameters(), 1e-2)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=said.append) as run:
        for k, (x, y) in enumerate(batches(3)):
            x[0, 0] = math.nan
            loss = nn.functional.cross_entropy(net(x.double()), y)
            run.losses(total=loss)
            opt.zero_grad()
            loss.backward()
            if k == 0:
                opt.step()
    assert not [line for line in said if "switched off" in line]
    assert values(read(tmp_path / "r"), "input/nonfinite/train")[0] == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_gradient_that_is_used_and_cleared_within_backward_came(tmp_path: Path, first: bool) -> None:
    """The optimizer's step in a hook of each tensor, as the tutorial of torch has it to save memory."""
    net = small_model(dropout=0.0)
    inner = {p: torch.optim.SGD([p], 1e-2) for p in net[0].parameters()}
    last = torch.optim.SGD(net[3:].parameters(), 1e-2)

    def step(p: nn.Parameter) -> None:
        inner[p].step()
        inner[p].zero_grad()

    def hook() -> None:
        for p in inner:
            p.register_post_accumulate_grad_hook(step)

    if first:
        hook()
    with tocsin.watch(net, [last, *inner.values()], run_dir=tmp_path / "r", every=1, say=quiet) as run:
        if not first:
            hook()
        for x, y in batches(40):
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            loss.backward()
            last.step()
            last.zero_grad()
    assert "OPT002" not in {f.code for f in run.findings}
    assert set(values(read(tmp_path / "r"), "grad/count/0.weight")) == {1.0}


def test_tensors_of_other_optimizers_are_not_remembered(tmp_path: Path) -> None:
    net = small_model()
    with tocsin.watch(net, torch.optim.SGD(net[0].parameters()), run_dir=tmp_path / "r", say=quiet) as run:
        kept = []
        for _ in range(20):
            kept.append(torch.zeros(2, requires_grad=True))
            torch.optim.SGD([kept[-1], net[3].weight]).step()
        assert run._instruments.tensors.stepped_elsewhere == {id(net[3].weight)}


def test_a_trouble_is_told_in_one_line_whatever_its_text_does(tmp_path: Path) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Silent:
        def __array__(self, dtype: object = None, copy: object = None) -> None:
            raise SilentError

    said: list[str] = []
    net = small_model()
    with tocsin.watch(net, torch.optim.SGD(net.parameters()), run_dir=tmp_path / "r", say=said.append) as run:
        run.evaluate("test", target=Silent(), prediction=torch.ones(5))
        run.evaluate("val", target=torch.ones(5).to_sparse(), prediction=torch.ones(5))
    troubles = [line for line in said if "switched off" in line]
    assert len(troubles) == 2
    assert all("\n" not in line and len(line) < 600 for line in troubles)


def test_a_loss_may_have_any_name(tmp_path: Path) -> None:
    net = small_model()
    with tocsin.watch(net, torch.optim.SGD(net.parameters()), run_dir=tmp_path / "r", say=quiet) as run:
        run.losses(self=1.0)
    assert values(read(tmp_path / "r"), "train/loss/self")[0] == 1


@pytest.mark.parametrize("first", ["watch", "compile"])
def test_torch_compile_gets_no_extra_graph_and_no_break(tmp_path: Path, first: str) -> None:
    from torch._dynamo.testing import CompileCounter

    def graphs(watched: bool) -> int:
        torch._dynamo.reset()
        counter = CompileCounter()
        net = small_model(dropout=0.0)
        opt = torch.optim.SGD(net.parameters(), 0.1)
        compiled = torch.compile(net, backend=counter, fullgraph=True) if first == "compile" else None
        target = compiled if compiled is not None else net
        with tocsin.watch(target, opt, run_dir=tmp_path / "c", enabled=watched, every=1, say=quiet) as run:
            model = compiled if compiled is not None else torch.compile(net, backend=counter, fullgraph=True)
            for x, y in batches(5):
                opt.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                run.losses(total=loss, a=loss * 0.5, b=loss * 0.5)
                loss.backward()
                opt.step()
        return counter.frame_count

    assert graphs(watched=True) == graphs(watched=False) == 1


def test_a_forked_worker_writes_nothing(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        run.losses(total=1.0)
        pid = os.fork()
        if pid == 0:
            run.losses(total=2.0)
            run.finish("finished")
            os._exit(0)
        os.waitpid(pid, 0)
        run.losses(total=3.0)
    back = read(tmp_path / "r")
    assert values(back, "train/loss") == [1.0, 3.0]


def test_bad_input_is_said_once_and_training_goes_on(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    said: list[str] = []
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=said.append) as run:
        for _ in range(3):
            run.losses(total=torch.tensor(1.0), matrix=torch.zeros(2, 2), word="no")
            run.evaluate("val", target=torch.zeros(3, dtype=torch.long), prediction=torch.zeros(4, 2))
            run.metrics({"val/f1": object()})
    troubles = [s for s in said if "switched off" in s]
    assert len(troubles) == 4, said
    assert any("expected a scalar" in s for s in troubles)
    assert any("target" in s and "prediction" in s for s in troubles)
    back = read(tmp_path / "r")
    assert values(back, "train/loss") == [1.0] * 3
    assert sum(e.kind == "warning" for e in back.events) == 4


def test_a_folder_that_is_a_file_does_not_stop_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said: list[str] = []
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "file" / "r", say=said.append) as run:
        for _ in range(3):
            run.losses(total=1.0)
    assert sum("training goes on" in s for s in said) == 1


@pytest.mark.parametrize("bad", [{"budget": 0.0}, {"budget": 2.0}, {"every": 0}, {"every": 1.5}, {"stop_on": "fatal"}])
def test_options_outside_their_range_are_refused(bad: dict[str, object]) -> None:
    net = small_model()
    with pytest.raises(ValueError, match=next(iter(bad))):
        tocsin.watch(net, torch.optim.SGD(net.parameters(), 0.1), **bad)  # type: ignore[arg-type]


# Findings


def nan_run(folder: Path, **options: object) -> tocsin.Recorder:
    """A run whose loss is NaN from step 40 on."""
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=folder, every=1, say=quiet, **options) as run:  # type: ignore[arg-type]
        for k, (x, y) in enumerate(batches(100)):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y) * (float("nan") if k >= 39 else 1.0)
            run.losses(total=loss)
            loss.backward()
            opt.step()
            if k % 25 == 24:
                run.evaluate("val", target=y, prediction=net(x).detach().nan_to_num())
    return run


def test_live_findings_equal_those_found_afterwards(tmp_path: Path) -> None:
    live = nan_run(tmp_path / "r")
    after = check_runs(tocsin.read(tmp_path / "r"))
    assert [f.code for f in live.findings][:1] == ["AMP003"]
    assert live.report.to_json()["findings"] == after.to_json()["findings"]
    assert set(live.report.clean) == set(after.clean)


def test_stop_on_stops_and_records_it(tmp_path: Path) -> None:
    with pytest.raises(tocsin.StopTraining, match="AMP003"):
        nan_run(tmp_path / "r", stop_on="error")
    stopped = read(tmp_path / "r")
    assert stopped.exit == "interrupted"
    assert stopped.last_step < 60
    found = {f.code: f for f in tocsin.check(tmp_path / "r").findings}
    assert "AMP003" in found
    assert "RUN003" not in found
    assert "StopTraining" not in str(found["AMP003"].evidence)


def test_ignored_rules_do_not_ring(tmp_path: Path) -> None:
    assert "AMP003" not in {f.code for f in nan_run(tmp_path / "r", ignore=["AMP"]).findings}


def test_ema_distance_is_recorded(tmp_path: Path) -> None:
    net = small_model()
    ema = AveragedModel(net)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", ema=ema, every=1, say=quiet) as run:
        for x, y in batches(3):
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            loss.backward()
            opt.step()
    distance = values(read(tmp_path / "r"), "ema/distance")
    assert np.all(np.diff(distance) > 0)


def test_live_equals_afterwards_when_parameters_are_unfrozen_and_given_to_the_optimizer_late(tmp_path: Path) -> None:
    net = small_model()
    net[0].requires_grad_(False)
    opt = torch.optim.SGD([*net[3].parameters(), *net[5].parameters()], 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", every=1, say=quiet) as run:
        for k, (x, y) in enumerate(batches(150)):
            if k == 40:
                net[0].requires_grad_(True)
            if k == 110:
                opt.add_param_group({"params": list(net[0].parameters())})
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            run.losses(total=loss)
            loss.backward()
            opt.step()
    after = check_runs(tocsin.read(tmp_path / "r"))
    assert run.report.to_json()["findings"] == after.to_json()["findings"]
    left_out = next(f for f in after.findings if f.code == "OPT001")
    assert "optimizer" in left_out.message
    assert (left_out.step, left_out.healed_at is not None) == (42, True)  # compared with the sample at 41


def test_ignored_rules_stay_ignored_afterwards(tmp_path: Path) -> None:
    live = nan_run(tmp_path / "r", ignore=["AMP"])
    after = tocsin.check(tmp_path / "r")
    assert {n.code for n in after.not_checked if "ignore=" in n.reason} == {"AMP001", "AMP002", "AMP003", "AMP004"}
    assert live.report.to_json() == after.to_json()


def test_targets_outside_the_classes_are_said(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    said: list[str] = []
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=said.append) as run:
        run.losses(total=1.0)
        run.evaluate("val", target=torch.tensor([0, 7, -100]), prediction=torch.randn(3, 3))
    assert sum("1 targets are not among the 3 classes of the prediction, 0 to 2" in s for s in said) == 1


def _forward_in_child(model: nn.Module, rows: torch.Tensor) -> None:
    """Runs in a spawned process: a watched model must arrive there and work."""
    assert model(rows).shape == (len(rows), 3)


def test_a_watched_model_reaches_a_spawned_process_and_writes_nothing_there(tmp_path: Path) -> None:
    net = small_model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        run.losses(total=1.0)
        child = torch.multiprocessing.get_context("spawn").Process(
            target=_forward_in_child, args=(net, batches(1)[0][0])
        )
        child.start()
        child.join(60)
    assert child.exitcode == 0
    back = read(tmp_path / "r")
    assert values(back, "train/loss") == [1.0]
    assert "input/mean/train" not in back.series
