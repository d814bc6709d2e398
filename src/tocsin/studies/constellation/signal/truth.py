"""What a generated frame was made of, for those who compute what is attainable."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Truth:
    """Symbols and offsets of B frames, K symbols inside each; all that a receiver with perfect knowledge could be told.

    Attributes:
        numbers: Symbol numbers in the order of ``Data.constellation``, int64 [B, K].
        symbols: The symbols themselves, mean power 1 over the class, complex64 [B, K]. For GMSK, the bits -1 and 1.
        instants: Time of each symbol [samples from the frame's first sample], fractions included, float32 [B, K]. For
            OQPSK that of the in-phase part; the quadrature part comes half a symbol later.
        timing: Delay of the first symbol in the frame [samples], float32 [B].
        phase: Of the carrier at the first sample [rad], float32 [B]. GMSK adds what earlier bits have turned.
        cfo: Carrier frequency offset [cycles a sample], float32 [B].
        rate: Relative offset of the symbol period, about the middle of the frame, float32 [B].
        rolloff: Of the root raised cosine, float32 [B]; NaN at one sample a symbol and for GMSK, which have none.
        noise_power: Of a complex sample, where the signal's mean power is 1, float32 [B].
        gains: Of the paths, half a symbol apart, complex64 [B, P]; None without fading.
    """

    numbers: Tensor
    symbols: Tensor
    instants: Tensor
    timing: Tensor
    phase: Tensor
    cfo: Tensor
    rate: Tensor
    rolloff: Tensor
    noise_power: Tensor
    gains: Tensor | None
