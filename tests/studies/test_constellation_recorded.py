"""Recorded frames as a source of the study: parts, epochs, what is seen, the cache of bins, and a whole training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tocsin
from studies.radioml_file import LEVELS, write
from tocsin.studies.constellation import STUDY
from tocsin.studies.constellation.config import Config, Data, View
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.data.radioml import RadioML
from tocsin.studies.constellation.data.recorded import Recorded
from tocsin.studies.constellation.data.source import SPLITS
from tocsin.studies.study import StudyError
from tocsin.studies.training import train

CLASSES = ("BPSK", "QPSK", "16QAM")
OF_FILE: dict[str, Any] = {
    "scenario": "oversampled", "modulations": CLASSES, "snr_db": LEVELS, "train_per_cell": 4, "val_per_cell": 2,
    "test_per_cell": 2, "split_fractions": (0.5, 0.25, 0.25),
}  # fmt: skip
SAMPLES = View(bins=16)
TINY = {f"data.{key}": value for key, value in OF_FILE.items()} | {"training.epochs": 1, "training.batch": 16}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("radioml") / "plain.hdf5", per_cell=12)


def recorded(path: Path, view: View = SAMPLES, **changes: Any) -> Recorded:
    return Recorded(Data(**{**OF_FILE, "radioml": str(path), **changes}), view=view)


def rows_of(source: Recorded, part: str, count: int) -> list[list[int]]:
    """Rows of the file that the first frames of a part are, cell by cell."""
    file, found = RadioML(source.data.radioml or ""), []
    for cell in range(source.cells):
        levels = len(source.data.snr_db)
        index = SPLITS[part] + torch.arange(count)
        frames = source.iq(torch.full_like(index, cell // levels), torch.full_like(index, cell % levels), index)
        rows = file.rows(source.data.modulations[cell // levels], source.data.snr_db[cell % levels])
        held = file.iq(rows)
        found.append([rows[int((held == frame).flatten(1).all(1).nonzero())] for frame in frames])
    return found


def test_parts_share_no_row_and_each_row_is_of_its_cell(path: Path) -> None:
    source = recorded(path)
    parts = {name: rows_of(source, name, {"train": 6}.get(name, 3)) for name in SPLITS}
    every = [row for part in parts.values() for cell in part for row in cell]
    assert len(set(every)) == len(every) == 9 * 12


def test_every_epoch_has_the_next_frames_and_then_the_first_again(path: Path) -> None:
    source, other = recorded(path), recorded(path, train_per_cell=6)
    first, second, third, again = ([b.counts for b in source.training(e, 5, seed=0)] for e in (1, 2, 3, 1))
    assert torch.equal(torch.cat(first), torch.cat(again))
    all_three = torch.cat([*first, *second, *third]).sum(0)  # 12 frames of each of 6: every one twice
    whole = torch.cat([b.counts for b in other.training(1, 5, seed=0)])
    assert torch.equal(all_three, 2 * whole.sum(0))
    next_epoch = torch.cat([b.counts for b in other.training(2, 5, seed=0)])
    assert torch.equal(next_epoch.sum(0), whole.sum(0))
    assert not torch.equal(next_epoch, whole)  # the same frames in another order


@pytest.mark.parametrize(
    "view", [View(bins=32, layers=("samples", "instants", "lags"), scalars=("spectral_floor", "cumulants", "m2m4"))]
)
def test_recorded_frames_are_seen_as_generated_ones_are(path: Path, view: View) -> None:
    batch = next(iter(recorded(path, view).held_out("val", 64)))
    assert batch.counts.shape == (18, 3, 32, 32)
    assert batch.counts[:, 0].sum((1, 2)).tolist() == [1024] * 18
    assert batch.scalars.isfinite().all()
    assert batch.modulation.tolist() == [cell // 3 for cell in range(9)] * 2
    assert batch.snr.tolist() == [cell % 3 for cell in range(9)] * 2


def test_the_manifest_tells_file_and_split(tmp_path: Path, path: Path) -> None:
    one = recorded(path).manifest()
    assert recorded(path).manifest() == one
    other = recorded(path, split_seed=1).manifest()
    assert other["dataset"] == one["dataset"]
    assert all(other["split"]["sha256"][part] != one["split"]["sha256"][part] for part in SPLITS)
    fewer = recorded(path, modulations=("QPSK", "BPSK"), snr_db=LEVELS[:2]).manifest()
    assert fewer["split"] == one["split"]  # other classes of the file, the same parts of it
    longer = write(tmp_path / "longer.hdf5", per_cell=13)
    assert recorded(longer).manifest()["dataset"] != one["dataset"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_per_cell": 7}, "data.train_per_cell is 7, but that part of the file has 6 frames"),
        ({"test_per_cell": 4}, "data.test_per_cell is 4, but that part of the file has 3 frames"),
        ({"snr_db": (0, 10)}, "has no BPSK at 0 dB"),
        ({"split_fractions": (0.95, 0.04, 0.01)}, "too few for the shares"),
    ],
)
def test_what_the_file_does_not_have_is_refused(path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        recorded(path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split_seed": 3}, "nothing reads split_seed of generated frames"),
        ({"radioml": "x"}, "take --preset quick-oversampled"),
        ({"radioml": "x", "scenario": "oversampled", "root": 1}, "root: of generated frames"),
        ({"radioml": "x", "scenario": "oversampled", "channel": {"fading": "rayleigh"}}, "channel: of generated"),
    ],
)
def test_settings_that_nothing_reads_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Data(**changes)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"layers": ("samples", "instants")}, "data.bin_cache: it keeps the image of all samples and nothing else"),
        ({"scalars": ("m2m4",)}, "nothing else"),
        ({"bins": 272}, "expected view.bins of 256 at most, got 272"),
        ({"power": "ensemble"}, "nobody knows the power of a recorded ensemble"),
    ],
)
def test_views_that_recorded_or_cached_frames_do_not_have(view: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(data=Data(**OF_FILE, radioml="x", bin_cache="y"), view=View(**view))


def test_generated_frames_are_not_made_where_a_file_is_named(path: Path) -> None:
    with pytest.raises(StudyError, match="these frames are generated"):
        Frames(Data(**OF_FILE, radioml=str(path)))


def equal(one: Recorded, two: Recorded) -> bool:
    pairs = [zip(s.held_out("test", 7), t.held_out("test", 7), strict=True) for s, t in ((one, two),)]
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in pairs[0]
        for name in ("counts", "scalars", "overflow", "modulation", "snr")
    )


@pytest.mark.parametrize("view", [{"bins": 16}, {"bins": 256, "extent": 1.0}, {"bins": 64, "power": "none"}])
def test_the_cache_shows_what_the_file_shows(tmp_path: Path, path: Path, view: dict[str, Any]) -> None:
    plain, cached = (recorded(path, View(**view), **c) for c in ({}, {"bin_cache": str(tmp_path / "bins")}))
    assert equal(plain, cached)
    assert len(list((tmp_path / "bins").glob("*.u16"))) == 9
    assert (tmp_path / "bins" / "16QAM_30dB.u16").stat().st_size == 12 * 1025 * 2
    if view.get("extent") == 1.0:
        assert next(iter(cached.held_out("test", 7))).overflow.sum() > 0


def test_the_cache_goes_on_where_it_was_stopped_and_makes_nothing_twice(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "bins"
    recorded(path, bin_cache=str(folder), modulations=("BPSK", "QPSK"))
    before = {file: file.stat().st_mtime_ns for file in folder.glob("*.u16")}
    (folder / "16QAM_10dB.77.partial").write_bytes(b"cut short")
    cached = recorded(path, bin_cache=str(folder))
    assert len(before) == 6
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert equal(recorded(path), cached)


def test_the_cache_of_another_view_or_file_is_refused(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "bins"
    recorded(path, bin_cache=str(folder))
    with pytest.raises(StudyError, match=r"cache of something else .bins: 16 there, 32 here"):
        recorded(path, View(bins=32), bin_cache=str(folder))
    with pytest.raises(StudyError, match=r"cache of something else .file_sha256"):
        recorded(write(tmp_path / "other.hdf5", per_cell=13), bin_cache=str(folder))
    cut = folder / "QPSK_10dB.u16"
    cut.write_bytes(cut.read_bytes()[:-2])
    with pytest.raises(StudyError, match="expected 24600 bytes, found 24598: delete it"):
        recorded(path, bin_cache=str(folder))
    (folder / "manifest.json").write_text("[")
    with pytest.raises(StudyError, match="manifest of a cache"):
        recorded(path, bin_cache=str(folder))
    (folder / "manifest.json").unlink()
    with pytest.raises(StudyError, match="bins without a manifest"):
        recorded(path, bin_cache=str(folder))


def run(folder: Path, path: Path, **how: Any) -> Path:
    overrides = {**TINY, "data.radioml": str(path), "view.bins": 16, **how.pop("changes", {})}
    return train(STUDY, preset="quick-oversampled", run_dir=folder, device="cpu", overrides=overrides, **how)


def test_a_training_on_recorded_frames_is_recorded_drawn_and_resumed_on_its_split_alone(
    tmp_path: Path, path: Path
) -> None:
    folder = run(tmp_path / "calm-reed-7", path, changes={"training.epochs": 1})
    (record,) = tocsin.read(folder)
    assert record.exit == "finished"
    assert record.config["manifest"]["split"]["sha256"].keys() == set(SPLITS)
    assert "ceilings" not in record.config
    drawn = {file.stem for file in (folder / "pictures").glob("*.png")}
    assert drawn >= {"constellations_samples", "constellations_instants", "accuracy_by_snr", "masked_pixels"}
    assert np.isfinite(record.series["val/loss"].value).all()
    with pytest.raises(StudyError, match=r"manifest\.split\.seed: 0 there, 5 here"):
        run(folder, path, resume=True, changes={"data.split_seed": 5})


@pytest.mark.parametrize(
    ("changes", "rings"),
    [({"data.split_seed": 5}, True), ({}, False), ({"data.modulations": ["BPSK", "QPSK", "64QAM"]}, False)],
    ids=["another-split", "the-same", "another-class"],
)
def test_another_split_after_another_runs_weights_is_found(
    tmp_path: Path, path: Path, changes: dict[str, Any], rings: bool
) -> None:
    first = run(tmp_path / "calm-reed-7", path)
    best = first / "checkpoints" / "best.pt"
    second = run(tmp_path / "wild-fern-9", path, init=best, changes=changes)
    report = tocsin.check([first, second], select=["CMP006"])
    assert [f.subject for f in report.findings] == (["wild-fern-9"] if rings else [])
