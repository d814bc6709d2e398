"""What a run is held against: classifiers that need no training, recorded beside the network, and known ceilings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation.ceilings.baselines import naive_bayes
from tocsin.studies.constellation.ceilings.oracle import Oracle, has_oracle
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.source import Source
from tocsin.studies.constellation.view.features import spectral_floor

BATCH = 128
IMAGE = "the image of all samples, without their order"
SPECTRUM = "the spectrum of the samples"
FLOOR, NAIVE = "spectral floor", "naive Bayes"


def facts(frames: Source) -> dict[str, Any]:
    """For the run's configuration: ``ceilings`` of validation scores, ``inputs`` of model and baselines."""
    if has_oracle(frames.data, frames.view):
        return {"ceilings": {"val/joint_accuracy": _oracle_accuracy(frames)}}
    if frames.data.samples_per_symbol == 1:
        return {}
    known = {"inputs": {"model": _seen(frames.view), FLOOR: SPECTRUM, NAIVE: IMAGE}}
    if frames.data.radioml is not None:
        return known  # recorded noise need not be white: what the floor reaches is a baseline, and no ceiling
    return {**known, "ceilings": {"val/snr_accuracy": _floor_accuracy(frames)}}


def _seen(view: View) -> str:
    """What the network sees, in words."""
    if view.input == "iq":
        return "the samples" + (f" and {', '.join(view.scalars)}" if view.scalars else "")
    if view.layers == ("samples",) and not view.scalars:
        return IMAGE
    return ", ".join((*view.layers, *view.scalars))


def _oracle_accuracy(frames: Source) -> float:
    oracle, layer = Oracle(frames.data, frames.view, frames.device), frames.view.layers.index("samples")
    levels = len(frames.data.snr_db)
    right = [oracle.predict(b.counts[:, layer]) == b.modulation * levels + b.snr for b in frames.held_out("val", BATCH)]
    return float(torch.cat(right).float().mean())


def _floor_accuracy(frames: Source) -> float:
    right = [answer == target for target, answer in _floor(frames, "val")]
    return float(torch.cat(right).float().mean())


def baselines(frames: Source, split: str) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Task, name, target [B] and answer [B] of each baseline on each batch; none where samples are symbols."""
    if frames.data.samples_per_symbol == 1:
        return
    for target, answer in _floor(frames, split):
        yield "snr", FLOOR, target, answer
    if "samples" in frames.view.layers:
        yield from _naive(frames, split)


def _naive(frames: Source, split: str) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    classifier, layer = naive_bayes(frames), frames.view.layers.index("samples")
    for batch in frames.held_out(split, BATCH):
        pair = classifier.predict(batch.counts[:, layer])
        yield "modulation", NAIVE, batch.modulation, pair // len(frames.data.snr_db)
        yield "snr", NAIVE, batch.snr, pair % len(frames.data.snr_db)


def _floor(frames: Source, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    """SNR class and the level next to what the noise floor says, of each batch."""
    for modulation, snr, index in frames.numbers(split, BATCH):
        yield snr, floor_classes(frames, modulation, snr, index)


def floor_classes(frames: Source, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
    """SNR class [B] next to what the spectral floor says of frames [B]; several samples a symbol."""
    levels = torch.tensor(frames.data.snr_db, dtype=torch.float32, device=frames.device)
    said = spectral_floor(frames.iq(modulation, snr, index), frames.data.samples_per_symbol)
    if frames.data.snr_definition == "esn0":
        said = said + 10 * math.log10(frames.data.samples_per_symbol)
    return (said[:, None] - levels).abs().argmin(1)
