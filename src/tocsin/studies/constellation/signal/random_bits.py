"""Counter-based random numbers: the value at (key, position) is a hash, so no order, worker or batch can change it.

The generator is SplitMix64 (Steele, Lea, Flood 2014, figure 16) on int64 tensors: the n-th word of a key is
``mix(key + n * GAMMA)``. Integer arithmetic wraps alike on every device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


GAMMA = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)
_LOW = 0xFFFFFFFF


def _shift(words: Tensor, bits: int) -> Tensor:
    """Logical right shift; ``>>`` on int64 would drag the sign along."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def mix(words: Tensor) -> Tensor:
    """The SplitMix64 finaliser, a bijection of 64-bit words, any shape int64."""
    words = (words ^ _shift(words, 30)) * _FIRST
    words = (words ^ _shift(words, 27)) * _SECOND
    return words ^ _shift(words, 31)


def key(root: int, *parts: Tensor) -> Tensor:
    """One 64-bit key from a root seed and integer tensors [B], each hashed in turn; shape (B,)."""
    words = mix(torch.full_like(parts[0], _signed(root % (1 << 64))))
    for part in parts:
        words = mix(words + GAMMA * (part + 1))
    return words


def words(keys: Tensor, positions: Tensor) -> Tensor:
    """The word of each key [B] at each position [N] (from 0), int64, shape (B, N)."""
    return mix(keys[:, None] + GAMMA * (positions[None, :] + 1))


def stream(keys: Tensor, number: int) -> Tensor:
    """Keys [B] of an independent stream of words for each key: its word at position ``number``, used as a key itself.

    A key that is split into streams must not be asked for words of its own.
    """
    return words(keys, torch.tensor([number], device=keys.device))[:, 0]


def uniform(bits: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) from the highest 24 bits of each word, float32, exact multiples of 2^-24."""
    return _shift(bits, 40).to(torch.float32) * 2.0**-24


def integers(bits: Tensor, below: Tensor) -> Tensor:
    """Uniform integers in [0, below) from the high half of each word; ``below`` broadcasts, at most 2^31."""
    return (_shift(bits, 32) * below) >> 32


def complex_normal(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of circular Gaussian noise of unit power from one word each (Box-Muller), float32."""
    uniform = (_shift(bits, 32).to(torch.float32) + 0.5) * 2.0**-32
    angle = (bits & _LOW).to(torch.float32) * (2 * math.pi * 2.0**-32)
    radius = (-torch.log(uniform)).sqrt()
    return radius * torch.cos(angle), radius * torch.sin(angle)
