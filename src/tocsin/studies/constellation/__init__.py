"""Modulation and SNR of a radio signal from its constellation image."""

from __future__ import annotations

import torch

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.config.presets import PRESETS
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults import FAULTS, described
from tocsin.studies.study import Study


def build(config: Config, fault: str | None, seed: int, device: torch.device) -> Constellation:
    """The experiment of this configuration, with a fault planted or without."""
    kind = FAULTS[fault] if fault is not None else Constellation
    return kind(config, seed, device)


STUDY = Study(
    name="constellation",
    summary="Modulation and SNR of a radio signal from its constellation image, two heads on one small network.",
    presets=PRESETS,
    faults=described(),
    build=build,
)
