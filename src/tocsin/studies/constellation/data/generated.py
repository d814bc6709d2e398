"""Synthetic frames of known modulation and SNR, made in batches, each from its own seed.

A scenario (``signal/synchronous.py``, ``signal/oversampled.py``) makes the frame of a key. The signal power in the SNR
is the ensemble's (1), not the frame's.

Shapes: B frames, N samples, 2 = (I, Q).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation.config import Data, View
from tocsin.studies.constellation.config.recorded import OfFile
from tocsin.studies.constellation.config.signal import Symbols
from tocsin.studies.constellation.data.source import SPLITS as SPLITS
from tocsin.studies.constellation.data.source import Source
from tocsin.studies.constellation.signal import random_bits
from tocsin.studies.constellation.signal.channel import noise_power
from tocsin.studies.constellation.signal.modulation import NAMES
from tocsin.studies.constellation.signal.scenario import GENERATORS, scenario
from tocsin.studies.constellation.signal.truth import Truth
from tocsin.studies.constellation.view.representation import Batch as Batch
from tocsin.studies.constellation.view.representation import Seen, see
from tocsin.studies.study import StudyError

_CHOSEN = frozenset({"modulations", "snr_db", "train_per_cell", "val_per_cell", "test_per_cell"})  # of all frames


class Frames(Source):
    """Generated frames: none is ever trained on twice."""

    def __init__(self, data: Data, device: torch.device | str = "cpu", view: View | None = None) -> None:
        super().__init__(data, device, view)
        if data.radioml is not None:
            raise StudyError("these frames are generated, and data.radioml names recorded ones: leave one of them out")
        self.scenario = scenario(data, self.device)
        # Seeds hang on the name and the decibels, not on positions in a list that a preset may shorten.
        self._names = torch.tensor([NAMES.index(name) for name in data.modulations], device=self.device)
        self._snr_db = torch.tensor(data.snr_db, device=self.device)

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

    def look(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Seen:
        """What the view shows of a few frames."""
        per_symbol = self.data.samples_per_symbol
        noise = noise_power(self._snr_db[snr], self.data.snr_definition, per_symbol)
        return see(self.iq(modulation, snr, index), self.view, per_symbol, power=1 + noise)

    def manifest(self) -> dict[str, Any]:
        """As ``manifest`` of the settings."""
        return manifest(self.data)


def manifest(data: Data, first: Mapping[str, int] = SPLITS) -> dict[str, Any]:
    """What the data set is, how it is split, and a fingerprint of what the generator makes of it.

    ``dataset`` stands for all frames that there could be, whichever classes and however many are used: two runs that
    share it share frames where their parts meet. ``split`` has the first frame of each part and a hash of both.

    The fingerprint covers the symbols and noise words of the first frame of every cell and split. They are integers,
    so the same data set has the same fingerprint on every machine and device. Settings that nothing reads are left out.
    """
    frames = Frames(data)
    cell = torch.arange(frames.cells)
    modulation, snr = cell // len(data.snr_db), cell % len(data.snr_db)
    digest = hashlib.sha256()
    for index in first.values():
        keys = frames.keys(modulation, snr, torch.full_like(cell, index))
        for integers in (frames.symbols(modulation, keys), frames.scenario.noise_words(keys)):
            digest.update(integers[:, :16].numpy().tobytes())
    described = {"generator": GENERATORS[data.scenario], **_read(data)}
    digest.update(json.dumps({**described, "splits": dict(first)}, sort_keys=True).encode())
    dataset = _hash({key: value for key, value in described.items() if key not in _CHOSEN})
    split = {part: {"first_index": index, "hash": _hash([dataset, index])} for part, index in first.items()}
    return {**described, "dataset": dataset, "split": split, "sha256": digest.hexdigest()}


def _hash(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _read(data: Data) -> dict[str, Any]:
    """The settings that a frame of this data set depends on, and how many frames there are."""
    unread = set(OfFile.model_fields)
    if data.scenario == "synchronous":
        unread |= {"snr_definition", "pulse", "channel"}
    if data.symbols == Symbols():
        unread |= {"symbols"}  # these are the constellations that the generator's version stands for
    return data.model_dump(mode="json", exclude=unread)
