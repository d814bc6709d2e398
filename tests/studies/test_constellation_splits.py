"""Splits by the identity of frames: disjoint, balanced, and the same whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.studies.constellation.data.splits import PARTS, split
from tocsin.studies.study import StudyError

NAMES, LEVELS = ("BPSK", "QPSK", "64QAM"), (0, 10, 20)


def made(seed=1, per_cell=40, names=NAMES, levels=LEVELS, fractions=(0.8, 0.1, 0.1)):
    return split(names, levels, per_cell, fractions=fractions, seed=seed)


@given(seed=st.integers(0, 2**63), per_cell=st.integers(10, 60))
@settings(max_examples=25, deadline=None)
def test_each_frame_is_in_one_part_of_its_cell(seed, per_cell):
    parts = made(seed, per_cell).frames
    whole = np.sort(np.concatenate([parts[name] for name in PARTS], axis=1), axis=1)
    np.testing.assert_array_equal(whole, np.tile(np.arange(per_cell), (9, 1)))


def test_the_order_of_classes_and_other_classes_change_nothing():
    one, other = made(), made(names=("64QAM", "BPSK"), levels=(20, 0))
    np.testing.assert_array_equal(other.frames["train"][0], one.frames["train"][8])  # 64QAM at 20 dB
    np.testing.assert_array_equal(other.frames["val"][3], one.frames["val"][0])  # BPSK at 0 dB
    turned = made(names=NAMES[::-1], levels=LEVELS[::-1])
    assert turned.manifest["sha256"] == one.manifest["sha256"]


def test_cells_and_seeds_are_cut_apart():
    parts = made(per_cell=400).frames["test"]
    shared = [np.intersect1d(parts[a], parts[b]).size for a in range(9) for b in range(a)]
    assert 1 <= np.mean(shared) <= 8  # 40 of 400 twice: 4 by chance
    assert made(1).manifest["sha256"] != made(2).manifest["sha256"]


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.8, 0.3, 0.1), (1.0, 0.0, 0.0), (0.98, 0.01, 0.01)])
def test_shares_that_leave_a_part_empty_are_refused(fractions):
    with pytest.raises(StudyError, match="split: "):
        made(fractions=fractions)
