"""Trainings on sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset

import tocsin
from preflight.kinds.digits import loaders, split
from preflight.kinds.registry import kind

VOCABULARY, LENGTH = 48, 24


def sentences(n: int) -> Tensor:
    """A Markov chain of tokens, [n, LENGTH + 1]."""
    table = torch.softmax(2 * torch.randn(VOCABULARY, VOCABULARY), 1)
    found = [torch.randint(0, VOCABULARY, (n,))]
    for _ in range(LENGTH):
        found.append(torch.multinomial(table[found[-1]], 1)[:, 0])
    return torch.stack(found, 1)


class Language(nn.Module):
    """A causal transformer of one layer; the output shares its weights with the embedding of N(0, ``sd``)."""

    def __init__(self, sd: float) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, 32), nn.Embedding(LENGTH, 32)
        nn.init.normal_(self.tokens.weight, std=sd)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        mask = torch.triu(torch.full((n, n), -math.inf), 1)
        h = self.tokens(x) + self.places(torch.arange(n))
        return self.head(self.norm(self.layer(h, mask)))


def _language(sd: float) -> tocsin.Setup:
    model = Language(sd)

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0][:, :-1]).flatten(0, 1), batch[0][:, 1:].flatten())

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[0][:, 1:].flatten(), model(batch[0][:, :-1]).flatten(0, 1)

    optimizer = torch.optim.AdamW(model.parameters(), 3e-4)
    data = loaders(*split(sentences(800)), 16)
    return tocsin.Setup(model, optimizer, losses, predict=predict, **data, epochs=5)


@kind("language-model", "output and embedding share weights, drawn with a deviation of .02 as GPT-2's are")
def language_model() -> tocsin.Setup:
    return _language(0.02)


@kind("language-model-wide", "the same with torch's own N(0, 1): the first loss is many nats above ln K", "OBJ011")
def language_model_wide() -> tocsin.Setup:
    return _language(1.0)


class Tagger(nn.Module):
    """A recurrent network over padded sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, 16, padding_idx=0)
        self.rnn, self.head = nn.GRU(16, 32, batch_first=True), nn.Linear(32, 3)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.tokens(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return self.head(self.rnn(packed)[1][0])


class Sentences(Dataset):
    """Sentences of different lengths, and which third of the alphabet they begin in."""

    def __init__(self, n: int) -> None:
        self.rows = [row[: int(torch.randint(4, LENGTH, ()))].clamp_min(1) for row in sentences(n)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.rows[index]
        return row, int(row[0]) * 3 // VOCABULARY


def padded(rows: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    """A batch as a mapping."""
    lengths = torch.tensor([len(row) for row, _ in rows])
    tokens = nn.utils.rnn.pad_sequence([row for row, _ in rows], batch_first=True)
    return {"tokens": tokens, "lengths": lengths, "label": torch.tensor([label for _, label in rows])}


def _tagged(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return batch["label"], model(batch["tokens"], batch["lengths"])


def _tag_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    target, logits = _tagged(model, batch)
    return F.cross_entropy(logits, target)


@kind("padded", "sentences of different lengths, packed; batches are mappings of different widths")
def padded_batches() -> tocsin.Setup:
    model = Tagger()
    train = DataLoader(Sentences(400), 16, shuffle=True, collate_fn=padded)
    val = DataLoader(Sentences(100), 16, collate_fn=padded)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    return tocsin.Setup(model, optimizer, _tag_loss, train, val, _tagged, epochs=10)


class Endless(IterableDataset):
    """Pairs of a wave and its frequency, drawn as they are asked for; it ends after 2000."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(2000):
            rate = torch.rand(())
            yield torch.sin(rate * torch.arange(32.0) + 6.28 * torch.rand(())) + 0.1 * torch.randn(32), rate


@kind("stream", "an iterable data set: waves drawn as they are asked for, and their frequency")
def stream() -> tocsin.Setup:
    model = nn.Sequential(nn.Unflatten(1, (1, 32)), nn.Conv1d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(224, 1))

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[1], model(batch[0])[:, 0]

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.mse_loss(*predict(model, batch))

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, DataLoader(Endless(), 32), predict=predict, steps=500)
