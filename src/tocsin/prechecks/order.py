"""Whether two passes over the training batches give the same samples in the same order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.identity import Codes, batch_codes, sample_codes
from tocsin.prechecks.setup import Batch
from tocsin.probes.inputs import tensors_in

SURE = 20.0  # nats: as many orders as e^20 = 5e8 must have been possible


def same_order(bench: Bench) -> int:
    """How many samples of the first batches came again in the same order in another pass; 0 where the order differs.

    One tensor of the batches tells, if it comes again exactly: the inputs, or labels beside inputs that are augmented.
    It must differ between batches, and the number of its possible orders must exceed ``SURE``.
    """
    first, again = ([_columns(bench, batch) for batch in batches] for batches in (bench.train, bench.again))
    if len(first) != len(again) or len({len(columns) for columns in (*first, *again)}) != 1:
        return 0
    for k in range(len(first[0])):
        one, other = ([columns[k] for columns in batches] for batches in (first, again))
        if all(map(np.array_equal, one, other)) and _telling(one):
            return sum(map(len, one))
    return 0


def shuffled_by_epoch(train: Any) -> bool:
    """Whether the order hangs on a ``set_epoch`` that the loop has to call: distributed samplers, streams."""
    parts = [getattr(train, name, None) for name in ("sampler", "batch_sampler", "dataset")]
    parts.append(getattr(parts[1], "sampler", None))
    return any(callable(getattr(p, "set_epoch", None)) and getattr(p, "shuffle", True) is not False for p in parts)


def _columns(bench: Bench, batch: Batch) -> list[Codes]:
    """Hashes of the samples by what the model gets, then by each tensor of the batch."""
    return [batch_codes(bench.setup, batch), *(sample_codes([t]) for t in tensors_in(batch))]


def _telling(batches: list[Codes]) -> bool:
    """Whether this column could have come in many other orders, and is not a mere count within each batch."""
    if len({codes.tobytes() for codes in batches}) < len(batches):
        return False
    counts = np.unique(np.concatenate(batches), return_counts=True)[1]
    return math.lgamma(counts.sum() + 1) - sum(math.lgamma(c + 1) for c in counts) > SURE
