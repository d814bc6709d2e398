"""Settings of a frame's signal: variants of the constellations, the pulse, and what the channel does to it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tocsin.studies.constellation.signal.apsk import DEFAULT_RATE, RADII
from tocsin.studies.constellation.signal.modulation import constellation
from tocsin.studies.study import Settings


class Symbols(Settings):
    """Variants of the constellations.

    Attributes:
        ask: Whether the levels of 4ASK and 8ASK are symmetric about zero or start at zero.
        apsk_16, apsk_32, apsk_64, apsk_128: Code rate of DVB-S2 or DVB-S2X, on which the ring radii depend.
    """

    ask: Literal["bipolar", "unipolar"] = "bipolar"
    apsk_16: str = DEFAULT_RATE["16APSK"]
    apsk_32: str = DEFAULT_RATE["32APSK"]
    apsk_64: str = DEFAULT_RATE["64APSK"]
    apsk_128: str = DEFAULT_RATE["128APSK"]

    @model_validator(mode="after")
    def _are_in_the_standard(self) -> Self:
        for name in RADII:
            constellation(name, rate=self.rate(name))
        return self

    def rate(self, modulation: str) -> str | None:
        """Code rate of an APSK set, None for the other modulations."""
        chosen: str | None = getattr(self, f"apsk_{modulation.removesuffix('APSK')}", None)
        return chosen if modulation in RADII else None


class Pulse(Settings):
    """How symbols become a waveform, in the oversampled scenario.

    Attributes:
        samples_per_symbol: Samples a symbol.
        rolloff: Lowest and highest roll-off of the root raised cosine, drawn uniformly for each frame.
        gmsk_bandwidth_time: Bandwidth times symbol period of the Gaussian filter of GMSK.
    """

    samples_per_symbol: int = Field(default=8, ge=2, le=64)
    rolloff: tuple[float, float] = (0.1, 0.4)
    gmsk_bandwidth_time: float = Field(default=0.3, ge=0.2, le=1)

    @field_validator("rolloff")
    @classmethod
    def _is_a_range(cls, chosen: tuple[float, float]) -> tuple[float, float]:
        if not 0.05 <= chosen[0] <= chosen[1] <= 0.95:
            raise ValueError("expected lowest and highest roll-off with 0.05 <= lowest <= highest <= 0.95")
        return chosen


class Channel(Settings):
    """What the receiver does not know, in the oversampled scenario; each is drawn anew for every frame.

    Attributes:
        timing: The delay is uniform in [0, timing) symbols; 0: the first symbol instant is the first sample.
        random_phase: Whether the carrier's phase is uniform, or 0.
        carrier_sd: Standard deviation of the carrier offset [cycles a sample].
        rate_sd: Standard deviation of the relative offset of the symbol period.
        fading: Whether there are several paths with random gains, constant within a frame. The mean power over frames
            stays 1, so that the SNR is a mean over fades.
        paths: Number of paths, half a symbol apart.
        delay_spread: Delay [symbols] over which the mean power of the paths falls to 1/e; 0: only the first.
        rician_k_db: Power of the steady part of the first path over all scattered power [dB], for ``rician``.
    """

    timing: float = Field(default=1.0, ge=0, le=1)
    random_phase: bool = True
    carrier_sd: float = Field(default=1e-4, ge=0, le=0.01)
    rate_sd: float = Field(default=1e-4, ge=0, le=1e-3)
    fading: Literal["none", "rayleigh", "rician"] = "none"
    paths: int = Field(default=4, ge=1, le=16)
    delay_spread: float = Field(default=0.5, ge=0, le=4)
    rician_k_db: float = Field(default=6.0, ge=-20, le=40)

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        default = type(self).model_fields
        unread = {"none": ("paths", "delay_spread", "rician_k_db"), "rayleigh": ("rician_k_db",)}.get(self.fading, ())
        changed = [name for name in unread if getattr(self, name) != default[name].default]
        if changed:
            raise ValueError(
                f"nothing reads {', '.join(changed)} with fading = {self.fading}: set fading, or leave them"
            )
        return self
