"""fastai: CSVLogger's history.csv and the printed table."""

from __future__ import annotations

import torch
from digits import digits, network, tensors
from fastai.callback.progress import CSVLogger
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Callback, Learner
from fastai.metrics import accuracy
from making import case, main, note


class Noting(Callback):
    """Notes what the recorder holds at the end of each epoch."""

    order = 99

    def after_epoch(self):
        train, held, hit = self.learn.recorder.values[-1]
        note(train__loss=train, val__loss=held, accuracy=hit)


def learn(lr: float, epochs: int, train: int = 1400) -> None:
    torch.manual_seed(0)
    fit, held_out = (tensors(split) for split in digits(train=train))
    loaders = DataLoaders(DataLoader(fit, bs=64, shuffle=True), DataLoader(held_out, bs=128))
    model = Learner(loaders, network(), loss_func=torch.nn.CrossEntropyLoss(), metrics=[accuracy],
                    cbs=[CSVLogger(), Noting()])  # fmt: skip
    model.fit(epochs, lr)


@case("fastai2/healthy")
def healthy() -> None:
    learn(2e-3, 12)


@case("fastai2/rate_times_1000", console=False)
def rate_times_1000() -> None:
    learn(3.0, 12)


@case("fastai2/overfit", console=False)
def overfit() -> None:
    learn(5e-3, 120, train=100)


main("fastai", "torch")
