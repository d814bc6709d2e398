"""Synthetic frames of known modulation and SNR, made in batches, each from its own seed.

A scenario (``synchronous.py``, ``oversampled.py``) makes the frame of a key. The signal power in the SNR is the
ensemble's (1), not the frame's.

Shapes: B frames, N samples, 2 = (I, Q).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation import random_bits
from tocsin.studies.constellation.channel import noise_power
from tocsin.studies.constellation.config import Data, View
from tocsin.studies.constellation.image import CHUNK
from tocsin.studies.constellation.modulation import NAMES
from tocsin.studies.constellation.representation import Batch as Batch
from tocsin.studies.constellation.representation import Seen, joined, see
from tocsin.studies.constellation.scenario import GENERATORS, scenario
from tocsin.studies.constellation.signal_settings import Symbols
from tocsin.studies.constellation.truth import Truth

SPLITS = {"train": 0, "val": 1 << 40, "test": 2 << 40}  # first frame index of each split: they can never meet


class Frames:
    """The data set: any frame of any split, by (modulation, SNR, index)."""

    def __init__(self, data: Data, device: torch.device | str = "cpu", view: View | None = None) -> None:
        self.data = data
        self.view = view or View()
        self.device = torch.device(device)
        self.scenario = scenario(data, self.device)
        # Seeds hang on the name and the decibels, not on positions in a list that a preset may shorten.
        self._names = torch.tensor([NAMES.index(name) for name in data.modulations], device=self.device)
        self._snr_db = torch.tensor(data.snr_db, device=self.device)

    @property
    def cells(self) -> int:
        """Number of (modulation, SNR) pairs."""
        return len(self.data.modulations) * len(self.data.snr_db)

    def keys(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
        """The seed of each frame: a hash of (root, modulation, SNR in dB, index), shape (B,)."""
        return random_bits.key(self.data.root, self._names[modulation], self._snr_db[snr], index)

    def symbols(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Symbol numbers, int64, shape (B, N), or (B, K) with the guards of the oversampled scenario."""
        return self.scenario.symbols(modulation, keys)

    def signal(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
        """The frames that ``iq`` gives, without their noise, float32, shape (B, 2, N)."""
        return self.scenario.signal(modulation, self.keys(modulation, snr, index))

    def iq(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
        """Received frames before any normalisation, float32, shape (B, 2, N)."""
        return self.scenario.iq(modulation, self.keys(modulation, snr, index), self._snr_db[snr])

    def truth(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Truth:
        """Symbols, instants and offsets of the frames that ``iq`` gives."""
        return self.scenario.truth(modulation, self.keys(modulation, snr, index), self._snr_db[snr])

    def seen(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Seen:
        """What the view shows of the frames that ``iq`` gives, made a few frames at a time."""
        columns = (torch.split(column, CHUNK) for column in (modulation, snr, index))
        return joined([self._seen(*part) for part in zip(*columns, strict=True)])

    def _seen(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Seen:
        per_symbol = self.data.samples_per_symbol
        noise = noise_power(self._snr_db[snr], self.data.snr_definition, per_symbol)
        return see(self.iq(modulation, snr, index), self.view, per_symbol, power=1 + noise)

    def batch(self, cell: Tensor, index: Tensor) -> Batch:
        """The frames ``index`` [B] of the cells [B], where cell = modulation * number of SNRs + SNR."""
        modulation, snr = cell // len(self.data.snr_db), cell % len(self.data.snr_db)
        return Batch(**vars(self.seen(modulation, snr, index)), modulation=modulation, snr=snr)

    def training(self, epoch: int, size: int, seed: int) -> Iterator[Batch]:
        """One epoch (from 1): as many frames of every cell, that no other epoch has, in an order of its own."""
        per_cell = self.data.train_per_cell
        total = self.cells * per_cell
        order = _permutation(total, seed, epoch).to(self.device)
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


def manifest(data: Data) -> dict[str, Any]:
    """What the data set is, and a fingerprint of what the generator makes of it.

    The fingerprint covers the symbols and noise words of the first frame of every cell and split. They are integers,
    so the same data set has the same fingerprint on every machine and device. Settings that nothing reads are left out.
    """
    frames = Frames(data)
    cell = torch.arange(frames.cells)
    modulation, snr = cell // len(data.snr_db), cell % len(data.snr_db)
    digest = hashlib.sha256()
    for first in SPLITS.values():
        keys = frames.keys(modulation, snr, torch.full_like(cell, first))
        for integers in (frames.symbols(modulation, keys), frames.scenario.noise_words(keys)):
            digest.update(integers[:, :16].numpy().tobytes())
    described = {"generator": GENERATORS[data.scenario], **_read(data), "splits": SPLITS}
    digest.update(json.dumps(described, sort_keys=True).encode())
    return {**described, "sha256": digest.hexdigest()}


def _read(data: Data) -> dict[str, Any]:
    """The settings that a frame of this data set depends on, and how many frames there are."""
    unread = {"snr_definition", "pulse", "channel"} if data.scenario == "synchronous" else set()
    if data.symbols == Symbols():
        unread |= {"symbols"}  # these are the constellations that the generator's version stands for
    return data.model_dump(mode="json", exclude=unread)
