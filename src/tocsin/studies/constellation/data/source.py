"""Where frames come from: what is the same for generated and for recorded ones.

A frame is named by its cell (modulation * number of SNRs + SNR) and its index; ``SPLITS`` says which indices belong to
which part. Shapes: B frames, N samples, 2 = (I, Q).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.signal import random_bits
from tocsin.studies.constellation.view.image import CHUNK
from tocsin.studies.constellation.view.representation import Batch, Seen, joined

SPLITS = {"train": 0, "val": 1 << 40, "test": 2 << 40}  # first frame index of each split: they can never meet


class Source(ABC):
    """A data set: any frame of any split, by (modulation, SNR, index).

    Args:
        data: Which classes, and how many frames.
        device: Where batches shall be.
        view: What is made of a frame.
    """

    def __init__(self, data: Data, device: torch.device | str = "cpu", view: View | None = None) -> None:
        self.data = data
        self.view = view or View()
        self.device = torch.device(device)

    @property
    def cells(self) -> int:
        """Number of (modulation, SNR) pairs."""
        return len(self.data.modulations) * len(self.data.snr_db)

    @abstractmethod
    def iq(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
        """Received frames before any normalisation, float32, shape (B, 2, N)."""

    @abstractmethod
    def look(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Seen:
        """What the view shows of at most ``CHUNK`` frames."""

    @abstractmethod
    def manifest(self) -> dict[str, Any]:
        """What the data set is, plain data; another one is another data set."""

    def seen(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Seen:
        """What the view shows of the frames that ``iq`` gives, made a few frames at a time."""
        columns = (torch.split(column, CHUNK) for column in (modulation, snr, index))
        return joined([self.look(*part) for part in zip(*columns, strict=True)])

    def batch(self, cell: Tensor, index: Tensor) -> Batch:
        """The frames ``index`` [B] of the cells [B], where cell = modulation * number of SNRs + SNR."""
        modulation, snr = cell // len(self.data.snr_db), cell % len(self.data.snr_db)
        return Batch(**vars(self.seen(modulation, snr, index)), modulation=modulation, snr=snr)

    def training(self, epoch: int, size: int, seed: int) -> Iterator[Batch]:
        """One epoch (from 1): as many frames of every cell, the next ones in number, in an order of its own."""
        per_cell = self.data.train_per_cell
        order = _permutation(self.cells * per_cell, seed, epoch).to(self.device)
        for part in torch.split(order, size):
            yield self.batch(part % self.cells, SPLITS["train"] + (epoch - 1) * per_cell + part // self.cells)

    def held_out(self, split: str, size: int) -> Iterator[Batch]:
        """The frames of the ``val`` or ``test`` split, in a fixed order."""
        for part in self._held_out(split, size):
            yield self.batch(part % self.cells, SPLITS[split] + part // self.cells)

    def numbers(self, split: str, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Modulation, SNR and index of the frames of ``held_out``, batch by batch, [B] each."""
        levels = len(self.data.snr_db)
        for part in self._held_out(split, size):
            cell = part % self.cells
            yield cell // levels, cell % levels, SPLITS[split] + part // self.cells

    def _held_out(self, split: str, size: int) -> tuple[Tensor, ...]:
        per_cell = {"val": self.data.val_per_cell, "test": self.data.test_per_cell}[split]
        return torch.split(torch.arange(self.cells * per_cell, device=self.device), size)


def _permutation(total: int, seed: int, epoch: int) -> Tensor:
    number = random_bits.key(seed, torch.tensor([epoch])).item()
    return torch.randperm(total, generator=torch.Generator().manual_seed(int(number) & ((1 << 63) - 1)))
