"""Settings that every study has: typed, frozen, and refused where nothing would read them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """A typed, frozen group of settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Training(Settings):
    """What the training loop itself needs, the same for every study.

    Attributes:
        epochs, batch: Epochs, and samples a batch.
        peak_lr: The highest learning rate.
        schedule: How the learning rate comes and goes; ``schedules`` says what each does.
        warmup_frac: Share of the steps (with ``triangular2``: of each cycle) in which the rate rises.
        lr_cycles: Cycles of ``triangular2``.
        plateau_patience: Evaluations without a better selection metric that ``plateau`` waits for.
        weight_decay, clip_norm: Of AdamW, and the largest norm of the gradient.
        ema_decay: Decay a step of the averaged weights that are evaluated and kept; None evaluates the live ones.
        precision: ``bfloat16`` runs the network under autocast, ``float16-heads`` its heads with a loss scale. Losses
            are float32 always.
        init_scale: First loss scale of ``float16-heads``.
    """

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    peak_lr: float = Field(gt=0)
    schedule: Literal["one-cycle", "cosine", "triangular2", "plateau"] = "one-cycle"
    warmup_frac: float = Field(default=0.2, gt=0, lt=1)
    lr_cycles: int = Field(default=1, ge=1)
    plateau_patience: int = Field(default=3, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal["float32", "float16-heads", "bfloat16"] = "float32"
    init_scale: float = Field(default=2.0**16, gt=0)

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        readers = {
            "lr_cycles": ("schedule", "triangular2"),
            "plateau_patience": ("schedule", "plateau"),
            "init_scale": ("precision", "float16-heads"),
        }
        for name, (chooser, reader) in readers.items():
            default, chosen = type(self).model_fields[name].default, getattr(self, chooser)
            if getattr(self, name) != default and chosen != reader:
                raise ValueError(f"{name} is read by {chooser} {reader}, not by {chosen}: leave it at {default:g}")
        return self


class Trainable(Settings):
    """A study's whole configuration: at least ``training``."""

    training: Training
