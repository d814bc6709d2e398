"""OPT016: gradients used twice ring from where that began; clean loops do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.gradients_never_cleared import gradients_never_cleared as OPT016
from tocsin.run import Run


def run_of(carried, backward=None):
    n = len(carried)
    passes = np.arange(1, n + 1) if backward is None else backward
    return Run.of(series={"count/carried": carried, "count/backward": passes, "train/loss": np.ones(n)})


def findings(run):
    return judge(OPT016, run, {})[0]


def test_never_cleared_rings_at_the_first_look():
    (found,) = check_run(run_of(np.arange(100)), [OPT016]).findings
    assert (found.severity, found.step, found.rang_at) == ("error", 0, 32)
    assert found.message == (
        "99 of 100 backward passes so far (99% [92%, 100%]) added to a gradient that an optimizer step had used "
        "already: the gradients are not cleared"
    )


def test_it_begins_where_the_clearing_ended():
    (found,) = findings(run_of(np.maximum(0, np.arange(500) - 400)))
    assert found.step == 402


@pytest.mark.parametrize("carried", [np.zeros(200), np.arange(200) // 10, np.arange(20)])
def test_neighbours_are_silent(carried):
    assert findings(run_of(carried)) == []


@given(every=st.integers(1, 3), accumulate=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_law_the_share_is_of_passes_whatever_the_batches_of_a_step(every, accumulate):
    passes = np.arange(1, 129)
    carried = (passes // accumulate - 1).clip(0) * accumulate // every
    (found,) = findings(run_of(carried, passes))
    low, high = found.evidence[0].interval
    assert low <= carried[-1] / 128 <= high
