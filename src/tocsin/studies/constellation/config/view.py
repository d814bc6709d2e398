"""Settings of what the network sees of a frame."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tocsin.studies.constellation.view.features import Scalar
from tocsin.studies.constellation.view.image import Grey
from tocsin.studies.constellation.view.instants import symbol_count
from tocsin.studies.study import Settings

Layer = Literal["samples", "instants", "lags"]


class View(Settings):
    """What the network sees of a frame.

    Attributes:
        input: ``image``: the layers as counts; ``iq``: the samples themselves, beside which the layers are made for
            pictures and the oracle only.
        bins: Cells a side of the image.
        extent: The image spans [-extent, extent] on both axes, in the amplitudes that ``power`` leaves.
        power: What frames are divided by. ``sample``: their own root mean square amplitude, whose jitter hides high
            SNRs. ``ensemble``: that of all frames of their transmission, as an ideal slow gain control does; only a
            generator knows it. ``none``: nothing, so that the received power tells the SNR of generated frames.
        grey: How counts become grey levels, see ``view/image.py``. ``max`` is an ablation: no constant scale.
        layers: ``samples``: all samples. ``instants``: matched-filtered symbol instants, blindly synchronised.
            ``lags``: differences in time, which show the noise that the order of the samples tells from the signal.
        lag: Samples between the two ends of a difference.
        differences: How often the difference is taken; twice leaves less of a signal that is smooth in time.
        scalars: Features beside the picture, see ``view/features.py``.
    """

    input: Literal["image", "iq"] = "image"
    bins: int = Field(default=64, ge=16, le=1024, multiple_of=16)
    extent: float = Field(default=3.0, gt=0)
    power: Literal["sample", "ensemble", "none"] = "sample"
    grey: Grey = "log"
    layers: tuple[Layer, ...] = Field(default=("samples",), min_length=1)
    lag: int = Field(default=1, ge=1)
    differences: int = Field(default=1, ge=1, le=4)
    scalars: tuple[Scalar, ...] = ()

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        for name, chosen in (("layers", self.layers), ("scalars", self.scalars)):
            if len(set(chosen)) < len(chosen):
                raise ValueError(f"{name}: expected each name once, got {', '.join(chosen)}")
        return self

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        changed = [name for name in ("lag", "differences") if getattr(self, name) != 1]
        if changed and "lags" not in self.layers:
            raise ValueError(f"nothing reads {' and '.join(changed)} without the layer lags: add it to view.layers")
        return self

    def refuse(self, samples: int, per_symbol: int) -> None:
        """Raise ``ValueError`` if frames of these samples, and samples a symbol, do not have what is asked for."""
        if per_symbol == 1 and "instants" in self.layers:
            raise ValueError(
                "view.layers: at one sample a symbol every sample is an instant; choose samples, or "
                "data.scenario = oversampled"
            )
        if per_symbol == 1 and "spectral_floor" in self.scalars:
            raise ValueError(
                "view.scalars: at one sample a symbol no frequency is free of signal, so there is no "
                "spectral_floor; choose m2m4, or data.scenario = oversampled"
            )
        if "instants" in self.layers or set(self.scalars) & {"cumulants", "m2m4"}:
            symbol_count(samples, per_symbol)
        if "lags" in self.layers and self.lag * self.differences >= samples:
            raise ValueError(
                f"view.lag: {self.differences} differences of lag {self.lag} need more than {samples} samples"
            )
