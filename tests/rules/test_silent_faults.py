"""Runs that learn nothing and say nothing of it are found by their logs, whatever the classes, splits and digits."""

from __future__ import annotations

import pytest

import tocsin
from corpus import silent_faults

SEEDS = 10
FLOORS = {"hardly_better_than_guesses": 0.3, "now_one_class_now_another": 0.7}  # the others: nine in ten


@pytest.mark.parametrize("name", silent_faults.SILENT)
def test_a_silent_fault_is_found(name, record_property):
    codes, found = silent_faults.SILENT[name][1], 0
    for seed in range(SEEDS):
        report = tocsin.check(silent_faults.draw(name, seed))
        found += any(f.code in codes and f.severity != "note" for f in report.findings)
    record_property("figure", f"{name}: found in {found} of {SEEDS} synthetic logs ({', '.join(codes)})")
    assert found >= FLOORS.get(name, 0.9) * SEEDS
