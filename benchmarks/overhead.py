"""What watching costs: CPU time of a watched step over that of the same bare step, in one process.

Two copies of a model are trained side by side, their steps alternating in swapped order, so that both meet the same
machine. Printed for each model: a bare-against-bare null pair, the floor of empty hooks, ``watch`` as it comes, and
``watch`` with every probe at every step; medians and means of the process CPU time (all threads) after a warm-up.

    python benchmarks/overhead.py [--json FILE] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tocsin

Step = Callable[[], None]
WARM_UP = 0.2


def mlp() -> tuple[nn.Module, torch.Tensor]:
    """An MLP whose step takes under 2 ms."""
    return nn.Sequential(*_dense(64, 256), *_dense(256, 256), nn.Linear(256, 10)), torch.randn(256, 64)


def cnn() -> tuple[nn.Module, torch.Tensor]:
    """Four 3x3 convolutions 16-16-32-32 and a linear layer, batch 64 of 3x32x32."""
    width = [3, 16, 16, 32, 32]
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise(width)):
        layers += [nn.Conv2d(a, b, 3, padding=1, stride=2 if k == 2 else 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 16 * 16, 10)), torch.randn(64, 3, 32, 32)


def transformer() -> tuple[nn.Module, torch.Tensor]:
    """Four encoder layers of width 128 on 16 sequences of 64."""
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True, dropout=0.0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 128, 10))
    return nn.Sequential(nn.TransformerEncoder(layer, 4), head), torch.randn(16, 64, 128)


def _dense(a: int, b: int) -> list[nn.Module]:
    return [nn.Linear(a, b), nn.ReLU()]


MODELS = {"mlp": (mlp, 4000), "cnn": (cnn, 300), "transformer": (transformer, 300)}


class Loop:
    """One model in training; ``run`` is the watch handle, if any."""

    def __init__(self, make: Callable[[], tuple[nn.Module, torch.Tensor]]) -> None:
        torch.manual_seed(0)
        self.model, self.x = make()
        self.y = torch.randint(0, 10, (len(self.x),))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4)
        self.run: Any = None

    def step(self) -> None:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self.x), self.y)
        if self.run is not None:
            self.run.losses(total=loss)
        loss.backward()
        self.optimizer.step()


def seconds(step: Step) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


@contextmanager
def bare(loop: Loop) -> Iterator[None]:  # noqa: ARG001 (an arm takes its loop)
    yield


@contextmanager
def empty_hooks(loop: Loop) -> Iterator[None]:
    """The least that any recorder of this kind attaches: one gradient hook, one step hook, one forward hook."""

    def nothing(*_: Any) -> None: ...

    tensor: Any = list(loop.model.parameters())[-1]
    handles = [
        tensor.register_post_accumulate_grad_hook(nothing),
        loop.optimizer.register_step_post_hook(nothing),
        loop.model.register_forward_pre_hook(nothing, with_kwargs=True),
    ]
    yield
    for handle in handles:
        handle.remove()


def watched(**options: Any) -> Callable[[Loop], Any]:
    @contextmanager
    def attach(loop: Loop) -> Iterator[None]:
        with (
            tempfile.TemporaryDirectory() as folder,
            tocsin.watch(loop.model, loop.optimizer, run_dir=Path(folder) / "r", say=lambda _: None, **options) as run,
        ):
            loop.run = run
            yield

    return attach


ARMS: dict[str, Callable[[Loop], Any]] = {
    "bare (null)": bare,
    "empty hooks (floor)": empty_hooks,
    # The governor earns its share of wall time, and half of it goes to the bare twin: half the default 0.01 is the
    # default share of the watched steps.
    "watch, default budget": watched(budget=0.005),
    "watch, every step": watched(every=1),
}


def measure(
    make: Callable[[], tuple[nn.Module, torch.Tensor]], steps: int, attach: Callable[[Loop], Any]
) -> dict[str, float]:
    """Ratios and added microseconds of one arm against the bare loop beside it."""
    reference, other = Loop(make), Loop(make)
    times: tuple[list[float], list[float]] = ([], [])
    with attach(other):
        for k in range(steps):
            pair = [(reference.step, times[0]), (other.step, times[1])]
            for step, kept in pair if k % 2 else reversed(pair):
                kept.append(seconds(step))
    a, b = (kept[int(WARM_UP * steps) :] for kept in times)
    return {
        "bare_ms": 1e3 * statistics.median(a),
        "median_ratio": statistics.median(b) / statistics.median(a),
        "mean_ratio": sum(b) / sum(a),
        "mean_ratio_with_start": sum(times[1]) / sum(times[0]),
        "added_us_mean": 1e6 * (sum(b) - sum(a)) / len(a),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"{'model':12} {'arm':24} {'bare ms':>8} {'median':>8} {'mean':>8} {'with start':>11} {'added us':>9}")
    for name, (make, steps) in MODELS.items():
        for arm, attach in ARMS.items():
            row: dict[str, Any] = {"model": name, "arm": arm, **measure(make, int(steps * options.scale), attach)}
            rows.append(row)
            print(
                f"{name:12} {arm:24} {row['bare_ms']:8.2f} {row['median_ratio']:8.3f} {row['mean_ratio']:8.3f} "
                f"{row['mean_ratio_with_start']:11.3f} {row['added_us_mean']:9.1f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
