"""Each planted mistake is what its description says, and is made with settings that the study would take."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

import tocsin
from tocsin import studies
from tocsin.studies import exports
from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults import FAULTS, described
from tocsin.studies.constellation.faults.precision import _cross_entropy
from tocsin.studies.constellation.objective.tasks import TASKS
from tocsin.studies.training import train

QUICK = studies.load("constellation").presets["quick"]
CPU = torch.device("cpu")
SETTINGS = {
    "data.modulations": ["BPSK", "QPSK", "16QAM"],
    "data.snr_db": [0, 10, 20],
    "data.samples": 64,
    "view.bins": 16,
    "data.train_per_cell": 4,
    "data.val_per_cell": 2,
    "data.test_per_cell": 2,
    "network.channels": 8,
    "network.features": 8,
    "training.epochs": 3,
    "training.batch": 12,
}


def planted(name: str) -> Constellation:
    study = studies.load("constellation")
    built = study.build(study.configure("quick", name, SETTINGS), name, 0, CPU)
    assert isinstance(built, FAULTS[name])
    return built


def test_every_fault_has_one_line_and_settings_that_can_be() -> None:
    assert list(described()) == list(FAULTS)
    assert all(line.endswith(".") and len(line) <= 120 for line in described().values())
    for fault in FAULTS.values():
        adjusted = fault.adjust(QUICK)
        assert Config.model_validate(adjusted.model_dump()) == adjusted


def test_batchnorm_lag_is_in_the_momentum_alone() -> None:
    experiment = planted("batchnorm-lag")
    norms = [m for m in experiment.model.modules() if isinstance(m, _BatchNorm)]
    assert len(norms) == 3
    assert {m.momentum for m in norms} == {0.001}


def test_no_shuffle_goes_through_the_classes_in_the_same_order_in_every_epoch() -> None:
    experiment = planted("no-shuffle")
    first, second = list(experiment.batches(1)), list(experiment.batches(2))
    assert len(first) == experiment.steps_per_epoch == 3
    assert [b.modulation.unique().tolist() for b in first] == [[0], [1], [2]]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.counts, other.counts)
        assert torch.equal(one.snr, other.snr)
    rows = [row.numpy().tobytes() for b in first for row in b.counts]
    assert len(set(rows)) == 36  # every frame once


def test_lr_bottleneck_is_the_rate_the_warm_up_and_the_head() -> None:
    config = FAULTS["lr-bottleneck"].adjust(QUICK)
    assert (config.network.task, config.network.snr_head, config.network.bottleneck) == ("factored", "bottleneck", 64)
    assert (config.training.peak_lr, config.training.warmup_frac) == (0.3, 0.01)


def test_image_only_shows_nothing_but_the_image_of_all_samples() -> None:
    config = FAULTS["image-only"].adjust(QUICK)
    assert (config.data.scenario, len(config.data.modulations)) == ("oversampled", 17)
    assert (config.view.input, config.view.layers, config.view.scalars) == ("image", ("samples",), ())


def test_the_cross_entropy_written_out_is_one_until_a_class_cannot_be_held_in_float16() -> None:
    logits, target = torch.randn(64, 16, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 16
    plain = functional.cross_entropy(logits, target)
    torch.testing.assert_close(_cross_entropy(logits.half(), target).float(), plain, rtol=2e-3, atol=0)
    logits[0, 0] = 20.0
    assert torch.isfinite(_cross_entropy(logits, target))
    assert torch.isnan(_cross_entropy(logits.half(), target))


def test_fp16_crash_raises_where_a_probability_is_0() -> None:
    experiment = planted("fp16-crash")
    batch = next(iter(experiment.batches(1)))
    experiment.network.heads.outputs["modulation"].bias.data[0] = 40.0
    with pytest.raises(ValueError, match="loss became nan"):
        experiment.loss(batch)


def test_weighted_selection_watches_what_its_weights_cancel(tmp_path: Path) -> None:
    settings = {"fault": "weighted-selection", "device": "cpu", "overrides": SETTINGS, "run_dir": tmp_path / "r"}
    folder = train(studies.load("constellation"), **settings)
    (run,) = tocsin.read(folder)
    rows = exports.read(folder / "tables" / "val_scores.csv")
    weighted = [sum(row[f"weight_{task}"] * row[f"loss/{task}"] for task in TASKS) for row in rows]
    assert run.series["val/weighted_loss"].value.tolist() == pytest.approx(weighted)
    assert {e.data["metric"] for e in run.events if e.kind == "best"} == {"val/weighted_loss"}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_step_of_each_can_be_taken_or_fails_as_it_should(name: str) -> None:
    experiment = planted(name)
    for batch in itertools.islice(experiment.batches(1), 2):
        total, terms = experiment.loss(batch)
        total.backward()
        assert total.dtype == torch.float32
        assert set(terms) >= {"modulation", "snr"}
