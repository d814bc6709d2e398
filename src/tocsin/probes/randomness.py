"""The random state that training draws from, as one number: read, never advanced and never set."""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import Any

import numpy as np
import torch


def fingerprint() -> float:
    """An integer below 2^53 of the global generators' states: torch (CPU, current CUDA device), numpy, ``random``.

    Equal states give equal numbers; different ones collide once in 2^53. CUDA counts where it was initialised and its
    stream is not being captured: its state is two numbers that the host holds, so nothing is waited for.
    """
    digest = blake2b(torch.get_rng_state().numpy().data, digest_size=8)
    cuda: Any = torch.cuda  # untyped in part
    if cuda.is_initialized() and not cuda.is_current_stream_capturing():
        digest.update(cuda.get_rng_state().numpy().data)
    _, state, gauss = random.getstate()
    digest.update(np.array(state, np.uint64).data)
    digest.update(repr(gauss).encode())
    _add(digest, np.random.get_state(legacy=False))  # noqa: NPY002  the one that user code may draw from
    return float(int.from_bytes(digest.digest(), "little") >> 11)


def _add(digest: Any, state: Any) -> None:
    """The state of numpy's global generator, whichever that is: nested mappings, arrays, numbers."""
    if isinstance(state, dict):
        for key in sorted(state):
            _add(digest, state[key])
    else:
        digest.update(state.data if isinstance(state, np.ndarray) else repr(state).encode())
