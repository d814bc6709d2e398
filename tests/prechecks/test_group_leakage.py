"""DAT007: a model that could learn the group, and splits that do not let it; nuisances that tell and that do not."""

from __future__ import annotations

import numpy as np
import pytest

from prechecks.probe_setups import batches, found, setup

N, D, GROUPS = 600, 12, 24


def _recordings(seed, tells=0.0, groups=GROUPS):
    """Samples of recordings that have a sound of their own, each with its own answer; ``tells`` of it in the input."""
    random = np.random.default_rng(seed)
    group = random.integers(0, groups, N)
    answer = random.standard_normal(groups)[group] + 0.3 * random.standard_normal(N)
    x = random.standard_normal((groups, D))[group] + 0.2 * random.standard_normal((N, D))
    x[:, 0] += tells * answer
    return x, answer, group


def _setup(x, y, group, split):
    """``split`` says which samples are the evaluation's."""

    def part(kept):
        return batches(int(kept.sum()), x=x[kept], y=y[kept], group=group[kept])

    return setup(part(~split), val=part(split), group=lambda batch: batch["group"])


def _at_random(group):
    return np.arange(group.size) % 4 == 0


def _by_group(group):
    return group % 4 == 0


@pytest.mark.parametrize("seed", range(4))
def test_answers_that_hang_on_the_recording(seed):
    x, y, group = _recordings(seed)
    (finding,), _ = found("DAT007", _setup(x, y, group, _at_random(group)))
    assert finding.subject == "group"
    assert finding.severity == "warning"
    assert finding.evidence[0].value == 1.0
    assert finding.evidence[1].value > 0.6
    assert finding.evidence[2].value < 0.3


def test_classes_and_the_message():
    x, y, group = _recordings(0)
    (finding,), _ = found("DAT007", _setup(x, (y > 0).astype(int), group, _at_random(group)))
    assert finding.message == (
        "100% of the evaluation's samples belong to groups of the training; a cheap probe predicts main with a skill "
        "of 0.76 in known groups, of 0.00 in new ones (1 knows all, 0 is chance among 2 classes): a difference of 0.76 "
        "[0.34, 1.21] over 24 groups"
    )


@pytest.mark.parametrize("seed", range(3))
def test_silent_where_the_split_is_by_group(seed):
    x, y, group = _recordings(seed)
    assert found("DAT007", _setup(x, y, group, _by_group(group)))[0] == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("groups", [12, 40])
def test_silent_where_groups_differ_but_do_not_tell(seed, groups):
    x, _, group = _recordings(seed, groups=groups)
    y = x[:, 0] + x[:, 1] + np.random.default_rng(seed).standard_normal(N)
    assert found("DAT007", _setup(x, y, group, _at_random(group))) == ([], [])


@pytest.mark.parametrize("seed", range(4))
def test_silent_where_the_answers_of_groups_differ_and_the_input_has_no_sound_of_them(seed):
    random = np.random.default_rng(seed)
    _, y, group = _recordings(seed)
    x = random.standard_normal((N, D))
    x[:, :4] += y[:, None]
    assert found("DAT007", _setup(x, y, group, _at_random(group))) == ([], [])


def _relative(seed):
    """Each recording has a level of its own in its inputs; the answer is how far above it a sample is."""
    random = np.random.default_rng(seed)
    group = random.integers(0, GROUPS, N)
    above = random.standard_normal(N)
    x = random.standard_normal((GROUPS, D))[group] + 0.1 * random.standard_normal((N, D))
    x[:, 0] += above + 3 * random.standard_normal(GROUPS)[group]
    means = np.bincount(group, above) / np.bincount(group)
    return x, above - means[group], group


@pytest.mark.parametrize("seed", range(4))
def test_targets_relative_to_their_group_are_a_note(seed):
    x, y, group = _relative(seed)
    (finding,), _ = found("DAT007", _setup(x, y, group, _at_random(group)))
    assert finding.severity == "note"
    assert finding.message.endswith(
        "and no group tells the answer: the targets are measured relative to their group, as the inputs might be"
    )


def test_classes_of_one_group_each_and_few_groups_are_not_checked():
    x, _, group = _recordings(0)
    reason = "needs 10 groups and 100 samples of classes that are in several groups"
    assert found("DAT007", _setup(x, group, group, _at_random(group))) == ([], [reason])
    x, y, group = _recordings(0, groups=5)
    assert found("DAT007", _setup(x, y, group, _at_random(group))) == ([], [reason])


def test_names_of_groups_may_be_text_and_must_be_single():
    x, y, group = _recordings(1)
    given = _setup(x, y, group, _at_random(group))
    assert (
        len(found("DAT007", setup(given.train, val=given.val, group=lambda b: [f"r{g}" for g in b["group"]]))[0]) == 1
    )
    pair = setup(given.train, val=given.val, group=lambda b: np.stack([b["group"], b["group"]], axis=1))
    assert found("DAT007", pair) == ([], ["group(batch) must give one number a sample"])


def _with_nuisance(nuisance, y):
    x = np.random.default_rng(9).standard_normal((len(y), D))
    return setup(batches(len(y), x=x, y=y, nuisance=nuisance), nuisance=lambda batch: batch["nuisance"])


@pytest.mark.parametrize("seed", range(3))
def test_an_angle_that_tells(seed):
    random = np.random.default_rng(seed)
    angle = random.uniform(-np.pi, np.pi, 400)
    y = np.cos(angle) + 0.5 * random.standard_normal(400)
    (finding,), _ = found("DAT007", _with_nuisance(angle, y))
    assert finding.subject == "nuisance"
    assert finding.evidence[0].interval[0] > 0.3


def test_a_site_that_tells_and_its_message():
    random = np.random.default_rng(0)
    site = random.integers(0, 6, 400)
    y = np.where(random.random(400) < 0.5, np.array([2, 0, 1, 1, 0, 2])[site], random.integers(0, 3, 400))
    (finding,), _ = found("DAT007", _with_nuisance(site, y))
    assert finding.message == (
        "the nuisance alone predicts main with a skill of 0.43 [0.36, 0.50] on 400 held-out samples (1 knows all, 0 is "
        "chance among 3 classes)"
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("columns", [1, 10])
def test_silent_on_nuisances_that_tell_nothing(seed, columns):
    random = np.random.default_rng(seed)
    nuisance = random.standard_normal((150, columns))
    y = random.integers(0, 4, 150) if seed % 2 else random.standard_normal(150)
    assert found("DAT007", _with_nuisance(nuisance, y)) == ([], [])


def test_odd_nuisances_do_not_crash():
    y = np.random.default_rng(0).standard_normal(200)
    nuisance = np.full((200, 2), np.nan)
    assert found("DAT007", _with_nuisance(nuisance, y)) == ([], [])
    assert found("DAT007", _with_nuisance(nuisance[:50], y[:50])) == ([], ["needs 100 samples with targets"])
