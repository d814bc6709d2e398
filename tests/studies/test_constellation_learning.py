"""Network, losses, scores and faults of the study, on a few frames."""

import math

import numpy as np
import pytest
import torch

from tocsin.studies.constellation import STUDY, build
from tocsin.studies.constellation.config import Config, Data, View
from tocsin.studies.constellation.evaluation.scores import Predictions, scores, tables
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults import FAULTS
from tocsin.studies.constellation.objective.weighting import UncertaintyWeighting

SMALL = Config(
    data=Data(modulations=("BPSK", "QPSK", "16QAM"), snr_db=(0, 10, 20), samples=128, train_per_cell=4,
              val_per_cell=3, test_per_cell=3),
    view=View(bins=16),
)  # fmt: skip
CPU = torch.device("cpu")


def experiment(fault: str | None = None) -> Constellation:
    torch.manual_seed(0)
    return build(SMALL, fault, 0, CPU)


def test_quick_has_two_heads_and_float32_logits_whatever_the_precision() -> None:
    for precision in ("float32", "float16-heads"):
        made = STUDY.configure("quick", None, {"training.precision": precision})
        net = Constellation(made, 0, CPU).network
        logits = net(torch.rand(2, 1, 64, 64))
        assert {task: (tuple(v.shape), v.dtype) for task, v in logits.items()} == {
            "modulation": ((2, 16), torch.float32),
            "snr_given_modulation": ((2, 16, 16), torch.float32),
        }
        assert not any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in net.modules())


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_terms_with_the_heads_of_quick(fault: str) -> None:
    torch.manual_seed(0)
    heads = STUDY.configure("quick", None, {}).network
    made = build(Config(**{**dict(SMALL), "network": heads}), fault, 0, CPU)
    batch = next(iter(made.batches(1)))
    assert set(made.terms(made.answer(batch), batch)) >= set(made.tasks.terms_named)


@pytest.mark.parametrize("term", ["modulation", "snr"])
def test_each_loss_term_has_a_finite_gradient_on_its_logits_that_grows_with_the_error(term: str) -> None:
    """The gate that an argmax in a loss cannot pass."""
    made = experiment()
    batch = next(iter(made.batches(1)))
    labels = getattr(batch, term)
    norms, values = [], []
    for wrong in (0.0, 2.0, 4.0, 8.0):
        logits = {task: torch.zeros(len(labels), 3) for task in ("modulation", "snr")}
        logits[term].scatter_(1, ((labels + 1) % 3)[:, None], wrong)
        logits[term].requires_grad_()
        value = made.terms(logits, batch)[term]
        (gradient,) = torch.autograd.grad(value, logits[term])
        assert torch.isfinite(gradient).all()
        norms.append(float(gradient.norm()))
        values.append(float(value.detach()))
    assert norms[0] > 0
    assert norms == sorted(norms)
    assert values == sorted(values)
    perfect = {task: torch.zeros(len(labels), 3) for task in ("modulation", "snr")}
    perfect[term].scatter_(1, labels[:, None], 50.0)
    assert float(made.terms(perfect, batch)[term]) == pytest.approx(0.0, abs=1e-6)


def test_uncertainty_weighting_is_kendalls_classification_form() -> None:
    weighting = UncertaintyWeighting(["a", "b"])
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(0.25)}
    with torch.no_grad():
        for task, sigma in (("a", 2.0), ("b", 0.5)):
            weighting.log_variance[task].fill_(2 * math.log(sigma))
    expected = sum(float(losses[t]) / s**2 + math.log(s) for t, s in (("a", 2.0), ("b", 0.5)))
    assert float(weighting(losses).detach()) == pytest.approx(expected, rel=1e-6)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    assert weighting.weights() == pytest.approx({"a": 1 / 4, "b": 2.0}, rel=1e-2)  # 1 / (2 L)


def test_log_variances_gains_and_biases_are_not_decayed_and_nothing_is_left_out() -> None:
    made = experiment()
    decayed, free = made.parameter_groups()
    assert "weight_decay" not in decayed
    assert free["weight_decay"] == 0.0
    assert all(p.ndim > 1 for p in decayed["params"])
    held = {id(p) for p in decayed["params"] + free["params"]}
    assert held == {id(p) for p in [*made.model.parameters(), *made.weighting.parameters()]}
    assert {id(p) for p in made.weighting.parameters()} <= {id(p) for p in free["params"]}


def predicted(modulation, snr, said_modulation, said_snr) -> Predictions:
    """Answers to both tasks that are sure of themselves, four levels of the SNR."""
    sure = np.ones(len(snr))
    pair = said_modulation * 4 + said_snr
    return Predictions(modulation, snr, said_modulation, said_snr, pair, nll=sure, confidence=sure, levels=4)


def test_scores_by_hand_and_against_sklearn() -> None:
    from sklearn.metrics import accuracy_score, mean_absolute_error

    rng = np.random.default_rng(0)
    levels = (0, 2, 4, 10)
    p = predicted(*(rng.integers(0, k, 500) for k in (5, 4, 5, 4)))
    found = scores(p, levels)
    db = np.asarray(levels)
    assert found["modulation_accuracy"] == pytest.approx(accuracy_score(p.modulation, p.predicted_modulation))
    assert found["snr_accuracy"] == pytest.approx(accuracy_score(p.snr, p.predicted_snr))
    joint = accuracy_score(p.modulation * 4 + p.snr, p.predicted_modulation * 4 + p.predicted_snr)
    assert found["joint_accuracy"] == pytest.approx(joint)
    assert found["snr_mae_db"] == pytest.approx(mean_absolute_error(db[p.snr], db[p.predicted_snr]))
    assert found["snr_within_one_bin_frac"] == pytest.approx(np.mean(np.abs(p.snr - p.predicted_snr) <= 1))
    rows = tables(p, [f"m{k}" for k in range(5)], levels)
    assert sum(row["n"] for row in rows["by_modulation"]) == sum(row["n"] for row in rows["by_snr"]) == 500
    weighted = sum(row["n"] * row["joint_accuracy"] for row in rows["by_snr"]) / 500
    assert weighted == pytest.approx(found["joint_accuracy"])


def test_attractor_index_is_one_when_even_and_the_class_count_when_one_takes_all() -> None:
    target = np.repeat(np.arange(4), 5)
    even = scores(predicted(target, target, target, target), (0, 2, 4, 6))
    assert even["attractor_index"] == 1.0
    one = scores(predicted(target, target, target, np.full(20, 2)), (0, 2, 4, 6))
    assert (one["attractor_index"], one["attractor_snr_db"]) == (4.0, 4.0)


def test_evaluation_loss_is_the_training_loss_on_other_frames() -> None:
    made = experiment()
    seen: list[tuple[str, int, tuple[int, ...]]] = []

    def record(split: str, *, target: torch.Tensor, prediction: torch.Tensor, task: str, labels: list[str]) -> None:
        seen.append((f"{split}/{task}", len(target), (*prediction.shape[1:], len(labels))))

    found = made.evaluate("val", record)
    batches = list(made.frames.held_out("val", SMALL.training.batch))
    with torch.no_grad():
        total, terms = made.loss(batches[0])
    assert len(batches) == 1
    assert found["val/loss"] == pytest.approx(float(total), rel=1e-5)
    assert found["val/joint_nll"] == pytest.approx(float(terms["modulation"] + terms["snr"]), rel=1e-5)
    assert seen == [("val/modulation", 27, (3, 3)), ("val/snr", 27, (3, 3))]
    assert made.model.training


def gradients(made: Constellation, scale: float = 1.0) -> dict[str, torch.Tensor | None]:
    total, _ = made.loss(next(iter(made.batches(1))))
    (scale * total).backward()
    return {name: p.grad for name, p in made.model.named_parameters()}


def test_argmax_distance_is_in_the_total_and_has_no_gradient() -> None:
    healthy, faulty = experiment(), experiment("argmax-distance")
    batch = next(iter(faulty.batches(1)))
    total, terms = faulty.loss(batch)
    assert not terms["distance"].requires_grad
    assert float(total.detach()) == pytest.approx(
        float(healthy.loss(batch)[0].detach()) + 0.5 * float(terms["distance"]), rel=1e-5
    )
    for name, gradient in gradients(faulty).items():
        assert torch.equal(gradient, gradients(experiment())[name]), name


def test_masked_overflow_hides_gradients_that_were_not_finite() -> None:
    made = experiment("masked-overflow")
    training = made.config.training
    assert (training.precision, training.init_scale) == ("float16-heads", 2.0**24)
    raw = gradients(made, training.init_scale)
    assert not all(torch.isfinite(g).all() for g in raw.values() if g is not None)
    made.treat_gradients()
    assert all(torch.isfinite(p.grad).all() for p in made.model.parameters())


def test_frozen_backbone_gets_gradients_and_is_in_no_optimizer() -> None:
    made = experiment("frozen-backbone")
    held = {id(p) for group in made.parameter_groups() for p in group["params"]}
    backbone = list(made.model.get_submodule("backbone").parameters())
    assert all(p.requires_grad and id(p) not in held for p in backbone)
    assert all(float(g.norm()) > 0 for name, g in gradients(made).items() if name.startswith("backbone.0"))


def test_constant_snr_head_leaves_one_class_and_the_loss_alone() -> None:
    made = experiment("constant-snr-head")
    batch = next(iter(made.batches(1)))
    logits = made.answer(batch)
    decided = made.decide(logits)
    assert torch.isfinite(decided["snr"]).all()
    assert decided["snr"].argmax(1).unique().numel() == 1
    assert torch.equal(decided["modulation"], logits["modulation"])
    assert torch.equal(made.loss(batch)[0], experiment().loss(batch)[0])


def test_nan_at_peak_lr_leaves_the_roots_domain_within_a_step_of_the_peak_rate() -> None:
    made = experiment("nan-at-peak-lr")
    batch = next(iter(made.batches(1)))
    variance = made.weighting.get_parameter("variance")
    assert id(variance) in {id(p) for group in made.parameter_groups() for p in group["params"]}
    assert torch.isfinite(made.loss(batch)[0])
    with torch.no_grad():
        variance.sub_(1.0 + SMALL.training.peak_lr)
    assert torch.isnan(made.loss(batch)[0])
    assert torch.isnan(gradients(made)["backbone.0.weight"]).all()


def test_every_fault_says_what_it_is_in_one_line() -> None:
    assert set(STUDY.faults) == set(FAULTS)
    assert all(20 < len(line) < 120 and line.endswith(".") for line in STUDY.faults.values())
