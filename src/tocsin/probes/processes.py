"""The process group that trains, if there is one. Nothing here sends anything."""

from __future__ import annotations

import torch


def rank() -> int | None:
    """Rank of this process in the group that trains, None outside of one; each writes its own part of the record."""
    return torch.distributed.get_rank() if _grouped() else None


def world() -> int:
    """How many processes train together, 1 outside of a group."""
    return torch.distributed.get_world_size() if _grouped() else 1


def _grouped() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
