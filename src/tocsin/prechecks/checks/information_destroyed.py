"""DAT005 before the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.cheap_probe import HeldOut, held_out, random_folds, recovered
from tocsin.prechecks.probe_tables import Floats, chosen_rows, features, input_columns, input_rows, thinned, views
from tocsin.prechecks.probe_targets import FEWEST, Target, probe_targets
from tocsin.prechecks.samples import Samples

_REMEDIES = (
    Remedy("Normalise with constants of the training set, not with statistics of the sample itself"),
    Remedy("Give the model what the preprocessing takes away (level, scale, time) as an input of its own"),
)


@dataclass(frozen=True)
class Loss:
    """What a probe knows of one target from the raw samples, and from what goes into the model."""

    target: Target
    raw: HeldOut
    prepared: HeldOut

    def rings(self, kept: float, least: float) -> bool:
        """Whether it is large: in skill, as a share of it, and beyond the scatter of the samples."""
        far = self.raw.skill - self.prepared.skill >= least and self.prepared.skill < kept * self.raw.skill
        return far and self.raw.less(self.prepared)[0] > 0


@rule("DAT005", needs=("predict", "raw"), severity="warning", scope="setup")
def information_destroyed(bench: Bench, *, kept: float = 0.5, least: float = 0.1) -> Iterator[Finding | NotChecked]:
    """A cheap probe predicts the target from the raw input, and not from what preprocessing makes of it.

    ## What it does
    A ridge regression is fitted to up to 2000 training samples in 5 folds: once from the values of `raw(batch)` and
    each sample's mean and spread, once from the tensors that the model is called with and more: what is not linear
    (random Fourier features, ranks, squares of components). Its skill `s` is the share of the constant's
    error that is gone on the samples left out: balanced accuracy above chance for classes, R^2 of normal scores for
    amounts. It fires when

    `s_raw - s_in >= least`, `s_in < kept * s_raw`, the 95 % interval of `s_raw - s_in` (paired jackknife) is above 0,

    where `s_in` is lenient: the penalty is the one that predicts the held-out samples best, and the input counts as it
    is, as its exponential, as power from decibels, and as its signed logarithm, whichever predicts best. With `val`,
    of 100 samples or more, its samples must show it too: augmentation of the training samples is meant to hide things.
    Silent where a linear map gives the raw samples back from the inputs (least R^2 of .95 on samples left out).

    ## Why is this bad?
    What preprocessing takes away no model learns. Images that are standardised one by one have lost their brightness,
    a spectrum its phase, a clipped signal its peaks. The training looks healthy and stops at what is left.

    ## Fix
    - **unsafe** Normalise with constants of the training set.
    - **unsafe** Give the model what is taken away as an input of its own.

    ## Options
    - `kept` = 0.5: least share of the skill that is to be left. Over 1240 healthy pairs (standardised by the set,
      rotated, logarithm, decibels, square root, float16, 8 bits, min-max over the set; 2 to 300 columns, 700 samples)
      the least share was 0.75.
    - `least` = 0.1: a tenth of the constant's error. A choice: below it there is little that a model would lose.

    ## Known limits
    A probe is no network: it is silent on what only a network reads from the raw input. Where preprocessing brings out
    what the probe cannot read from the raw samples, that hides a loss. Inputs that are codes (tokens) are not checked,
    nor are targets of more than one value that only a network could place (masks count by 8 of their pixels).

    ## References
    Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes. Rahimi & Recht 2007, Random
    features. Efron & Stein 1981, The jackknife estimate of variance.
    """
    losses = _losses(bench.samples(), least)
    if isinstance(losses, NotChecked):
        yield losses
        return
    for loss in losses:
        if loss.rings(kept, least) and _in_evaluation(bench, loss.target.task, kept, least):
            yield _finding(loss, kept)


def _losses(samples: Samples | None, least: float) -> list[Loss] | NotChecked:
    """For each target that the raw samples tell something of."""
    columns = input_columns(samples) if samples is not None else None
    if samples is None or samples.raw is None or columns is None:
        return NotChecked("needs batches whose tensors have one shape, and inputs that are amounts, not codes")
    rows = chosen_rows(len(samples), max(columns, samples.raw.shape[1]))
    targets = probe_targets(samples, rows)
    raw = features(thinned(samples.raw, rows), plain=True)
    told = [(one, _held(raw, one, rows)) for one in targets]
    told = [(one, held) for one, held in told if held.skill >= least]
    if not told:
        what = (
            "the probe predicts no target from the raw samples" if targets else f"needs {FEWEST} samples with targets"
        )
        return NotChecked(what)
    table = input_rows(samples, rows)
    if recovered(thinned(samples.raw, rows), table):
        return []
    return [Loss(one, held, _best(table, one, rows, held)) for one, held in told]


def _best(table: Floats, target: Target, rows: NDArray[np.intp], raw: HeldOut) -> HeldOut:
    """The most that a view of the table tells; the first one that tells as much as the raw samples will do."""
    best = _held(features(table), target, rows, lenient=True)
    for view in views(table):
        if best.skill >= raw.skill:
            break
        held = _held(features(view), target, rows, lenient=True)
        best = max(best, held, key=lambda one: one.skill)
    return best


def _held(x: Floats, target: Target, rows: NDArray[np.intp], *, lenient: bool = False) -> HeldOut:
    mine = x[np.searchsorted(rows, target.rows)]
    return held_out(mine, target, random_folds(len(mine)), lenient=lenient)


def _in_evaluation(bench: Bench, task: str, kept: float, least: float) -> bool:
    """Whether the samples of the evaluation show it too; where they are too few, whether nothing speaks against it."""
    samples = bench.samples("val")
    losses = _losses(samples, least) if samples is not None else NotChecked("no evaluation")
    if isinstance(losses, NotChecked):
        return samples is None or len(samples) < 2 * FEWEST
    return any(loss.target.task == task and loss.prepared.skill < kept * loss.raw.skill for loss in losses)


def _finding(loss: Loss, kept: float) -> Finding:
    raw, prepared, target = loss.raw.skill, loss.prepared.skill, loss.target
    low, high = loss.raw.less(loss.prepared)
    return Finding(
        f"a cheap probe predicts {target.task} from the raw samples with a skill of {raw:.2f}, from what goes into the "
        f"model with {max(prepared, 0):.2f} (1 knows all, {target.scale}): preprocessing loses {raw - prepared:.2f} "
        f"[{low:.2f}, {high:.2f}] over {target.rows.size} held-out samples",
        subject=target.task,
        evidence=(
            Evidence("setup:raw", raw, 0, text="skill from the raw samples"),
            Evidence(
                "setup:train", prepared, 0, kept * raw, (low, high), "skill from the inputs; interval of the loss"
            ),
        ),
        remedies=_REMEDIES,
    )
