"""What is drawn of a run, and the receivers whose accuracies stand beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tocsin.studies.constellation.ceilings import attainable
from tocsin.studies.constellation.ceilings.matched_filter import modulation_classes
from tocsin.studies.constellation.ceilings.references import floor_classes
from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.config.presets import PRESETS
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.data.source import SPLITS
from tocsin.studies.constellation.evaluation import pictures
from tocsin.studies.constellation.signal.modulation import DIGITAL

LEVELS = tuple(range(0, 32, 4))
SOME = {"scenario": "oversampled", "modulations": ("QPSK", "16QAM", "64QAM"), "snr_db": (-5, 10), "test_per_cell": 5}


def test_receivers_are_scored_on_the_first_test_frames_by_snr(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Frames(Data(**SOME))
    monkeypatch.setattr(attainable, "MOST", 24)  # 4 of the 5 frames of each cell
    rows = attainable.by_snr(frames)
    assert [(r["snr"], r["n"]) for r in rows] == [("-5 dB", 12), ("10 dB", 12)] * 3
    modulation, index = torch.arange(3).repeat_interleave(4), SPLITS["test"] + torch.arange(4).repeat(3)
    for level in (0, 1):
        snr = torch.full_like(modulation, level)
        right = {
            attainable.FLOOR: floor_classes(frames, modulation, snr, index) == snr,
            attainable.FILTER: modulation_classes(frames, modulation, snr, index) == modulation,
        }
        right[attainable.BOTH] = right[attainable.FLOOR] & right[attainable.FILTER]
        for name, hits in right.items():
            (told,) = (r["accuracy"] for r in rows if (r["name"], r["snr"]) == (name, f"{SOME['snr_db'][level]} dB"))
            assert told == pytest.approx(float(hits.float().mean()))


@pytest.mark.parametrize("changes", [{"channel": {"fading": "rayleigh"}}, {"modulations": ("QPSK", "GMSK")}])
def test_where_the_matched_filter_is_not_the_best_receiver_the_floor_stands_alone(changes: dict[str, object]) -> None:
    assert {r["name"] for r in attainable.by_snr(Frames(Data(**{**SOME, **changes})))} == {attainable.FLOOR}


def test_at_one_sample_a_symbol_there_is_no_such_receiver() -> None:
    assert attainable.by_snr(Frames(Data())) == []


@pytest.mark.parametrize("bins", [64, 112, 224])
def test_constellations_of_17_classes_stay_small(tmp_path: Path, bins: int) -> None:
    counts = np.random.default_rng(0).poisson(1024 / bins**2, (17, 8, bins, bins))
    figure = pictures.constellations(np.log1p(counts) / np.log1p(1024), DIGITAL, LEVELS, "samples")
    pictures.keep(figure, tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size < 400_000


def test_each_image_stands_in_its_place_the_right_way_up() -> None:
    images = np.zeros((3, 2, 16, 16))
    images[1, 1, 12, 3] = 1.0  # large I, small Q: right and below the middle
    figure = pictures.constellations(images, ("A", "B", "C"), (0, 10), "samples")
    shown = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    (row,), (column,) = np.nonzero(shown == 1)
    side, gap = 16, (shown.shape[0] - 3 * 16) // 3
    assert (column - (side + gap)) == 12
    assert (row - (side + gap)) % (side + gap) == gap + 15 - 3
    ticks = figure.axes[0].get_yticks()
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["A", "B", "C"]
    assert abs(row - ticks[1]) < side / 2 + 1
    assert abs(row - ticks[0]) > side


def test_the_lines_of_a_task_and_of_what_is_known_of_it_have_one_colour() -> None:
    hits = {"joint": [1, 2], "modulation": [2, 3], "SNR": [3, 4]}
    known = {"joint: both": [0.5, 0.6], "SNR: floor": [1.0, 1.0]}
    figure = pictures.accuracy_by_snr((0, 10), hits, [4, 4], known)
    colours = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert colours["joint: both"] == colours["joint"] != colours["modulation"]
    assert colours["SNR: floor"] == colours["SNR"]


def test_presets_are_of_the_sizes_that_they_name() -> None:
    assert PRESETS["quick"].data.scenario == "synchronous"
    others = [PRESETS[name] for name in ("quick-oversampled", "standard", "paper")]
    assert all(p.data.modulations == DIGITAL and len(p.data.snr_db) == 16 for p in others)
    paper = PRESETS["paper"]
    assert (paper.network.backbone, paper.network.bottleneck, paper.view.bins) == ("resnet50", 128, 224)
    assert (paper.view.layers, paper.view.scalars) == (("samples",), ())  # the image alone, as the report had it
