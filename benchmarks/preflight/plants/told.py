"""Faults of what the data tell: groups, nuisances, preprocessing."""

from __future__ import annotations

import numpy as np

from prechecks import test_group_leakage as groups
from prechecks import test_information_destroyed as destroyed
from preflight.plants.registry import plant


def _recordings(split, tells=0.0):
    def build(seed):
        x, y, group = groups._recordings(seed, tells)
        return groups._setup(x, y, group, split(group))

    return build


def _differ(seed):
    x, _, group = groups._recordings(seed)
    y = x[:, 0] + x[:, 1] + np.random.default_rng(seed).standard_normal(len(x))
    return groups._setup(x, y, group, groups._at_random(group))


def _relative(seed):
    x, y, group = groups._relative(seed)
    return groups._setup(x, y, group, groups._at_random(group))


plant(
    "DAT007",
    "group-leakage",
    {"recordings split at random": _recordings(groups._at_random)},
    {
        "split by recording": _recordings(groups._by_group),
        "recordings differ, answers do not hang on them": _differ,
        "targets relative to their recording": _relative,
    },
)


def _angle(share):
    def build(seed):
        random = np.random.default_rng(seed)
        angle = random.uniform(-np.pi, np.pi, 400)
        return groups._with_nuisance(angle, share * np.cos(angle) + 0.5 * random.standard_normal(400))

    return build


plant("DAT007", "telling-nuisance", {"an angle that tells": _angle(1.0)}, {"an angle that does not": _angle(0.0)})


def _prepared(made, change):
    def build(seed):
        raw, y = made(seed)
        return destroyed._setup(raw, change(raw), y)

    return build


def _wide(change, side=48):
    """Pictures of 3 x 48 x 48 whose level is the answer."""

    def build(seed):
        random = np.random.default_rng(seed)
        y = random.uniform(1, 5, destroyed.N)
        raw = (y[:, None] + random.standard_normal((destroyed.N, 3 * side * side))).astype(np.float32)
        return destroyed._setup(raw, change(raw), y)

    return build


plant(
    "DAT005",
    "information-destroyed",
    {
        "levels standardised one by one": _prepared(destroyed._level, destroyed._alone),
        "amplitudes standardised one by one": _prepared(destroyed._amplitude, destroyed._alone),
        "pictures standardised one by one": _wide(destroyed._alone),
    },
    {
        **{name: _prepared(destroyed._level, change) for name, change in destroyed.HEALTHY.items()},
        "pictures standardised by the set": _wide(lambda x: (x - x.mean()) / x.std()),
    },
)
