"""Loops that write the plain files of many projects: fairseq's lines, one folder per run of a sweep."""

from __future__ import annotations

import csv
import json
import logging
import math
from dataclasses import asdict, replace
from pathlib import Path

from making import case, main, note, of_run
from training import HEALTHY, NAN, OVERFIT, Settings, steps


def log_as_fairseq(settings: Settings) -> None:
    """The lines of ``fairseq-train --log-format json``: numbers as texts, each line with its logger's name."""
    logging.basicConfig(
        filename="train.log", level="INFO", format="%(asctime)s | %(levelname)s | %(name)s | %(message)s"
    )
    inner, train, valid = (logging.getLogger(name) for name in ("train_inner", "train", "valid"))
    per, best = -(-settings.train // settings.batch_size), math.inf
    for s in steps(settings):
        shared = {"lr": f"{s.lr:g}", "gnorm": f"{s.grad_norm:.3f}", "loss_scale": "1", "wall": f"{s.number // 40}"}
        if s.number % 5 == 0:
            where = {"epoch": s.epoch, "update": round(s.number / per, 3)}
            inner.info(json.dumps(where | {"loss": f"{s.loss:.3f}", "ppl": f"{2**min(s.loss, 99):.2f}",
                                           "num_updates": str(s.number)} | shared))  # fmt: skip
        if s.held_out:
            best = min(best, s.held_out.loss)
            told = {"loss": f"{s.held_out.loss:.3f}", "accuracy": f"{s.held_out.accuracy:.3f}",
                    "num_updates": str(s.number), "best_loss": f"{best:.3f}"}  # fmt: skip
            valid.info(json.dumps({"epoch": s.epoch} | {f"valid_{k}": v for k, v in told.items()}))
            told = {"loss": f"{s.held_out.train_loss:.3f}", "num_updates": str(s.number)} | shared
            train.info(json.dumps({"epoch": s.epoch} | {f"train_{k}": v for k, v in told.items()}))
            note(val__loss=round(s.held_out.loss, 3), val__accuracy=round(s.held_out.accuracy, 3))
    logging.getLogger("fairseq_cli.train").info("done training in 1.3 seconds")


@case("fairseq/healthy", console=False)
def fairseq_healthy() -> None:
    log_as_fairseq(HEALTHY)


@case("fairseq/overfit", console=False)
def fairseq_overfit() -> None:
    log_as_fairseq(replace(OVERFIT, batch_size=16))


@case("fairseq/nan_batch", console=False)
def fairseq_nan_batch() -> None:
    log_as_fairseq(NAN)


def log_in_folder(name: str, settings: Settings, said_lr: float | None = None) -> None:
    """One run of a sweep: its configuration, and a CSV of epochs with the learning rate that was applied."""
    of_run(name)
    folder = Path("sweep") / name
    folder.mkdir(parents=True)
    told = asdict(settings) | {"lr": settings.lr if said_lr is None else said_lr, "optimizer": "sgd"}
    (folder / "config.json").write_text(json.dumps(told, indent=2))
    with (folder / "log.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "lr", "train_loss", "val_loss", "val_acc"])
        for s in steps(settings):
            if s.held_out:
                h = s.held_out
                rows.writerow([s.epoch, s.lr, h.train_loss, h.loss, h.accuracy])
                note(train__loss=h.train_loss, val__loss=h.loss, val__acc=h.accuracy, lr__0=s.lr)


@case("sweep/healthy", console=False)
def sweep() -> None:
    for lr in (0.01, 0.03, 0.1):
        log_in_folder(f"lr_{lr}", Settings(lr=lr))


@case("sweep/rate_not_applied", console=False)
def rate_not_applied() -> None:
    """The configuration of each run says another rate, all train with the optimizer's default."""
    for lr in (0.01, 0.03, 0.1):
        log_in_folder(f"lr_{lr}", Settings(lr=0.001), said_lr=lr)


@case("sweep/same_rate_again", console=False)
def same_rate_again() -> None:
    """The folders say other rates; what sweeps them never reached the configuration."""
    for lr in (0.01, 0.03, 0.1):
        log_in_folder(f"lr_{lr}", Settings(lr=0.03))


main("torch")
