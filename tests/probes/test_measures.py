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
    assert [float(v) for v in measures.zero_and_max_frac(t)] == pytest.approx([(x == 0).mean(), want])


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("shape", [(100, 80), (101, 83), (3, 5, 41, 67)])
def test_bits_of_large_tensors_see_one_changed_bit_in_every_layout(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(shape, generator=generator).to(dtype)
    for laid_out in (tensor, tensor.transpose(0, 1), tensor[1:], tensor[:, ::2]):
        same = int(measures.bits(laid_out))
        assert int(measures.bits(laid_out)) == same
        for at in (0, laid_out.numel() // 2, laid_out.numel() - 1):
            index = torch.unravel_index(torch.tensor(at), laid_out.shape)
            kept = laid_out[index].clone()
            laid_out[index] = kept + (0.01 + 0.01 * kept.abs())
            assert int(measures.bits(laid_out)) != same
            laid_out[index] = kept
        assert int(measures.bits(laid_out)) == same


@SMALL
@given(st.permutations(range(3)), st.integers(1, 400))
def test_strided_takes_the_same_entries_of_every_layout(order: list[int], most: int) -> None:
    x = torch.arange(7 * 8 * 9.0).reshape(7, 8, 9)
    other = x.permute(order).contiguous().permute([order.index(d) for d in range(3)])
    assert torch.equal(other, x)
    assert torch.equal(measures.strided(other, most), measures.strided(x, most))
    assert torch.equal(torch.cat(list(measures.parts(other))).sort().values, x.reshape(-1))


def test_measures_of_a_large_half_tensor_and_of_counts_in_parts() -> None:
    x = torch.randn(300_001, generator=torch.Generator().manual_seed(0))
    assert float(measures.norm(x.bfloat16())) == pytest.approx(float(x.bfloat16().double().norm()), rel=1e-5)
    x[[5, 70_000, 299_999]] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    assert int(measures.nonfinite(x)) == 3
    assert measures.zero_and_max_frac(torch.tensor([0.0, -2.0, 2.0, 1.0])) == pytest.approx((0.25, 2 / 3))
    assert measures.zero_and_max_frac(torch.tensor([0.0, float("nan")])) == (0.5, 0.0)
    assert measures.zero_and_max_frac(torch.tensor([1.0, -float("inf")])) == (0.0, 0.5)


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
