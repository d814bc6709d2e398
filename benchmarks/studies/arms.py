"""What is trained for the tables of the study ``constellation``: the preset ``quick`` with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OVERSAMPLED = {
    "data.scenario": "oversampled",
    "data.modulations": "digital-17",
    "network.task": "factored",
    "training.batch": 128,
    "training.peak_lr": 5e-3,
}
SHORT = 4  # epochs of an ablation: a third of a training, so that thirteen arms of three seeds cost half an hour


@dataclass(frozen=True)
class Arm:
    """One configuration, trained with several seeds.

    Attributes:
        title: As the tables call it.
        table: The table that it stands in.
        settings: What differs from ``quick``, by dotted name.
        against: Name of the arm that it is compared with; None for one that others are compared with.
        alarms: Codes of the warnings that ``tocsin check`` should give: what the input does not hold is to be named.
        may_alarm: Codes of others that are true of it.
    """

    title: str
    table: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    against: str | None = None
    alarms: tuple[str, ...] = ()
    may_alarm: tuple[str, ...] = ()


def _short(title: str, against: str | None = "short", **settings: Any) -> Arm:
    """Beside factored heads, which all SNR losses and heads fit."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return Arm(title, "ablations", {"training.epochs": SHORT, "network.task": "factored", **named}, against)


def _oversampled(
    title: str,
    epochs: int,
    against: str | None = "features",
    alarms: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    **settings: Any,
) -> Arm:
    """Epochs are such that all arms cost about the same CPU time."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return Arm(title, "oversampled", {**OVERSAMPLED, "training.epochs": epochs, **named}, against, *alarms)


ARMS: dict[str, Arm] = {
    "synchronous": Arm("SNR given the modulation (quick)", "synchronous"),
    "factored": Arm("factored heads", "synchronous", {"network.task": "factored"}, "synchronous"),
    "features": _oversampled(
        "image, symbol instants and spectral floor", 6, None,
        view__layers=("samples", "instants"), view__scalars=("spectral_floor",),
    ),
    # GEN005: the network goes to and fro between 16PSK and 32PSK, which it hardly tells apart
    "image": _oversampled("image of the samples alone", 11, alarms=(("PRD006",), ("GEN005",))),
    "iq": _oversampled(
        "I/Q samples", 5, alarms=((), ("GEN005", "PRD003", "PRD006")),
        view__input="iq", network__backbone="micro-iq", training__peak_lr=3e-3,
    ),
    "lags": _oversampled(
        "image and differences in time", 9, alarms=(("PRD006",), ("GEN005",)), view__layers=("samples", "lags")
    ),
    "short": _short("factored heads, cross-entropy", None),
    "max": _short("image divided by its largest count", view__grey="max"),
    "log-distance": _short("SNR loss: cross-entropy and log-distance", objective__snr_loss="log-distance"),
    "emd2": _short("SNR loss: squared earth mover's distance", objective__snr_loss="emd2"),
    "expectation-mse": _short("SNR loss: square error of the expectation", objective__snr_loss="expectation-mse"),
    "corn": _short("SNR head: ordinal-cumulative", network__snr_head="corn"),
    "distributional": _short("SNR head: mean and deviation", network__snr_head="distributional"),
    "conditional": _short("heads: SNR given the modulation", network__task="conditional"),
    "joint": _short("head: one class for each pair", network__task="joint", objective__weighting="fixed"),
    "curriculum": _short("curriculum: high SNRs first", curriculum={}),
    "fixed": _short("weights of the tasks: fixed", objective__weighting="fixed"),
    "geometric": _short("weights of the tasks: geometric mean", objective__weighting="geometric"),
}  # fmt: skip
