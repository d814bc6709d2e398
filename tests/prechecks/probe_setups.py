"""Small trainings whose data are given, for the checks of what the data can tell."""

from __future__ import annotations

import torch
from torch import nn

import tocsin
from tocsin.prechecks.setup import Setup


def batches(n, size=50, **columns):
    """Batches as mappings of tensors."""
    held = {name: torch.as_tensor(column) for name, column in columns.items()}
    return [{name: column[k : k + size] for name, column in held.items()} for k in range(0, n, size)]


class _Model(nn.Linear):
    def __init__(self, width):
        super().__init__(width, 1)

    def forward(self, x):
        return super().forward(x.flatten(1).float())


def setup(train, **parts):
    """A linear model on ``x`` with the target ``y``; every part may be replaced."""
    torch.manual_seed(0)
    width = train[0]["x"][0].numel()
    model = _Model(width)

    def losses(model, batch):
        return model(batch["x"]).square().mean()

    def predict(model, batch):
        return batch["y"], torch.zeros(len(batch["y"]))

    optimizer = torch.optim.AdamW(model.parameters())
    own = {"model": model, "optimizer": optimizer, "losses": losses, "predict": predict, "train": train}
    return Setup(**{**own, **parts})


def found(code, given):
    """Findings of one code, and reasons of its checks whose parts were given."""
    report = tocsin.preflight(given, select=[code])
    assert not any("raised" in n.reason for n in report.not_checked), report.not_checked
    blind = [n.reason for n in report.not_checked if n.code == code and not n.reason.endswith("of the Setup")]
    return [f for f in report.findings if f.code == code], blind
