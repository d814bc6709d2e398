"""DAT002 before the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.identity import Codes, repeated, sample_codes, varied
from tocsin.prechecks.neighbours import nearness
from tocsin.prechecks.samples import Samples

LEAST = 20  # evaluation samples
ENTRIES = 4  # of a sample: fewer repeat by chance
REMEDIES = (
    Remedy("Split by sample (or by group) once, before augmentation and oversampling, and keep the lists"),
    Remedy("Remove duplicates across the splits by a hash of each sample's content"),
)


@dataclass(frozen=True)
class Shared:
    """How many of n evaluation samples were found among the training ones, and how many would be without a fault."""

    hits: int
    n: int
    expected: float = 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share."""
        return stats.wilson(self.hits, self.n)

    def over(self, share: float) -> bool:
        """Whether the share exceeds the expected one by more than ``share``."""
        return self.interval[0] > self.expected + share


@rule("DAT002", needs=("val",), scope="setup")
def train_eval_overlap(
    bench: Bench, *, share: float = 0.02, error: float = 0.3, nearer: float = 0.25
) -> Iterator[Finding | NotChecked]:
    """Samples of the evaluation are training samples, entry for entry or nearly so.

    ## What it does
    The first 4096 samples of both loaders, as the model gets them; samples whose entries are all equal do not count.

    *Exact*: k of n evaluation samples have the 64-bit hash of a training sample. Rings when the lower end of the 95 %
    Wilson interval of k / n exceeds e + `share`; an error beyond e + `error`. e is what few possible inputs give: the
    share of training samples, or of evaluation samples times the ratio of their numbers, that repeat another one of
    their own split (upper ends of their intervals, the lesser of the two: a sampler that draws with replacement
    repeats training samples only). A note where training has one batch, the very one that is evaluated.

    *Nearly*, of those left over, where the exact ones do not ring: r = distance to the nearest training sample i, in
    units of the distance from i to the nearest other training sample. So a dense region is no closer than a sparse one.
    Features are divided by their sd and projected at random to 64 dimensions where there are more. Rings where
    r < `nearer` for more evaluation samples than training samples, each of those left out of the training set in turn,
    by more than `share` (lower end of Newcombe's interval); or for more than `error` of the evaluation samples: then
    samples come in pairs that the split has torn apart.

    Defaults: `share` .02, as public data sets share up to a few percent with their test splits (Barz and Denzler 2020);
    `error` .3: above it a score is mostly memory; `nearer` .25: r < .25 happens to at most 1 of 4 samples of a smooth
    density on a line, to 1 of 16 on a plane, and to none of a thousand digits. Digits with noise of 5 % of each
    feature's sd have it in 99 of 100 cases, with 10 % in 68.

    ## Known limits
    Duplicates that are as frequent within each split as across them are taken for few possible inputs. Windows of one
    recording that overlap, and copies augmented before the split, lie as near to each other within the training
    samples: nothing rings (give ``group`` for that). Fewer than 4 entries a sample are not compared.
    """
    train, held = bench.samples("train"), bench.samples("val")
    if (reason := _unable(train, held)) or train is None or held is None:
        yield NotChecked(reason)
        return
    a, b = _compared(train), _compared(held)
    known = np.isin(b, a)
    exact = Shared(int(known.sum()), len(b), _expected(a, b))
    if exact.over(share):
        yield _exact(train, exact, error)
    elif len(b) - exact.hits >= LEAST:
        yield from _nearly(train, held, share, error, nearer)


def _unable(train: Samples | None, held: Samples | None) -> str:
    if train is None or held is None:
        return "batches differ in the shape of their tensors, or the model is not called by losses"
    if [t.shape[1:] for t in train.inputs] != [t.shape[1:] for t in held.inputs]:
        return "training and evaluation samples differ in shape"
    if max(t[0].numel() for t in train.inputs) < ENTRIES:
        return f"samples have fewer than {ENTRIES} entries"
    return f"{len(held)} samples of the evaluation, {LEAST} are needed" if len(_compared(held)) < LEAST else ""


def _compared(samples: Samples) -> Codes:
    largest = max(samples.inputs, key=lambda t: t[0].numel())
    return sample_codes(samples.inputs)[varied(largest)]


def _expected(train: Codes, held: Codes) -> float:
    """An upper bound of the share of evaluation samples that equal a training sample by chance."""
    if not len(train):
        return 0.0
    among_train = stats.wilson(float(repeated(train).sum()), len(train))[1]
    among_held = stats.wilson(float(repeated(held).sum()), len(held))[1]
    return min(among_train, among_held * max(1.0, len(train) / len(held)), 1.0)


def _exact(train: Samples, found: Shared, error: float) -> Finding:
    low = found.interval[0]
    message = (
        f"{found.hits} of {found.n} evaluation samples are training samples, entry for entry "
        f"({found.hits / found.n:.0%}, at least {low:.0%})"
    )
    message += "" if train.whole else f"; only {len(train)} training samples were looked at"
    alone = train.whole and train.batch[-1] == 0 and found.hits == found.n
    message += "; training has this one batch only" if alone else ""
    said = Evidence(
        "setup:val", found.hits / found.n, 0, found.expected, found.interval, "share that training has, too"
    )
    severe = low > found.expected + error
    return Finding(
        message, evidence=(said,), remedies=REMEDIES, severity="note" if alone else "error" if severe else "warning"
    )


def _nearly(train: Samples, held: Samples, share: float, error: float, nearer: float) -> Iterator[Finding]:
    column = next((k for k, t in enumerate(train.inputs) if t.is_floating_point()), None)
    if column is None:
        return  # distances between identifiers mean nothing
    alone = np.unique(sample_codes(train.inputs), return_index=True)[1]
    new = ~np.isin(sample_codes(held.inputs), sample_codes(train.inputs))
    found = nearness(train.inputs[column][alone], held.inputs[column][new])
    if found is None:
        return
    close, usual = int((found.held < nearer).sum()), int((found.trained < nearer).sum())
    n, m = len(found.held), len(found.trained)
    low, high = stats.proportion_difference(close, n, usual, m)
    if not (low > share or stats.wilson(close, n)[0] > error):
        return
    message = (
        f"{close} of {n} evaluation samples ({close / n:.0%}) are nearly the same as a training sample: less than "
        f"{nearer:g} times as far from it as that is from any other training sample; so are {usual / m:.1%} of the "
        "training samples among themselves"
    )
    said = Evidence(
        "setup:val", close / n - usual / m, 0, share, (low, high), "share nearly the same, beyond training's own"
    )
    yield Finding(message, "nearly", evidence=(said,), remedies=REMEDIES[:1])
