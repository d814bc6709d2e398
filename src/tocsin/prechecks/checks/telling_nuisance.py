"""DAT007 before the run: what must not tell the answer tells it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.cheap_probe import HeldOut, held_out, random_folds
from tocsin.prechecks.probe_tables import chosen_rows, features, thinned
from tocsin.prechecks.probe_targets import FEWEST, Target, probe_targets

_REMEDIES = (
    Remedy("Balance the nuisance over the answers, or split so that evaluation has other values of it"),
    Remedy("Report the skill of the nuisance alone beside the model's: only what is above it was learned"),
)


@rule("DAT007", needs=("predict", "nuisance"), severity="warning", scope="setup")
def telling_nuisance(bench: Bench, *, least: float = 0.1) -> Iterator[Finding | NotChecked]:
    """Inputs that must not tell the answer predict it on their own.

    ## What it does
    A ridge regression with random Fourier features, ranks and few-valued columns by value is fitted to
    `nuisance(batch)` alone, for up to 2000 training samples in 5 random folds. Its skill `s` is the share of the
    constant's error that is
    gone on the samples left out: balanced accuracy above chance for classes, R^2 of normal scores for amounts. It fires
    when `s >= least` and the 95 % interval of `s` (jackknife) is above 0.

    ## Why is this bad?
    Whatever of the nuisance shows in the input is an easy way to the answer: the hour by the light, the site by its
    camera. The random split rewards it, and the model fails where the nuisance is another.

    ## Fix
    - **unsafe** Balance the nuisance over the answers, or hold values of it out for the evaluation.
    - **safe** Report the skill of the nuisance alone beside the model's.

    ## Options
    - `least` = 0.1: a tenth of the constant's error. A choice; over 120 draws of nuisances that tell nothing (1 to 20
      columns, 2 to 10 classes or an amount, 150 to 1000 samples) the largest skill whose interval is above 0 was 0.05.

    ## Known limits
    That the nuisance tells the answer does not show that the input holds the nuisance. Samples that follow each other
    share both: an answer that drifts in time is predicted from the time, which is the leak this looks for.

    ## References
    Kaufman et al. 2012, Leakage in data mining. Zech et al. 2018, Variable generalization performance of a deep
    learning model to detect pneumonia in chest radiographs.
    """
    samples = bench.samples()
    if samples is None or samples.nuisance is None:
        yield NotChecked("needs batches whose tensors have one shape")
        return
    rows = chosen_rows(len(samples), samples.nuisance.shape[1])
    x, targets = features(thinned(samples.nuisance, rows)), probe_targets(samples, rows)
    if not targets:
        yield NotChecked(f"needs {FEWEST} samples with targets")
    for target in targets:
        mine = x[np.searchsorted(rows, target.rows)]
        held = held_out(mine, target, random_folds(len(mine)))
        if held.skill >= least and held.interval()[0] > 0:
            yield _finding(target, held, least)


def _finding(target: Target, held: HeldOut, least: float) -> Finding:
    low, high = held.interval()
    return Finding(
        f"the nuisance alone predicts {target.task} with a skill of {held.skill:.2f} [{low:.2f}, {high:.2f}] on "
        f"{target.rows.size} held-out samples (1 knows all, {target.scale})",
        subject="nuisance" if target.task == "main" else f"nuisance {target.task}",
        evidence=(Evidence("setup:nuisance", held.skill, 0, least, (low, high), "skill on held-out samples"),),
        remedies=_REMEDIES,
    )
