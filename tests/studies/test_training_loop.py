"""The loop: records, resumes exactly, refuses what is not its own, and explains wrong names."""

from pathlib import Path

import pytest
import torch

import tocsin
from tocsin import studies
from tocsin.studies import checkpoints
from tocsin.studies.study import StudyError
from tocsin.studies.training import Progress, train

TINY = {
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


class Stop(Exception):  # noqa: N818
    pass


def run(folder: Path, **changes: object) -> Path:
    fixed = {key: changes.pop(key) for key in ("fault", "seed", "resume", "on_progress") if key in changes}
    return train(studies.load("constellation"), run_dir=folder, device="cpu", overrides={**TINY, **changes}, **fixed)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoints.load(folder / "checkpoints" / "last.pt")["model"]


def test_names_come_from_the_folder() -> None:
    assert studies.names() == ["constellation"]
    with pytest.raises(ValueError, match="choose from constellation"):
        studies.load("constellations")


def test_what_is_kept_and_by_what_is_in_the_record(tmp_path: Path) -> None:
    folder = run(tmp_path / "r")
    (record,) = tocsin.read(folder)
    kept = [e for e in record.events if e.kind == "best"]
    selected = record.series["val/joint_nll"]
    lowest = [k for k, value in enumerate(selected.value) if value < min(selected.value[:k], default=float("inf"))]
    assert [e.step for e in kept] == [int(selected.step[k]) for k in lowest]
    assert {e.data["metric"] for e in kept} == {"val/joint_nll"}
    assert checkpoints.load(folder / "checkpoints" / "best.pt")["epoch"] == lowest[-1] + 1


def test_a_run_leaves_a_record_checkpoints_and_tables(tmp_path: Path) -> None:
    shown: list[Progress] = []
    folder = run(tmp_path / "r", on_progress=shown.append)
    (record,) = tocsin.read(folder)
    assert record.exit == "finished"
    assert record.last_step == 9
    assert {"train/loss", "train/loss/modulation", "train/loss/snr", "val/loss", "test/joint_accuracy"} <= set(
        record.series
    )
    assert [(e.key, e.step) for e in record.evaluations if e.split == "val"] == [
        (f"val/{task}", step) for step in (3, 6, 9) for task in ("modulation", "snr")
    ]
    assert record.evaluations[1].confusion is not None
    assert record.evaluations[1].confusion.labels == ("0 dB", "10 dB", "20 dB")
    ends = [p for p in shown if p.metrics]
    assert [(p.epoch, p.step, p.epochs, p.steps) for p in ends] == [(e, 3 * e, 3, 9) for e in (1, 2, 3)]
    assert all(p.main_metric in p.metrics for p in ends)
    assert set(ends[0].losses) == {"total", "modulation", "snr"}
    assert set(ends[0].weights) == {"modulation", "snr"}
    assert ends[-1].remaining_s == 0
    rows = (folder / "tables" / "test_by_snr.csv").read_text().splitlines()
    assert len(rows) == 4
    assert rows[0].startswith("epoch,class,n,")
    best = checkpoints.load(folder / "checkpoints" / "best.pt")
    losses = record.series["val/joint_nll"].value
    assert best["epoch"] == 1 + losses.argmin()
    assert record.series["test/checkpoint_epoch"].value.tolist() == [best["epoch"]]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first, again, other = (weights(run(tmp_path / str(k), seed=s)) for k, s in enumerate((0, 0, 1)))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("precision", ["float32", "float16-heads"])
def test_a_resumed_run_ends_bit_for_bit_like_one_that_never_stopped(tmp_path: Path, precision: str) -> None:
    whole = run(tmp_path / "whole", **{"training.precision": precision})

    def stop(progress: Progress) -> None:
        if progress.metrics and progress.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        run(tmp_path / "halves", on_progress=stop, **{"training.precision": precision})
    torch.rand(100)  # whatever the process did in between
    halves = run(tmp_path / "halves", resume=True, **{"training.precision": precision})
    assert all(torch.equal(value, weights(halves)[name]) for name, value in weights(whole).items())
    states = [checkpoints.load(f / "checkpoints" / "last.pt") for f in (whole, halves)]
    assert states[0]["scheduler"] == states[1]["scheduler"]
    assert states[0]["scaler"] == states[1]["scaler"]
    assert torch.equal(states[0]["random"]["torch"], states[1]["random"]["torch"])
    (one,), (two,) = tocsin.read(whole), tocsin.read(halves)
    for name in ("train/loss", "val/loss", "val/joint_accuracy"):
        assert one.series[name].step.tolist() == two.series[name].step.tolist()
        assert one.series[name].value.tolist() == two.series[name].value.tolist()


def test_resuming_on_other_data_or_settings_is_refused(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.metrics:
            raise Stop

    with pytest.raises(Stop):
        run(tmp_path / "r", on_progress=stop)
    with pytest.raises(StudyError, match=r"manifest\.root: 2018 there, 7 here"):
        run(tmp_path / "r", resume=True, **{"data.root": 7})
    with pytest.raises(StudyError, match=r"config\.training\.peak_lr"):
        run(tmp_path / "r", resume=True, **{"training.peak_lr": 1e-4})
    with pytest.raises(StudyError, match="seed: 0 there, 3 here"):
        run(tmp_path / "r", resume=True, seed=3)
    with pytest.raises(StudyError, match="fault"):
        run(tmp_path / "r", resume=True, fault="argmax-distance")
    with pytest.raises(StudyError, match="nothing to resume"):
        run(tmp_path / "absent", resume=True)


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    folder = run(tmp_path / "r")
    with pytest.raises(StudyError, match="already ended"):
        run(folder, resume=True)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("executed",)

    path = tmp_path / "last.pt"
    torch.save({"format": 1, "model": Hostile()}, path)
    with pytest.raises(StudyError, match="cannot be read"):
        checkpoints.load(path)
    path.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(StudyError, match="cannot be read"):
        checkpoints.load(path)


def test_a_write_that_fails_leaves_the_former_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save(path, {"epoch": 2, "unsaveable": (k for k in ())})
    assert checkpoints.load(path)["epoch"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "quik"}, "no preset 'quik': choose from quick, quick-oversampled, .*; did you mean 'quick'"),
        ({"fault": "argmax"}, "no fault 'argmax': choose from argmax-distance, "),
        ({"overrides": {"training.epoch": 3}}, "no setting 'training.epoch'; did you mean 'training.epochs'"),
        ({"overrides": {"training": 3}}, "no setting 'training'"),
        ({"overrides": {"training.peak_lr": "fast"}}, "training.peak_lr cannot be 'fast'"),
        ({"overrides": {"training.epochs": 0}}, "training.epochs cannot be 0"),
        ({"overrides": {"data.modulations": ["BPSK", "FSK"]}}, "FSK"),
        ({"overrides": {"data.modulations": ["OQPSK", "QPSK"]}}, "OQPSK"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_wrong_names_and_values_are_explained(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(studies.load("constellation"), run_dir=tmp_path / "r", **arguments)
    assert not (tmp_path / "r").exists()


def test_a_nan_is_left_to_be_seen_and_the_run_completes(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", fault="nan-at-peak-lr", **{"training.peak_lr": 0.7})
    (record,) = tocsin.read(folder)
    assert record.exit == "finished"
    assert record.last_step == 9
    assert not torch.isfinite(torch.tensor(record.series["train/loss"].value[-1]))
