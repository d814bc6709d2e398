"""Small files in the layout of RadioML 2018.01A, written by the tests: nothing of the real one can be shipped."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tocsin.studies.constellation.data.radioml import CLASSES, SAMPLES
from tocsin.studies.constellation.signal.modulation import DIGITAL, constellation

LEVELS = (-10, 10, 30)


def frames(name: str, snr_db: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Held symbols (8 samples each) of one class with a random phase and white noise, [count, 1024, 2]."""
    points = (
        constellation(name) if name in DIGITAL else np.array([0, 1.4]) if name == "OOK" else np.exp(2j * np.arange(7))
    )
    x = np.repeat(rng.choice(points, (count, SAMPLES // 8)), 8, axis=1) * np.exp(2j * np.pi * rng.random((count, 1)))
    noise = rng.normal(size=(2, count, SAMPLES)) * 10 ** (-snr_db / 20) / np.sqrt(2)
    x = x + noise[0] + 1j * noise[1]
    return np.stack([x.real, x.imag], -1).astype(np.float32)


def write(path: Path, *, per_cell: int = 6, levels=LEVELS, order=CLASSES, chunked: bool = False, **change) -> Path:
    """Write the file; ``order`` names what the samples of each column really are, ``change`` replaces a data set."""
    rng = np.random.default_rng(3)
    x = np.concatenate([frames(name, db, per_cell, rng) for name in order for db in levels])
    y = np.repeat(np.eye(len(CLASSES), dtype=np.int64), per_cell * len(levels), axis=0)
    z = np.tile(np.repeat(np.array(levels, dtype=np.int64), per_cell), len(CLASSES))[:, None]
    held = {"X": x, "Y": y, "Z": z, **change}
    with h5py.File(path, "w") as file:
        for name, data in held.items():
            if data is not None:
                file.create_dataset(name, data=data, **({"chunks": True, "compression": "gzip"} if chunked else {}))
    return path
