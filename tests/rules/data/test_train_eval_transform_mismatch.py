"""DAT004: evaluation inputs on another scale; augmentation and sampling are silent."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.rules.data.train_eval_transform_mismatch import train_eval_transform_mismatch as DAT004
from tocsin.run import Evaluation, Run, Series

AT = {"train": np.arange(1, 41), "eval": np.array([20, 20, 40, 40])}
TRAIN = (0.0, 1.0, -3.0, 3.0)


def run_of(held, train=TRAIN, *, scatter=0.02, steps=AT, seed=0):
    rng, series = np.random.default_rng(seed), {}
    for mode, moments in (("train", train), ("eval", held)):
        at, n = steps[mode], len(steps[mode])
        for k, (kind, value) in enumerate(zip(("mean", "sd", "min", "max"), moments, strict=True)):
            noise = scatter * moments[1] * rng.standard_normal(n) * (k < 2)
            series[f"input/{kind}/{mode}"] = Series.of("", value + noise, step=at)
    evaluations = tuple(Evaluation("val", "main", s, "ids", 99) for s in (20, 40))
    return Run.of(series=series, evaluations=evaluations)


def found_in(run):
    return check_run(run, [DAT004]).findings


def test_a_forgotten_division():
    (found,) = found_in(run_of((102.0, 77.0, 0.0, 255.0), (0.4, 0.3, 0.0, 1.0), scatter=0))
    assert (found.severity, found.step) == ("warning", 20)
    assert found.message == (
        "the inputs of evaluations have mean 102 and sd 77, those of training 0.4 and 0.3: their means are 1.3 sd "
        "apart; their sds differ by a factor 257; 100% of their range [0, 255] lies beyond all that training saw"
    )


def test_a_cast_that_wraps_in_training():
    """z-scored values as unsigned 8-bit numbers: negative ones become 253 and more."""
    assert [f.severity for f in found_in(run_of(TRAIN, (127.0, 126.0, 0.0, 255.0)))] == ["warning"]


@given(shift=st.floats(0, 5), seed=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_law_by_shift(shift, seed):
    """Silent up to four fifths of an sd, rings from 1.2 on."""
    found = found_in(run_of((shift, 1.0, -3 + shift, 3 + shift), seed=seed))
    assert len(found) == (1 if shift > 1.2 else 0) or 0.8 < shift <= 1.2


class TestHealthyNeighbours:
    def test_augmentation(self):
        assert found_in(run_of(TRAIN, (0.3, 1.8, -6.0, 7.0))) == []

    def test_masking_of_three_quarters(self):
        assert found_in(run_of(TRAIN, (0.0, 0.5, -3.0, 3.0))) == []

    def test_sorted_evaluation_batches(self):
        """Means that scatter by as much as they differ."""
        assert found_in(run_of((1.2, 1.0, -2.0, 4.0), scatter=0.5)) == []

    def test_heavy_tails(self):
        run = run_of((0.0, 1.1, -9.0, 9.0), (0.0, 1.0, -8.0, 8.0))
        assert found_in(run) == []

    def test_targets_of_a_q_network(self):
        keeper = check_run(run_of((9.0, 1.0, 6.0, 12.0), steps={"train": AT["train"], "eval": AT["train"]}), [DAT004])
        assert keeper.findings == []
        assert "without gradients" in keeper.not_checked["DAT004"].reason
