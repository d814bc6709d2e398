"""DAT007 before the run: samples of one group in training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.cheap_probe import HeldOut, grouped_folds, held_out, random_folds
from tocsin.prechecks.probe_tables import Floats, chosen_rows, features, finite, input_columns, input_rows
from tocsin.prechecks.probe_targets import FEWEST, Target, probe_targets
from tocsin.prechecks.samples import Samples

_FEWEST_GROUPS = 10
_REMEDIES = (
    Remedy("Split by group: no patient, site or recording in both training and evaluation"),
    Remedy("Report the skill on new groups beside the one on known groups, if both are asked for"),
)


@dataclass(frozen=True)
class Leak:
    """What a probe knows of samples of known groups, and of new ones.

    Attributes:
        level: What it knows of new ones with inputs measured from their group's mean, where that is as good as known
            groups and no group tells the answer: the targets are measured so, too.
    """

    target: Target
    known: HeldOut
    new: HeldOut
    groups: NDArray[np.int64]
    level: HeldOut | None = None

    @property
    def gap(self) -> float:
        """Skill that a new group takes away; none below chance."""
        return self.known.skill - max(self.new.skill, 0.0)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference of the skills, by the jackknife over groups."""
        return self.known.less(self.new, self.groups)


@rule("DAT007", needs=("val", "predict", "group"), severity="warning", scope="setup")
def group_leakage(bench: Bench, *, kept: float = 0.5, least: float = 0.1) -> Iterator[Finding | NotChecked]:
    """Training and evaluation share groups, and a probe knows much more of known groups than of new ones.

    ## What it does
    A ridge regression with random Fourier features is fitted to what goes into the model, for up to 2000 training
    samples in 5 folds: once with folds drawn at random, once with whole groups in a fold. Its skill `s` is the share of
    the constant's error that is gone on the samples left out: balanced accuracy above chance for classes, R^2 of normal
    scores for amounts. With `q` the share of the evaluation's samples whose group is in training too, it fires when

    `q * (s_random - max(s_grouped, 0)) >= least`, `s_grouped < kept * s_random`, and the 95 % interval of
    `s_random - s_grouped` (paired jackknife over groups) is above 0.

    The first left side is what the leak adds to the evaluation's skill. `s_grouped` is lenient: with and without what
    is not linear, and with the penalty that predicts the held-out groups best, whichever is best.
    Classes that are in one group only are left out: no new group has them.

    A note where the targets are measured relative to their group: the group alone has a skill below `least`, and with
    inputs less their group's mean `s_grouped >= kept * s_random`. No answer of a group leaks then; what a new group
    lacks is its level.

    ## Why is this bad?
    Two samples of one recording share a room, a microphone, a person. A model that learns those predicts the rest of
    the recording, the evaluation praises it, and on the next recording it knows nothing.

    ## Fix
    - **unsafe** Split by group.
    - **safe** Report both skills.

    ## Options
    - `kept` = 0.5: share of the skill that is left in new groups. Over 80 draws without a leak (10 to 40 groups that
      differ in inputs, or in answers and what inputs tell of them) none rang; the least share whose interval excludes
      1 was 0.78.
    - `least` = 0.1: a tenth of the constant's error. A choice.

    ## Known limits
    Needs 10 groups in training. A probe is no network, and a network remembers groups better: silence is no proof.
    Where new samples of known groups are what the model is for (one device, calibrated), the split is right and this
    rings.
    Only the first samples of the loaders are seen, 4096 or 5 s of them.

    ## References
    Kaufman et al. 2012, Leakage in data mining. Roberts et al. 2017, Cross-validation strategies for data with
    temporal, spatial, hierarchical, or phylogenetic structure. Saeb et al. 2017, The need to approximate the use-case.
    """
    train, val = bench.samples("train"), bench.samples("val")
    if train is None or val is None or input_columns(train) is None:
        yield NotChecked("needs batches whose tensors have one shape, and inputs that are amounts, not codes")
        return
    share = _shared(train, val)
    if share is None:
        yield NotChecked("group(batch) must give one number a sample")
    elif not share:
        if not (train.whole and val.whole):
            yield NotChecked(f"no group is in both of the first {len(train)} and {len(val)} samples")
    else:
        yield from _leaks(train, share, kept, least)


def _shared(train: Samples, val: Samples) -> float | None:
    """Share of the evaluation's samples whose group is in training too; None where groups are no single values."""
    if train.group is None or val.group is None or train.group_names is None or val.group_names is None:
        return None
    if train.group.size != len(train) or val.group.size != len(val):
        return None
    return float(np.isin(val.group_names, train.group_names)[val.group].mean())


def _leaks(train: Samples, share: float, kept: float, least: float) -> Iterator[Finding | NotChecked]:
    rows = chosen_rows(len(train), input_columns(train) or 1)
    targets = [t for one in probe_targets(train, rows) if (t := _in_several(one, train)) is not None]
    if not targets:
        yield NotChecked(f"needs {_FEWEST_GROUPS} groups and {FEWEST} samples of classes that are in several groups")
        return
    table = input_rows(train, rows)
    maps = [features(table), features(table, plain=True)]
    for target in targets:
        at, groups = np.searchsorted(rows, target.rows), groups_of(train, target)
        known = held_out(maps[0][at], target, random_folds(at.size))
        if share * known.skill < least:
            continue
        folds = grouped_folds(np.unique(groups, return_inverse=True)[1])
        new = max((held_out(x[at], target, folds, lenient=True) for x in maps), key=lambda held: held.skill)
        leak = Leak(target, known, new, groups)
        if share * leak.gap >= least and new.skill < kept * known.skill and leak.interval[0] > 0:
            level = _by_level(table[at], leak, folds)
            kept_so = level.skill >= kept * known.skill
            told = held_out(np.eye(int(groups.max()) + 1)[groups], target, random_folds(at.size)).skill >= least
            yield _finding(replace(leak, level=level) if kept_so and not told else leak, share, kept)


def _by_level(table: Floats, leak: Leak, folds: NDArray[np.intp]) -> HeldOut:
    """What is known of new groups from inputs less their group's mean."""
    of = np.unique(leak.groups, return_inverse=True)[1]
    whole = finite(table)
    means = np.stack([np.bincount(of, column) / np.bincount(of) for column in whole.T], axis=1)
    maps = (features(whole - means[of]), features(whole - means[of], plain=True))
    return max((held_out(x, leak.target, folds, lenient=True) for x in maps), key=lambda held: held.skill)


def groups_of(train: Samples, target: Target) -> NDArray[np.int64]:
    """The group of each sample of a target; none where there are no groups."""
    return np.zeros(target.rows.size, np.int64) if train.group is None else train.group[target.rows]


def _in_several(target: Target, train: Samples) -> Target | None:
    """The target on classes that are in two groups or more; None with too few groups."""
    groups = groups_of(train, target)
    if np.unique(groups).size < _FEWEST_GROUPS:
        return None
    if target.labels is None:
        return target
    pairs = np.unique(np.stack([target.labels, groups]), axis=1)[0]
    return target.only(np.bincount(pairs)[target.labels] > 1)


def _finding(leak: Leak, share: float, kept: float) -> Finding:
    target, (low, high) = leak.target, leak.interval
    many = np.unique(leak.groups).size
    level = _of_level(leak)
    return Finding(
        f"{share:.0%} of the evaluation's samples belong to groups of the training; a cheap probe predicts "
        f"{target.task} with a skill of {leak.known.skill:.2f} in known groups, of "
        f"{max(leak.new.skill, 0):.2f} in new ones (1 knows "
        f"all, {target.scale}): a difference of {leak.gap:.2f} [{low:.2f}, {high:.2f}] over {many} groups{level}",
        severity="note" if level else None,
        subject="group" if target.task == "main" else f"group {target.task}",
        evidence=(
            Evidence("setup:group", share, 0, text="share of the evaluation's samples in groups of the training"),
            Evidence("setup:train", leak.known.skill, 0, text="skill, folds at random"),
            Evidence("setup:train", leak.new.skill, 0, kept * leak.known.skill, (low, high), "folds of groups"),
        ),
        remedies=_REMEDIES,
    )


def _of_level(leak: Leak) -> str:
    """For the message: that no answer leaks, where it is so."""
    if leak.level is None:
        return ""
    return (
        f"; with inputs less their group's mean it is {leak.level.skill:.2f} in new ones, and no group tells the "
        "answer: the targets are measured relative to their group, as the inputs might be"
    )
