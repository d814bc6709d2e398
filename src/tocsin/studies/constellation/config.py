"""The study's settings, typed; ``quick`` is about a minute on one CPU core."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tocsin.studies.constellation.data_settings import Data as Data
from tocsin.studies.constellation.objective_settings import Curriculum, Objective
from tocsin.studies.constellation.view_settings import View as View
from tocsin.studies.study import Settings, Trainable, Training


class Network(Settings):
    """Size of the network: channels after the first convolution, and features that both heads share."""

    channels: int = Field(default=32, ge=8, multiple_of=8)
    features: int = Field(default=256, ge=1)


class Config(Trainable):
    """Everything that a run of this study can change; without a ``curriculum`` all SNR levels are sampled alike."""

    data: Data = Data()
    view: View = View()
    network: Network = Network()
    objective: Objective = Objective()
    curriculum: Curriculum | None = None
    training: Training = Training(epochs=12, batch=128, peak_lr=5e-3)

    @model_validator(mode="after")
    def _can_be_seen(self) -> Self:
        self.view.refuse(self.data.samples, self.data.samples_per_symbol)
        return self


PRESETS = {"quick": Config()}
