"""A character model of the licence text in the root of this repository."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from detection.training import Batch, Net, Settings, Training

LENGTH = 32


@cache
def text() -> tuple[Tensor, int]:
    """The text as ids [N], and the number of characters in the alphabet; lower case, runs of blanks as one."""
    said = " ".join((Path(__file__).parents[3] / "LICENSE").read_text().lower().split())
    alphabet = sorted(set(said))
    return torch.tensor([alphabet.index(c) for c in said]), len(alphabet)


class Recurrent(nn.GRU):
    """A GRU that answers with its outputs alone."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one head: a tensor, no dictionary
        """Outputs [B, T, H]."""
        outputs: Tensor = super().forward(x)[0]
        return outputs


class Chars(Training):
    """Embedding 24, GRU 64: the next character at each of 32 places."""

    name = "chars"
    defaults = Settings(lr=1e-2, epochs=10, batch=16, weight_decay=0.01, dropout=0.2)
    healthy = ("val/accuracy", 0.35)
    chance = 0.17

    def load(self) -> dict[str, Batch]:
        ids, _ = text()
        starts = torch.arange(0, len(ids) - LENGTH - 1, LENGTH // 2)
        held = len(starts) // 10
        first = (self.seed * 2 * held) % (len(starts) - 2 * held)
        chosen = {"val": starts[first : first + held], "test": starts[first + held : first + 2 * held]}
        chosen["train"] = torch.cat([starts[: max(0, first - 2)], starts[first + 2 * held + 2 :]])
        windows = {split: ids[rows[:, None] + torch.arange(LENGTH + 1)] for split, rows in chosen.items()}
        return {split: {"x": w[:, :-1], "main": w[:, 1:]} for split, w in windows.items()}

    def build(self) -> Net:
        size = text()[1]
        encoder = nn.Sequential(nn.Embedding(size, 24), Recurrent(24, 64, batch_first=True))
        if self.settings.dropout:
            encoder.append(nn.Dropout(self.settings.dropout))
        return Net(encoder, {"main": nn.Linear(64, size)})
