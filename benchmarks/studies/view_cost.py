"""CPU time of each layer and feature of a frame of 1,024 samples at 64 bins, and of all of them together."""

from __future__ import annotations

import torch
from histogram_speed import best_us

from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.view.representation import see

GOAL = 0.5  # CPU ms a frame for all together
FRAMES, CHUNK = 256, 32
VIEWS = {
    "samples": View(),
    "instants": View(layers=("instants",)),
    "lags": View(layers=("lags",)),
    "spectral_floor, with samples": View(scalars=("spectral_floor",)),
    "cumulants, with samples": View(scalars=("cumulants",)),
    "m2m4, with samples": View(scalars=("m2m4",)),
    "all": View(layers=("samples", "instants", "lags"), scalars=("spectral_floor", "cumulants", "m2m4"), input="iq"),
}


def rows() -> list[dict[str, float | str]]:
    """Milliseconds of each view, frames made before."""
    frames = Frames(Data(scenario="oversampled", modulations="digital-17"))
    cell = torch.arange(FRAMES) % frames.cells
    parts = frames.iq(cell // 16, cell % 16, cell).split(CHUNK)
    found = []
    for name, view in VIEWS.items():
        cost = best_us(lambda view=view: [see(part, view, 8) for part in parts], FRAMES)
        found.append({"view": name, "ms": cost / 1e3})
    return found


def table(found: list[dict[str, float | str]]) -> str:
    """One line each."""
    return "\n".join(f"{r['ms']:7.4f} CPU ms a frame  {r['view']}" for r in found)


def missed(found: list[dict[str, float | str]]) -> list[str]:
    """The goal for all together."""
    total = float(found[-1]["ms"])
    return [f"{total:.2f} of {GOAL} ms a frame"] if total >= GOAL else []
