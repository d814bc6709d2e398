"""Trackio: one project's database with a healthy run and faulty ones."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import asdict
from pathlib import Path

os.environ |= {"TRACKIO_DIR": str(Path("trackio").absolute()), "LOGNAME": "user", "USER": "user"}

import trackio
from making import case, main, note, of_run
from training import HEALTHY, NAN, OVERFIT, Settings, steps


def log(name: str, settings: Settings) -> None:
    of_run(name)
    trackio.init(project="digits", name=name, config=asdict(settings), embed=False)
    for s in steps(settings):
        if s.held_out:
            trackio.log({"train/loss": s.held_out.train_loss, "val/loss": s.held_out.loss,
                         "val/accuracy": s.held_out.accuracy, "lr": s.lr}, step=s.number)  # fmt: skip
            note(train__loss=s.held_out.train_loss, val__loss=s.held_out.loss, val__accuracy=s.held_out.accuracy)
    trackio.finish()


@case("trackio0/project", console=False)
def project() -> None:
    log("healthy", HEALTHY)
    log("overfit", OVERFIT)
    log("nan-batch", NAN)
    for path in Path("trackio").glob("*.db"):
        with sqlite3.connect(path) as store:
            store.execute("pragma journal_mode = delete")
            store.execute("vacuum")


main("trackio", "torch")
