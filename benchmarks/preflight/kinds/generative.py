"""Trainings whose model makes what it was shown, or compares."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import tocsin
from preflight.kinds.digits import digits, loaders, split
from preflight.kinds.registry import kind
from preflight.kinds.tables import mlp


def _pictures() -> dict[str, Any]:
    x, _ = digits()
    return loaders(*split((x.flatten(1) - x.min()) / (x.max() - x.min())))


@kind("autoencoder", "squared error of pictures that are mostly dark")
def autoencoder() -> tocsin.Setup:
    model = nn.Sequential(mlp(64, 32, 8), nn.ReLU(), mlp(8, 32, 64))

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[0], model(batch[0])

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.mse_loss(model(batch[0]), batch[0])

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, predict=predict, **_pictures(), epochs=20)


class Variational(nn.Module):
    """Mean and logarithm of the variance of a code, and what is made of a draw of it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(64, 64, 16), mlp(8, 64, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + torch.randn_like(mean) * (log / 2).exp()), mean, log


@kind("variational", "a reconstruction and a divergence, per sample; the loss draws random numbers")
def variational() -> tocsin.Setup:
    model = Variational()

    def losses(model: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
        made, mean, log = model(batch[0])
        terms = {
            "reconstruction": F.binary_cross_entropy_with_logits(made, batch[0], reduction="none").sum(1).mean(),
            "divergence": -0.5 * (1 + log - mean.square() - log.exp()).sum(1).mean(),
        }
        return {"total": terms["reconstruction"] + terms["divergence"], **terms}

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, **_pictures(), epochs=20)


@kind("contrastive", "two noisy views of each picture, told from those of the others; a step of its own")
def contrastive() -> tocsin.Setup:
    model = mlp(64, 64, 16)

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        one, two = (F.normalize(model(batch[0] + 0.05 * torch.randn_like(batch[0])), dim=1) for _ in range(2))
        return F.cross_entropy(one @ two.T / 0.2, torch.arange(len(one)))

    def step(model: nn.Module, optimizer: Any, _: Any, batch: list[Tensor]) -> Tensor:
        optimizer.zero_grad()
        loss = losses(model, batch)
        loss.backward()
        optimizer.step()
        return loss

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, step=step, **_pictures(), epochs=20)


@kind("siamese", "anchor, one of the same class, one of another: a margin between distances")
def siamese() -> tocsin.Setup:
    x, y = digits()
    flat = x.flatten(1)
    order = torch.argsort(y, stable=True)
    near, far = order.roll(1), order.roll(300)
    model = mlp(64, 64, 16)

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.triplet_margin_loss(*(model(part) for part in batch))

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    data = loaders(*split(flat[order], flat[near], flat[far]))
    return tocsin.Setup(model, optimizer, losses, **data, epochs=20)


class Pair(nn.Module):
    """A generator and its critic."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = nn.Sequential(mlp(8, 64, 64), nn.Sigmoid()), mlp(64, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.critic(x)[:, 0]


def _critic(model: Any, batch: list[Tensor]) -> Tensor:
    made = model.generator(torch.randn(len(batch[0]), 8)).detach()
    real, fake = model(batch[0]), model(made)
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _generator(model: Any, batch: list[Tensor]) -> Tensor:
    return F.softplus(-model(model.generator(torch.randn(len(batch[0]), 8)))).mean()


@kind("adversarial", "a generator and a critic, an optimizer each, in a step of its own")
def adversarial() -> tocsin.Setup:
    model = Pair()
    optimizers = [torch.optim.Adam(part.parameters(), 2e-4, (0.5, 0.99)) for part in (model.generator, model.critic)]

    def losses(model: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
        terms = {"critic": _critic(model, batch), "generator": _generator(model, batch)}
        return {"total": terms["critic"] + terms["generator"], **terms}

    def step(model: nn.Module, optimizers: Any, _: Any, batch: list[Tensor]) -> dict[str, Tensor]:
        shown = {}
        for name, loss_of, optimizer in (
            ("critic", _critic, optimizers[1]),
            ("generator", _generator, optimizers[0]),
        ):
            for each in optimizers:
                each.zero_grad()
            shown[name] = loss_of(model, batch)
            shown[name].backward()
            optimizer.step()
        return {"total": shown["critic"] + shown["generator"], **shown}

    return tocsin.Setup(model, optimizers, losses, step=step, **_pictures(), epochs=20)


@kind("diffusion", "the noise that was mixed in, predicted from the mixture and its time")
def diffusion() -> tocsin.Setup:
    model = mlp(65, 128, 64)

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        t, noise = torch.rand(len(batch[0]), 1), torch.randn_like(batch[0])
        mixed = (1 - t).sqrt() * (2 * batch[0] - 1) + t.sqrt() * noise
        return F.mse_loss(model(torch.cat([mixed, t], 1)), noise)

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, **_pictures(), epochs=20)
