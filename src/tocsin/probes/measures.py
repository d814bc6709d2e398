"""Pure measures: tensor in, scalar tensor on the same device out; no copy to the host, no synchronisation.

Complex tensors are measured as pairs of reals, sparse gradients by their stored values. Where a measure of a large
tensor is a share of its entries, it is taken on a strided sample, which leaves shares unbiased.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SHARE_ENTRIES = 16384
WEIGHED_ENTRIES = 4096
_INTEGER_VIEW = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def dense(tensor: Tensor) -> Tensor:
    """The detached real entries of ``tensor``, whatever its layout."""
    plain = tensor.detach()
    if plain.layout != torch.strided:
        plain = plain.coalesce().values() if plain.layout == torch.sparse_coo else plain.to_dense()
    return torch.view_as_real(plain.resolve_conj()) if plain.is_complex() else plain


def strided(tensor: Tensor, most: int) -> Tensor:
    """At most ``most`` entries of ``tensor``, evenly spread in memory order, shape (m,); a view where possible.

    The stride is odd, so that it does not walk down one column of an image or a matrix of even width.
    """
    flat = dense(tensor).reshape(-1)
    return flat[:: -(-flat.numel() // most) | 1]


def norm(tensor: Tensor) -> Tensor:
    """L2 norm, in float32 at least; NaN or inf when any entry is."""
    real = dense(tensor)
    size: Tensor = torch.linalg.vector_norm(real, dtype=torch.promote_types(real.dtype, torch.float32))
    return size


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norms of several tensors on one device, shape (n,)."""
    return torch.stack([norm(t) for t in tensors])


def nonfinite(tensor: Tensor) -> Tensor:
    """Number of NaN and inf entries."""
    return torch.isfinite(dense(tensor)).logical_not().sum()


def zero_frac(tensor: Tensor) -> Tensor:
    """Share of entries that are exactly 0 (on at most ``SHARE_ENTRIES`` of them)."""
    entries = strided(tensor, SHARE_ENTRIES)
    return (entries == 0).float().mean()


def at_max_frac(tensor: Tensor) -> Tensor:
    """Share of the non-zero entries whose magnitude is exactly the largest; 0 where all are 0 or one is NaN."""
    size = strided(tensor, SHARE_ENTRIES).abs()
    if not size.numel():  # a sparse gradient of an empty batch
        return size.sum()
    top = size.max()
    share: Tensor = (size == top).logical_and(top > 0).sum() / (size > 0).sum().clamp(min=1)
    return share


def rms(tensor: Tensor) -> Tensor:
    """Root mean square over all entries, in float32 at least."""
    mean: Tensor = norm(tensor) / max(1, tensor.numel()) ** 0.5
    return mean


def bits(tensor: Tensor) -> Tensor:
    """Sum of the entries' bit patterns as integers, int64: equal bytes give equal sums, any one change shows.

    Small tensors are summed with a weight for each place: in the bias of two classes every update is opposite, and
    the plain sum of two such entries often stays the same.
    """
    real = dense(tensor)
    patterns = real.view(_INTEGER_VIEW[real.element_size()])
    if real.numel() <= WEIGHED_ENTRIES:
        return (patterns.reshape(-1) * _weights(real)).sum()
    return patterns.sum(dtype=torch.int64)


def fingerprint(tensor: Tensor, most: int = 4096) -> Tensor:
    """Order-sensitive integer below 2^53 of at most ``most`` entries: equal inputs in equal order give equal ones."""
    entries = strided(tensor, most)
    if entries.dtype != torch.bool:
        entries = entries.contiguous().view(_INTEGER_VIEW[entries.element_size()])
    return (entries.to(torch.int64) * _weights(entries)).sum() & ((1 << 53) - 1)


def _weights(entries: Tensor) -> Tensor:
    """A weight of its own for each place, int64."""
    return torch.arange(1, entries.numel() + 1, device=entries.device, dtype=torch.int64) * 2654435761 + 1
