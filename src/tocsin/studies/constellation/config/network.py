"""Which network, and how it answers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tocsin.studies.study import Settings

SMALL = ("micro", "micro-iq")
SnrHead = Literal["standard", "bottleneck", "dual", "regression", "corn", "distributional"]


class Network(Settings):
    """A body and its heads.

    Attributes:
        backbone: ``micro`` (strided convolutions of a picture) and ``micro-iq`` (of the samples) train on a CPU; the
            others are full-size networks for a GPU.
        norm: Normalisation of the small bodies; the full-size ones have their own.
        channels: Of the first convolution of a small body.
        features: Width of what body and scalars are joined in, before the heads.
        dropout: Of those features, and within a transformer.
        task: ``factored`` p(mod) p(snr), ``joint`` one class for each pair, ``conditional`` p(mod) p(snr | mod).
        snr_head: ``standard`` linear, ``bottleneck`` through a narrow layer, ``dual`` through layers of 256 and 64;
            ``regression``, ``corn`` (ordinal-cumulative) and ``distributional`` (mean and deviation in dB).
        bottleneck: Width of the narrow layer.
        weights: File of pretrained weights for a full-size body; none are fetched.
    """

    backbone: Literal["micro", "micro-iq", "resnet18", "resnet34", "resnet50", "vit-b16", "swin-t"] = "micro"
    norm: Literal["group", "batch"] = "group"
    channels: int = Field(default=32, ge=8, multiple_of=8)
    features: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    task: Literal["factored", "joint", "conditional"] = "factored"
    snr_head: SnrHead = "standard"
    bottleneck: int = Field(default=64, ge=1)
    weights: str | None = None

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if self.snr_head != "standard" and self.task != "factored":
            raise ValueError(f"snr_head {self.snr_head} belongs to task factored, not to {self.task}")
        if self.bottleneck != 64 and self.snr_head != "bottleneck":
            raise ValueError(f"bottleneck is read by snr_head bottleneck, not by {self.snr_head}: leave it at 64")
        if self.backbone in SMALL and self.weights is not None:
            raise ValueError(f"weights are for a full-size backbone, not for {self.backbone}")
        if self.backbone not in SMALL and (self.norm, self.channels) != ("group", 32):
            raise ValueError(f"norm and channels are read by {' and '.join(SMALL)}, not by {self.backbone}")
        return self
