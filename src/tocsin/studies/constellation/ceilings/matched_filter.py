"""What a receiver with perfect synchronisation makes of an oversampled frame: the ceiling of the modulation.

The frame is turned back by its true phase and carrier offset, filtered with its true pulse and sampled at its true
instants, and the class of the largest likelihood is taken, the noise power being known. Symbols near the ends, whose
pulses reach out of the frame, are left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.signal.pulse import root_raised_cosine
from tocsin.studies.constellation.signal.truth import Truth

EDGE = 6  # symbols at either end: what lies outside of the frame is missing in their filter
CHUNK = 32


def knows(data: Data) -> bool:
    """Whether this receiver is the best one for these frames: generated, without fading and without GMSK."""
    generated = data.scenario == "oversampled" and data.radioml is None
    return generated and data.channel.fading == "none" and "GMSK" not in data.modulations


def modulation_classes(frames: Frames, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
    """Most likely class [B] of each frame, int64.

    Args:
        frames: The data set; without fading and GMSK, for which this receiver is not the best one.
        modulation: Class of each frame [B].
        snr: Its SNR class [B].
        index: Its number [B].

    Raises:
        ValueError: A synchronous scenario, fading, or GMSK among the classes.
    """
    if not knows(frames.data):
        raise ValueError("the matched filter is for the oversampled scenario without fading and without GMSK")
    columns = zip(*(torch.split(c, CHUNK) for c in (modulation, snr, index)), strict=True)
    return torch.cat([_likelihoods(frames, *part).argmax(1) for part in columns])


def _likelihoods(frames: Frames, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
    """Log-likelihood of each class but for a constant, [B, M]."""
    truth = frames.truth(modulation, snr, index)
    per_symbol = frames.data.samples_per_symbol
    on_time = symbols(frames.iq(modulation, snr, index), truth, per_symbol)
    late = symbols(frames.iq(modulation, snr, index), truth, per_symbol, delay=per_symbol / 2)
    staggered = torch.complex(on_time.real, late.imag)
    power = truth.noise_power / per_symbol
    made = []
    for name in frames.data.modulations:
        points = torch.from_numpy(frames.data.constellation(name)).to(on_time.device, on_time.dtype)
        received = staggered if name == "OQPSK" else on_time
        distance = (received[:, :, None] - points).abs().square()
        each = (-distance / power[:, None, None]).logsumexp(2) - math.log(len(points))
        made.append(each.sum(1))
    return torch.stack(made, 1)


def symbols(iq: Tensor, truth: Truth, per_symbol: int, delay: float = 0.0) -> Tensor:
    """Matched-filter outputs at the true instants, complex64 [B, K - 2 EDGE], in the scale of the symbols.

    Args:
        iq: Frames [B, 2, N].
        truth: What they were made of.
        per_symbol: Samples a symbol.
        delay: Added to all instants [samples].
    """
    samples = iq.shape[-1]
    time = torch.arange(samples, device=iq.device)
    turn = truth.phase[:, None] + 2 * math.pi * truth.cfo[:, None] * time
    z = torch.complex(iq[:, 0], iq[:, 1]) * torch.polar(torch.ones_like(turn), -turn)
    edge = math.ceil(samples / per_symbol)  # one symbol rate to either side: beyond every pulse
    bins = torch.arange(-edge, edge + 1, device=iq.device)
    shape = root_raised_cosine(bins * per_symbol / samples, truth.rolloff)
    spectrum = torch.fft.fft(z)[:, bins] * shape / samples
    instants = truth.instants[:, EDGE:-EDGE] + delay
    angle = (2 * math.pi / samples) * instants[:, :, None] * bins
    return torch.einsum("bkf,bf->bk", torch.polar(torch.ones_like(angle), angle), spectrum)
