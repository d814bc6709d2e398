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

from tocsin.studies.constellation.pulse import root_raised_cosine

ROLL_OFF = 0.25  # nominal: the middle of what is sent, [0.1, 0.4]
EDGE = 4  # symbols at either end whose pulses reach beyond the frame
OFFSET_LINE = 4.0  # how much stronger than |z|^2's line those of z^2 are before they give the timing; BPSK has 1


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
    """Matched-filtered samples at the symbol instants.

    Args:
        iq: Frames [B, 2, N], float32.
        per_symbol: Samples a symbol R. With 1 each sample is an instant, and the frames are returned as they are.

    Returns:
        [B, 2, K] in the scale of the symbols: a frame of unit signal power has instants of unit signal power, with the
        noise power divided by about R. K is ``symbol_count``; NaN in a frame makes all of that frame NaN.

    Raises:
        ValueError: N is no multiple of R, or too short for one instant.
    """
    samples = iq.shape[-1]
    if symbol_count(samples, per_symbol) == samples:
        return iq
    symbols, band = samples // per_symbol, _band(samples, per_symbol, iq.device)
    matched = root_raised_cosine(band / symbols, torch.tensor([ROLL_OFF], device=iq.device))
    spectrum = torch.fft.fft(torch.complex(iq[:, 0], iq[:, 1]))[:, band] * matched
    shift = torch.exp(2j * math.pi * timing(spectrum, symbols)[:, None] * (band / symbols))
    folded = torch.zeros(len(iq), symbols, dtype=spectrum.dtype, device=iq.device)
    folded.index_add_(1, band % symbols, spectrum * shift)
    found = torch.fft.ifft(folded)[:, EDGE:-EDGE] / per_symbol
    return torch.stack([found.real, found.imag], 1)


def timing(spectrum: Tensor, symbols: int) -> Tensor:
    """First symbol instant [symbols], in [-0.5, 0.5), shape (B,); of offset modulations the first one of either axis.

    Args:
        spectrum: Matched-filtered spectra [B, W] at the bins -(W - 1) / 2, ..., (W - 1) / 2 of the frame.
        symbols: Symbols a frame: the bin of the symbol rate.
    """
    upper, lower = spectrum[:, symbols:], spectrum[:, :-symbols]  # bins that lie one symbol rate apart
    power = (upper * lower.conj()).sum(1)  # the line of |z|^2
    above, below = (upper * upper.flip(1)).sum(1), (lower * lower.flip(1)).sum(1)  # those of z^2
    offset = (above * below).abs() > OFFSET_LINE * power.abs().square()
    angle = torch.where(offset, torch.angle(above * below.conj()) / 2, torch.angle(power))
    return -angle / (2 * math.pi)


def _band(samples: int, per_symbol: int, device: torch.device) -> Tensor:
    """Bins of the nominal pulse's band, in order of frequency."""
    edge = math.floor((1 + ROLL_OFF) / 2 * samples / per_symbol)
    return torch.arange(-edge, edge + 1, device=device)
