"""DAT009 before the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.draws import COLLATE, DATA_SET, Drawn, in_workers, keys_of, take_twice
from tocsin.prechecks.identity import batch_codes

REMEDIES = (
    Remedy("Draw from torch's or numpy's global generator, which DataLoader seeds anew in each worker and epoch"),
    Remedy("Or seed the generator in worker_init_fn with torch.initial_seed() and nothing constant"),
)
IN_WORDS = {DATA_SET: "the data set", COLLATE: "collate_fn"}
APART = (Remedy("Give each worker its part of the data by torch.utils.data.get_worker_info()"),)


@rule("DAT009", needs=(), severity="warning", scope="setup", since="0.2")
def frozen_augmentation(bench: Bench) -> Iterator[Finding | NotChecked]:
    """The data set draws random numbers, but every epoch, worker or sample gets the same ones.

    ## What it does
    Rings only where random numbers are drawn: taking a sample changes the state of a generator of Python, numpy or
    torch, or of one that the data set or its transforms hold. Four samples are taken, each twice in a row, in the
    process or in two of the loader's own workers (forked or spawned), over two epochs; states are compared, so each
    answer is exact. A `collate_fn` of the user's is looked at in the same way, with two copies of a sample.

    - *Samples*: the second time both the sample and the generators' states are the same as the first time, for each of
      them: the data set seeds them itself. A warning where all samples end in one state, too (the same numbers for
      every sample), else a note: a seed by index also makes a synthetic data set that is meant to be finite.
    - *Workers*: after the same first sample a generator is in the same state in both workers.
    - *Epochs*: the same in both epochs, workers being started anew (not with ``persistent_workers``, nor spawned ones).
    - *Streams*: an ``IterableDataset`` gives consecutive batches of different workers the same content, in each of at
      least two rounds that differ from each other: it is not split between the workers.

    ## Why is this bad?
    The augmented samples are a fixed set, or vary far less than they seem to: the network learns them by heart as it
    would the plain ones. Workers with the same numbers put the same augmentation on every batch in turn. An unsplit
    stream shows each sample as often as there are workers.

    ## Fix
    - **unsafe** Draw from the global generators; DataLoader seeds those of Python, torch and numpy anew in each worker
      and epoch.
    - **unsafe** Seed a generator of your own in ``worker_init_fn`` from ``torch.initial_seed()``.
    - **unsafe** Split a stream by ``torch.utils.data.get_worker_info()``.

    ## Options
    None: states are equal or not; two generators seeded apart agree with a chance of 2^-64.

    ## Known limits
    Silent about generators that are made anew for each sample (``default_rng(index)``), that a function closes over,
    and about augmentation on the device. Not checked: lists of batches, streams beyond what workers repeat, and spawned
    workers that a data set cannot be sent to.

    ## References
    Parnamaa 2021, "Using PyTorch + NumPy? You're making a mistake". PyTorch documentation, torch.utils.data,
    "Randomness in multi-process data loading".
    """
    loader = bench.setup.train
    if not isinstance(loader, DataLoader):
        yield NotChecked("train is no DataLoader: what its data set draws cannot be seen")
        return
    if isinstance(loader.dataset, IterableDataset):
        found = _unsplit(bench, loader.num_workers)
        yield found or NotChecked("train is a stream: what it draws cannot be seen")
        return
    try:
        drawn = _drawn(loader)
    except Exception as error:  # of a data set that is taken in another way than the loader does
        yield NotChecked(f"no sample could be taken: {type(error).__name__}: {error}")
        return
    for by in (DATA_SET, COLLATE):
        yield from _judged(loader, [one for one in drawn if one.by == by])


def _drawn(loader: DataLoader[Any]) -> list[Drawn]:
    keys = keys_of(loader)
    if loader.num_workers:
        return in_workers(loader, keys)
    return [one for key in keys for one in take_twice(loader.dataset, key, loader.collate_fn)]


def _judged(loader: DataLoader[Any], drawn: list[Drawn]) -> Iterator[Finding]:
    if not any(one.generators for one in drawn):
        return
    names = ", ".join(sorted({name for one in drawn for name in one.generators}))
    if all(one.reseeded for one in drawn):
        yield _reseeded(drawn, names)
    elif loader.num_workers:
        yield from _repeated(loader, drawn)


def _reseeded(drawn: list[Drawn], names: str) -> Finding:
    ends = {tuple(sorted(one.generators.items())) for one in drawn}
    alike = len(ends) == 1 and len(drawn) > 1
    message = (
        f"{'taken' if drawn[0].by == DATA_SET else 'collated'} twice, {len(drawn)} of {len(drawn)} training samples "
        f"are the same, though random numbers are drawn ({names}): {IN_WORDS[drawn[0].by]} seeds the generator itself"
    )
    message += ", alike for every sample" if alike else ", by sample"
    said = Evidence("setup:train", 1.0, 0, text="share of samples that are the same when taken again")
    return Finding(message, "samples", 0, (said,), REMEDIES[:1], severity="warning" if alike else "note")


def _repeated(loader: DataLoader[Any], drawn: list[Drawn]) -> Iterator[Finding]:
    """Generators whose state repeats: the first sample of each worker in each of two epochs is the same one."""
    by = IN_WORDS[drawn[0].by]
    first, later = ({one.worker: one.generators for one in reversed(drawn) if one.epoch == k} for k in (0, 1))
    workers = [n for n in first.get(0, {}) if len(first) > 1 and first[0][n] == first[1].get(n)]
    again = [n for n in first.get(0, {}) if first[0][n] == later.get(0, {}).get(n) and not loader.persistent_workers]
    for names, subject, who in (
        (workers, "workers", f"each of the {loader.num_workers} workers"),
        (again, "epochs", "each epoch"),
    ):
        if names:
            message = f"{who} begins with the same random numbers of {', '.join(names)}, which {by} draws from"
            said = Evidence("setup:train", float(len(names)), 0, text=f"generators alike in {who}")
            yield Finding(message, subject, 0, (said,), REMEDIES)


def _unsplit(bench: Bench, workers: int) -> Finding | None:
    """Each round of as many batches as there are workers is one batch over again."""
    codes = [batch_codes(bench.setup, batch) for batch in bench.train]
    rounds = [codes[k : k + workers] for k in range(0, len(codes) - workers + 1, workers)] if workers > 1 else []
    if len(rounds) < 2 or any(not np.array_equal(one, row[0]) for row in rounds for one in row):
        return None
    if len({row[0].tobytes() for row in rounds}) < len(rounds):
        return None
    message = f"the {workers} workers give the same batches, in each of {len(rounds)} rounds: the stream is not split"
    said = Evidence("setup:train", float(len(rounds)), 0, text="rounds of one batch over again")
    return Finding(message, "workers", 0, (said,), APART)
