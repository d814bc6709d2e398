"""DVCLive: a healthy run, and one whose learning rate is a thousand times too high."""

from __future__ import annotations

import torch
from digits import digits, network
from dvclive import Live
from making import case, main, note
from torch.nn.functional import cross_entropy


def train(lr: float, epochs: int = 12) -> None:
    torch.manual_seed(0)
    (x, y), (held_x, held_y) = ((torch.from_numpy(a), torch.from_numpy(b)) for a, b in digits())
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    with Live(save_dvc_exp=False, report=None) as live:
        live.log_params({"lr": lr, "epochs": epochs, "batch_size": 64})
        for _ in range(epochs):
            total = 0.0
            for rows in torch.randperm(len(x)).split(64):
                loss = cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows) / len(x)
            with torch.no_grad():
                logits = model(held_x)
                held, hit = cross_entropy(logits, held_y).item(), (logits.argmax(1) == held_y).float().mean().item()
            for name, value in {"train/loss": total, "val/loss": held, "val/accuracy": hit}.items():
                live.log_metric(name, value)
            note(train__loss=total, val__loss=held, val__accuracy=hit)
            live.next_step()


@case("dvclive3/healthy", console=False)
def healthy() -> None:
    train(0.05)


@case("dvclive3/rate_times_1000", console=False)
def rate_times_1000() -> None:
    train(50.0)


main("dvclive", "torch")
