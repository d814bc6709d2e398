"""TensorBoard event files by torch and by tensorboardX: tags, several files of one run, scalars as tensors."""

from __future__ import annotations

import time
from dataclasses import asdict

from making import case, main
from making import note as noted
from training import DEAD, HEALTHY, HOT, NAN, OVERFIT, STILL, Settings, steps


def _nothing(**values: float) -> None:
    """Of what does not count no truth is noted."""


def log(board, settings: Settings, until: int = 0, after: int = 0, kept: int = 10**9, **options) -> None:
    note = noted
    for s in steps(settings):
        if s.number <= after:
            continue
        if s.number > kept:  # trained again later
            note = _nothing
        if s.number % 2 == 0:
            board.add_scalar("Loss/train", s.loss, s.number, **options)
            board.add_scalar("lr", s.lr, s.number, **options)
            note(train__loss=s.loss, lr__0=s.lr)
        if s.held_out:
            board.add_scalar("Loss/val", s.held_out.loss, s.number, **options)
            board.add_scalar("Accuracy/val", s.held_out.accuracy, s.number, **options)
            note(val__loss=s.held_out.loss, val__accuracy=s.held_out.accuracy)
        if s.number == until:
            break
    board.close()


def of_torch(folder: str = "runs"):
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder)


def of_x():
    from tensorboardX import SummaryWriter

    return SummaryWriter("runs/digits")


@case("torchboard/healthy", console=False)
def healthy() -> None:
    log(of_torch(), HEALTHY)


@case("torchboard/tensors", console=False)
def tensors() -> None:
    log(of_torch(), HEALTHY, new_style=True)


@case("torchboard/resumed", console=False)
def resumed() -> None:
    log(of_torch(), HEALTHY, until=110, kept=88)
    time.sleep(1.1)  # the name of an event file holds the second
    log(of_torch(), HEALTHY, after=88)


@case("torchboard/nan_batch", console=False)
def nan_batch() -> None:
    log(of_torch(), NAN)


@case("torchboard/dead_units", console=False)
def dead_units() -> None:
    log(of_torch(), DEAD)


@case("torchboard/add_scalars_overfit", console=False)
def add_scalars_overfit() -> None:
    board = of_torch()
    for s in steps(OVERFIT):
        if s.held_out:
            both = {"train": s.held_out.train_loss, "val": s.held_out.loss}
            board.add_scalars("Loss", both, s.epoch)
            noted(train__loss=both["train"], val__loss=both["val"])
    board.add_hparams({k: v for k, v in asdict(OVERFIT).items() if k != "dead"}, {"hparam/loss": both["val"]})
    board.close()


@case("tensorboardx/healthy", console=False)
def healthy_x() -> None:
    log(of_x(), HEALTHY)


@case("tensorboardx/rate_times_1000", console=False)
def rate_times_1000() -> None:
    log(of_x(), HOT)


@case("tensorboardx/rate_zero", console=False)
def rate_zero() -> None:
    log(of_x(), STILL)


main("tensorboard", "tensorboardX", "torch")
