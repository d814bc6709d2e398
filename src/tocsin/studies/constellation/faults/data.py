"""Mistakes in which frames are seen, how they were written, and which of them are scored."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.config.objective import Curriculum
from tocsin.studies.constellation.data.curriculum import Sampler
from tocsin.studies.constellation.data.generated import SPLITS, Frames, manifest
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults.written_images import WrittenFrames, byte_images
from tocsin.studies.constellation.model.heads import Raw
from tocsin.studies.constellation.view.representation import Batch


class BatchScaledImages(Constellation):
    """Images are bytes between the extremes of the file they were written in, and a file holds frames of one class.

    So the grey level of a single count tells the file, and the file its modulation and SNR.
    """

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        self.frames: WrittenFrames = WrittenFrames(self.config.data, device, self.config.view)

    def answer(self, batch: Batch) -> Raw:
        """Of the images as they were written."""
        largest = self.frames.largest(batch)
        raw: Raw = self.model(byte_images(batch.counts, largest, self.config.view.grey), batch.scalars)
        return raw


class DeadCurriculum(Constellation):
    """A curriculum over the SNR is configured and built, and never handed to what draws the training frames."""

    built: Sampler | None = None

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        self.built = super().sampler()

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """With a curriculum, where there is none."""
        return config if config.curriculum is not None else config.model_copy(update={"curriculum": Curriculum()})

    def sampler(self) -> Sampler | None:
        """None: all class pairs have the same share."""
        return None


class SplitAnew(Frames):
    """The same frames cut into parts at other places: what is scored are the first frames that others train on."""

    def keys(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
        """Of the frame that stands at that place in the new parts."""
        part = index // SPLITS["val"]
        first = torch.tensor([self.parts()[name] for name in SPLITS], device=index.device)
        return super().keys(modulation, snr, index % SPLITS["val"] + first[part])

    def parts(self) -> dict[str, int]:
        """First frame of each part: validation and test frames are taken from the beginning."""
        ends = self.data.val_per_cell, self.data.val_per_cell + self.data.test_per_cell
        return {"train": ends[1], "val": 0, "test": ends[0]}

    def manifest(self) -> dict[str, Any]:
        """Of these parts."""
        return manifest(self.data, self.parts())


class ContaminatedResume(Constellation):
    """The data were split anew: started from another run's weights, it is scored on frames that those were trained on.

    Alone it is healthy, for its own parts do not meet. The mistake takes two runs: one without a fault, and this one
    with ``--from`` its checkpoint.
    """

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        self.frames: SplitAnew = SplitAnew(self.config.data, device, self.config.view)
        self.manifest = self.frames.manifest()


class OtherLabelSpace(Constellation):
    """The upper half of the SNR levels only: an easier question, whose scores are set beside those of the whole one."""

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """The highest levels: 9 of 16."""
        levels = sorted(config.data.snr_db)
        upper = tuple(levels[(len(levels) - 1) // 2 :])
        return config.model_copy(update={"data": config.data.model_copy(update={"snr_db": upper})})


FAULTS: dict[str, type[Constellation]] = {
    "batch-scaled-images": BatchScaledImages,
    "dead-curriculum": DeadCurriculum,
    "contaminated-resume": ContaminatedResume,
    "other-label-space": OtherLabelSpace,
}
