"""What a run is held against: classifiers that need no training, recorded beside the network, and known ceilings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation.baselines import bayes_oracle, has_oracle, naive_bayes
from tocsin.studies.constellation.data import Frames
from tocsin.studies.constellation.features import spectral_floor
from tocsin.studies.constellation.view_settings import View

BATCH = 128
IMAGE = "the image of all samples, without their order"
SPECTRUM = "the spectrum of the samples"
FLOOR, NAIVE = "spectral floor", "naive Bayes"


def facts(frames: Frames) -> dict[str, Any]:
    """For the run's configuration: ``ceilings`` of validation scores, ``inputs`` of model and baselines."""
    if has_oracle(frames.data, frames.view):
        return {"ceilings": {"val/joint_accuracy": _oracle_accuracy(frames)}}
    if frames.data.samples_per_symbol == 1:
        return {}
    known = {"inputs": {"model": _seen(frames.view), FLOOR: SPECTRUM, NAIVE: IMAGE}}
    return {**known, "ceilings": {"val/snr_accuracy": _floor_accuracy(frames)}}


def _seen(view: View) -> str:
    """What the network sees, in words."""
    if view.input == "iq":
        return "the samples" + (f" and {', '.join(view.scalars)}" if view.scalars else "")
    if view.layers == ("samples",) and not view.scalars:
        return IMAGE
    return ", ".join((*view.layers, *view.scalars))


def _oracle_accuracy(frames: Frames) -> float:
    oracle, layer = bayes_oracle(frames.data, frames.view, frames.device), frames.view.layers.index("samples")
    levels = len(frames.data.snr_db)
    right = [oracle.predict(b.counts[:, layer]) == b.modulation * levels + b.snr for b in frames.held_out("val", BATCH)]
    return float(torch.cat(right).float().mean())


def _floor_accuracy(frames: Frames) -> float:
    right = [answer == target for target, answer in _floor(frames, "val")]
    return float(torch.cat(right).float().mean())


def baselines(frames: Frames, split: str) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Task, name, target [B] and answer [B] of each baseline on each batch; none where samples are symbols."""
    if frames.data.samples_per_symbol == 1:
        return
    for target, answer in _floor(frames, split):
        yield "snr", FLOOR, target, answer
    if "samples" in frames.view.layers:
        yield from _naive(frames, split)


def _naive(frames: Frames, split: str) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    classifier, layer = naive_bayes(frames), frames.view.layers.index("samples")
    for batch in frames.held_out(split, BATCH):
        pair = classifier.predict(batch.counts[:, layer])
        yield "modulation", NAIVE, batch.modulation, pair // len(frames.data.snr_db)
        yield "snr", NAIVE, batch.snr, pair % len(frames.data.snr_db)


def _floor(frames: Frames, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    """SNR class and the level next to what the noise floor says, of each batch."""
    levels = torch.tensor(frames.data.snr_db, dtype=torch.float32, device=frames.device)
    for modulation, snr, index in frames.numbers(split, BATCH):
        said = spectral_floor(frames.iq(modulation, snr, index), frames.data.samples_per_symbol)
        if frames.data.snr_definition == "esn0":
            said = said + 10 * torch.log10(torch.tensor(float(frames.data.samples_per_symbol)))
        yield snr, (said[:, None] - levels).abs().argmin(1)
