"""DAT004 before the run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks import drift
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.drift import Drift
from tocsin.prechecks.views import Likeness, likeness, views_of

LEAST = 20  # samples of each
SHARE = 0.05  # of the samples beyond the training range
_SHOWN = 5
REMEDIES = (
    Remedy("Put one training sample through both pipelines and compare: dtype, scale, mean, range"),
    Remedy("Share the deterministic part of the transforms (decode, scale, normalise) between the splits"),
)


@rule("DAT004", needs=(), severity="warning", scope="setup")
def train_eval_transform_mismatch(
    bench: Bench, *, shift: float = 1.0, ratio: float = 3.0, ranges: float = 1.0, r: float = 0.9
) -> Iterator[Finding | NotChecked]:
    """The evaluation sees samples that are transformed in another way than those of training.

    ## What it does
    *Moments* of the first 4096 samples of ``train`` and ``val``, as the model gets them: of all entries of the first
    floating or 8-bit input, and of each column of a table or channel, the outermost 1 % moved in. Means m and sds s,
    with standard errors over samples (the entries of one sample are not independent). Rings where the 99.9 % interval,
    shared by the features, lies beyond: |m - m'| / max(s, s') > `shift`; s / s' > `ratio` either way; or where the
    lower end of the 95 % Wilson interval of the share of evaluation samples with an entry more than `ranges` training
    ranges outside the training range exceeds 5 %. A note where fewer than half of the features differ and the
    whole does not: a split by time or site differs so, too.

    *8-bit wrap*, an error: one split has at most 32 levels, all within 16 of 0 or 255 (or 0 and 1, by 1/255); taken
    back (255 is -1), they have the mean and the sd of the other split, which has more than 256 levels: z-scores cast to
    unsigned bytes.

    *Views*, where the setup has ``views``: the mean correlation of the two views of the same samples, the best of the
    mirrored ones, over the entries. Rings where its 95 % interval lies below `r`; a note where their sorted values
    correlate with `r` or more: crops, rotations, noise move or blur values, a fault of scale or type changes them.
    Their moments are compared as above.

    Defaults: `shift`, `ratio` as of the rule on a run: crops, flips, colour jitter, mixup and class-balanced sampling
    move a mean by a few tenths, masking three quarters of an image halves its sd; `ranges` 1: the evaluation's range is
    twice that of training, as of the rule; `r` .9: noise of half the sd of the samples gives .89.

    ## Known limits
    Without ``views`` only distributions are compared: a mirrored axis or a permuted channel is not seen. Masking and
    mixing of samples lower the correlation of views: leave them out of ``views``. An evaluation on data that are
    meant to differ rings. The first floating or 8-bit input only.
    """
    given = bench.has("views")
    if not given and not bench.has("val"):
        yield NotChecked("needs val or views of the Setup")
        return
    if given:
        yield from _viewed(bench, shift, ratio, ranges, r)
    if bench.has("val"):
        train, held = (_input(bench, split) for split in ("train", "val"))
        if train is None or held is None:
            yield NotChecked("no input of training and evaluation that is floating or 8-bit, in batches of one shape")
        elif min(len(train), len(held)) < LEAST:
            yield NotChecked(f"fewer than {LEAST} samples of finite entries")
        else:
            yield from _compared(train, held, shift, ratio, ranges)


def _input(bench: Bench, split: str) -> Tensor | None:
    """The first floating or 8-bit input, samples of finite entries only."""
    samples = bench.samples(split)
    inputs = samples.inputs if samples is not None else []
    x = next((t for t in inputs if t.is_floating_point() or t.dtype == torch.uint8), None)
    return _finite(x) if x is not None and x[0].numel() else None


def _finite(x: Tensor) -> Tensor:
    return x[torch.isfinite(x).reshape(len(x), -1).all(dim=1)] if x.is_floating_point() else x


def _compared(
    train: Tensor, held: Tensor, shift: float, ratio: float, ranges: float, what: str = ""
) -> Iterator[Finding]:
    found = _drifts(drift.as_one(train), drift.as_one(held), shift, ratio)
    out, low, high = drift.beyond(train, held, ranges)
    share = stats.wilson(out, len(held))
    wrap = "training's" if drift.wrapped(train, held) else "the evaluation's" if drift.wrapped(held, train) else ""
    words = [f"{_words(one)} (99.9 % interval {one.low:.3g} to {one.high:.3g})" for one in found]
    if share[0] > SHARE:
        words.append(f"{out} of {len(held)} samples lie far beyond [{low:.3g}, {high:.3g}], all that training has")
    if wrap:
        words.append(f"{wrap} are the other's cast to unsigned bytes: 255 stands for -1")
    if words:
        message = f"{what or 'the inputs'} of the evaluation have {_told(held)}, of training {_told(train)}: "
        said = (*(_evidence(one) for one in found), *_counted(out, len(held), share))
        yield Finding(message + "; ".join(words), what, 0, said, REMEDIES, "error" if wrap else "warning")
    elif train.shape[1:] == held.shape[1:]:
        yield from _features(train, held, shift, ratio, what)


def _drifts(a: Tensor, b: Tensor, shift: float, ratio: float) -> list[Drift]:
    one, other = (drift.moments(x) for x in (drift.clipped(a, b) if a.shape[1] == b.shape[1] else (a, b)))
    return list(drift.drifts(one, other, shift, ratio))


def _features(train: Tensor, held: Tensor, shift: float, ratio: float, what: str) -> Iterator[Finding]:
    a, b = (drift.by_feature(x) for x in (train, held))
    found = sorted(_drifts(a, b, shift, ratio), key=lambda one: -one.low)
    which = sorted({one.feature for one in found})
    if not which or a.shape[1] == 1:
        return
    shown = ", ".join(map(str, which[:_SHOWN])) + (" ..." if len(which) > _SHOWN else "")
    worst = found[0]
    message = (
        f"{len(which)} of {a.shape[1]} {'channels' if train.dim() > 2 else 'features'} of the evaluation differ from "
        f"training ({shown}); of {worst.feature} {_words(worst)} (interval {worst.low:.3g} to {worst.high:.3g})"
    )
    said = tuple(_evidence(one) for one in found[:_SHOWN])
    most = 2 * len(which) >= a.shape[1]
    yield Finding(message, what or "features", 0, said, REMEDIES, severity="warning" if most else "note")


def _words(one: Drift) -> str:
    if one.moment == "mean":
        return f"the means are {one.size:.3g} sd apart"
    return f"the sds differ by a factor {one.size:.3g}"


def _told(x: Tensor) -> str:
    sd, mean = torch.std_mean(x.float())
    return f"mean {mean:.3g} and sd {sd:.3g}"


def _evidence(one: Drift) -> Evidence:
    return Evidence("setup:val", one.size, 0, interval=(one.low, one.high), text=f"{_words(one)}, input {one.feature}")


def _counted(out: int, n: int, share: tuple[float, float]) -> tuple[Evidence, ...]:
    return (Evidence("setup:val", out / n, 0, SHARE, share, "share of samples far beyond the training range"),)


def _viewed(bench: Bench, shift: float, ratio: float, ranges: float, r: float) -> Iterator[Finding | NotChecked]:
    a, b = views_of(bench)
    fine = torch.isfinite(a).reshape(len(a), -1).all(dim=1) & torch.isfinite(b).reshape(len(b), -1).all(dim=1)
    a, b = a[fine], b[fine]
    alike = likeness(a, b) if len(a) >= LEAST else None
    if alike is None:
        yield NotChecked(f"fewer than {LEAST} samples in the views")
        return
    if alike.interval[1] < r:
        yield _unlike(alike, r)
    yield from _compared(a, b, shift, ratio, ranges, "the views")


def _unlike(alike: Likeness, r: float) -> Finding:
    low, high = alike.interval
    moved = alike.values >= r
    message = (
        f"{alike.n} samples as training sees them and as the evaluation sees them correlate with r = "
        f"{alike.places:.3f} only (95 % interval {low:.3f} to {high:.3f})"
    )
    message += f"; sorted, their values do with {alike.values:.3f}" + (": moved, not changed" if moved else "")
    said = Evidence("setup:views", alike.places, 0, r, alike.interval, "mean correlation of the two views")
    return Finding(message, "", 0, (said,), REMEDIES, severity="note" if moved else "warning")
