"""Settings of what is minimised, and of what is sampled when."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tocsin.studies.constellation.objective.snr_losses import SnrLoss
from tocsin.studies.study import Settings

BY_EXPECTATION = ("expectation-mse", "smooth-l1")  # losses that say nothing of which level is the most likely


class Objective(Settings):
    """What is minimised.

    Attributes:
        snr_loss: Loss of the SNR; ``snr_losses`` says what each is.
        alpha: Weight of the distance in ``log-distance``, which alone reads it.
        weighting: How the losses of the tasks become one; ``objective`` says how.
        snr_weight: Weight of the SNR's loss beside the modulation's 1 under ``fixed`` weighting, which alone reads it.
    """

    snr_loss: SnrLoss = "ce"
    alpha: float = Field(default=0.5, gt=0)
    weighting: Literal["fixed", "kendall", "geometric"] = "kendall"
    snr_weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if self.alpha != 0.5 and self.snr_loss != "log-distance":
            raise ValueError(f"alpha is read by snr_loss log-distance, not by {self.snr_loss}: leave it at 0.5")
        if self.snr_weight != 1.0 and self.weighting != "fixed":
            raise ValueError(f"snr_weight is read by weighting fixed, not by {self.weighting}: leave it at 1")
        return self


class Curriculum(Settings):
    """Which SNR levels are sampled when: the highest first, all of them after a while.

    Attributes:
        start_frac: Share of the levels that the first epoch is sampled from.
        ramp_frac: Share of the epochs after which all levels are sampled alike.
    """

    start_frac: float = Field(default=0.25, gt=0, lt=1)
    ramp_frac: float = Field(default=0.5, gt=0, le=1)
