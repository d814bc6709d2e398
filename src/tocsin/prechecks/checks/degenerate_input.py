"""DAT006 before the run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Severity, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.drift import by_feature
from tocsin.prechecks.samples import Samples, model_inputs
from tocsin.prechecks.targets import IN_WORDS, REMEDIES, finite_loss, first, new_classes, same_targets

LEAST = 20  # samples: fewer may well be alike
MODES = {"train": "train", "val": "eval"}
_SHOWN = 5


@rule("DAT006", needs=(), severity="warning", scope="setup")
def degenerate_input(bench: Bench, *, much: float = 0.25) -> Iterator[Finding | NotChecked]:
    """Inputs are NaN or all alike, targets are all the same, or the evaluation has classes that training lacks.

    ## What it does
    On the first 4096 samples of each loader, as the model gets them:

    - *Not finite*: k of n samples hold NaN or infinite entries (additive masks of 0 and -inf do not count). An error
      where the loss of one of the first 8 batches that hold some is not finite, a note where it is (models that take
      NaN for missing), a warning where none of these batches holds one.
    - *Alike*: in every batch of 2 samples or more all samples are the same. A note where more than the share `much` of
      the features does not vary among at least 20 training samples, or a channel that is constant.
    - *Targets*: all of at least 20 are one value, or NaN; a note of an evaluation whose end was not seen (it may be
      sorted) and of training samples of one class where the evaluation has several (detection of what is new). A note
      of constant components of a vector. NaN among others are an error where the loss of a first batch with some is not
      finite.
    - *Unknown classes*: k of n evaluation samples are of classes that no sample of the whole training split has. A note
      where the lower end of the 95 % Wilson interval of k / n is below 1 %, or no class is shared (retrieval).

    Facts, not estimates, but for the shares, which have their intervals: a feature that is constant in n samples varies
    in fewer than 3 / n of all (95 %). `much` .25 as of the rule on a run: flattened images have constant borders,
    one-hot inputs rare columns.

    ## Known limits
    Targets need ``predict``. A class is missing only if the whole training split was seen. Inputs at the ends of their
    range (over-exposed images) are not measured.
    """
    alike: set[str] = set()
    for split in ("train", "val"):
        if bench.has(split):
            batches = _batches(bench, split)
            yield from _not_finite(bench, split, batches)
            same = list(_alike(split, batches))
            alike |= {finding.subject for finding in same}
            yield from same
    train, held = bench.samples("train"), bench.samples("val")
    if train is not None and len(train) >= LEAST and "constant/train" not in alike:
        yield from _constant(train, much)
    if not bench.has("predict"):
        yield NotChecked("the targets need predict of the Setup")
        return
    for split, samples, other in (("train", train, held), ("val", held, train)):
        if samples is not None and len(samples) >= LEAST:
            yield from same_targets(bench, split, samples, other)
    if train is not None and held is not None and train.whole:
        yield from new_classes(train, held)


def _batches(bench: Bench, split: str) -> list[list[Tensor]]:
    """The inputs of each batch: of all samples gathered, or of the first batches where these differ in shape."""
    samples = bench.samples(split)
    if samples is None:
        return [model_inputs(bench.setup, batch) for batch in first(bench, split)]
    which = torch.as_tensor(samples.batch)
    return [[t[which == k] for t in samples.inputs] for k in range(int(which[-1]) + 1)]


def _not_finite(bench: Bench, split: str, batches: list[list[Tensor]]) -> Iterator[Finding]:
    rows = [
        torch.stack(list(bad)).any(dim=0) for inputs in batches if (bad := list(_bad_samples(_of_one_length(inputs))))
    ]
    n = sum(len(inputs[0]) for inputs in batches if inputs and inputs[0].dim())
    hit = sum(int(row.sum()) for row in rows)
    if not hit:
        return
    losses = [
        finite_loss(bench, split, batch)
        for batch in first(bench, split)
        if any(True for _ in _bad_samples(model_inputs(bench.setup, batch)))
    ]
    said, severity = _harm(losses)
    message = f"{hit} of {n} {IN_WORDS[split]} samples ({hit / n:.1%}) have entries that are NaN or infinite{said}"
    evidence = (Evidence(f"setup:{split}", hit / n, 0, 0.0, stats.wilson(hit, n), "share of samples not finite"),)
    yield Finding(message, f"nonfinite/{MODES[split]}", 0, evidence, REMEDIES, severity)


def _of_one_length(inputs: list[Tensor]) -> list[Tensor]:
    return [t for t in inputs if t.dim() and len(t) == len(inputs[0])] if inputs and inputs[0].dim() else []


def _harm(losses: list[bool]) -> tuple[str, Severity]:
    """What becomes of the losses of batches with such entries, and how severe that is."""
    if not losses:
        return "; none in the first batches", "warning"
    return ("; the loss is finite", "note") if all(losses) else ("; the loss is not finite", "error")


def _alike(split: str, batches: list[list[Tensor]]) -> Iterator[Finding]:
    seen = [rows for inputs in batches if len(rows := _of_one_length(inputs)) and len(rows[0]) > 1]
    if not seen or not all(bool((t == t[:1]).all()) for rows in seen for t in rows):
        return
    n = sum(len(rows[0]) for rows in seen)
    message = f"all {IN_WORDS[split]} samples of a batch are the same, in each of {len(seen)} batches ({n} samples)"
    evidence = (Evidence(f"setup:{split}", 1.0, 0, text="share of batches whose samples are all the same"),)
    yield Finding(message, f"constant/{MODES[split]}", 0, evidence, REMEDIES)


def _constant(train: Samples, much: float) -> Iterator[Finding]:
    x = next((t for t in train.inputs if t.is_floating_point()), None)
    if x is None or not x[0].numel() or bool((x == x[:1]).all()):
        return
    same = (x == x[:1]).reshape(len(x), -1).all(dim=0)
    share, channels = float(same.double().mean()), _constant_channels(x)
    if not (share > much or channels):
        return
    which = f"; channels {', '.join(map(str, channels[:_SHOWN]))} throughout" if channels else ""
    message = f"{share:.0%} of the input's features do not vary among {len(x)} training samples{which}"
    varies = 1 - 0.05 ** (1 / len(x))
    evidence = (
        Evidence("setup:train", share, 0, much, text=f"constant; of all samples at most {varies:.2%} differ (95 %)"),
    )
    yield Finding(message, "constant/train", 0, evidence, REMEDIES, severity="note")


def _constant_channels(x: Tensor) -> list[int]:
    """Channels of images and series whose entries are all one value."""
    if x.dim() < 3:
        return []
    table = by_feature(x)
    flat = table.transpose(0, 1).flatten(1)
    return torch.nonzero((flat == flat[:, :1]).all(dim=1)).reshape(-1).tolist() if table.shape[1] > 1 else []


def _bad_samples(tensors: list[Tensor]) -> Iterator[Tensor]:
    """Of each floating tensor [n, ...] the samples with NaN or infinite entries; masks of 0 and -inf have none."""
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.dim():
            bad = ~torch.isfinite(tensor)
            if bool(bad.any()) and not bool(((tensor == 0) | (tensor == -torch.inf)).all()):
                yield bad.reshape(len(tensor), -1).any(dim=1)
