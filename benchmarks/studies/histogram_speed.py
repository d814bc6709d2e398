"""Histograms of a batch of frames against ``numpy.histogram2d`` of each, in the same process and on the same frames."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from tocsin.studies.constellation.view.image import histogram

EXTENT, SAMPLES = 3.0, 1024
GOALS = {64: 10.0, 224: 10.0}  # times as fast, for batches of 64
REPETITIONS = 15


def best_us(call: Callable[[], object], frames: int, repetitions: int = REPETITIONS) -> float:
    """CPU microseconds a frame."""
    times = []
    for _ in range(repetitions):
        before = time.process_time()
        call()
        times.append(time.process_time() - before)
    return min(times) / frames * 1e6


def rows() -> list[dict[str, float]]:
    """Microseconds a frame of both, for each image and batch size, and cells that differ."""
    generator = torch.Generator().manual_seed(0)
    iq = torch.randn(512, 2, SAMPLES, generator=generator) * 0.7
    return [row(iq[:batch], bins) for bins in (64, 128, 224) for batch in (64, 512)]


def row(iq: torch.Tensor, bins: int) -> dict[str, float]:
    """One image and batch size; numpy's cost does not depend on the batch, so 64 frames are enough of it."""

    def numpy_counts() -> list[np.ndarray]:
        limits = [[-EXTENT, EXTENT]] * 2
        return [np.histogram2d(f[0], f[1], bins=bins, range=limits)[0] for f in iq[:64].clamp(-3, 3).numpy()]

    ours = best_us(lambda: histogram(iq, bins, EXTENT), len(iq))
    numpy = best_us(numpy_counts, 64, 5)
    differ = np.abs(np.stack(numpy_counts()) - histogram(iq[:64], bins, EXTENT)[0].numpy()).sum() / 2
    return {
        "bins": bins,
        "batch": len(iq),
        "us": ours,
        "numpy_us": numpy,
        "ratio": numpy / ours,
        "moved": float(differ),
    }


def table(found: list[dict[str, float]]) -> str:
    """One line each."""
    lines = ["bins  batch  us a frame  numpy us  times as fast  samples of 65,536 in another cell"]
    lines += [
        f"{r['bins']:4}  {r['batch']:5}  {r['us']:10.1f}  {r['numpy_us']:8.1f}  {r['ratio']:13.1f}  {r['moved']:.0f}"
        for r in found
    ]
    return "\n".join(lines)


def missed(found: list[dict[str, float]]) -> list[str]:
    """Goals that are not met; a batch of 512 pays for fresh memory, and has none."""
    return [
        f"{r['ratio']:.1f} of {GOALS[int(r['bins'])]:.0f} times at {r['bins']} bins"
        for r in found
        if r["batch"] == 64 and r["ratio"] < GOALS.get(int(r["bins"]), 0)
    ]
