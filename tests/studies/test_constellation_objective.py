"""Weightings, the curriculum's realised histogram, and both of them in the experiment."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from tocsin.studies.constellation import build
from tocsin.studies.constellation.config import Config, Data, View
from tocsin.studies.constellation.config.objective import Curriculum, Objective
from tocsin.studies.constellation.data.curriculum import Sampler, quotas, snr_weights
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.objective.snr_losses import OF_LOGITS
from tocsin.studies.constellation.objective.weighting import (
    FixedWeighting,
    GeometricWeighting,
    UncertaintyWeighting,
    weighting_of,
)

LEVELS = tuple(range(0, 32, 2))
SMALL = Config(
    data=Data(modulations=("BPSK", "QPSK"), snr_db=(0, 10, 20), samples=64, train_per_cell=4, val_per_cell=2,
              test_per_cell=2),
    view=View(bins=16),
)  # fmt: skip


def experiment(objective: Objective) -> Constellation:
    torch.manual_seed(0)
    return build(SMALL.model_copy(update={"objective": objective}), None, 0, torch.device("cpu"))


def terms(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}


@pytest.mark.parametrize("name", ["fixed", "kendall", "geometric"])
def test_weights_are_the_gradient_of_the_total(name: str) -> None:
    weighting = weighting_of(Objective(weighting=name), ("modulation", "snr"))  # type: ignore[arg-type]
    assert weighting.weights() == {"modulation": 1.0, "snr": 1.0}
    losses = terms(modulation=0.5, snr=3.0, other=9.0)
    weighting(losses).backward()
    slopes = {task: float(losses[task].grad) for task in ("modulation", "snr")}  # type: ignore[arg-type]
    assert weighting.weights() == pytest.approx(slopes)
    assert losses["other"].grad is None
    assert torch.isnan(weighting(terms(modulation=0.5, snr=float("nan"))))


def test_fixed_weights_are_those_of_the_settings() -> None:
    weighting = weighting_of(Objective(weighting="fixed", snr_weight=0.25), ("modulation", "snr"))
    assert isinstance(weighting, FixedWeighting)
    assert float(weighting(terms(modulation=1.0, snr=4.0)).detach()) == 2.0
    assert list(weighting.parameters()) == []


def test_the_geometric_mean_and_its_least_loss() -> None:
    weighting = GeometricWeighting(("a", "b", "c"))
    assert float(weighting(terms(a=0.5, b=2.0, c=8.0)).detach()) == pytest.approx(stats.gmean([0.5, 2.0, 8.0]))
    losses = terms(a=0.0, b=2.0, c=8.0)
    weighting(losses).backward()
    assert all(torch.isfinite(value.grad) for value in losses.values())
    kept = weighting.weights()
    weighting.eval()(terms(a=1.0, b=1.0, c=1.0))
    assert weighting.weights() == kept


def test_uncertainty_weighting_comes_down_to_the_geometric_one() -> None:
    """At the fixed point of the log-variances both pull on the tasks in the same proportion."""
    learned, mean = UncertaintyWeighting(("a", "b")), GeometricWeighting(("a", "b"))
    with torch.no_grad():
        for task, loss in (("a", 0.5), ("b", 3.0)):
            learned.log_variance[task].fill_(float(np.log(2 * loss)))
    mean(terms(a=0.5, b=3.0))
    one, two = learned.weights(), mean.weights()
    assert one["a"] / one["b"] == pytest.approx(two["a"] / two["b"]) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": 1.0}, "alpha is read by snr_loss log-distance, not by ce"),
        ({"snr_weight": 2.0}, "snr_weight is read by weighting fixed, not by kendall"),
        ({"snr_loss": "argmax"}, "log-distance"),
    ],
)
def test_settings_that_nothing_reads_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Objective(**wrong)  # type: ignore[arg-type]


def sampler(epochs: int = 10, **settings: float) -> Sampler:
    return Sampler(Curriculum(**settings), epochs, LEVELS, modulations=3, per_cell=4)


def histogram(cells: torch.Tensor) -> list[int]:
    return torch.bincount(cells % len(LEVELS), minlength=len(LEVELS)).tolist()


def test_the_realised_histogram_begins_at_the_highest_levels_and_ends_even() -> None:
    seen = [histogram(sampler(start_frac=0.25, ramp_frac=0.5).frames(epoch, seed=0)[0]) for epoch in range(1, 11)]
    assert seen[0] == [0] * 12 + [48] * 4
    assert seen[5:] == [[12] * 16] * 5
    assert [sum(counts) for counts in seen] == [192] * 10
    used = [sum(count > 0 for count in counts) for counts in seen]
    assert used == [4, 7, 9, 12, 14, 16, 16, 16, 16, 16]
    assert all(min(np.diff(counts)) >= -3 for counts in seen)  # rounding: one frame of each modulation
    share = stats.chisquare(seen[0], [12] * 16).statistic / 192
    assert share == pytest.approx(3.0)  # sum (o - e)^2 / e / n: no draw of an even sampler comes near


def test_levels_enter_by_their_value_not_by_their_place() -> None:
    weights = snr_weights(Curriculum(start_frac=0.5), 1, 10, (10, -20, 30, 0))
    assert weights.tolist() == [0.5, 0, 0.5, 0]


@pytest.mark.parametrize("total", [1, 5, 64, 1023])
def test_quotas_are_whole_sum_up_and_are_within_one_of_their_share(total: int) -> None:
    weights = np.random.default_rng(total).dirichlet(np.full(16, 0.3))
    counts = quotas(weights, total)
    assert counts.sum() == total
    assert np.abs(counts - weights * total).max() < 1


def test_no_frame_comes_twice_and_the_order_hangs_on_seed_and_epoch_alone() -> None:
    made = sampler(epochs=6)
    pairs = [torch.stack(made.frames(epoch, seed=1), 1) for epoch in range(1, 7)]
    together = torch.cat(pairs)
    assert len(torch.unique(together, dim=0)) == len(together) == 6 * 192
    assert torch.equal(torch.stack(sampler(epochs=6).frames(4, seed=1), 1), pairs[3])
    other = torch.stack(made.frames(4, seed=2), 1)
    assert not torch.equal(other, pairs[3])
    assert torch.equal(torch.unique(other, dim=0), torch.unique(pairs[3], dim=0))


def test_a_curriculum_changes_what_the_network_is_shown() -> None:
    curriculum = SMALL.model_copy(update={"curriculum": Curriculum(start_frac=0.34)})
    counts = []
    for config in (SMALL, curriculum):
        made = build(config, None, 0, torch.device("cpu"))
        batches = list(made.batches(1))
        assert len(batches) == made.steps_per_epoch
        counts.append(torch.bincount(torch.cat([b.snr for b in batches]), minlength=3).tolist())
    assert counts[0] == [8, 8, 8]
    assert counts[1] == [0, 0, 24]


@pytest.mark.parametrize("name", [*OF_LOGITS, "log-distance"])
def test_each_loss_trains_both_heads_and_is_selected_by_an_unweighted_measure(name: str) -> None:
    made, plain = (experiment(Objective(snr_loss=loss, weighting="geometric")) for loss in (name, "ce"))  # type: ignore[arg-type]
    total, _ = made.loss(next(iter(made.batches(1))))
    total.backward()
    assert all(float(head.weight.grad.norm()) > 0 for head in made.network.heads.outputs.values())
    found, reference = (one.evaluate("val", lambda *_, **__: None) for one in (made, plain))
    assert np.isfinite(found[made.selection])
    assert found["val/joint_nll"] == reference["val/joint_nll"]  # the same measure, whatever is minimised
    assert (found["val/loss/snr"] == reference["val/loss/snr"]) == (name == "ce")
    expected = "val/joint_error" if name in ("expectation-mse", "smooth-l1") else "val/joint_nll"
    assert made.selection == expected


def test_an_expectation_is_rounded_to_the_next_level() -> None:
    made = experiment(Objective(snr_loss="expectation-mse"))
    torn = torch.tensor([[0.5, 0.02, 0.48]]).log()  # expectation 9.8 dB, most likely 0 dB
    assert made.decide({"snr": torn})["snr"].argmax(1).tolist() == [1]
