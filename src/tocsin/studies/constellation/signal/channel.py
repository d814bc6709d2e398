"""What the channel does to a frame: offsets of time, phase, carrier and rate, fading, and noise of a stated SNR.

Everything is drawn from a frame's own key. Shapes: B frames, N samples, P paths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tocsin.studies.constellation.config.signal import Channel, Pulse
from tocsin.studies.constellation.signal import random_bits

OFFSETS, FADING, NOISE = 1, 2, 3  # streams of a frame's key; 0 holds the symbols
FARTHEST = math.sqrt(2 * 33 * math.log(2))  # no normal number made from a 32-bit word is above it: 6.76


@dataclass(frozen=True)
class Offsets:
    """What the receiver does not know, each of shape (B,), float32.

    Attributes:
        timing: Delay of the first symbol in the frame [samples].
        phase: Of the carrier at the frame's first sample [rad].
        carrier: Carrier frequency offset [cycles a sample].
        rate: Relative offset of the symbol period, about the middle of the frame.
        rolloff: Of the root raised cosine.
    """

    timing: Tensor
    phase: Tensor
    carrier: Tensor
    rate: Tensor
    rolloff: Tensor


def draw(keys: Tensor, channel: Channel, pulse: Pulse) -> Offsets:
    """The offsets of the frames with these keys [B]."""
    words = random_bits.words(random_bits.stream(keys, OFFSETS), torch.arange(4, device=keys.device))
    delay, turn, shape = random_bits.uniform(words[:, :3]).T
    carrier, rate = (math.sqrt(2) * part for part in random_bits.complex_normal(words[:, 3]))
    low, high = pulse.rolloff
    return Offsets(
        timing=delay * (channel.timing * pulse.samples_per_symbol),
        phase=turn * (2 * math.pi if channel.random_phase else 0.0),
        carrier=carrier * channel.carrier_sd,
        rate=rate * channel.rate_sd,
        rolloff=low + (high - low) * shape,
    )


def turned(signal: Tensor, offsets: Offsets) -> Tensor:
    """Frames [B, N], complex64, on a carrier of this phase and frequency offset."""
    sample = torch.arange(signal.shape[1], dtype=torch.float32, device=signal.device)
    angle = offsets.phase[:, None] + (2 * math.pi) * offsets.carrier[:, None] * sample[None, :]
    return signal * torch.polar(torch.ones_like(angle), angle)


def spacing(pulse: Pulse) -> int:
    """Samples from one path to the next: half a symbol, rounded down."""
    return pulse.samples_per_symbol // 2


def paths(keys: Tensor, channel: Channel) -> Tensor | None:
    """Complex gains of the paths, complex64 [B, P]; None without fading.

    Paths come every half symbol, with mean powers that fall off exponentially (``delay_spread`` symbols to 1/e) and
    add to 1. Each gain is circular Gaussian (Rayleigh); with ``rician`` the first path also has a steady part, which
    carries K / (K + 1) of all power. Gains stay the same within a frame and are independent between frames.
    """
    if channel.fading == "none":
        return None
    number = torch.arange(channel.paths, device=keys.device)
    words = random_bits.words(random_bits.stream(keys, FADING), number)
    power = torch.exp(-number / (2 * channel.delay_spread)) if channel.delay_spread > 0 else (number == 0).float()
    gains = torch.complex(*random_bits.complex_normal(words)) * (power / power.sum()).sqrt()
    if channel.fading == "rician":
        factor = 10.0 ** (channel.rician_k_db / 10)
        gains = gains / math.sqrt(factor + 1)
        gains[:, 0] += math.sqrt(factor / (factor + 1))
    return gains


def faded(signal: Tensor, gains: Tensor, step: int) -> Tensor:
    """Sum of the delayed paths, [B, N], of a signal [B, (P - 1) * step + N] that begins so much before the frame."""
    count = gains.shape[1]
    samples = signal.shape[1] - (count - 1) * step
    parts = [gains[:, p, None] * signal[:, (count - 1 - p) * step :][:, :samples] for p in range(count)]
    return torch.stack(parts).sum(0)


def noise(keys: Tensor, samples: int) -> Tensor:
    """White circular Gaussian noise of unit power, complex64 [B, N]."""
    return torch.complex(*random_bits.complex_normal(noise_words(keys, samples)))


def noise_words(keys: Tensor, samples: int) -> Tensor:
    """The words that the noise is made from, int64 [B, N]."""
    return random_bits.words(random_bits.stream(keys, NOISE), torch.arange(samples, device=keys.device))


def noise_power(snr_db: Tensor, definition: str, per_symbol: int) -> Tensor:
    """Noise power of a complex sample for mean signal power 1, float32, shape (B,).

    Args:
        snr_db: The label [dB], shape (B,).
        definition: ``sample``: signal power over noise power, both over the whole sampled band. ``esn0``: energy of a
            symbol over noise power density, which is the SNR after the matched filter: ``per_symbol`` times larger at
            the same noise.
        per_symbol: Samples a symbol.
    """
    scale = {"sample": 1.0, "esn0": float(per_symbol)}[definition]
    return scale * 10.0 ** (-snr_db.to(torch.float32) / 10)
