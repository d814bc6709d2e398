"""Raw gradients are the same whether they are measured at the end of the backward pass or at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tocsin.probes import raw_gradients
from tocsin.probes.hook import Meter
from tocsin.probes.raw_gradients import RawGradients
from tocsin.probes.tensors import Tensors


@pytest.fixture(params=["at the end", "at once"])
def probed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[nn.Module, RawGradients]]:
    if request.param == "at once":
        monkeypatch.setattr(raw_gradients, "end_of_backward", lambda: None)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2), nn.Linear(2, 2))

    def broken(_probe: str, error: Exception) -> None:
        raise error

    raw = RawGradients(Tensors(model, []), Meter(broken))
    raw.arm()
    yield model, raw
    raw.disarm()


def sizes(raw: RawGradients, scale: float = 1.0) -> dict[str, float]:
    return {name: float(v) for name, v in raw.read(scale).items()}


def test_counts_and_the_norm_of_the_latest_pass(probed: tuple[nn.Module, RawGradients]) -> None:
    model, raw = probed
    x = torch.randn(16, 4)
    for _ in range(3):
        model[:3](x).square().mean().backward()
    found = sizes(raw, scale=2.0)
    assert found["grad/count/0.weight"] == 3
    assert found["grad/count/3.weight"] == 0
    assert "grad/norm/3.weight" not in found
    grad = model[0].weight.grad
    assert found["grad/norm/0.weight"] == pytest.approx(float(grad.norm()) / 2)
    squares = sum(float(p.grad.square().sum()) for p in model[:3].parameters())
    assert found["grad/norm"] == pytest.approx(math.sqrt(squares) / 2, rel=1e-5)


def test_what_is_done_after_backward_is_not_seen(probed: tuple[nn.Module, RawGradients]) -> None:
    model, raw = probed
    (model(torch.randn(16, 4)).sum() * math.inf).backward()
    for p in model.parameters():
        p.grad.nan_to_num_(0.0)
    assert sizes(raw)["grad/nonfinite"] > 0


def test_a_norm_whose_squares_overflow_is_no_nonfinite_gradient(probed: tuple[nn.Module, RawGradients]) -> None:
    model, raw = probed
    (model(torch.randn(16, 4)).sum() * 1e25).backward()
    found = sizes(raw)
    assert found["grad/nonfinite"] == 0
    assert math.isfinite(found["grad/norm"])


def test_a_pass_that_raises_halfway_is_measured_as_far_as_it_came(probed: tuple[nn.Module, RawGradients]) -> None:
    model, raw = probed

    def fail(_: Tensor) -> Tensor:
        raise ValueError

    hidden = model[0](torch.randn(16, 4))
    hidden.register_hook(fail)
    with pytest.raises(ValueError):
        model[1:](hidden).square().mean().backward()
    model[2:](torch.randn(16, 8)).square().mean().backward()
    found = sizes(raw)
    assert found["grad/count/2.weight"] == 2
    assert found["grad/count/0.weight"] == 0


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_parts(probed: tuple[nn.Module, RawGradients], reentrant: bool) -> None:
    model, raw = probed
    x = torch.randn(16, 4, requires_grad=True)
    model[2:](checkpoint(model[:2], x, use_reentrant=reentrant)).square().mean().backward()
    found = sizes(raw)
    for name, p in model.named_parameters():
        assert found[f"grad/count/{name}"] == 1
        assert found[f"grad/norm/{name}"] == pytest.approx(float(p.grad.norm()))


def test_windows_that_follow_one_another_keep_their_hooks(probed: tuple[nn.Module, RawGradients]) -> None:
    model, raw = probed
    for _ in range(3):
        raw.arm()
        model(torch.randn(16, 4)).square().mean().backward()
        assert sizes(raw)["grad/count/0.weight"] == 1
    model[0].requires_grad_(False)
    raw.tensors.scan()
    raw.arm()
    model(torch.randn(16, 4)).square().mean().backward()
    assert "grad/count/0.weight" not in sizes(raw)


def test_a_loss_scale_of_zero_leaves_the_norms_unknown(probed: tuple[nn.Module, RawGradients]) -> None:
    model, raw = probed
    model(torch.randn(16, 4)).sum().backward()
    found = sizes(raw, scale=0.0)
    assert found["grad/count/0.weight"] == 1
    assert not any(name.startswith("grad/norm") for name in found)
