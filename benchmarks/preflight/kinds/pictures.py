"""Trainings on pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import tocsin
from preflight.kinds.digits import digits, loaders, split
from preflight.kinds.registry import kind


def conv_net(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Two convolutions with BatchNorm and a head."""
    parts: list[nn.Module] = []
    for a, b in ((channels, 16), (16, 32)):
        parts += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, classes))


def cross_entropy(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """Of class numbers."""
    return F.cross_entropy(model(batch[0]), batch[1])


def labelled(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Target and answer."""
    return batch[1], model(batch[0])


class Augmented(Dataset):
    """Shifted by a pixel and noisy, anew each time."""

    def __init__(self, rows: Dataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = self.rows[index]
        shift = torch.randint(-1, 2, (2,)).tolist()
        return x.roll(shift, (1, 2)) + 0.1 * torch.randn_like(x), y


def accuracy(target: Tensor, prediction: Tensor) -> float:
    """Share of right answers."""
    return float((prediction.argmax(1) == target).float().mean())


def _augmented(workers: int = 0) -> tocsin.Setup:
    train, val = split(*digits())
    model = conv_net()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.01)
    how = {"multiprocessing_context": "fork"} if workers else {}
    data = loaders(Augmented(train), val, num_workers=workers, **how)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=10 * len(data["train"]))
    more = {"scheduler": schedule, "epochs": 10, "metrics": {"accuracy": accuracy}, "views": views}
    return tocsin.Setup(model, optimizer, cross_entropy, predict=labelled, **data, **more)


def views(batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    """With and without noise."""
    return batch[0] + 0.1 * torch.randn_like(batch[0]), batch[0]


@kind("cnn-augmented", "pictures, shifts and noise in the data set, BatchNorm, dropout, one cycle")
def cnn_augmented() -> tocsin.Setup:
    return _augmented()


@kind("cnn-workers", "the same, loaded by two workers")
def cnn_workers() -> tocsin.Setup:
    return _augmented(2)


@kind("frozen-backbone", "the convolutions were trained before and take no gradient; the optimizer holds the head only")
def frozen_backbone() -> tocsin.Setup:
    train, val = split(*digits())
    model = conv_net()
    model[:-1].requires_grad_(False)
    optimizer = torch.optim.Adam(model[-1].parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, cross_entropy, predict=labelled, **loaders(train, val), epochs=5)


@kind("tiny-data", "40 samples in batches of 8: what there is")
def tiny_data() -> tocsin.Setup:
    x, y = digits()
    train, val = split(x[:60], y[:60], part=2 / 3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, cross_entropy, predict=labelled, **loaders(train, val, 8), epochs=30)


@kind("last-of-one", "33 x 8 + 1 samples: the last batch has one, and LayerNorm does not mind")
def last_of_one() -> tocsin.Setup:
    train, val = split(*digits())
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    data = loaders(Subset(train, range(33 * 8 + 1)), val, 8)
    return tocsin.Setup(model, optimizer, cross_entropy, predict=labelled, **data, epochs=5)


@kind("large-pictures", "3 x 224 x 224 in batches of 8, a small network with strides")
def large_pictures() -> tocsin.Setup:
    y = torch.arange(96) % 4
    x = torch.randn(96, 3, 224, 224) + 0.5 * y[:, None, None, None]
    at = torch.randperm(96)
    parts = [nn.Conv2d(3, 8, 7, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 5, 4), nn.ReLU()]
    model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    train = DataLoader(TensorDataset(x[at[:64]], y[at[:64]]), 8, shuffle=True)
    val = DataLoader(TensorDataset(x[at[64:]], y[at[64:]]), 8)
    raw = {"raw": lambda batch: batch[0]}
    return tocsin.Setup(model, optimizer, cross_entropy, train, val, labelled, epochs=5, **raw)


@kind("segmentation", "a bright disc on noise, one logit a pixel, binary cross-entropy of few positive pixels")
def segmentation() -> tocsin.Setup:
    grid = torch.stack(torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")).float()
    centre = torch.rand(256, 2, 1, 1) * 16 + 4
    mask = ((grid - centre).square().sum(1) < 16).float()[:, None]
    x = mask + 0.5 * torch.randn(256, 1, 24, 24)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1)
    )

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(batch[0]), batch[1])

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, predict=labelled, **loaders(*split(x, mask), 16), epochs=10)
