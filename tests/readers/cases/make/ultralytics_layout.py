"""results.csv and args.yaml in the layouts of Ultralytics and YOLOv5, written by hand: the library is too heavy here.

Column names, padding and digits are those of the library; the curves are drawn, not trained.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from making import case, main, note, note_all

TERMS = ("box_loss", "cls_loss", "dfl_loss")
SCORES = ("metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)")
NEW = ["epoch", "time", *(f"train/{t}" for t in TERMS), *SCORES, *(f"val/{t}" for t in TERMS),
       *(f"lr/pg{i}" for i in range(3))]  # fmt: skip


def curves(epochs: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Box, class and dfl losses that fall, scores that rise, a linear rate with warm-up."""
    rng, at = np.random.default_rng(seed), np.arange(1, epochs + 1)
    rate = 0.01 * np.minimum(at / 3, 1) * (1 - 0.99 * at / epochs)
    found: dict[str, np.ndarray] = {"epoch": at, "time": at * 31.7}
    for split, extra in (("train", 0.0), ("val", 0.08)):
        for term, low, high in (("box_loss", 0.85, 1.9), ("cls_loss", 0.5, 3.1), ("dfl_loss", 0.95, 1.6)):
            found[f"{split}/{term}"] = low + extra + (high - low) * np.exp(-at / 9) + rng.normal(0, 0.012, epochs)
    for name, top in zip(SCORES, (0.78, 0.71, 0.76, 0.55), strict=True):
        found[name] = np.clip(top * (1 - np.exp(-at / 8)) + rng.normal(0, 0.008, epochs), 0, 1)
    return found | {f"lr/pg{i}": rate for i in range(3)}


def write(name: str, columns: list[str], found: dict[str, np.ndarray], padded: bool, first: int = 1) -> None:
    rows = [",".join(f"{c:>23}" if padded else c for c in columns)]
    for i in range(len(found["epoch"])):
        cells = [f"{found[c][i]:.5g}" if c != "epoch" else str(i + first) for c in columns]
        rows.append(",".join(f"{c:>23}" if padded else c for c in cells))
    Path(name).write_text("\n".join(rows) + "\n")
    for i in range(len(found["epoch"])):
        note(**{f"val__loss__{t.removesuffix('_loss')}": float(f"{found[f'val/{t}'][i]:.5g}") for t in TERMS})
        note_all({f"val/{s.removeprefix('metrics/').replace('-', '_')}": float(f"{found[s][i]:.5g}") for s in SCORES})


def settings(epochs: int) -> None:
    Path("args.yaml").write_text(
        f"task: detect\nmode: train\nmodel: yolov8n.pt\ndata: coco8.yaml\nepochs: {epochs}\nbatch: 16\nimgsz: 640\n"
        "optimizer: auto\nlr0: 0.01\nlrf: 0.01\nmomentum: 0.937\nweight_decay: 0.0005\nwarmup_epochs: 3.0\nbox: 7.5\n"
        "cls: 0.5\ndfl: 1.5\npatience: 100\nresume: null\namp: true\nseed: 0\n"
    )


@case("ultralytics/healthy", console=False)
def healthy() -> None:
    settings(40)
    write("results.csv", NEW, curves(40), padded=False)


@case("ultralytics/padded", console=False)
def padded() -> None:
    settings(30)
    write("results.csv", [c for c in NEW if c != "time"], curves(30, 1), padded=True, first=0)


@case("ultralytics/not_a_number", console=False)
def not_a_number() -> None:
    settings(40)
    found = curves(25, 2)
    for name, values in found.items():
        if "loss" in name:
            values[11:] = np.nan
        elif name in SCORES:
            values[11:] = 0.0
    write("results.csv", NEW, found, padded=False)


@case("ultralytics/overfit", console=False)
def overfit() -> None:
    settings(120)
    found = curves(120, 3)
    late = np.maximum(np.arange(120) - 25, 0) / 95
    for term, rise in (("box_loss", 0.45), ("cls_loss", 0.9), ("dfl_loss", 0.3)):
        found[f"train/{term}"] *= 1 - 0.45 * late
        found[f"val/{term}"] += rise * late
    for name in SCORES:
        found[name] *= 1 - 0.3 * late
    write("results.csv", NEW, found, padded=False)


main()
