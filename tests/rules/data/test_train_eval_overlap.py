"""DAT002: evaluated samples that were trained on; deliberate and unavoidable overlap is silent."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.rules.data.train_eval_overlap import train_eval_overlap as DAT002
from tocsin.run import Evaluation, Run, Series
from tocsin.stats import wilson

STEP = 40 * np.arange(1, 6)


def run_of(overlap, n=200, *, repeat=0.0, split="val", step=STEP, **series):
    values = {"input/overlap_frac": overlap, "input/compared": n, "input/repeat_frac": repeat}
    made = {k: Series.of(k, np.broadcast_to(np.asarray(v, float), step.shape), step=step) for k, v in values.items()}
    evaluations = tuple(Evaluation(split, "main", int(s), "ids", 200) for s in STEP)
    return Run.of(series={**made, **series}, evaluations=evaluations)


def found_in(run):
    return check_run(run, [DAT002]).findings


def test_it_rings_at_the_first_evaluation_that_shows_it():
    (found,) = found_in(run_of([0, 0.1, 0.2, 0.2, 0.2]))
    assert (found.severity, found.step) == ("warning", 80)
    assert found.message == (
        "40 of 200 val samples compared at step 120 had been trained on (20%, at least 15%): the same content, entry "
        "for entry"
    )


@given(hits=st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_law_by_the_lower_end(hits):
    low = wilson(hits, 200)[0]
    expected = ["error"] if low > 0.3 else ["warning"] if low > 0.02 else []
    assert [f.severity for f in found_in(run_of(hits / 200))] == expected


class TestHealthyNeighbours:
    def test_an_evaluation_on_the_training_split(self):
        assert found_in(run_of(1.0, split="train")) == []
        both = run_of(1.0)
        again = tuple(replace(e, split="train_eval") for e in both.evaluations)
        assert found_in(replace(both, evaluations=(*both.evaluations, *again))) == []

    def test_few_possible_inputs(self):
        assert found_in(run_of(0.9, repeat=0.5)) == []

    def test_the_model_called_without_gradients_in_training(self):
        """Targets of a Q network, samples of a generator, a teacher."""
        keeper = check_run(run_of(1.0, step=np.arange(1, 201)), [DAT002])
        assert keeper.findings == []
        assert "without gradients" in keeper.not_checked["DAT002"].reason

    def test_one_graph_for_training_and_evaluation(self):
        prints = {f"input/fingerprint/{mode}": Series.of("", np.full(5, 7.0), step=STEP) for mode in ("train", "eval")}
        assert [f.severity for f in found_in(run_of(1.0, **prints))] == ["note"]

    def test_too_few_samples(self):
        assert "20 samples" in check_run(run_of(1.0, n=8), [DAT002]).not_checked["DAT002"].reason

    def test_a_gallery_beside_the_evaluation(self):
        """More samples went through the model than were predicted: neighbours, prototypes."""
        keeper = check_run(run_of([0.8] * 5, n=1200), [DAT002])
        assert keeper.findings == []
        assert "another score" in keeper.not_checked["DAT002"].reason

    def test_prototypes_before_a_long_evaluation(self):
        """Only the first forwards are compared, fewer samples than were predicted; 25 of them were training ones."""
        assert found_in(run_of([0.8] * 5, n=150, **{"input/rows": Series.of("", [225] * 5, step=STEP)})) == []
        assert found_in(run_of([0.8] * 5, n=150, **{"input/rows": Series.of("", [200] * 5, step=STEP)}))

    def test_a_few_predictions_of_each_sample(self):
        assert found_in(run_of([0.8] * 5, n=50, **{"input/rows": Series.of("", [50] * 5, step=STEP)}))
        assert found_in(run_of([0.8] * 5, n=50, **{"input/rows": Series.of("", [60] * 5, step=STEP)})) == []

    def test_a_training_score_without_gradients(self):
        metrics = {f"{split}/acc": Series.of("", np.full(5, 0.9), step=STEP) for split in ("train", "val")}
        assert found_in(replace(run_of(1.0, **metrics), evaluations=())) == []
        assert found_in(run_of(1.0, n=150, **{"input/rows": Series.of("", [400] * 5, step=STEP)})) == []

    def test_no_predictions(self):
        loss = {"val/loss": Series.of("", np.linspace(2, 1, 5), step=STEP)}
        keeper = check_run(replace(run_of(1.0, **loss), evaluations=()), [DAT002])
        assert keeper.findings == []
        assert "run.evaluate" in keeper.not_checked["DAT002"].reason
