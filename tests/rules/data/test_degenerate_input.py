"""DAT006: data that say nothing; missing values, borders and splits of one class are at most a note."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.rules.data.degenerate_input import degenerate_input as DAT006
from tocsin.run import Confusion, Evaluation, Moments, Run

N = 40


def run_of(nonfinite=0.0, constant=0.0, loss=None, evaluations=(), **fields):
    series = {
        "input/nonfinite/train": np.broadcast_to(np.asarray(nonfinite, float), N).copy(),
        "input/constant_frac/train": np.broadcast_to(np.asarray(constant, float), N).copy(),
        "train/loss": 1 / np.arange(1, N + 1) if loss is None else loss,
    }
    return Run.of(series=series, evaluations=tuple(evaluations), **fields)


def one_class(step, split="val", matrix=((50, 3), (0, 0))):
    return Evaluation(split, "main", step, "classes", 53, confusion=Confusion.of(matrix))


def found_in(run):
    return check_run(run, [DAT006]).findings


def test_constant_inputs():
    (found,) = found_in(run_of(constant=np.where(np.arange(N) < 10, 0.1, 1.0)))
    assert (found.severity, found.step, found.subject) == ("warning", 11, "constant/train")
    assert found.message == (
        "no feature of the training input varies within a batch, in each of the last 8 forwards measured, since step 11"
    )


def test_nan_in_the_input_that_reaches_the_loss():
    loss = np.where(np.arange(N) < 20, 1.0, np.nan)
    (found,) = found_in(run_of(nonfinite=np.where(np.arange(N) < 20, 0, 12), loss=loss))
    assert (found.severity, found.step) == ("error", 21)


def test_an_evaluation_of_one_class_or_value():
    (found,) = found_in(run_of(evaluations=[one_class(s) for s in (10, 20, 30)]))
    assert (found.severity, found.step) == ("warning", 10)
    assert found.message == "all 53 targets of val/main are of class 0, so in 3 evaluations since step 10"
    same = Moments.of(np.full(30, 2.0), np.linspace(0, 1, 30))
    values = [Evaluation("val", "depth", s, "regression", 30, moments=(same,)) for s in (10, 20, 30)]
    assert [f.subject for f in found_in(run_of(evaluations=values))] == ["val/depth"]


@given(part=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_law_a_warning_only_where_nothing_varies(part):
    expected = ["warning"] if part == 1 else ["note"] if part > 0.25 else []
    assert [f.severity for f in found_in(run_of(constant=part))] == expected


class TestHealthyNeighbours:
    def test_missing_values_that_the_model_takes(self):
        assert [f.severity for f in found_in(run_of(nonfinite=5))] == ["note"]

    def test_one_bad_batch(self):
        assert found_in(run_of(nonfinite=np.arange(N) == 9)) == []

    def test_one_batch_that_is_all_alike(self):
        assert found_in(run_of(constant=np.arange(N) == N - 1)) == []

    def test_each_class_as_a_split_of_its_own(self):
        whole = one_class(10, matrix=((30, 3), (2, 18)))
        assert found_in(run_of(evaluations=[whole, *(one_class(s, "cats") for s in (10, 20, 30))])) == []

    def test_one_constant_output_of_several(self):
        same, other = Moments.of(np.full(30, 2.0), np.ones(30)), Moments.of(np.arange(30.0), np.arange(30.0))
        values = [Evaluation("val", "doa", s, "regression", 30, moments=(other, same)) for s in (10, 20, 30)]
        assert found_in(run_of(evaluations=values)) == []

    def test_a_few_samples_of_one_class(self):
        few = [Evaluation("val", "main", s, "ids", 5, confusion=Confusion.of(((5, 0), (0, 0)))) for s in (10, 20, 30)]
        assert found_in(run_of(evaluations=few)) == []
