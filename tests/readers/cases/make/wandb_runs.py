"""Weights & Biases, offline: healthy and with faults, with an end and without one."""

from __future__ import annotations

from dataclasses import asdict

import wandb
from making import case, main, note
from training import HEALTHY, NAN, OVERFIT, Settings, steps

ANONYMOUS = {"host": "host", "username": "user", "email": "user@example.com", "x_disable_meta": True,
             "x_disable_stats": True, "silent": True, "disable_code": True, "disable_git": True}  # fmt: skip


def log(settings: Settings, breaks_at: int = 0, finish: bool = True) -> None:
    run = wandb.init(
        project="digits", name="digits", mode="offline", config=asdict(settings), settings=wandb.Settings(**ANONYMOUS)
    )
    if breaks_at == -1:
        open("data/train.csv")  # noqa: SIM115, PTH123
    for s in steps(settings):
        logged = {"train/loss": s.loss, "lr": s.lr, "grad_norm": s.grad_norm, "epoch": s.epoch}
        if s.held_out:
            logged |= {"val/loss": s.held_out.loss, "val/accuracy": s.held_out.accuracy}
            print(f"epoch {s.epoch}: train {s.held_out.train_loss:.4f}, val {s.held_out.loss:.4f}")
            note(val__loss=s.held_out.loss, val__accuracy=s.held_out.accuracy)
        elif s.number % 3:
            continue
        run.log(logged, step=s.number)
        note(train__loss=s.loss, lr__0=s.lr, grad__norm=s.grad_norm)
        if s.number == breaks_at:
            raise ValueError(f"Expected input batch_size (64) to match target batch_size ({s.number}).")
    if finish:
        run.finish()


@case("wandb0/healthy", console=False)
def healthy() -> None:
    log(HEALTHY)


@case("wandb0/overfit", console=False)
def overfit() -> None:
    log(OVERFIT)


@case("wandb0/nan_batch", console=False)
def nan_batch() -> None:
    log(NAN)


@case("wandb0/crashed", console=False)
def crashed() -> None:
    log(HEALTHY, breaks_at=66)


@case("wandb0/failed_start", console=False)
def failed_start() -> None:
    log(HEALTHY, breaks_at=-1)


main("wandb", "torch")
