"""A split that is not trained on, as batches that can be gone through again."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.studies.constellation.data.source import Source
from tocsin.studies.constellation.view.representation import Batch


class HeldOut:
    """The batches of a split, as often as they are asked for.

    Args:
        frames: Where they come from.
        split: ``val`` or ``test``.
        size: Frames a batch; the last one may have fewer.
    """

    def __init__(self, frames: Source, split: str, size: int) -> None:
        self.frames, self.split, self.size = frames, split, size
        per_cell = {"val": frames.data.val_per_cell, "test": frames.data.test_per_cell}[split]
        self._total = frames.cells * per_cell

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.frames.held_out(self.split, self.size))

    def __len__(self) -> int:
        return -(-self._total // self.size)
