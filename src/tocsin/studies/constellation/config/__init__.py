"""The study's settings, typed."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tocsin.studies.constellation.config.data import Data as Data
from tocsin.studies.constellation.config.network import Network as Network
from tocsin.studies.constellation.config.objective import Curriculum, Objective
from tocsin.studies.constellation.config.recorded import cache_refusal
from tocsin.studies.constellation.config.view import View as View
from tocsin.studies.constellation.objective.snr_losses import OF_REGRESSION
from tocsin.studies.study import Trainable, Training


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
        if (self.view.input == "iq") != (self.network.backbone == "micro-iq"):
            raise ValueError(
                f"view.input {self.view.input} does not fit network.backbone {self.network.backbone}: micro-iq takes "
                "iq, all others take image"
            )
        return self

    @model_validator(mode="after")
    def _recorded_can_be_seen(self) -> Self:
        if self.data.radioml is not None and self.view.power == "ensemble":
            raise ValueError("view.power ensemble: nobody knows the power of a recorded ensemble; take sample or none")
        why = cache_refusal(self.view) if self.data.bin_cache is not None else None
        if why is not None:
            raise ValueError(f"data.bin_cache: {why}")
        return self

    @model_validator(mode="after")
    def _loss_fits_the_heads(self) -> Self:
        head, task, loss = self.network.snr_head, self.network.task, self.objective.snr_loss
        if head == "regression" and loss not in OF_REGRESSION:
            raise ValueError(f"snr_head regression takes objective.snr_loss {' or '.join(OF_REGRESSION)}, not {loss}")
        if (head in ("corn", "distributional") or task != "factored") and loss != "ce":
            owner = f"snr_head {head}" if task == "factored" else f"task {task}"
            way_out = "" if task == "factored" else ", or set network.task to factored"
            raise ValueError(
                f"{owner} has a likelihood of its own, so nothing reads snr_loss {loss}: leave it at ce{way_out}"
            )
        if task == "joint" and (self.objective.weighting, self.objective.snr_weight) != ("fixed", 1.0):
            raise ValueError("task joint has one loss and nothing to weight: set objective.weighting to fixed")
        return self
