"""Lightning: CSVLogger and TensorBoardLogger, healthy and with faults. Runs with versions 1 and 2."""

from __future__ import annotations

import logging

import torch
from digits import digits, network, tensors
from making import case, main, note
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

try:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, TQDMProgressBar
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
except ModuleNotFoundError:
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, TQDMProgressBar
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

NAME = f"lightning{pl.__version__.split('.')[0]}"
EVERY = 5


class Classifier(pl.LightningModule):
    """A perceptron on digits that notes what it logs."""

    def __init__(
        self,
        lr: float = 0.1,
        hidden: int = 64,
        loose_labels: bool = False,
        breaks_at: int = 0,
        decay: float = 0.3,
        nan_at: int = 0,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.net = network(hidden)
        self.seen: list[tuple[int, float, float]] = []

    def training_step(self, batch, index):
        x, y = batch
        if self.global_step + 1 == self.hparams.breaks_at:
            x = x[:, :60]
        if self.hparams.loose_labels:  # samples and labels are shuffled apart
            y = y[torch.randperm(len(y))]
        if self.global_step + 1 == self.hparams.nan_at:
            x = x * float("nan")
        loss = cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        if (self.global_step + 1) % EVERY == 0:
            note(train__loss=loss.item())
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        logits = self.net(x)
        loss, hit = cross_entropy(logits, y), (logits.argmax(1) == y).float().mean()
        self.log_dict({"val_loss": loss, "val_acc": hit}, prog_bar=True)
        self.seen.append((len(y), loss.item(), hit.item()))

    def test_step(self, batch, index):
        self.log("test_loss", cross_entropy(self.net(batch[0]), batch[1]))

    def on_validation_epoch_end(self):
        seen, self.seen = self.seen, []
        if not self.trainer.sanity_checking:
            n = sum(size for size, _, _ in seen)
            note(val__loss=sum(s * v for s, v, _ in seen) / n, val__acc=sum(s * v for s, _, v in seen) / n)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 4, self.hparams.decay)]


def trainer(epochs: int, board: bool = False, callbacks=(), **options) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    pl.seed_everything(1)
    loggers = [CSVLogger("logs"), *([TensorBoardLogger("logs")] if board else [])]
    bar = [TQDMProgressBar(refresh_rate=11)] if options.get("enable_progress_bar", True) else []
    return pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=loggers, log_every_n_steps=EVERY, enable_checkpointing=False,
        callbacks=[LearningRateMonitor(), *callbacks, *bar], **options,
    )  # fmt: skip


def loaders(train: int = 1400) -> tuple[DataLoader, DataLoader]:
    fit, held_out = digits(train=train)
    return DataLoader(tensors(fit), 64, shuffle=True), DataLoader(tensors(held_out), 128)


@case(f"{NAME}/healthy")
def healthy() -> None:
    trainer(10, board=True).fit(Classifier(), *loaders())


@case(f"{NAME}/validated_first", console=False)
def validated_first() -> None:
    model, run = Classifier(), trainer(6, check_val_every_n_epoch=2, enable_progress_bar=False)
    fit, held_out = loaders()
    run.validate(model, held_out, verbose=False)
    run.fit(model, fit, held_out)


@case(f"{NAME}/early_stopping")
def early_stopping() -> None:
    stop = EarlyStopping("val_loss", patience=3, verbose=True)
    trainer(60, callbacks=[stop], enable_progress_bar=False).fit(Classifier(), *loaders())


@case(f"{NAME}/crashed")
def crashed() -> None:
    trainer(10).fit(Classifier(breaks_at=75), *loaders())


@case(f"{NAME}/rate_times_1000", console=False)
def rate_times_1000() -> None:
    trainer(8, enable_progress_bar=False).fit(Classifier(lr=100.0), *loaders())


@case(f"{NAME}/loose_labels", console=False)
def loose_labels() -> None:
    trainer(12, enable_progress_bar=False).fit(Classifier(loose_labels=True), *loaders())


@case(f"{NAME}/overfit", console=False)
def overfit() -> None:
    trainer(80, enable_progress_bar=False).fit(Classifier(hidden=256, decay=1.0), *loaders(train=120))


def two_loggers(**options) -> None:
    """Events and CSV under roots of their own; the test opens another event file."""
    pl.seed_everything(1)
    loggers = [TensorBoardLogger("tb", "digits"), CSVLogger("csv", "digits")]
    run = pl.Trainer(
        accelerator="cpu", max_epochs=8, logger=loggers, log_every_n_steps=EVERY, enable_checkpointing=False,
        callbacks=[LearningRateMonitor()], enable_progress_bar=False,
    )  # fmt: skip
    model, (fit, held_out) = Classifier(**options), loaders()
    run.fit(model, fit, held_out)
    run.test(model, held_out, verbose=False)


@case(f"{NAME}/twins", console=False)
def twins() -> None:
    two_loggers()


@case(f"{NAME}/twins_nan_batch", console=False)
def twins_nan_batch() -> None:
    two_loggers(nan_at=90)


@case(f"{NAME}/twins_rate_zero", console=False)
def twins_rate_zero() -> None:
    two_loggers(lr=0.0)


main(*(["lightning"] if NAME > "lightning1" else ["pytorch-lightning"]), "torch")
