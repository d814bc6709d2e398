"""DAT010 before the run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import BatchSampler, DataLoader

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.portions import portion, samples_in
from tocsin.prechecks.setup import SetupError

_REMEDIES = (
    Remedy("Leave the rest out: DataLoader(..., drop_last=True)"),
    Remedy("Choose a batch size that does not leave one sample over"),
)


@rule("DAT010", needs=(), severity="error", scope="setup", since="0.2")
def single_sample_batch(bench: Bench) -> Iterator[Finding | NotChecked]:
    """The last training batch of each epoch has one sample, and the loss of one sample fails or is no number.

    ## What it does
    The size of the last batch follows from the sampler's length, `batch_size` and `drop_last`; of a list, it is that of
    its last batch. Where it is 1, the loss is computed in training mode of one sample, and of two. Rings where it
    raises, or is not finite, for one and not for two: that is exact.

    ## Why is this bad?
    BatchNorm after a linear layer raises "Expected more than 1 value per channel when training": at the end of the
    first epoch, after minutes or hours. A standard deviation over the batch is NaN then, and so are the weights.

    ## Fix
    - **unsafe** `drop_last=True` in training, or another batch size.

    ## Known limits
    Not checked: loaders that are neither a list nor a DataLoader with a batch size. One sample for each of several
    devices (DataParallel splits a batch) is not seen.

    ## References
    PyTorch documentation, torch.nn.BatchNorm1d; torch.utils.data.DataLoader, `drop_last`.
    """
    last = last_size(bench.setup.train)
    if last is None:
        yield NotChecked("train is neither a list nor a DataLoader with a batch size: its last batch is not known")
        return
    batch = bench.train[0]
    if last != 1 or (samples_in(batch) or 0) < 2:
        return
    said = _fails(bench, portion(batch, slice(0, 1)))
    if said and not _fails(bench, portion(batch, slice(0, 2))):
        yield Finding(
            f"the last training batch of each epoch has one sample, and its loss {said}; that of two samples does not",
            evidence=(Evidence("setup:train", 1.0, 0, 2.0, text="samples of the last batch"),),
            remedies=_REMEDIES,
        )


def last_size(batches: Any) -> int | None:
    """Samples of the last training batch; None where that cannot be told without loading all."""
    if isinstance(batches, DataLoader):
        return _of_loader(batches)
    return samples_in(batches[-1]) if isinstance(batches, Sequence) and len(batches) else None


def _of_loader(loader: DataLoader[Any]) -> int | None:
    plain = loader.batch_size is not None and type(loader.batch_sampler) is BatchSampler
    try:
        n = len(loader.sampler)  # type: ignore[arg-type]  # many a sampler has a length
    except TypeError:
        return None
    if not plain or loader.batch_size is None:
        return None
    return loader.batch_size if loader.drop_last else n % loader.batch_size or loader.batch_size


def _fails(bench: Bench, batch: Any) -> str:
    """What goes wrong with the loss of this batch in training mode, or ""."""
    try:
        with bench.restored(), warnings.catch_warnings(action="ignore"):  # of a deviation of one sample
            bench.model.train()
            loss = float(bench.terms(batch)["total"].detach())
    except SetupError as error:
        return f"raises {str(error.__cause__).splitlines()[0]!r}" if str(error.__cause__) else "raises"
    return "" if math.isfinite(loss) else f"is {loss}"
