"""DAT008 before the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.cheap_probe import HeldOut, held_out, random_folds
from tocsin.prechecks.probe_tables import Floats, chosen_rows, features
from tocsin.prechecks.probe_targets import FEWEST, Target, probe_targets
from tocsin.prechecks.samples import Samples
from tocsin.prechecks.traces import amounts, padding, steps


@dataclass(frozen=True)
class Trace:
    """A mark of preprocessing on each sample.

    Attributes:
        name: In a word, the subject.
        words: What it is.
        values: Of each sample, [n, columns].
        remedy: What to do.
        sure: Nothing that was measured shows in it.
    """

    name: str
    words: str
    values: Floats
    remedy: str
    sure: bool = True


@rule("DAT008", needs=("predict",), severity="warning", scope="setup")
def label_in_preprocessing(bench: Bench, *, least: float = 0.1, strong: float = 0.5) -> Iterator[Finding | NotChecked]:
    """A mark that preprocessing leaves on the samples, and nothing that was measured, predicts the label.

    ## What it does
    Two marks of each of up to 2000 training samples, each alone:

    - *padding*: exact zeros before and after the sample along its last axis. None where zeros stand within it too
      (more than 1 %: a black background, sparse features) or fewer than 5 % of the samples are padded;
    - *step*: the gap of which all gaps between the sample's values are multiples; where values are logarithms of
      counts (plus one), even rounded to bytes, the level of a count of one. Counts and bytes that were scaled sample by
      sample or batch by batch show the scale in it. None where half of the samples have no such step or it is the same
      for 95 % of them to 1 %.

    A ridge regression with random Fourier features is fitted to the mark in 5 random folds. Its skill `s` is the share
    of the constant's error that is gone on the samples left out: balanced accuracy above chance for classes, R^2 of
    normal scores for amounts. It fires when `s >= least` and the 95 % interval of `s` (jackknife) is above 0. Padding
    with `s < strong` is a note: lengths may be what was measured.

    ## Why is this bad?
    A network finds the easiest way to the label. Files of one class that are a second shorter, or whose grey levels are
    one count apart after scaling, are told from each other without a look at what they show; other data do not have it.

    ## Fix
    - **unsafe** Cut or pad all samples alike; scale with constants of the set.

    ## Options
    - `least` = 0.1: a tenth of the constant's error (17 % accuracy among 16 classes is 0.12). A choice.
    - `strong` = 0.5: the length alone does half of the work.

    ## Known limits
    Mean, spread, range and the number of distinct values of a sample are measured as much as made: they are not looked
    at, and neither is the scale of a batch where values have no step. A length that belongs to the thing (a word, a
    call) rings all the same. The first channel stands for all. Labels that the
    order of the samples tells are DAT003.

    ## References
    Geirhos et al. 2020, Shortcut learning in deep neural networks. Kaufman et al. 2012, Leakage in data mining.
    """
    samples = bench.samples()
    if samples is None:
        yield NotChecked("needs batches whose tensors have one shape")
        return
    rows = chosen_rows(len(samples), 1)
    targets = probe_targets(samples, rows)
    if not targets:
        yield NotChecked(f"needs {FEWEST} samples with targets")
    elif traces := list(_traces(samples, rows)):
        for target in targets:
            for trace in traces:
                yield from _judged(trace, target, rows, least, strong)


def _traces(samples: Samples, rows: NDArray[np.intp]) -> Iterator[Trace]:
    inputs = amounts(samples, rows)
    if inputs is not None:
        pad, step = padding(inputs), steps(inputs)
        if pad is not None:
            words = "the amount of zero padding"
            yield Trace("padding", words, pad, "Cut or pad the samples of all classes alike", sure=False)
        if step is not None:
            words = "the step between neighbouring values, which scaling sample by sample leaves behind,"
            yield Trace("step", words, step, "Scale with constants of the training set, or dither before scaling")


def _judged(trace: Trace, target: Target, rows: NDArray[np.intp], least: float, strong: float) -> Iterator[Finding]:
    x = _with_missing(trace.values)[np.searchsorted(rows, target.rows)]
    held = held_out(features(x), target, random_folds(len(x)))
    if held.skill >= least and held.interval()[0] > 0:
        yield _finding(trace, target, held, least, "warning" if trace.sure or held.skill >= strong else "note")


def _with_missing(values: Floats) -> Floats:
    return np.concatenate([values, np.isnan(values).astype(np.float64)], axis=1)


def _finding(trace: Trace, target: Target, held: HeldOut, least: float, severity: Severity) -> Finding:
    low, high = held.interval()
    return Finding(
        f"{trace.words} alone predicts {target.task} with a skill of {held.skill:.2f} [{low:.2f}, {high:.2f}] on "
        f"{target.rows.size} held-out samples (1 knows all, {target.scale})",
        subject=trace.name if target.task == "main" else f"{trace.name} {target.task}",
        severity=severity,
        evidence=(Evidence("setup:train", held.skill, 0, least, (low, high), f"skill of the {trace.name} alone"),),
        remedies=(Remedy(trace.remedy),),
    )
