"""Live: what the probes of the forward pass and their rules say of small real loops; none of them changes the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import tocsin
from loops import quiet
from tocsin import read


def data(n: int = 640) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes: one of the first three inputs is larger, by four times the spread."""
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(n, 8, generator=generator), torch.randint(0, 3, (n,), generator=generator)
    x[:, :3] += 4 * nn.functional.one_hot(y, 3)
    return x, y


def learn(
    folder: Path | None,
    *,
    momentum: float = 0.1,
    order: str = "shuffled",
    val: str = "held out",
    scale: float = 1.0,
    offset: float = 0.0,
    split: str = "val",
    epochs: int = 6,
) -> tuple[list[float], tocsin.Recorder]:
    """Six epochs of 16 batches of 32, an evaluation after each; returns losses and handle."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 24), nn.BatchNorm1d(24, momentum=momentum), nn.ReLU(), nn.Linear(24, 3))
    opt = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    x, y = data()
    x = x + offset
    held_x, held_y = (x[:128], y[:128]) if val == "trained on" else (x[512:], y[512:])
    x, y = x[:512], y[:512]
    if order == "sorted":
        x, y = x[y.argsort()], y.sort().values
    losses = []
    with tocsin.watch(net, opt, run_dir=folder, enabled=folder is not None, say=quiet) as run:
        for _ in range(epochs):
            net.train()
            for rows in (torch.randperm(512) if order == "shuffled" else torch.arange(512)).split(32):
                loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
                run.losses(total=loss)
                opt.zero_grad()
                loss.backward()
                opt.step()
                losses.append(float(loss.detach()))
            net.eval()
            with torch.no_grad():
                out = net(scale * held_x)
                run.evaluate(split, target=held_y, prediction=out)
                run.metrics({f"{split}/loss": nn.functional.cross_entropy(out, held_y)})
            run.end_epoch()
    return losses, run


def test_prototypes_put_through_the_model_before_a_long_evaluation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 3))
    opt = torch.optim.SGD(net.parameters(), 0.05)
    x, y = data()
    with tocsin.watch(net, opt, run_dir=tmp_path / "r", say=quiet) as run:
        for _ in range(4):
            for rows in torch.randperm(400).split(40):
                loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
                run.losses(total=loss)
                opt.zero_grad()
                loss.backward()
                opt.step()
            with torch.no_grad():
                net(x[:30])
                out = torch.cat([net(part) for part in x[400:].split(8)])
                run.evaluate("val", target=y[400:], prediction=out)
            run.end_epoch()
    assert "DAT002" not in rung(run)
    (back,) = read(tmp_path / "r")
    assert set(back.series["input/rows"].value) == {len(x) - 370}


def rung(run: tocsin.Recorder) -> dict[str, str | None]:
    return {f.code: f.severity for f in run.report.roots if f.code[:3] == "DAT" or f.code == "EVL007"}


def test_a_healthy_loop_is_silent_and_measured_about_each_evaluation(tmp_path: Path) -> None:
    _, run = learn(tmp_path / "r")
    assert rung(run) == {}
    (back,) = read(tmp_path / "r")
    assert set(back.series["norm/eval_lag/1"].step) == {16, 32, 48, 64, 80, 96}
    assert {17, 33, 49, 65, 81} <= set(back.series["norm/lag/1"].step)
    assert {17, 33, 49, 65, 81} <= set(back.series["act/dead_frac/2"].step)
    assert back.series["norm/eval_lag/1"].value[-1] < 0.3
    assert not back.series["input/overlap_frac"].value.any()
    assert not back.series["input/nonfinite/train"].value.any()
    assert abs(back.series["input/likeness"].value).max() < 0.05
    assert not {n.code for n in run.report.not_checked} & {"DAT002", "DAT003", "DAT004", "DAT006", "EVL007"}


@pytest.mark.parametrize(
    ("fault", "code", "severity"),
    [
        ({"momentum": 1e-4, "offset": 4.0, "epochs": 8}, "EVL007", "warning"),
        ({"val": "trained on"}, "DAT002", "error"),
        ({"order": "sorted"}, "DAT003", "warning"),
        ({"order": "fixed"}, "DAT003", "note"),
        ({"scale": 255.0}, "DAT004", "warning"),
    ],
)
def test_each_fault_rings_alone(tmp_path: Path, fault: dict, code: str, severity: str) -> None:
    _, run = learn(tmp_path / "r", **fault)
    assert rung(run) == {code: severity}


def test_an_evaluation_on_the_training_split_is_silent(tmp_path: Path) -> None:
    _, run = learn(tmp_path / "r", val="trained on", split="train")
    assert "DAT002" not in rung(run)


def test_watching_changes_no_bit(tmp_path: Path) -> None:
    with_watch, _ = learn(tmp_path / "r", momentum=0.01)
    without, _ = learn(None, momentum=0.01)
    assert with_watch == without
