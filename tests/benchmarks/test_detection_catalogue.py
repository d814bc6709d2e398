"""The matrix of the detection benchmark holds what it is to hold, and its faults are real."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from detection import catalogue, splits
from detection.catalogue import FAULTS, HEALTHY, VARIANTS, build
from detection.loop import Silent, train
from detection.runs import Cell, execute
from detection.tasks import TASKS

ISSUE = {
    "sanitised gradients before unscale": "sanitised-before-unscale",
    "sanitised gradients after unscale": "sanitised-after-unscale",
    "overflow storm": "overflow-storm",
    "frozen layer": "frozen-layer",
    "parameter left out of the optimizer": "left-out-of-optimizer",
    "detached branch": "detached-branch",
    "term under argmax": "argmax-term",
    "dead term": "dead-term",
    "dominated term": "dominated-term",
    "swapped metric key": "swapped-metric-key",
    "wrong argmax axis": "wrong-argmax-axis",
    "default-0 metric": "default-zero-metric",
    "batch-averaged metric": "batch-averaged-metric",
    "unshuffled stream": "unshuffled-stream",
    "train-only uint8 wrap": "uint8-wrap",
    "label permutation": "label-permutation",
    "label noise": "label-noise",
    "train/eval overlap": "train-eval-overlap",
    "schedule in epochs": "schedule-in-epochs",
    "lr x100": "lr-x100",
    "lr /1000": "lr-over-1000",
    "lr 0": "lr-zero",
    "tiny init under a stuck schedule": "tiny-init-stuck-schedule",
    "saturated clamp in NLL": "saturated-nll",
    "EMA too long": "ema-too-long",
    "accumulation without scaling": "accumulation-unscaled",
    "loss divided by the number of batches": "loss-over-batches",
    "loss outside the batch loop": "loss-outside-loop",
    "step gate": "step-gate",
    "clip at 1e-3": "clip-tiny",
    "clip before unscale": "clip-before-unscale",
    "missing zero_grad": "missing-zero-grad",
    "double softmax": "double-softmax",
    "class imbalance with a dead class": "dead-class",
    "dead ReLU": "dead-relu",
    "vanishing depth": "vanishing-depth",
    "BatchNorm statistics lag": "batchnorm-lag",
    "reseeded evaluation": "reseeded-evaluation",
    "val = test": "val-is-test",
    "val = test, both scored at each epoch": "val-is-test-each-epoch",
    "early stop too soon": "early-stop-too-soon",
    "constant head": "constant-head",
    "mean shift": "mean-shift",
    "over-dispersion": "over-dispersed",
    "NaN burst": "nan-burst",
    "HF-style hidden NaN": "hidden-nan",
    "peers: LR = 1e3 -> NaN": "lr-1e3",
    "peers: inputs x1000 -> NaN": "inputs-x1000",
    "peers: class attractor": "class-attractor",
    "peers: regression variance collapse": "scale-collapse",
    "peers: constant, detached loss": "detached-loss",
}
HARD = {
    "noisy-loss", "warm-restarts", "curriculum", "curriculum-zeros", "deliberate-freezing", "heavy-regularisation",
    "correct-shrinkage", "no-information", "benign-overflows", "label-smoothing", "tiny-data", "long-warm-up", "bf16",
    "honest-accumulation", "gradual-unfreezing", "two-optimizers", "saturated-metric", "detached-logging",
    "batchnorm-peak-lr",
}  # fmt: skip


CHEAP = (
    "wine",
    "diabetes",
    "cancer",
    "autoencoder",
    "digits-mlp",
    "digits-two",
    "digits-cnn",
    "constellation",
    "chars",
)


class Trace(Silent):
    """Everything that an observer is shown."""

    def __init__(self):
        self.seen = []

    def losses(self, **terms):
        self.seen.append(tuple((name, float(torch.as_tensor(value).detach())) for name, value in terms.items()))

    def evaluate(self, split, *, target, prediction, task="main", **more):
        self.seen.append((split, task, float(target.double().sum()), float(prediction.double().sum())))

    def metrics(self, values):
        self.seen.append(tuple(values.items()))


@pytest.fixture
def short(monkeypatch):
    """Two epochs a run."""
    for task in TASKS.values():
        monkeypatch.setattr(task, "defaults", replace(task.defaults, epochs=2))


def trace(task: str, variant: str) -> list:
    watching = Trace()
    outcome = execute(Cell(task, variant, 0), watching)
    assert not outcome.error
    return watching.seen


def test_every_fault_of_the_list_is_there_and_no_other():
    assert set(ISSUE.values()) == set(FAULTS)
    assert len(FAULTS) >= 40


def test_every_hard_healthy_run_of_the_list_is_there():
    assert set(HEALTHY) >= HARD


def test_rows_say_what_they_expect_and_why():
    for variant in VARIANTS.values():
        assert all(re.fullmatch(r"[A-Z]{3}\d{3}", code) for code in variant.expects)
        assert len(variant.why) > 30
        assert set(variant.tasks) <= set(TASKS)
        assert len(set(variant.tasks)) == len(variant.tasks)


@pytest.mark.parametrize("part", ["dev", "held-out"])
def test_as_many_healthy_runs_as_faulty_ones(part):
    cells = splits.matrix(part)
    faulty = sum(cell.variant in FAULTS for cell in cells)
    assert len(cells) - faulty >= faulty > 0


def test_the_splits_part_the_matrix_by_task_and_seed():
    dev, held = splits.matrix("dev"), splits.matrix("held-out")
    assert sorted([*dev, *held]) == sorted(splits.matrix())
    assert not {cell.task for cell in dev} & set(splits.HELD_OUT_TASKS)
    assert {cell.seed for cell in dev} == set(splits.DEVELOPMENT_SEEDS)
    assert len({cell.seed for cell in splits.matrix()}) >= 5
    assert {cell.variant for cell in dev} >= set(FAULTS), "a fault that cannot be seen in development"


@pytest.mark.parametrize("task", ["wine", "diabetes", "digits-cnn"])
def test_plain_runs_learn(task):
    metric, least = TASKS[task].healthy
    reached = execute(Cell(task, "plain", 3), "none").metrics[metric]
    assert reached >= least > TASKS[task].chance


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_changes_the_run(name, short):
    task = min(FAULTS[name].tasks, key=CHEAP.index)
    assert trace(task, name) != trace(task, "plain")


def test_runs_repeat_exactly(short):
    assert trace("wine", "plain") == trace("wine", "plain")
    assert trace("wine", "plain") != trace("digits-mlp", "plain")


def test_a_run_that_raises_has_an_outcome_and_the_observer_is_told(monkeypatch):
    class Told(Silent):
        def close(self, exit, error=None):  # noqa: A002
            self.end = (exit, type(error))

    told = Told()
    monkeypatch.setattr(TASKS["wine"], "advance", lambda _: 1 / 0)
    assert execute(Cell("wine", "plain", 0), told).error == "ZeroDivisionError: division by zero"
    assert told.end == ("failed", ZeroDivisionError)


def weights(training) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in training.model.parameters()])


def trained(task: str, variant: str):
    training = build(task, variant, 0)
    train(training, Silent())
    return training


@pytest.mark.filterwarnings("ignore")
class TestFaultsDoWhatTheySay:
    def test_left_out_encoder_stays(self, short):
        training = build("wine", "left-out-of-optimizer", 0)
        before = [p.detach().clone() for p in training.model.encoder.parameters()]
        train(training, Silent())
        assert all(torch.equal(a, b) for a, b in zip(before, training.model.encoder.parameters(), strict=True))

    def test_masked_overflows_keep_the_loss_scale(self, short):
        masked, honest = trained("cancer", "sanitised-before-unscale"), trained("cancer", "benign-overflows")
        assert masked.scaler.get_scale() == 2.0**28 > honest.scaler.get_scale()

    def test_an_overflow_storm_skips_every_step(self, short):
        training = build("wine", "overflow-storm", 0)
        before = weights(training)
        train(training, Silent())
        assert torch.equal(weights(training), before)
        assert training.scaler.get_scale() < 1

    def test_hidden_nan_is_shown_as_zero(self, short):
        seen = trace("wine", "hidden-nan")
        losses = [dict(row)["total"] for row in seen if row[0][0] == "total"]
        assert losses[-1] == 0.0 < losses[0]
        assert torch.isnan(weights(trained("wine", "hidden-nan"))).any()

    def test_reseeded_evaluation_repeats_the_order(self, short):
        for variant, repeats in (("reseeded-evaluation", True), ("seeded-evaluation", False)):
            training = build("cancer", variant, 0)
            training.evaluate("val", Silent())
            first = training.order(1)
            training.evaluate("val", Silent())
            assert torch.equal(training.order(2), first) is repeats

    def test_a_step_gate_drops_nine_gradients_of_ten(self, short):
        training = build("wine", "step-gate", 0)
        steps = []
        training.optimizers[0].register_step_post_hook(lambda *_: steps.append(1))
        train(training, Silent())
        assert len(steps) == training.step_count // 10

    def test_unscaled_accumulation_has_a_gradient_that_many_times_as_large(self, short):
        grads = []
        for factor in (1, 16):
            training = build("digits-mlp", "accumulation-unscaled", 0)
            if factor == 1:
                type(training).backward = catalogue.Training.backward
            total, _ = training.loss(next(training.batches(1)))
            training.backward(total / 16)
            grads.append(training.model.heads["main"].weight.grad)
        assert torch.allclose(16 * grads[0], grads[1])
