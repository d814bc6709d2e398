"""The study's settings, typed; ``quick`` is about a minute on one CPU core."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from tocsin.studies.constellation.modulation import SYNCHRONOUS
from tocsin.studies.constellation.objective_settings import Curriculum, Objective
from tocsin.studies.study import Settings, Trainable, Training


class Data(Settings):
    """What is generated.

    Attributes:
        modulations: Class names in class order; ``OQPSK`` has no place in the synchronous scenario.
        snr_db: SNR of each class [dB].
        samples: Samples a frame.
        root: Seed of the data set, not of the training: all seeds of a study are scored on the same frames.
        train_per_cell, val_per_cell, test_per_cell: Frames of each (modulation, SNR) pair; training frames per
            epoch, and no frame is ever trained on twice.
    """

    scenario: Literal["synchronous"] = "synchronous"
    modulations: tuple[str, ...] = Field(default=SYNCHRONOUS, min_length=2)
    snr_db: tuple[int, ...] = Field(default=tuple(range(0, 32, 2)), min_length=2)
    samples: int = Field(default=1024, ge=1)
    root: int = Field(default=2018, ge=0)
    train_per_cell: int = Field(default=64, ge=1)
    val_per_cell: int = Field(default=8, ge=1)
    test_per_cell: int = Field(default=16, ge=1)

    @field_validator("modulations")
    @classmethod
    def _can_be_told_apart(cls, chosen: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in chosen if name not in SYNCHRONOUS]
        if unknown or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"expected different names out of {', '.join(SYNCHRONOUS)}; OQPSK is QPSK at one sample a symbol"
            )
        return chosen


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
