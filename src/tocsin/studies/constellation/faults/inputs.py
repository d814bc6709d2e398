"""Mistakes in what the network is shown, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.data.generated import SPLITS
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.signal.modulation import DIGITAL
from tocsin.studies.constellation.view.representation import Batch


class ImageOnly(Constellation):
    """Oversampled frames seen as nothing but the image of all samples: what tells their SNR is not in the input.

    The image throws the order of the samples away, and the noise is hidden under the paths between the symbols. The
    spectrum of the very same frames shows it where no signal is. No training mends that.
    """

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """The oversampled scenario with all 17 digital modulations, one layer, no scalars."""
        data = {**config.data.model_dump(), "scenario": "oversampled", "modulations": DIGITAL}
        view = {**config.view.model_dump(), "layers": ("samples",), "scalars": ()}
        return Config.model_validate({**config.model_dump(), "data": data, "view": view})


class NoShuffle(Constellation):
    """The training frames are read from one file in its order, class by class, in every epoch: nothing shuffles."""

    def batches(self, epoch: int) -> Iterator[Batch]:  # noqa: ARG002 (that is the mistake)
        """The same frames in the same order, whatever the epoch."""
        per_cell = self.config.data.train_per_cell
        row = torch.arange(self.frames.cells * per_cell, device=self.device)
        for part in torch.split(row, self.config.training.batch):
            yield self.frames.batch(part // per_cell, SPLITS["train"] + part % per_cell)


FAULTS: dict[str, type[Constellation]] = {
    "image-only": ImageOnly,
    "no-shuffle": NoShuffle,
}
