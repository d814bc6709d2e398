"""OPT018 before the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.halves import Halved, halved, randomness
from tocsin.prechecks.over_batches import FEWEST, seen_interval
from tocsin.prechecks.setup import SetupError
from tocsin.stats import Interval

_RANDOM = 0.01
_EXPLAINED = 0.001  # float32 leaves 1e-5 of a weighted mean where the halves are nearly parallel
_SPREAD = 1.25  # sqrt(pi / 2): from the mean size to the standard deviation of a normal variable
Splits = list[Halved]  # of one batch
_SUMMED = (
    Remedy("Average the loss over the samples (reduction='mean')"),
    Remedy("If a sum is meant, do not divide by the number of accumulated batches, and tune the rate for this size"),
)
_WEIGHED = (
    Remedy("Sum the loss over tokens (or pixels), and divide by their number in all accumulated batches together"),
    Remedy("Fill batches to the same number of tokens"),
)
_COMPARED = (
    Remedy("Gather the outputs of all accumulated batches before the loss (cached gradients), or use a memory bank"),
    Remedy("If fewer comparisons a batch are meant, nothing: then tune it for this size of a batch"),
)


@rule("OPT018", needs=(), scope="setup")
def accumulation_scale(
    bench: Bench, *, difference: float = 0.05, seconds: float = 1.0
) -> Iterator[Finding | NotChecked]:
    """The gradient of a batch is the mean of the gradients of its halves: accumulating batches is one larger batch.

    ## What it does
    In eval mode (no dropout, BatchNorm by its running statistics), with the same random numbers for each pass. For each
    of the first batches, split in halves by order and by turns, with gradient G of the whole and G1, G2 of the halves:

    d = |(G1 + G2)/2 - G| / |G|,  r = |(G1 + G2)/2| / |G|,  G = w1 G1 + w2 G2 + e by least squares

    - *sum*: the whole 95 % interval of r over batches lies within `difference` of 1/2. Accumulated batches that are
      divided by their number give half of what one batch of that size gives. A warning where `accumulate` > 1; else a
      note: the gradient, and with it the learning rate that fits, grows with the size of the batch.
    - *weights*, where `accumulate` > 1: |e| < .001 |G| in most batches, so the whole is a weighted mean of its halves,
      and s = 1.25 mean |w1 - w2| has a lower end above `difference`. For normal weights that are counts (of tokens), s
      is the relative standard deviation of the counts of whole batches.
    - *compared*, where `accumulate` > 1: |e| is larger, and the lower end of the interval of d is above `difference`:
      the loss compares the samples of a batch (contrastive losses).

    ## Why is this bad?
    Accumulating k batches is done to train as with a batch k times as large. A mean over tokens in each batch gives the
    tokens of short batches more weight than those of long ones, and a sum is off by k: results no longer match those
    of the larger batch, or of another number of devices.

    ## Fix
    - **unsafe** Count the tokens of all accumulated batches first; sum the losses, divide by that count.
    - **unsafe** `reduction="mean"`.

    ## Options
    - `difference` (0.05): relative. It does not average out as sampling noise does; a loss that is a mean gives 1e-6.
      Texts whose lengths spread evenly from 1 to 32 give 0.14 in batches of 16, from 24 to 32 they give 0.02.
    - `seconds` (1): the time after which no further batch is looked at, once 3 were.

    ## Known limits
    Samples must lie along the first dimension of every tensor of a batch. A loss that draws random numbers (noise,
    masks) is not checked: halves draw others than the whole. For a contrastive loss the finding is true, and the loss
    may be meant so: fewer negatives a batch.

    ## References
    Hugging Face 2024, Fixing Gradient Accumulation (the loss of unequal token counts).
    """
    bench.model.eval()
    started, found = time.perf_counter(), list[Splits]()
    try:
        if randomness(bench, bench.train[0]) > _RANDOM:
            yield NotChecked("the loss draws random numbers, so halves of a batch are not comparable with the whole")
            return
        for batch in bench.train:
            found += [splits] if (splits := list(halved(bench, batch))) else []
            if len(found) >= FEWEST and time.perf_counter() - started > seconds:
                break
    except SetupError as error:
        yield NotChecked(f"half a batch cannot be made by slicing ({error})")
        return
    if not found:
        yield NotChecked("needs batches of 4 samples or more along the first dimension of all their tensors")
        return
    yield from _judged(bench, found, difference)


def _judged(bench: Bench, found: list[Splits], difference: float) -> Iterator[Finding]:
    ratios = _by_batch(found, lambda f: f.norm)
    ratio = seen_interval(ratios)
    if abs(ratio[0] - 0.5) < difference and abs(ratio[1] - 0.5) < difference:
        yield _summed(bench, float(np.mean(ratios)), ratio)
    elif bench.setup.accumulate > 1:
        weighed = float(np.median(_by_batch(found, lambda f: f.unexplained))) < _EXPLAINED
        values = _by_batch(found, lambda f: _SPREAD * abs(f.imbalance) if weighed else f.difference)
        apart = seen_interval(values)
        if apart[0] > difference:
            yield (_weighed if weighed else _compared)(
                bench.setup.accumulate, float(np.mean(values)), apart, difference
            )


def _by_batch(found: list[Splits], measured: Callable[[Halved], float]) -> list[float]:
    """The mean over the splits of each batch: two splits of the same samples are no two observations."""
    return [float(np.mean([measured(split) for split in splits])) for splits in found]


def _summed(bench: Bench, ratio: float, interval: Interval) -> Finding:
    k = bench.setup.accumulate
    meaning = (
        f"{k} accumulated batches, divided by {k}, give 1/{k} of the gradient of one batch of that size"
        if k > 1
        else "the gradient grows with the size of the batch, and is smaller in an incomplete last one"
    )
    return Finding(
        f"the loss is a sum over the samples: two halves of a batch have {ratio:.3g} [{interval[0]:.3g}, "
        f"{interval[1]:.3g}] of its gradient on average, where a mean has 1; {meaning}",
        subject="sum",
        severity="warning" if k > 1 else "note",
        evidence=(Evidence("setup:losses", ratio, 0, 1.0, interval, "gradient norm of the halves over the whole's"),),
        remedies=_SUMMED,
    )


def _weighed(k: int, spread: float, interval: Interval, limit: float) -> Finding:
    return Finding(
        f"the loss is a mean over unequal numbers (of tokens, pixels or weights): those of whole batches differ by "
        f"{spread:.1%} [{interval[0]:.1%}, {interval[1]:.1%}] of their mean (standard deviation), and each of the {k} "
        f"accumulated batches counts the same, whatever it holds",
        subject="weights",
        evidence=(Evidence("setup:losses", spread, 0, limit, interval, "spread of the weights of batches"),),
        remedies=_WEIGHED,
    )


def _compared(k: int, apart: float, interval: Interval, limit: float) -> Finding:
    return Finding(
        f"the loss compares the samples of a batch: the mean gradient of its halves is off by {apart:.1%} "
        f"[{interval[0]:.1%}, {interval[1]:.1%}] of its own, so {k} accumulated batches are not one of that size",
        subject="compared",
        evidence=(Evidence("setup:losses", apart, 0, limit, interval, "relative difference of the gradients"),),
        remedies=_COMPARED,
    )
