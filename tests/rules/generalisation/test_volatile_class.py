"""GEN005: fires on a class that comes and goes; silent on sampling noise, learning, forgetting and small classes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Run, Series

RULE = find_rule("GEN005")
OTHERS = [[10, 85, 5], [2, 8, 90]]


def findings(run):
    return check_run(run, [RULE]).findings


def found_of(hits, m=100, others=None):
    own = []
    for s, k in enumerate(hits, 1):
        counts = Confusion.of([[k, m - k, 0], *(others(s) if others else OTHERS)], ("16APSK", "QPSK", "8PSK"))
        own.append(Evaluation("val", "main", s, "classes", counts.n, confusion=counts))
    return Run.of("r", evaluations=tuple(own), exit="finished")


def test_the_swing_is_named_with_its_epochs():
    (found,) = findings(found_of([60, 62, 61, 28, 59, 63, 27]))
    assert found.message == (
        "val/main: 16APSK (100 samples) went from 0.63 at step 6 to 0.27 at step 7 (by 0.1 at least), and back, while "
        "all samples together moved by 0.12"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/main", 6)


@pytest.mark.parametrize(
    ("hits", "ends_at", "severity"),
    [
        ([60, 62, 61, 22, 63, 62, 61], 1.0, "note"),
        ([60, 62, 61, 22, 25, 22, 63], 1.0, "warning"),  # up at the last
        ([60, 28, 61, 60, 63, 22, 26], 1.0, "warning"),
        ([60, 28, 61, 60, 63, 22, 26], 0.01, "note"),  # the annealed rate has quietened it
        ([60, 28, 61, 60, 63, 62, 22], 0.01, "warning"),
    ],
)
def test_only_a_swing_at_the_stop_is_a_warning(hits, ends_at, severity):
    rate = np.linspace(1, ends_at, len(hits))
    (found,) = findings(replace(found_of(hits), series={"lr/0": Series.of("lr/0", rate, step=np.arange(1, 8))}))
    assert found.severity == severity


@pytest.mark.parametrize(
    "run",
    [
        found_of([60, 62, 61, 58, 59, 63, 57]),
        found_of([20, 30, 40, 50, 60, 70, 80]),
        found_of([80, 70, 60, 50, 40, 30, 20]),
        found_of([9, 9, 9, 3, 9, 9, 3], m=15),
        found_of([60, 62, 30]),
        found_of([60, 61, 62, 30, 60, 62, 28], others=lambda s: [[50, 20, 30], [60, 0, 40]] if s in (4, 7) else OTHERS),
    ],
    ids=["noise", "learning", "forgetting", "small class", "few", "all swing"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_a_log_with_supports():
    f1 = [0.6, 0.62, 0.61, 0.25, 0.6, 0.62, 0.24]
    series = {"val/f1/a": f1, "val/f1/b": [0.8] * 7, "val/support/a": [150.0] * 7, "val/support/b": [300.0] * 7}
    (found,) = findings(Run.of(series=series, source="csv"))
    assert "a (150 samples) went from 0.62 at step 6 to 0.24 at step 7" in found.message
    assert not findings(Run.of(series={n: s for n, s in series.items() if "support" not in n}, source="csv"))


@given(seed=st.integers(0, 10_000), m=st.integers(20, 200))
@settings(max_examples=40, deadline=None)
def test_sampling_noise_alone_is_silent(seed, m):
    """Even when each evaluation draws new samples."""
    rng = np.random.default_rng(seed)
    assert not findings(found_of([int(rng.binomial(m, 0.5)) for _ in range(7)], m=m))
