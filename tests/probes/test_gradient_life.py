"""What became of each gradient, told on real loops: cleared unused, carried over a step, or used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import tocsin
from loops import batches, quiet, small_model
from tocsin import Run
from tocsin.record import read

Loop = Callable[[tocsin.Recorder, nn.Module, torch.optim.Optimizer], None]
N = 24


def lossy(net: nn.Module, steps: int = N) -> Iterator[torch.Tensor]:
    for x, y in batches(steps):
        yield nn.functional.cross_entropy(net(x), y)


def recorded(
    run_dir: Path, loop: Loop, *, net: nn.Module | None = None, optimizer=None, every: int = 1, **options
) -> Run:
    net = net if net is not None else small_model()
    optimizer = optimizer if optimizer is not None else torch.optim.SGD(net.parameters(), lr=0.05)
    with tocsin.watch(net, optimizer, run_dir=run_dir, every=every, say=quiet, **options) as run:
        loop(run, net, optimizer)
    assert not run._meter.broken
    return read(run_dir)


def told(run: Run) -> tuple[float | None, float | None]:
    """Passes cleared and carried by the end."""
    found = (run.get("count/cleared"), run.get("count/carried"))
    return tuple(None if s is None else float(s.value[-1]) for s in found)


def healthy(set_to_none: bool, by: str, before: bool) -> Loop:
    def loop(run, net, optimizer):
        for loss in lossy(net):
            (optimizer if by == "optimizer" else net).zero_grad(set_to_none=set_to_none)
            if before:
                run.losses(total=loss)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()
            if not before:
                run.losses(total=loss)

    return loop


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("by", ["optimizer", "model"])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_plain_loops_use_every_gradient(tmp_path, set_to_none, by, before, every):
    assert told(recorded(tmp_path, healthy(set_to_none, by, before), every=every)) == (0, 0)


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_a_gated_step_clears(tmp_path, set_to_none, every):
    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net, 60)):
            optimizer.zero_grad(set_to_none=set_to_none)
            loss.backward()
            if k % 10 == 0:
                optimizer.step()
            run.losses(total=loss)

    cleared, carried = told(recorded(tmp_path, loop, every=every))
    assert 48 <= cleared <= 54  # of 54; the last clearing waits for the next
    assert carried == 0


@pytest.mark.parametrize("every", [1, 7])
def test_never_cleared(tmp_path, every):
    def loop(run, net, optimizer):
        for loss in lossy(net):
            run.losses(total=loss)
            loss.backward()
            optimizer.step()

    cleared, carried = told(recorded(tmp_path, loop, every=every))
    assert cleared == 0
    assert carried == N - 1


def test_never_cleared_under_accumulation(tmp_path):
    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net)):
            (loss / 4).backward()
            run.losses(total=loss)
            if k % 4 == 3:
                optimizer.step()

    assert told(recorded(tmp_path, loop)) == (0, N - 4)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_honest_accumulation(tmp_path, set_to_none):
    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net)):
            run.losses(total=loss)
            (loss / 4).backward()
            if k % 4 == 3:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad(set_to_none=set_to_none)

    assert told(recorded(tmp_path, loop)) == (0, 0)


def test_accumulation_clipped_at_each_micro_batch(tmp_path):
    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net)):
            run.losses(total=loss)
            (loss / 4).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            if k % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()

    assert told(recorded(tmp_path, loop)) == (0, 0)


def test_sanitised_micro_batches(tmp_path):
    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net)):
            (loss / 4).backward()
            for p in net.parameters():
                p.grad = torch.nan_to_num(p.grad)
            run.losses(total=loss)
            if k % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()

    assert told(recorded(tmp_path, loop)) == (0, 0)


def test_zeroing_past_the_version_counter(tmp_path):
    def loop(run, net, optimizer):
        for loss in lossy(net):
            run.losses(total=loss)
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.data.zero_()
            loss.backward()
            optimizer.step()

    assert told(recorded(tmp_path, loop)) == (0, 0)


def test_two_losses_two_passes_one_step(tmp_path):
    def loop(run, net, optimizer):
        for x, y in batches(N):
            out = net(x)
            first, second = nn.functional.cross_entropy(out, y), out.square().mean()
            optimizer.zero_grad()
            first.backward(retain_graph=True)
            second.backward()
            optimizer.step()
            run.losses(total=first + second)

    assert told(recorded(tmp_path, loop)) == (0, 0)


def test_lbfgs_closures(tmp_path):
    def loop(run, net, optimizer):
        for x, y in batches(6):

            def closure(x=x, y=y):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(x), y)
                loss.backward()
                return loss

            run.losses(total=optimizer.step(closure))

    net = small_model(dropout=0.0)
    run = recorded(tmp_path, loop, net=net, optimizer=torch.optim.LBFGS(net.parameters(), max_iter=5))
    assert set(told(run)) <= {None, 0}


@pytest.mark.parametrize("first", ["discriminator", "generator", "steps last"])
def test_adversarial_training(tmp_path, first):
    torch.manual_seed(0)
    net = nn.ModuleDict({"g": nn.Linear(4, 8), "d": nn.Linear(8, 1)})
    both = [torch.optim.Adam(net[k].parameters(), 1e-3) for k in "gd"]

    def loop(run, net, _):
        for x, _y in batches(N):
            made = net["g"](x[:, :4])

            def discriminate(x=x, made=made):
                both[1].zero_grad()
                loss = (
                    nn.functional.softplus(-net["d"](x)).mean() + nn.functional.softplus(net["d"](made.detach())).mean()
                )
                loss.backward()
                return loss

            def generate(made=made):
                both[0].zero_grad()
                loss = nn.functional.softplus(-net["d"](made)).mean()
                loss.backward()
                return loss

            if first == "discriminator":
                d = discriminate()
                both[1].step()
                g = generate()
                both[0].step()
            elif first == "generator":
                g = generate()
                both[0].step()
                d = discriminate()
                both[1].step()
            else:
                g, d = generate(), discriminate()
                both[0].step()
                both[1].step()
            run.losses(total=g + d, g=g, d=d)

    assert told(recorded(tmp_path, loop, net=net, optimizer=both)) == (0, 0)


@pytest.mark.parametrize("unscale", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_skipped_amp_steps_are_no_clearing(tmp_path, before, unscale):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=4)

    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net)):
            optimizer.zero_grad()
            if before:
                run.losses(total=loss)
            scaler.scale(loss * (1e38 if k % 3 == 0 else 1)).backward()
            if unscale:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            if not before:
                run.losses(total=loss)

    run = recorded(tmp_path, loop, scaler=scaler)
    assert run.get("count/skipped").value[-1] > 4
    assert told(run) == (0, 0)


def test_a_gate_around_the_scaler(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)

    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net, 40)):
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            if k % 5 == 4:
                scaler.step(optimizer)
                scaler.update()
            run.losses(total=loss)

    cleared, carried = told(recorded(tmp_path, loop, scaler=scaler))
    assert 26 <= cleared <= 32
    assert carried == 0


def test_sharpness_aware_steps_move_the_parameters_themselves(tmp_path):
    def loop(run, net, optimizer):
        for x, y in batches(N):
            nn.functional.cross_entropy(net(x), y).backward()
            moves = [0.05 * p.grad for p in net.parameters()]
            for p, move in zip(net.parameters(), moves, strict=True):
                p.data.add_(move)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            for p, move in zip(net.parameters(), moves, strict=True):
                p.data.sub_(move)
            optimizer.step()
            optimizer.zero_grad()
            run.losses(total=loss)

    assert told(recorded(tmp_path, loop))[0] in (None, 0)


def test_a_loop_without_optimizer_steps_by_hand(tmp_path):
    def loop(run, net, _):
        for loss in lossy(net):
            loss.backward()
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.05 * p.grad
                    p.grad = None
            run.losses(total=loss)

    assert told(recorded(tmp_path, loop))[0] in (None, 0)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(tmp_path, reentrant):
    from torch.utils.checkpoint import checkpoint

    def loop(run, net, optimizer):
        for x, y in batches(N):
            out = checkpoint(net, x.requires_grad_(), use_reentrant=reentrant)
            loss = nn.functional.cross_entropy(out, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.losses(total=loss)

    assert told(recorded(tmp_path, loop)) == (0, 0)


def test_graphs_of_gradients_add_out_of_place(tmp_path):
    def loop(run, net, optimizer):
        for k, loss in enumerate(lossy(net)):
            loss.backward(create_graph=True)
            if k % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            run.losses(total=loss.detach())

    with pytest.warns(UserWarning, match="create_graph"):
        run = recorded(tmp_path, loop)
    assert told(run) == (0, 0)


def test_watching_gradients_keeps_none_of_them_alive(tmp_path):
    import gc
    import weakref

    net = small_model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with tocsin.watch(net, optimizer, run_dir=tmp_path, every=1, say=quiet) as run:
        for loss in lossy(net, 8):
            loss.backward()
            optimizer.step()
            refs = [weakref.ref(p.grad) for p in net.parameters()]
            optimizer.zero_grad()
            gc.collect()
            assert all(ref() is None for ref in refs)
            run.losses(total=loss.detach())
