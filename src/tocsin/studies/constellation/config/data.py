"""Settings of the data set: which classes, which scenario, how many frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tocsin.studies.constellation.config.recorded import OfFile
from tocsin.studies.constellation.config.signal import Channel, Pulse, Symbols
from tocsin.studies.constellation.signal.modulation import (
    DIGITAL,
    NAMES,
    ONLY_OVERSAMPLED,
    SYNCHRONOUS,
    Points,
    constellation,
)

MODULATION_SETS = {"synchronous-16": SYNCHRONOUS, "digital-17": DIGITAL, "digital-19": NAMES}
SNR_SETS = {"0..30": tuple(range(0, 32, 2)), "-20..30": tuple(range(-20, 32, 2))}
LOWEST_DB, HIGHEST_DB = -60, 100  # beyond them noise or signal vanish in float32


class Data(OfFile):
    """What is generated, or read from a file; ``OfFile`` has the settings of the file.

    Attributes:
        scenario: ``synchronous``: one sample a symbol, nothing but noise. ``oversampled``: shaped pulses, several
            samples a symbol, and a channel.
        modulations: Class names in class order, or the name of a set: ``synchronous-16``, ``digital-17`` (with OQPSK),
            ``digital-19`` (with OOK and GMSK). OQPSK and GMSK have no place in the synchronous scenario.
        snr_db: SNR of each class [dB], increasing, or the name of a set: ``0..30``, ``-20..30``, in steps of 2 dB.
        snr_definition: ``sample``: signal power over noise power of a sample. ``esn0``: symbol energy over noise power
            density, 9 dB more at 8 samples a symbol. Signal power is the ensemble's, not the frame's.
        samples: Samples a frame.
        symbols: Variants of the constellations.
        pulse, channel: Of the oversampled scenario only.
        root: Seed of the data set, not of the training: all seeds of a study are scored on the same frames.
        train_per_cell, val_per_cell, test_per_cell: Frames of each (modulation, SNR) pair; training frames per
            epoch. No generated frame is ever trained on twice; recorded ones come again when all were there.
    """

    scenario: Literal["synchronous", "oversampled"] = "synchronous"
    modulations: tuple[str, ...] = Field(default=SYNCHRONOUS, min_length=2)
    snr_db: tuple[int, ...] = Field(default=SNR_SETS["0..30"], min_length=2)
    snr_definition: Literal["sample", "esn0"] = "sample"
    samples: int = Field(default=1024, ge=1)
    symbols: Symbols = Symbols()
    pulse: Pulse = Pulse()
    channel: Channel = Channel()
    root: int = Field(default=2018, ge=0)
    train_per_cell: int = Field(default=64, ge=1)
    val_per_cell: int = Field(default=8, ge=1)
    test_per_cell: int = Field(default=16, ge=1)

    @property
    def samples_per_symbol(self) -> int:
        """1 in the synchronous scenario."""
        return self.pulse.samples_per_symbol if self.scenario == "oversampled" else 1

    def constellation(self, modulation: str) -> Points:
        """The symbols of a modulation in the variant that is set here, complex128, shape (order,), mean power 1."""
        unipolar = self.symbols.ask == "unipolar"
        return constellation(modulation, rate=self.symbols.rate(modulation), unipolar=unipolar)

    @field_validator("modulations", mode="before")
    @classmethod
    def _named_modulations(cls, chosen: Any) -> Any:
        return MODULATION_SETS.get(chosen, chosen) if isinstance(chosen, str) else chosen

    @field_validator("snr_db", mode="before")
    @classmethod
    def _named_snrs(cls, chosen: Any) -> Any:
        return SNR_SETS.get(chosen, chosen) if isinstance(chosen, str) else chosen

    @field_validator("snr_db")
    @classmethod
    def _rise(cls, chosen: tuple[int, ...]) -> tuple[int, ...]:
        if any(a >= b for a, b in pairwise(chosen)):
            raise ValueError("expected increasing values in dB, each once: ordinal heads and losses count neighbours")
        if min(chosen) < LOWEST_DB or max(chosen) > HIGHEST_DB:
            raise ValueError(f"expected values from {LOWEST_DB} to {HIGHEST_DB} dB")
        return chosen

    @field_validator("modulations")
    @classmethod
    def _can_be_told_apart(cls, chosen: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        oversampled = info.data.get("scenario") == "oversampled"
        possible = [name for name in NAMES if oversampled or name not in ONLY_OVERSAMPLED]
        if any(name not in possible for name in chosen) or len(set(chosen)) < len(chosen):
            why = "" if oversampled else "; OQPSK and GMSK need data.scenario = oversampled"
            raise ValueError(f"expected names, each once, out of {', '.join(possible)}{why}")
        return chosen

    @field_validator("pulse", "channel")
    @classmethod
    def _belongs_to_the_scenario(cls, chosen: Pulse | Channel, info: ValidationInfo) -> Pulse | Channel:
        if info.data.get("scenario") == "synchronous" and chosen != type(chosen)():
            raise ValueError(
                "nothing reads it at one sample a symbol: set data.scenario = oversampled, or leave it alone"
            )
        return chosen

    @model_validator(mode="after")
    def _recorded_is_not_generated(self) -> Self:
        if self.radioml is None:
            return self
        if self.scenario != "oversampled":
            raise ValueError(
                "recorded frames have several samples a symbol: take --preset quick-oversampled, or set data.scenario "
                "= oversampled"
            )
        changed = [name for name in ("samples", "symbols", "pulse", "channel", "root") if self._differs(name)]
        if changed:
            raise ValueError(
                f"{' and '.join(changed)}: of generated frames; nothing reads it of a file, leave it alone"
            )
        return self

    @model_validator(mode="after")
    def _holds_a_symbol(self) -> Self:
        if self.samples < self.samples_per_symbol:
            raise ValueError(f"samples: expected at least one symbol of {self.samples_per_symbol}, came {self.samples}")
        return self
