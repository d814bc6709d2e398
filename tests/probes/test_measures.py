"""Each measure against a slow float64 twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tocsin.probes import measures
from tocsin.probes.transfer import to_host

# Squares of numbers below 1e-19 vanish in float32; no gradient that matters is there.
ARRAYS = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=3, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32).map(lambda x: x if abs(x) > 1e-15 else 0.0),
)
SMALL = settings(max_examples=50, deadline=None)


@SMALL
@given(ARRAYS)
def test_norm_rms_and_shares(x: np.ndarray) -> None:
    t, wide = torch.from_numpy(x), x.astype(np.float64)
    assert float(measures.norm(t)) == pytest.approx(np.linalg.norm(wide), rel=1e-5, abs=1e-30)
    assert float(measures.rms(t)) == pytest.approx(np.sqrt((wide**2).mean()), rel=1e-5, abs=1e-30)
    assert float(measures.zero_frac(t)) == pytest.approx((x == 0).mean())
    size = np.abs(x)
    top = size.max()
    want = (size == top).sum() / (size > 0).sum() if top > 0 else 0.0
    assert float(measures.at_max_frac(t)) == pytest.approx(want)


@SMALL
@given(hnp.arrays(np.float32, 12, elements=st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf])))
def test_nonfinite_is_an_exact_count(x: np.ndarray) -> None:
    assert int(measures.nonfinite(torch.from_numpy(x))) == (~np.isfinite(x)).sum()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64])
def test_bits_see_the_smallest_change_in_every_dtype_and_layout(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    tensor = torch.randn(6, 4).to(dtype)
    same = int(measures.bits(tensor))
    assert int(measures.bits(tensor.clone())) == same
    assert int(measures.bits(tensor.t().contiguous().t())) == same, "memory order does not matter"
    changed = tensor.clone()
    real = torch.view_as_real(changed) if dtype.is_complex else changed
    real.view(-1)[3] = torch.nextafter(real.view(-1)[3].double(), torch.tensor(10.0, dtype=torch.float64)) + 0.01
    assert int(measures.bits(changed)) != same


def test_fingerprints_depend_on_order_and_content() -> None:
    x = torch.randn(64, 3)
    first = int(measures.fingerprint(x))
    assert first == int(measures.fingerprint(x.clone()))
    assert first != int(measures.fingerprint(x.flip(0)))
    assert 0 <= first < 2**53
    assert int(measures.fingerprint(torch.arange(10))) != int(measures.fingerprint(torch.arange(10).flip(0)))


def test_sparse_and_complex_gradients_are_measured_by_their_entries() -> None:
    table = torch.nn.Embedding(10, 2, sparse=True)
    table(torch.tensor([1, 1, 3])).sum().backward()
    assert table.weight.grad is not None
    assert float(measures.norm(table.weight.grad)) == pytest.approx(np.sqrt(4 + 4 + 1 + 1))
    z = torch.tensor([3 + 4j, float("nan") + 0j])
    assert float(measures.norm(z[:1])) == pytest.approx(5.0)
    assert int(measures.nonfinite(z)) == 1


def test_strided_takes_no_more_than_asked_and_shares_memory() -> None:
    x = torch.arange(1000.0)
    part = measures.strided(x, 30)
    assert part.numel() <= 30
    assert part.data_ptr() == x.data_ptr()


def test_to_host_keeps_order_and_values() -> None:
    found = to_host({"b": torch.tensor(2), "a": 1.5, "c": torch.tensor(float("inf"))})
    assert list(found.items()) == [("b", 2.0), ("a", 1.5), ("c", float("inf"))]
