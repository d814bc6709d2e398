"""Which samples are the same, entry for entry: a 64-bit hash of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.samples import model_inputs
from tocsin.prechecks.setup import Batch, Setup
from tocsin.probes import contents, measures
from tocsin.probes.inputs import tensors_in

Codes = NDArray[np.int64]
_ORDERED = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8}
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # others are told apart by their bits
_NONE: Codes = np.empty(0, np.int64)


def sample_codes(tensors: Sequence[Tensor]) -> Codes:
    """A hash of each sample's entries in all tensors that have one row a sample; empty where none has."""
    first = next((t for t in tensors if t.dim() and len(t) and t[0].numel()), None)
    if first is None:
        return _NONE
    n = len(first)
    rows = [measures.dense(t.detach().cpu()).reshape(n, -1).contiguous() for t in tensors if t.dim() and len(t) == n]
    codes: Codes = contents.hashes([row for row in rows if row.shape[1]]).numpy()
    return codes


def batch_codes(setup: Setup, batch: Batch) -> Codes:
    """The same of what goes into the model for this batch; of the batch itself where the model is not called."""
    return sample_codes(model_inputs(setup, batch) or list(tensors_in(batch)))


def varied(rows: Tensor) -> NDArray[np.bool_]:
    """Whether the entries of each sample differ: those of padding and of blank samples do not."""
    flat = measures.dense(rows).reshape(len(rows), -1)
    plain = flat.dtype in _ORDERED or flat.dtype == torch.bool
    found: NDArray[np.bool_] = contents.varied(flat if plain else flat.view(_BITS[flat.element_size()])).numpy()
    return found


def repeated(codes: Codes) -> NDArray[np.bool_]:
    """Whether another sample has the same content."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return counts[inverse.reshape(-1)] > 1
