"""Symbol instants of oversampled frames, found blindly: matched filter, square-law timing, fractional resampling.

All of it happens on the frame's own spectrum. The pulse is band-limited to less than one symbol rate on either side, so
the square-law timing line needs the band edges only, a fractional shift is a phase ramp, and taking one sample a symbol
is folding the spectrum.

Offset modulations (OQPSK): the lines of I^2 and Q^2, half a symbol apart, cancel in |z|^2, and the square law finds
nothing. They add up in z^2, whose lines at plus and minus the symbol rate then give the instants of one of the two
axes. The other axis is left between its instants: aligned, OQPSK would be QPSK, and the class could not be told.

Shapes: B frames, N samples, K symbol instants, R samples a symbol. Sources: Oerder and Meyr 1988 (square law);
Gini and Giannakis 1998 (lines of z^2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tocsin.studies.constellation.signal.pulse import root_raised_cosine
from tocsin.studies.constellation.view.carrier import derotate

ROLL_OFF = 0.25  # nominal: the middle of what is sent, [0.1, 0.4]
EDGE = 4  # symbols at either end whose pulses reach beyond the frame
OFFSET_LINE = 2.5  # squared ratio of the lines of z^2 to that of |z|^2 from which they give the timing; BPSK has 1


def symbol_count(samples: int, per_symbol: int) -> int:
    """K: the symbol instants that ``instants`` finds in a frame.

    Raises:
        ValueError: N is no multiple of R, or too short for one instant.
    """
    if per_symbol == 1:
        return samples
    if samples % per_symbol or samples <= 2 * EDGE * per_symbol:
        raise ValueError(
            f"data.samples: symbol instants need a multiple of {per_symbol} above {2 * EDGE * per_symbol}, came "
            f"{samples}"
        )
    return samples // per_symbol - 2 * EDGE


def instants(iq: Tensor, per_symbol: int) -> Tensor:
    """Matched-filtered samples at the symbol instants, carrier and phase as received.

    Args:
        iq: Frames [B, 2, N], float32.
        per_symbol: Samples a symbol R, at least 2.

    Returns:
        [B, 2, K], in the scale of the symbols: a frame of unit signal power has instants of unit signal power, with the
        noise power divided by about R. K is ``symbol_count``; NaN in a frame makes all of that frame NaN.

    Raises:
        ValueError: See ``symbol_count``.
    """
    return _pair(_folded(*_on_time(iq, per_symbol)[:2], iq.shape[-1] // per_symbol))


def synchronised(iq: Tensor, per_symbol: int) -> Tensor:
    """Symbol instants [B, 2, K] without carrier; with one sample a symbol the frames [B, 2, N] as they are."""
    if per_symbol == 1:
        return iq
    spectrum, band, offset = _on_time(iq, per_symbol)
    symbols = iq.shape[-1] // per_symbol
    edges = (_folded(spectrum * (side * band > (1 - ROLL_OFF) / 2 * symbols), band, symbols) for side in (-1, 1))
    squares = sum((edge.square() for edge in edges), start=torch.zeros((), device=iq.device))
    return derotate(_pair(_folded(spectrum, band, symbols)), squares * offset[:, None])


def timing(spectrum: Tensor, symbols: int) -> tuple[Tensor, Tensor]:
    """The first symbol instant of each frame.

    Args:
        spectrum: Matched-filtered spectra [B, W] at the bins -(W - 1) / 2, ..., (W - 1) / 2 of the frame.
        symbols: Symbols a frame: the bin of the symbol rate.

    Returns:
        Instants [symbols] in [-0.5, 0.5), shape (B,), and whether the modulation is an offset one, bool [B]; then it is
        the first instant of either axis.
    """
    upper, lower = spectrum[:, symbols:], spectrum[:, :-symbols]  # bins that lie one symbol rate apart
    power = (upper * lower.conj()).sum(1)  # the line of |z|^2
    above, below = (upper * upper.flip(1)).sum(1), (lower * lower.flip(1)).sum(1)  # those of z^2
    offset = (above * below).abs() > OFFSET_LINE * power.abs().square()
    angle = torch.where(offset, torch.angle(above * below.conj()) / 2, torch.angle(power))
    return -angle / (2 * math.pi), offset


def _on_time(iq: Tensor, per_symbol: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matched-filtered spectra [B, W] that begin at a symbol instant, their bins [W], and which are offset [B]."""
    symbol_count(iq.shape[-1], per_symbol)
    symbols = iq.shape[-1] // per_symbol
    band = _band(symbols, iq.device)
    matched = root_raised_cosine(band / symbols, torch.tensor([ROLL_OFF], device=iq.device)) / per_symbol
    spectrum = torch.fft.fft(torch.complex(iq[:, 0], iq[:, 1]))[:, band] * matched
    first, offset = timing(spectrum, symbols)
    turns = 2 * math.pi * first[:, None] * (band / symbols)
    return spectrum * torch.polar(torch.ones_like(turns), turns), band, offset


def _folded(spectrum: Tensor, band: Tensor, symbols: int) -> Tensor:
    """One sample a symbol of spectra [B, W], without the edges of the frame: complex [B, K]."""
    folded = torch.zeros(len(spectrum), symbols, dtype=spectrum.dtype, device=spectrum.device)
    found: Tensor = torch.fft.ifft(folded.index_add_(1, band % symbols, spectrum))
    return found[:, EDGE:-EDGE]


def _band(symbols: int, device: torch.device) -> Tensor:
    """Bins of the nominal pulse's band, in order of frequency."""
    edge = math.floor((1 + ROLL_OFF) / 2 * symbols)
    return torch.arange(-edge, edge + 1, device=device)


def _pair(z: Tensor) -> Tensor:
    return torch.stack([z.real, z.imag], 1)
