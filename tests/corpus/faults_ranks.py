"""Runs that two processes trained together, healthy and with one fault each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus import healthy
from corpus.faulty import faulty
from corpus.healthy import STEPS
from corpus.ingredients import TENSORS
from tocsin.run import Run, Series

AT = np.array([1, 2, 4, 8, 16, 32, 45, 64, 91, 128, 181, 256, 362])
HOW = {"world": 2, "sharded": "", "exit": {"0": "finished", "1": "finished"}}


def two_ranks(rng, *, since: int | None = None, same_batches: bool = False, ended: int | None = None) -> Run:
    """A classification by two ranks.

    Args:
        rng: Generator.
        since: Step from which rank 1's parameters go their own way.
        same_batches: Both draw the same batches.
        ended: Last step of rank 1; rank 0 was killed later.
    """
    run = healthy.classification(rng)
    made: dict[str, Series] = {"rank1/train/loss": run.series["train/loss"].until(ended or STEPS)}
    for tensor in TENSORS:
        bits = rng.integers(0, 2**53, AT.size)
        made[f"param/bits/{tensor}"] = Series.of("", bits, step=AT)
        made[f"rank1/param/bits/{tensor}"] = Series.of("", bits + ((since or np.inf) <= AT), step=AT)
    own = 30 * rng.standard_normal((8, AT.size))
    other = own + (0 if since is None else 3 * rng.standard_normal(own.shape) * (since <= AT))
    for k in range(8):
        made[f"param/projection/{k}"] = Series.of("", own[k], step=AT)
        made[f"rank1/param/projection/{k}"] = Series.of("", other[k], step=AT)
    batches = [rng.integers(0, 2**53, 24) for _ in range(2)]
    made["input/fingerprint/train"] = Series.of("", batches[0])
    made["rank1/input/fingerprint/train"] = Series.of("", batches[0 if same_batches else 1])
    series = {**run.series, **{name: replace(s, name=name) for name, s in made.items()}}
    how = HOW if ended is None else {**HOW, "exit": {"0": "killed", "1": "finished"}}
    return replace(run, series=series, environment={**run.environment, "ranks": how})


@faulty("RUN006")
def ranks_that_were_never_wrapped(rng):
    return two_ranks(rng, since=1)


@faulty("RUN006")
def ranks_on_the_same_batches(rng):
    return two_ranks(rng, same_batches=True)


@healthy.healthy
def two_ranks_in_step(rng):
    return two_ranks(rng)
