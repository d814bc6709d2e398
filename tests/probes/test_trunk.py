"""Which tensor the terms' gradients are compared at: its gradient is small beside a large model."""

from __future__ import annotations

import torch
from torch import nn

from tocsin.probes.tensors import Tensors
from tocsin.probes.terms import LITTLE, TRUNK_SHARE, TermGradients, choose


def named(**shapes: tuple[int, ...]) -> list[tuple[str, nn.Parameter]]:
    return [(name, nn.Parameter(torch.empty(shape, device="meta"))) for name, shape in shapes.items()]


def test_of_a_little_model_it_is_the_last_matrix() -> None:
    shared = named(small=(2, 2), large=(100, 100), bias=(100,))
    assert choose(shared, LITTLE, normalised=False) == "large"


def test_of_a_large_model_it_is_the_last_small_matrix() -> None:
    size = 2 * LITTLE
    shared = named(first=(8, 8), small=(100, 100), large=(4000, 1000), bias=(1000,))
    assert choose(shared, size, normalised=False) == "small"
    assert 100 * 100 <= size * TRUNK_SHARE < 4000 * 1000


def test_else_a_vector_that_no_normalisation_takes_away() -> None:
    shared = named(large=(4000, 1000), norm_weight=(1000,), bias=(1000,))
    assert choose(shared, 2 * LITTLE, normalised=False) == "bias"
    assert choose(shared, 2 * LITTLE, normalised=True) == "norm_weight"
    assert choose(shared[:1] + shared[2:], 2 * LITTLE, normalised=True) == "large"


def test_a_large_model_is_compared_at_its_last_shared_bias() -> None:
    width = 1500
    model = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width), nn.ReLU())
    assert sum(p.numel() for p in model.parameters()) > LITTLE
    terms = TermGradients(Tensors(model, []))
    y = model(torch.randn(2, width))
    found = terms.trunk_norms({"a": y.mean(), "b": (3 * y).mean()}, 1.0)
    assert terms.trunk == "1.bias"
    assert float(found["loss/trunk_norm/b"]) > 2.9 * float(found["loss/trunk_norm/a"]) > 0
    assert abs(float(found["loss/trunk_cos/a|b"]) - 1) < 1e-5
