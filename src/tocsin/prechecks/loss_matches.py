"""Which loss each term is: recomputed in double precision from targets and predictions of the first batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from tocsin.prechecks.loss_looks import FEWEST, Floats, Form, Looks, Rows
from tocsin.run import Kind

SAME = 1e-4  # relative: losses in single precision


@dataclass(frozen=True)
class Match:
    """A term that is a recomputed loss times a factor, constant or by batch, in every batch."""

    term: str
    task: str
    loss: str
    value: Floats
    recomputed: Floats

    @property
    def factor(self) -> Floats:
        """Term over recomputed loss, by batch."""
        made: Floats = self.value / self.recomputed
        return made


def losses_of(rows: Rows) -> dict[str, Floats]:
    """The mean losses that these rows may stand for, by batch; the honest one comes first."""
    looks = [dict(_of_batch(rows.kind, rows.form, t, p)) for t, p in zip(rows.target, rows.prediction, strict=True)]
    return {name: np.array([one[name] for one in looks]) for name in looks[0]}


def _of_batch(kind: Kind, form: Form, t: Tensor, p: Tensor) -> Iterator[tuple[str, float]]:
    if kind == "classes":
        yield from _of_classes(form, t, p)
    elif kind == "regression":
        yield "MSE", float((t - p).square().mean())
        yield "MAE", float((t - p).abs().mean())
    else:
        if form == "probabilities":
            yield "binary cross-entropy", float(F.binary_cross_entropy(p, t))
            yield "BCEWithLogits of probabilities", float(F.binary_cross_entropy_with_logits(p, t))
        else:
            yield "binary cross-entropy", float(F.binary_cross_entropy_with_logits(p, t))
            yield "BCEWithLogits of probabilities", float(F.binary_cross_entropy_with_logits(p.sigmoid(), t))
        yield "MSE", float((t - p).square().mean())


def _of_classes(form: Form, t: Tensor, p: Tensor) -> Iterator[tuple[str, float]]:
    logs = p.clamp_min(1e-300).log() if form == "probabilities" else p.log_softmax(1)
    sure = logs.exp()
    yield "cross-entropy", float(F.nll_loss(logs, t))
    yield "cross-entropy of probabilities", float(F.cross_entropy(sure, t))
    yield "NLLLoss of probabilities", float(F.nll_loss(sure, t))
    if form == "logits":
        yield "NLLLoss of raw logits", float(F.nll_loss(p, t))


def matches(looks: Looks) -> Iterator[Match]:
    """The terms that are a loss recomputed, times one factor or the number of samples; the first that fits of each.

    Needs ``FEWEST`` batches, and losses that differ between them: otherwise any factor fits.
    """
    for task, rows in looks.tasks.items():
        recomputed = losses_of(rows)
        for term, value in looks.terms.items():
            fits = [
                Match(term, task, loss, value, own)
                for loss, own in recomputed.items()
                if len(value) >= FEWEST and _fits(value, own, rows)
            ]
            yield from fits[:1]


def _fits(value: Floats, own: Floats, rows: Rows) -> bool:
    if not (np.isfinite(value).all() and np.isfinite(own).all() and (own != 0).all()):
        return False
    factor = value / own
    if np.abs(factor - 1).max() < SAME:
        return True
    moves = np.ptp(own) > 30 * SAME * np.abs(own).max()
    return bool(moves) and any(is_constant(factor / c) for c in (np.ones(1), *counts(rows)))


def counts(rows: Rows) -> tuple[Floats, Floats]:
    """Samples of each batch, and rows of each batch (tokens, pixels)."""
    return np.array(rows.samples, np.float64), np.array([len(t) for t in rows.target], np.float64)


def is_constant(factor: Floats) -> bool:
    """Whether it is one positive number in every batch, but for rounding."""
    middle = float(np.median(factor))
    return middle > 0 and bool(np.abs(factor / middle - 1).max() < SAME)
