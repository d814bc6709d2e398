"""Fingerprints of replicated parameters: equal for equal bytes, telling of one bit, and how far models are apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from loops import small_model
from tocsin.probes.replicas import PROJECTIONS, Replicas, projections, signs
from tocsin.probes.tensors import Tensors


def replicas_of(model: nn.Module, world: int = 2) -> Replicas:
    return Replicas(Tensors(model, []), model, world)


def read(model: nn.Module) -> dict[str, float]:
    return {name: float(value) for name, value in replicas_of(model).read().items()}


def test_equal_models_have_equal_values_and_integers_below_2_to_the_53() -> None:
    values = read(small_model())
    assert values == read(small_model())
    bits = [v for name, v in values.items() if name.startswith("param/bits/")]
    assert len(bits) == 6
    assert all(v == int(v) and 0 <= v < 2**53 for v in bits)
    assert sum(name.startswith("param/projection/") for name in values) == PROJECTIONS


def test_one_bit_of_one_entry_shows_in_its_tensor_alone() -> None:
    model, other = small_model(), small_model()
    with torch.no_grad():
        other[3].weight.view(torch.int32)[5, 7] ^= 1
    one, two = read(model), read(other)
    assert [n for n in one if n.startswith("param/bits/") and one[n] != two[n]] == ["param/bits/3.weight"]


def test_all_ranks_are_sampled_at_the_same_steps_each_once() -> None:
    one = replicas_of(small_model())
    assert [step for step in range(1, 100) if one.due(step)] == [1, 2, 4, 8, 16, 32, 45, 64, 91]
    assert not one.due(91)
    alone = replicas_of(small_model(), world=1)
    assert not any(alone.due(step) for step in range(100))


def test_tensors_that_ranks_hold_their_own_of_are_left_out() -> None:
    model = small_model()
    model._ddp_params_and_buffers_to_ignore = ["0.weight"]
    model[3].weight.allreduce = False  # as DeepSpeed and Megatron mark experts
    model[5].weight.tensor_model_parallel = True
    model.register_module("experts", nn.Linear(2, 2))
    named = {n.removeprefix("param/bits/") for n in read(model) if n.startswith("param/bits/")}
    assert named == {"0.bias", "3.bias", "5.bias"}


def test_a_model_without_tensors_gives_nothing() -> None:
    assert read(nn.ReLU()) == {}


@pytest.mark.parametrize("size", [1e-6, 1e-2, 1.0])
def test_projections_estimate_the_distance(size: float) -> None:
    """On average over directions: the mean square of the differences is the square of the distance."""
    shapes = [(300, 300), (40,), (7, 5, 3)]
    ratios = []
    for seed in range(60):
        draw = torch.Generator().manual_seed(seed)
        mine: list[Tensor] = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
        other = [p + size * torch.randn(p.shape, generator=draw, dtype=torch.float64) for p in mine]
        apart = projections(mine) - projections(other)
        true = sum(float((p - q).square().sum()) for p, q in zip(mine, other, strict=True))
        ratios.append(float(apart.square().mean()) / true)
    assert np.mean(ratios) == pytest.approx(1, abs=4 * (2 / 8 / 60) ** 0.5)


def test_patterns_of_signs_are_balanced_and_unlike_each_other() -> None:
    rows = signs(4096, torch.device("cpu")).double()
    assert set(rows.unique().tolist()) == {-1.0, 1.0}
    products = rows @ rows.T / 4096
    off = products - torch.eye(PROJECTIONS, dtype=torch.float64)
    assert off.abs().max() < 5 / 64, "five standard deviations of independent signs"
    assert rows.mean(dim=1).abs().max() < 5 / 64
