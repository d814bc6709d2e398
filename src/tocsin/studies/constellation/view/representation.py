"""A frame as the network sees it: layers of counts, scalar features, or the samples themselves.

Shapes: B frames, N samples, L layers, H = W = bins, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.view import features
from tocsin.studies.constellation.view.image import histogram, normalise_power, outside
from tocsin.studies.constellation.view.instants import synchronised


@dataclass(frozen=True)
class Seen:
    """What is seen of some frames.

    Attributes:
        counts: Points a cell of each layer, int16 [B, L, H, W], layers in the order of ``View.layers``.
        scalars: Features, float32 [B, F], F = 0 without ``View.scalars``.
        iq: The samples in the power that ``View.power`` leaves, float32 [B, 2, N]; None unless ``View.input`` is iq.
        overflow: Samples out of the image's range, int64 [B].
    """

    counts: Tensor
    scalars: Tensor
    iq: Tensor | None
    overflow: Tensor


@dataclass(frozen=True)
class Batch(Seen):
    """What is seen of some frames, and their labels.

    Attributes:
        modulation: Class index [B] into ``Data.modulations``.
        snr: Class index [B] into ``Data.snr_db``.
    """

    modulation: Tensor
    snr: Tensor


def joined(parts: Sequence[Seen]) -> Seen:
    """The frames of several parts, at least one, one after the other."""
    samples = [part.iq for part in parts if part.iq is not None]
    return Seen(
        counts=torch.cat([part.counts for part in parts]),
        scalars=torch.cat([part.scalars for part in parts]),
        iq=torch.cat(samples) if samples else None,
        overflow=torch.cat([part.overflow for part in parts]),
    )


def see(iq: Tensor, view: View, per_symbol: int, power: Tensor | None = None) -> Seen:
    """Look at some frames: each by itself, whatever others are in the batch. A few tens at a time are the fastest.

    Args:
        iq: Received frames [B, 2, N], float32.
        view: What to make of them.
        per_symbol: Samples a symbol.
        power: For ``View.power = ensemble`` the mean power of each frame's transmission, signal and noise, [B].

    Raises:
        ValueError: ``ensemble`` without a power, or what ``View.refuse`` refuses.
    """
    view.refuse(iq.shape[-1], per_symbol)
    points = _Points(scaled(iq, view, power), view, per_symbol)
    layers = [histogram(points.of(layer), view.bins, view.extent)[0] for layer in view.layers]
    return Seen(
        counts=torch.stack(layers, 1),
        scalars=features.standardised(view.scalars, points.iq, lambda: points.instants, per_symbol),
        iq=points.iq if view.input == "iq" else None,
        overflow=outside(points.iq, view.extent),
    )


def scaled(iq: Tensor, view: View, power: Tensor | None = None) -> Tensor:
    """Frames [B, 2, N] in the power that ``View.power`` leaves; arguments as for ``see``."""
    if view.power == "sample":
        return normalise_power(iq)
    if view.power == "none":
        return iq
    if power is None:
        raise ValueError("view.power = ensemble: nobody knows the power of the ensemble of these frames; take sample")
    return iq / power.to(iq.dtype).sqrt()[:, None, None]


def differences(iq: Tensor, lag: int, order: int) -> Tensor:
    """Differences x[n + lag] - x[n] of frames [B, 2, N], taken ``order`` times: [B, 2, N - order lag].

    Once, white noise of the frame has twice its power; twice, six times, and what is left of a signal at 8 samples a
    symbol is about a two-hundredth.
    """
    for _ in range(order):
        iq = iq[..., lag:] - iq[..., :-lag]
    return iq


class _Points:
    """The points of each layer of some frames, made when asked for."""

    def __init__(self, iq: Tensor, view: View, per_symbol: int) -> None:
        self.iq, self.view, self.per_symbol = iq, view, per_symbol

    @cached_property
    def instants(self) -> Tensor:
        """Symbol instants without carrier, [B, 2, K], of unit power where frames are."""
        found = synchronised(self.iq, self.per_symbol)
        return normalise_power(found) if self.view.power == "sample" else found

    def of(self, layer: str) -> Tensor:
        """Points of a layer, [B, 2, any]."""
        made: dict[str, Callable[[], Tensor]] = {
            "samples": lambda: self.iq,
            "instants": lambda: self.instants,
            "lags": lambda: differences(self.iq, self.view.lag, self.view.differences),
        }
        return made[layer]()
