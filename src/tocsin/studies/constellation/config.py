"""The study's settings, typed; ``quick`` is about a minute on one CPU core."""

from __future__ import annotations

from pydantic import Field

from tocsin.studies.constellation.data_settings import Data as Data
from tocsin.studies.constellation.objective_settings import Curriculum, Objective
from tocsin.studies.study import Settings, Trainable, Training


class View(Settings):
    """How a frame becomes an image.

    Attributes:
        bins: Cells a side of the image.
        extent: The image spans [-extent, extent] on both axes, in root mean square amplitudes of the frame.
    """

    bins: int = Field(default=64, ge=16, multiple_of=16)
    extent: float = Field(default=3.0, gt=0)


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


PRESETS = {"quick": Config()}
