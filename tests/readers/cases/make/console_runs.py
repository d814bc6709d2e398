"""Loops in plain PyTorch that print as the usual examples and project templates do; all train on digits."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from digits import digits, network
from making import case, main, note
from torch.nn.functional import cross_entropy


@dataclass
class Settings:
    """What a run is started with."""

    lr: float = 0.05
    epochs: int = 10
    batch_size: int = 64
    hidden: int = 64
    train: int = 1400
    loose_labels: bool = False
    weight_decay: float = 0.0


@dataclass
class Step:
    """One batch: its place, its loss, and whether it is the last of the epoch."""

    epoch: int
    batch: int
    batches: int
    number: int
    loss: float
    lr: float
    last: bool


class Loop:
    """Trains and scores; the cases only print."""

    def __init__(self, settings: Settings):
        torch.manual_seed(0)
        self.settings = settings
        split, held_out = digits(train=settings.train)
        self.x, self.y = map(torch.from_numpy, split)
        self.held_x, self.held_y = map(torch.from_numpy, held_out)
        self.model = network(settings.hidden)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), settings.lr, momentum=0.9, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, settings.epochs)

    def steps(self) -> Iterator[Step]:
        number = 0
        for epoch in range(1, self.settings.epochs + 1):
            parts = torch.randperm(len(self.x)).split(self.settings.batch_size)
            for batch, rows in enumerate(parts):
                number += 1
                lr = self.optimizer.param_groups[0]["lr"]
                yield Step(epoch, batch, len(parts), number, self.step(rows), lr, batch == len(parts) - 1)
            self.schedule.step()

    def step(self, rows: torch.Tensor) -> float:
        labels = self.y[torch.randperm(len(self.y))[: len(rows)]] if self.settings.loose_labels else self.y[rows]
        loss = cross_entropy(self.model(self.x[rows]), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def score(self) -> tuple[float, int, int]:
        """Mean loss, hits and number of the validation samples."""
        with torch.no_grad():
            logits = self.model(self.held_x)
        hits = int((logits.argmax(1) == self.held_y).sum())
        return cross_entropy(logits, self.held_y).item(), hits, len(self.held_y)

    def epochs(self) -> Iterator[tuple[int, float, float, float]]:
        """Epoch, mean training loss, validation loss, accuracy."""
        total = 0.0
        for step in self.steps():
            total += step.loss
            if step.last:
                loss, hits, n = self.score()
                yield step.epoch, total / step.batches, loss, hits / n
                total = 0.0


def print_as_mnist_example(settings: Settings) -> None:
    loop = Loop(settings)
    for s in loop.steps():
        if s.batch % 5 == 0:
            n = len(loop.x)
            print(f"Train Epoch: {s.epoch} [{s.batch * 64}/{n} ({100 * s.batch / s.batches:.0f}%)]\tLoss: {s.loss:.6f}")
            note(train__loss=s.loss)
        if s.last:
            loss, hits, n = loop.score()
            print(f"\nTest set: Average loss: {loss:.4f}, Accuracy: {hits}/{n} ({100 * hits / n:.0f}%)\n")
            note(test__loss=loss)


@case("console/mnist_example")
def mnist_example() -> None:
    print_as_mnist_example(Settings(epochs=8))


@case("console/mnist_example_loose_labels")
def mnist_example_loose_labels() -> None:
    print_as_mnist_example(Settings(epochs=10, lr=0.01, loose_labels=True))


@case("console/imagenet_example")
def imagenet_example() -> None:
    loop, mean, began = Loop(Settings(epochs=8)), 0.0, time.perf_counter()
    for s in loop.steps():
        mean = s.loss if s.batch == 0 else mean + (s.loss - mean) / (s.batch + 1)
        if s.batch % 5 == 0:
            took = time.perf_counter() - began
            print(f"Epoch: [{s.epoch - 1}][{s.batch + 1:>2}/{s.batches}]\tTime {took:6.3f} ({took:6.3f})\t"
                  f"Data  0.000 ( 0.000)\tLoss {s.loss:.4e} ({mean:.4e})")  # fmt: skip
            note(train__loss=s.loss)
        if s.last:
            loss, hits, n = loop.score()
            print(f"Test: [0/1]\tTime  0.010 ( 0.010)\tLoss {loss:.4e} ({loss:.4e})\tAcc@1 {100 * hits / n:6.2f} "
                  f"({100 * hits / n:6.2f})\n *   Acc@1 {100 * hits / n:.3f}")  # fmt: skip


@case("console/detection_references")
def detection_references() -> None:
    loop, window = Loop(Settings(epochs=6)), []
    for s in loop.steps():
        window = [*window, s.loss][-20:]
        mean = sum(window) / len(window)
        if s.batch % 5 == 0:
            print(f"Epoch: [{s.epoch - 1}]  [{s.batch:>2}/{s.batches}]  eta: 0:00:0{(s.batches - s.batch) // 5}  "
                  f"lr: {s.lr:.6f}  loss: {s.loss:.4f} ({mean:.4f})  time: 0.0020  data: 0.0001")  # fmt: skip
            note(train__loss=s.loss, lr__0=s.lr)
        if s.last:
            print(f"Epoch: [{s.epoch - 1}] Total time: 0:00:00 (0.0021 s / it)")


@case("console/template")
def template() -> None:
    settings = Settings(epochs=15)
    print(f"Namespace({', '.join(f'{k}={v!r}' for k, v in asdict(settings).items())})\nUsing device: cpu")
    for epoch, loss, held, hit in Loop(settings).epochs():
        print(
            f"Epoch {epoch}/{settings.epochs} - Train Loss: {loss:.4f}, Val Loss: {held:.4f}, Val Acc: {hit * 100:.2f}%"
        )
        note(train__loss=loss, val__loss=held)
    print("Training complete. Best model saved to best.pt")


@case("console/template_overfit")
def template_overfit() -> None:
    for epoch, loss, held, hit in Loop(Settings(epochs=80, lr=0.1, train=100, hidden=128)).epochs():
        print(f"[{epoch:03d}] train_loss={loss:.5f} val_loss={held:.5f} val_acc={hit:.4f}")
        note(train__loss=loss, val__loss=held, val__acc=hit)


@case("console/stamped")
def stamped() -> None:
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    log, loop = logging.getLogger("trainer"), Loop(Settings(epochs=8))
    log.info("config: %s", json.dumps(asdict(loop.settings)))
    for s in loop.steps():
        if s.number % 10 == 0:
            log.info("step %d/176 | loss %.4f | lr %.2e", s.number, s.loss, s.lr)
            note(train__loss=s.loss, lr__0=s.lr)
        if s.last:
            loss, hits, n = loop.score()
            log.info("evaluation at step %d: val_loss=%.4f val_accuracy=%.4f", s.number, loss, hits / n)
            note(val__loss=loss, val__accuracy=hits / n)
    log.info("Training finished")


@case("console/bars")
def bars() -> None:
    from tqdm import tqdm

    loop = Loop(Settings(epochs=6))
    steps = loop.steps()
    for epoch in range(1, 7):
        bar, total = tqdm(range(22), desc=f"Epoch {epoch}/6"), 0.0
        for _ in bar:
            s = next(steps)
            total += s.loss
            bar.set_postfix(loss=f"{s.loss:.4f}", lr=f"{s.lr:.2e}")
            time.sleep(0.01)
        loss, hits, n = loop.score()
        tqdm.write(f"Epoch {epoch}: train loss {total / 22:.4f} | val loss {loss:.4f} | val acc {hits / n:.4f}")
        note(val__loss=loss, val__acc=hits / n)


@case("console/dicts")
def dicts() -> None:
    for epoch, loss, held, hit in Loop(Settings(epochs=10)).epochs():
        print({"epoch": epoch, "train_loss": round(loss, 5), "val_loss": round(held, 5), "val_acc": round(hit, 4)})
        note(train__loss=loss, val__loss=held, val__acc=hit)


@case("console/json_lines")
def json_lines() -> None:
    for epoch, loss, held, hit in Loop(Settings(epochs=10)).epochs():
        print(json.dumps({"epoch": epoch, "train/loss": loss, "val/loss": held, "val/acc": hit}))
        note(train__loss=loss, val__loss=held, val__acc=hit)


def print_steps(settings: Settings) -> Iterator[Step]:
    for s in Loop(settings).steps():
        if s.number % 5 == 0:
            print(f"step {s.number}: loss {s.loss:.4f}, lr {s.lr:.6f}")
            note(train__loss=s.loss)
        yield s


@case("console/not_a_number")
def not_a_number() -> None:
    loop = Loop(Settings(epochs=10))
    for s in loop.steps():
        if s.number == 62:
            loop.x = loop.x.clone()
            loop.x[::90] = float("nan")  # a damaged part of the data
        if s.number % 5 == 0:
            print(f"step {s.number}: loss {s.loss:.4f}")
            note(train__loss=s.loss)


@case("console/rate_times_1000")
def rate_times_1000() -> None:
    for epoch, loss, held, hit in Loop(Settings(epochs=12, lr=50.0)).epochs():
        print(f"Epoch {epoch}: loss={loss:.4f} val_loss={held:.4f} acc={hit:.3f}")
        note(train__loss=loss, val__loss=held)


@case("console/rate_zero")
def rate_zero() -> None:
    for s in print_steps(Settings(epochs=15, lr=0.0)):
        assert s.loss > 0


@case("console/crashed")
def crashed() -> None:
    for s in print_steps(Settings()):
        if s.number == 90:
            torch.zeros(3, 4) @ torch.zeros(5, 6)


@case("console/interrupted")
def interrupted() -> None:
    for s in print_steps(Settings()):
        if s.number == 90:
            os.kill(os.getpid(), signal.SIGINT)


@case("console/failed_start")
def failed_start() -> None:
    print("Loading data from data/train.csv")
    open("data/train.csv")  # noqa: SIM115, PTH123


@case("console/two_runs")
def two_runs() -> None:
    for lr in (0.01, 0.05):  # no truth is noted: it would be of both
        print(f"===== lr={lr} =====")
        for epoch, loss, held, _ in Loop(Settings(lr=lr, epochs=8)).epochs():
            print(f"epoch {epoch} train_loss {loss:.4f} val_loss {held:.4f}")


def mixed_folder(settings: Settings) -> None:
    import csv

    from torch.utils.tensorboard import SummaryWriter

    with open("args.json", "w") as file:  # noqa: PTH123
        json.dump(asdict(settings), file, indent=2)
    loop, board, total = Loop(settings), SummaryWriter("tensorboard"), 0.0
    with open("metrics.csv", "w", newline="") as file:  # noqa: PTH123
        rows = csv.writer(file)
        rows.writerow(["epoch", "train_loss", "val_loss", "val_acc", "lr"])
        for s in loop.steps():
            total += s.loss
            board.add_scalar("train/loss", s.loss, s.number)
            note(train__loss=s.loss)
            if s.last:
                loss, hits, n = loop.score()
                board.add_scalar("val/loss", loss, s.number)
                board.add_scalar("val/acc", hits / n, s.number)
                rows.writerow([s.epoch, total / s.batches, loss, hits / n, s.lr])
                print(
                    f"Epoch {s.epoch}/{settings.epochs} train_loss: {total / s.batches:.4f} val_loss: {loss:.4f} "
                    f"val_acc: {hits / n:.4f}"
                )
                note(val__loss=loss, val__acc=hits / n)
                total = 0.0
    board.close()


@case("mixed/healthy")
def mixed() -> None:
    mixed_folder(Settings(epochs=10))


@case("mixed/overfit")
def mixed_overfit() -> None:
    mixed_folder(Settings(epochs=60, lr=0.1, train=120, hidden=128))


main("torch")
