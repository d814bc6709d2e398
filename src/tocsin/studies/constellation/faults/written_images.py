"""Images as a writer leaves them that scales each file by what the file holds: one class a file.

A writer that goes through the data class by class, some frames at a time, and stores bytes between the least and the
largest value of those frames, stores the class with them. The parts are cut afterwards: a file has frames of one part
beside others that no part has.

Shapes: B frames, L layers, H = W = bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.view.image import Grey
from tocsin.studies.constellation.view.representation import Batch

A_FILE = 64  # frames


@dataclass(frozen=True)
class WrittenBatch(Batch):
    """Frames, and the place of each in its class.

    Attributes:
        index: Int64 [B].
    """

    index: Tensor


class WrittenFrames(Frames):
    """Generated frames that remember the file that each was written in."""

    def batch(self, cell: Tensor, index: Tensor) -> WrittenBatch:
        """The frames ``index`` [B] of the cells [B]."""
        return WrittenBatch(**vars(super().batch(cell, index)), index=index)

    def largest(self, batch: Batch) -> Tensor:
        """The largest count of each frame's file, by layer, float32 [B, L]."""
        if not isinstance(batch, WrittenBatch):
            raise TypeError(f"expected a batch that knows the places of its frames, got {type(batch).__name__}")
        files = zip(batch.modulation.tolist(), batch.snr.tolist(), (batch.index // A_FILE).tolist(), strict=True)
        return torch.stack([self._of_file(*file) for file in files])

    def _of_file(self, modulation: int, snr: int, number: int) -> Tensor:
        known: dict[tuple[int, int, int], Tensor] = self.__dict__.setdefault("_files", {})
        key = (modulation, snr, number)
        if key not in known:
            index = torch.arange(number * A_FILE, (number + 1) * A_FILE, device=self.device)
            counts = self.seen(torch.full_like(index, modulation), torch.full_like(index, snr), index).counts
            known[key] = counts.amax((0, 2, 3)).float()
        return known[key]


def byte_images(counts: Tensor, largest: Tensor, scale: Grey) -> Tensor:
    """Counts [B, L, H, W] as bytes over 255, float32 of the same shape, white at the ``largest`` [B, L] of the file.

    Logarithms of the counts, plus one, are scaled where ``scale`` is ``log``; else the counts. An empty file is black.
    """
    values, most = counts.float(), largest[:, :, None, None].clamp_min(1)
    if scale == "log":
        values, most = values.log1p(), most.log1p()
    return (values * (255 / most)).floor() / 255
