"""Pure measures: tensor in, scalar tensor on the same device out; no copy to the host, no synchronisation.

Complex tensors are measured as pairs of reals, sparse gradients by their stored values. Where a measure of a large
tensor is a share of its entries, it is taken on a strided sample, which leaves shares unbiased. None copies a
large tensor: what torch can do only on a copy is done in parts.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SHARE_ENTRIES = 1024
WEIGHED_ENTRIES = 4096
PART_ENTRIES, MOST_PARTS = 2**16, 64
_REAL = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_WIDE = {torch.float32, torch.float64}
_NUMPY: dict[torch.dtype, type[np.generic]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
    torch.int32: np.int32,
}
_PLAIN = (Tensor, nn.Parameter)
_INTEGER_VIEW = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def dense(tensor: Tensor) -> Tensor:
    """The detached real entries of ``tensor``, whatever its layout."""
    plain = tensor.detach()
    if plain.dtype in _REAL and plain.layout == torch.strided:  # the common case: it is made for each tensor
        return plain
    if plain.layout != torch.strided:
        plain = plain.coalesce().values() if plain.layout == torch.sparse_coo else plain.to_dense()
    return torch.view_as_real(plain.resolve_conj()) if plain.is_complex() else plain


def strided(tensor: Tensor, most: int) -> Tensor:
    """At most ``most`` entries of ``tensor``, evenly spread, shape (m,); a view where possible.

    The stride is odd, so that it does not walk down one column of an image or a matrix of even width.
    """
    real = dense(tensor)
    step = -(-real.numel() // most) | 1
    if step > 2 and not real.is_contiguous():
        at = torch.arange(0, real.numel(), step, device=real.device)
        return real[torch.unravel_index(at, real.shape)]
    if real.is_contiguous():
        return real.as_strided((-(-real.numel() // step),), (step,))  # one call: it is made for each tensor
    return real.reshape(-1)[::step]


def parts(tensor: Tensor) -> Sequence[Tensor]:
    """All entries of ``tensor`` in memory order, flat, in parts small beside it; views of a dense tensor."""
    if not tensor.is_contiguous():
        tensor = tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True))
    return torch.split(tensor.reshape(-1), max(PART_ENTRIES, -(-tensor.numel() // MOST_PARTS)))


def norm(tensor: Tensor) -> Tensor:
    """L2 norm, in float32 at least; NaN or inf when any entry is."""
    real = dense(tensor)
    size: Tensor
    if real.dtype == torch.float32:
        size = torch.linalg.vector_norm(real)
        return size
    wide = torch.promote_types(real.dtype, torch.float32)
    if real.dtype != wide and real.device.type == "cpu" and real.numel() > PART_ENTRIES:  # it would be copied whole
        size = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p, dtype=wide) for p in parts(real)]))
    else:
        size = torch.linalg.vector_norm(real, dtype=wide)
    return size


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norms of several tensors on one device, in float32 at least, shape (n,)."""
    real = [dense(t) for t in tensors]
    if {t.dtype for t in real} <= _WIDE:
        return torch.stack(torch._foreach_norm(real))
    return torch.stack([norm(t) for t in real])


def nonfinite(tensor: Tensor) -> Tensor:
    """Number of NaN and inf entries."""
    real = dense(tensor)
    if not real.numel():
        return torch.zeros((), device=real.device, dtype=torch.int64)
    # x - x is 0 or NaN, and the "norm" of order 0 counts what is not 0 without a copy
    wide = torch.promote_types(real.dtype, torch.float32)
    counts = [torch.linalg.vector_norm(p - p, ord=0, dtype=wide) for p in parts(real)]
    return torch.stack(counts).double().sum().long()


def zero_frac(tensor: Tensor) -> Tensor | float:
    """Share of entries that are exactly 0 (on at most ``SHARE_ENTRIES`` of them)."""
    if (plain := sample_on_host(tensor, SHARE_ENTRIES)) is not None:
        return 1 - int(np.count_nonzero(plain)) / max(1, plain.size)
    entries = strided(tensor, SHARE_ENTRIES)
    filled = torch.count_nonzero(entries)
    return 1 - (int(filled) if filled.device.type == "cpu" else filled) / max(1, entries.numel())


def zero_and_max_frac(tensor: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """``zero_frac``, and the share of non-zero entries whose magnitude is exactly the largest.

    The latter is 0 where all are 0 or one is NaN. Both on at most ``SHARE_ENTRIES`` entries.
    """
    if (plain := sample_on_host(tensor, SHARE_ENTRIES)) is not None and plain.size:
        return _zero_and_max_of(plain)
    entries = strided(tensor, SHARE_ENTRIES)
    if not entries.numel():  # a sparse gradient of an empty batch
        return math.nan, 0.0
    low, high = torch.aminmax(entries)
    filled = torch.count_nonzero(entries)
    if entries.device.type == "cpu":  # numbers are free here, and one sign is enough most of the time
        ends, n = {low.item(), high.item()}, int(filled)
        top = max(map(abs, ends))
        at_top = sum(int(torch.count_nonzero(entries == end)) for end in ends if abs(end) == top > 0)
        return 1 - n / entries.numel(), at_top / max(1, n)
    peak = torch.maximum(-low, high)
    found = torch.count_nonzero(entries == peak) + torch.count_nonzero(entries == -peak)
    return 1 - filled / entries.numel(), found * (peak > 0) / filled.clamp(min=1)


def _zero_and_max_of(entries: NDArray[np.generic]) -> tuple[float, float]:
    sizes = np.abs(entries)
    # as integers: they are counted several times as fast
    n, top = int(np.count_nonzero(sizes.view(f"i{sizes.itemsize}"))), sizes.max()
    at_top = int(np.count_nonzero(sizes == top)) if top > 0 else 0
    return 1 - n / sizes.size, at_top / max(1, n)


def on_host(tensor: Tensor) -> NDArray[np.generic] | None:
    """The same memory, flat, where NumPy can read it: on small tensors its calls cost a quarter of torch's.

    Not by ``tensor.numpy()``: that forbids torch for good to resize the memory, which is the user's.
    """
    plain = type(tensor) in _PLAIN and tensor.is_cpu and tensor.layout == torch.strided and not tensor.is_neg()
    kind = _NUMPY.get(tensor.dtype) if plain and tensor.is_contiguous() else None
    if kind is None:
        return None
    n = tensor.numel()
    return np.frombuffer(_bytes_at(tensor, n), kind, n) if n else np.empty(0, kind)


def _bytes_at(tensor: Tensor, n: int) -> Any:
    kind = ctypes.c_char * (n * tensor.element_size())
    return kind.from_address(tensor.data_ptr())


def sample_on_host(tensor: Tensor, most: int) -> NDArray[np.generic] | None:
    """What ``strided`` gives, as a view by NumPy; None where that cannot read the tensor."""
    entries = on_host(tensor)
    return None if entries is None else entries[:: -(-entries.size // most) | 1]


def rms(tensor: Tensor) -> Tensor:
    """Root mean square over all entries, in float32 at least."""
    mean: Tensor = norm(tensor) / max(1, tensor.numel()) ** 0.5
    return mean


def bits(tensor: Tensor) -> Tensor | int:
    """Sum of the entries' bit patterns as an integer: equal bytes give equal sums, any one change shows.

    Small tensors are summed with a weight for each place: in the bias of two classes every update is opposite, and
    the plain sum of two such entries often stays the same.
    """
    if (plain := on_host(tensor)) is not None:
        return _bits_of(plain)
    real = dense(tensor)
    if real.numel() <= WEIGHED_ENTRIES:
        return (real.view(_INTEGER_VIEW[real.element_size()]).reshape(-1) * _weights(real)).sum()
    in_word, rest = 8 // real.element_size(), [real]
    words = torch.zeros((), dtype=torch.int64, device=real.device)
    if real.is_contiguous() and real.storage_offset() % in_word == 0:
        flat, whole = real.reshape(-1), real.numel() // in_word * in_word
        words = flat[:whole].view(torch.int64).sum()  # any narrower integer would be copied to int64 first
        rest = [flat[whole:]] if whole < real.numel() else []
    patterns = [part.view(_INTEGER_VIEW[part.element_size()]) for r in rest for part in parts(r)]
    return words + torch.stack([p.sum(dtype=torch.int64) for p in patterns]).sum() if patterns else words


def _bits_of(entries: NDArray[np.generic]) -> int:
    """The same sum as ``bits`` forms on other devices, by NumPy, which takes int64 without a copy."""
    if entries.size <= WEIGHED_ENTRIES:
        weights = _host_weights(WEIGHED_ENTRIES)[: entries.size]
        return int((entries.view(f"i{entries.itemsize}") * weights).sum())
    whole = entries.size * entries.itemsize // 8 * 8 // entries.itemsize
    rest = entries[whole:].view(f"i{entries.itemsize}")
    return int(entries[:whole].view("i8").sum()) + int(rest.sum(dtype=np.int64))


@lru_cache(maxsize=1)
def _host_weights(n: int) -> NDArray[np.int64]:
    weights: NDArray[np.int64] = _all_weights(n, torch.device("cpu")).numpy()
    return weights


def fingerprint(tensor: Tensor, most: int = 4096) -> Tensor:
    """Order-sensitive integer below 2^53 of at most ``most`` entries: equal inputs in equal order give equal ones."""
    entries = strided(tensor, most)
    if entries.dtype != torch.bool:
        entries = entries.contiguous().view(_INTEGER_VIEW[entries.element_size()])
    return (entries.to(torch.int64) * _weights(entries)).sum() & ((1 << 53) - 1)


def _weights(entries: Tensor) -> Tensor:
    """A weight of its own for each place, int64, shape (n,)."""
    most = max(WEIGHED_ENTRIES, entries.numel())
    return _all_weights(most, entries.device)[: entries.numel()]


@lru_cache(maxsize=8)
def _all_weights(n: int, device: torch.device) -> Tensor:
    return torch.arange(1, n + 1, device=device, dtype=torch.int64) * 2654435761 + 1
