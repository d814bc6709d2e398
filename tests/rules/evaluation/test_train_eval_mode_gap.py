"""EVL007: running statistics that are not those of the batches, with harm; lag that is made up is silent."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.rules.evaluation.train_eval_mode_gap import train_eval_mode_gap as EVL007
from tocsin.run import Run, Series

PER = 40


def run_of(lag, *, held=None, ratio=5.0, losses=True, **fields):
    lag = np.asarray(lag, float)
    n, ends = lag.size, PER * np.arange(1, np.size(lag) + 1)
    held = lag * 1.1 if held is None else np.asarray(held, float)
    series = {
        "norm/lag/bn": Series.of("", lag[:-1], step=ends[:-1] + 1),
        "norm/eval_lag/bn": Series.of("", held, step=ends),
        "train/loss": np.full(PER * n, 0.5),
    }
    if losses:
        series["val/loss"] = Series.of("", 0.5 * ratio * np.ones(n), step=ends)
    return Run.of(series=series, **{"exit": "finished", **fields})


def found_in(run):
    return check_run(run, [EVL007]).findings


def test_it_rings_from_the_first_step():
    (found,) = found_in(run_of([0.9] * 8))
    assert (found.severity, found.step, found.rang_at) == ("warning", 1, 181)
    assert found.message == (
        "in eval mode the output of bn is off by 0.99 sd at step 320 (0.90 on a training batch): its running "
        "statistics are not those of the batches, so in each of the last 8 evaluations, and the evaluation loss is 5 "
        "times the training loss"
    )


def test_it_begins_after_the_last_good_evaluation():
    (found,) = found_in(run_of([0.1] * 4 + [0.9] * 5))
    assert found.step == 4 * PER + 1


@given(lag=st.floats(0, 3), ratio=st.floats(0.1, 50))
@settings(max_examples=40, deadline=None)
def test_law_effect_and_harm(lag, ratio):
    """Never below the lag; above it a warning where the loss is that bad, a note where it is not."""
    found = [f.severity for f in found_in(run_of([lag] * 6, held=[lag] * 6, ratio=ratio))]
    assert found == ([] if lag < 0.5 else ["warning"] if 0.5 * ratio / 0.5 >= 2 else ["note"])


class TestHealthyNeighbours:
    def test_lag_at_the_peak_of_the_learning_rate(self):
        assert found_in(run_of([1.2, 1.5, 1.0, 0.7, 0.4, 0.2, 0.1, 0.1])) == []

    def test_slow_statistics_that_arrive(self):
        """A momentum of 0.01 on digits, measured."""
        assert found_in(run_of([0.76, 0.67, 0.57, 0.47, 0.39, 0.31, 0.24, 0.17, 0.12])) == []

    def test_overfitting_with_statistics_in_place(self):
        assert found_in(run_of([0.1] * 8, ratio=100)) == []

    def test_an_evaluation_of_other_data(self):
        """Only the evaluation batches are far from the running statistics."""
        assert found_in(run_of([0.1] * 8, held=[2.0] * 8)) == []

    def test_no_recorded_loss_is_a_note_at_the_end(self):
        assert [f.severity for f in found_in(run_of([0.9] * 8, losses=False))] == ["note"]

    def test_two_evaluations_are_too_few(self):
        keeper = check_run(run_of([0.9] * 2), [EVL007])
        assert "3 are needed" in keeper.not_checked["EVL007"].reason

    def test_while_it_runs_one_evaluation_more(self):
        run = run_of([0.9] * 8)
        assert check_run(replace(run.prefix(3 * PER + 39), exit="running"), [EVL007]).findings == []
