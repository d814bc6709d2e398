"""A batch of one's own: what is handed to a user's function may be written into."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from tocsin.probes.inputs import tensors_in


def own_copy(batch: Any) -> Any:
    """A deep copy, in which a tensor that is part of a larger one has its own part only.

    ``copy.deepcopy`` copies the whole storage of a tensor: of batches that are slices of a table, the table each time.
    """
    parts = [t for t in tensors_in(batch) if _is_part(t)]
    own: dict[int, Any] = {id(t): t.detach().clone().requires_grad_(t.requires_grad) for t in parts}
    return copy.deepcopy(batch, own)


def _is_part(tensor: Tensor) -> bool:
    """Whether it is a plain slice of something larger; subclasses know themselves how they are copied."""
    plain = type(tensor) is Tensor and tensor.is_leaf
    return plain and tensor.untyped_storage().nbytes() > tensor.nbytes


def size_of(batch: Any) -> int:
    """Bytes of its tensors."""
    return sum(t.nbytes for t in tensors_in(batch))
