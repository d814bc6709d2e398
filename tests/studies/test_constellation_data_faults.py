"""Mistakes in the data of the study: each is named, and what is beside it and healthy is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tocsin
from tocsin import comparison, studies
from tocsin.prechecks.flight import checked
from tocsin.studies.constellation.config import Config, Data
from tocsin.studies.constellation.data.curriculum import Sampler
from tocsin.studies.constellation.data.generated import Frames, manifest
from tocsin.studies.constellation.faults.data import DeadCurriculum, SplitAnew
from tocsin.studies.constellation.faults.written_images import A_FILE, WrittenFrames, byte_images
from tocsin.studies.setups import setup_of
from tocsin.studies.training import train

TINY = {
    "data.modulations": ["BPSK", "QPSK", "16QAM"],
    "data.snr_db": [0, 10, 20],
    "data.samples": 256,
    "view.bins": 16,
    "data.train_per_cell": 16,
    "data.val_per_cell": 4,
    "data.test_per_cell": 4,
    "network.channels": 8,
    "network.features": 8,
    "training.epochs": 1,
    "training.batch": 24,
}
STUDY = studies.load("constellation")


def found(fault: str | None, *codes: str, **changes: object) -> list[tuple[str, str]]:
    """Codes and subjects of what preflight finds, notes left out."""
    setup = setup_of(STUDY, fault=fault, overrides={**TINY, **changes})
    return [(f.code, f.subject) for f in checked(setup, select=codes).findings if f.severity != "note"]


def run(folder: Path, fault: str | None = None, start: Path | None = None) -> Path:
    init = start / "checkpoints" / "best.pt" if start is not None else None
    return train(STUDY, run_dir=folder, device="cpu", fault=fault, init=init, overrides=TINY)


def test_grey_levels_of_one_file_a_class_tell_the_class() -> None:
    assert ("DAT008", "step snr") in found("batch-scaled-images", "DAT008", **{"data.train_per_cell": 64})
    assert found(None, "DAT008", **{"data.train_per_cell": 64}) == []


def test_bytes_are_scaled_by_the_file_and_by_nothing_else() -> None:
    frames = WrittenFrames(Data(samples=64, modulations=("BPSK", "QPSK"), snr_db=(0, 20)))
    one = frames.batch(torch.tensor([3, 0]), torch.tensor([A_FILE + 5, 2]))
    counts = frames.seen(torch.ones(A_FILE).long(), torch.ones(A_FILE).long(), A_FILE + torch.arange(A_FILE)).counts
    assert frames.largest(one)[0].tolist() == [counts.max()]
    written = byte_images(torch.tensor([[[[0, 1, 3, 15]]]]).short(), torch.tensor([[15.0]]), "log")
    assert (written * 255).round().flatten().tolist() == [0, 63, 127, 255]
    assert byte_images(torch.zeros(1, 1, 2, 2).short(), torch.zeros(1, 1), "linear").eq(0).all()
    with pytest.raises(TypeError, match="knows the places"):
        frames.largest(Frames.batch(frames, torch.tensor([0]), torch.tensor([0])))


def test_a_curriculum_that_nobody_reads() -> None:
    assert found("dead-curriculum", "CFG005") == [("CFG005", "curriculum")]
    assert found(None, "CFG005") == []
    assert found(None, "CFG005", curriculum={"start_frac": 0.3}) == []
    dead = DeadCurriculum(Config(), 0, torch.device("cpu"))
    assert isinstance(dead.built, Sampler)
    assert dead.sampler() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"training.clip_norm": 2.0, "training.ema_decay": 0.9, "data.test_per_cell": 9, "data.root": 5},
        {
            "training.schedule": "triangular2",
            "training.lr_cycles": 2,
            "view.layers": ["samples", "lags"],
            "view.lag": 2,
        },
        {
            "data.scenario": "oversampled",
            "data.snr_definition": "esn0",
            "data.channel.fading": "rayleigh",
            "view.scalars": ["spectral_floor"],
        },
    ],
)
def test_no_setting_of_the_study_is_dead(changes: dict[str, object]) -> None:
    assert found(None, "CFG005", **changes) == []


def test_the_parts_of_another_split_meet_those_of_the_first() -> None:
    data = Data(samples=16, val_per_cell=2, test_per_cell=3)
    anew, first = SplitAnew(data), Frames(data)
    cells = torch.zeros(2, dtype=torch.long)
    scored = anew.keys(cells, cells, (1 << 40) + torch.arange(2))
    assert torch.equal(scored, first.keys(cells, cells, torch.arange(2)))
    assert anew.parts() == {"train": 5, "val": 0, "test": 2}
    mine, other = anew.manifest(), manifest(data)
    assert mine["dataset"] == other["dataset"]
    assert mine["dataset"] != manifest(Data(samples=16, root=3))["dataset"]
    assert mine["split"]["val"]["hash"] == other["split"]["train"]["hash"] != other["split"]["val"]["hash"]


def test_a_start_from_what_was_trained_on_the_scored_frames(tmp_path: Path) -> None:
    first = run(tmp_path / "first")
    second = run(tmp_path / "second", "contaminated-resume", start=first)
    third = run(tmp_path / "third", start=first)
    (finding,) = [f for f in tocsin.check([first, second], select=["CMP"]).roots if f.severity != "note"]
    assert (finding.code, finding.subject, finding.severity) == ("CMP006", "second", "warning")
    assert "first was trained on some of the samples that second is scored on" in finding.message
    assert "CMP006" in tocsin.check([first, third], select=["CMP"]).clean


def test_scores_of_fewer_levels_are_corrected_for_chance(tmp_path: Path) -> None:
    first, upper = run(tmp_path / "first"), run(tmp_path / "upper", "other-label-space")
    (contrast,) = comparison.compare([first, upper]).contrasts
    assert contrast.verdict == "different-question"
    assert contrast.questions["joint_classes"] == ("9", "6")
    assert contrast.questions["val/snr"] == ("3", "2")
    told = " ".join(contrast.beyond_chance)
    assert "val/joint_accuracy" in told
    assert "val/snr_accuracy" in told
    assert "modulation" not in told
    assert "CMP002" in {f.code for f in tocsin.check([first, upper], select=["CMP"]).findings}
