"""What watching costs: CPU time of a watched step over that of the same bare step, in one process.

Two copies of a model are trained side by side, their steps alternating in swapped order, so that both meet the same
machine. Printed for each model: a bare-against-bare null pair, the floor of empty hooks, ``watch`` as it comes, and
``watch`` with every probe at every step; medians and means of the process CPU time (all threads) after a warm-up, and
the means' standard errors. Then the governor: for each budget the share that was really used. With ``--device cuda``
wall time of synchronised blocks is taken instead.

    python benchmarks/overhead.py [--json FILE] [--scale 1.0] [--models mlp cnn] [--device cpu] [--no-governor]
        [--peer MODULE:NAME]

``--peer`` adds an arm: a function that takes an ``overhead_loops.Loop`` and gives a context manager. Peers run in their
own environments, which need no tocsin: ``overhead_loops`` imports torch alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from overhead_loops import (
    MODELS,
    Attach,
    Loop,
    Make,
    bare,
    block_error,
    empty_hooks,
    measure,
    mlp,
    pairs,
    short_transformer,
)

__all__ = ["Loop", "bare", "measure", "watched"]

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.1)
FACTOR = 1.5
GOVERNED: dict[str, tuple[Make, tuple[float, ...]]] = {
    "transformer, short": (short_transformer, BUDGETS),
    "mlp": (mlp, BUDGETS[:2]),  # on short steps the looks of the rules, which no budget can spare, need a longer run
}


def watched(**options: Any) -> Attach:
    """An arm that watches, with these options."""

    @contextmanager
    def attach(loop: Loop) -> Iterator[None]:
        import tocsin

        with (
            tempfile.TemporaryDirectory() as folder,
            tocsin.watch(loop.model, loop.optimizer, run_dir=Path(folder) / "r", say=lambda _: None, **options) as run,
        ):
            loop.run = run
            yield

    return attach


ARMS: dict[str, Attach] = {
    "bare (null)": bare,
    "empty hooks (floor)": empty_hooks,
    # The governor earns its share of wall time, and half of it goes to the bare twin: half the default 0.01 is the
    # default share of the watched steps.
    "watch, default budget": watched(budget=0.005),
    "watch, every step": watched(every=1),
}


def peer(word: str) -> Attach:
    """The arm that ``module:name`` means."""
    module, _, name = word.partition(":")
    attach: Attach = getattr(importlib.import_module(module), name or "attach")
    return attach


def governed(make: Make, budget: float, steps: int, device: torch.device) -> dict[str, Any]:
    """The share of a watched step that tocsin used over a whole run, its dense start and all looks of the rules in it.

    ``own_account`` is what the governor believes to have spent.
    """
    a, b, loop = pairs(make, steps, watched(budget=budget / 2), device)
    governor = loop.run._governor
    share = (sum(b) - sum(a)) / sum(a)
    allowed = max(budget, 15e-6 * len(a) / sum(a))
    return {
        "budget": budget,
        "steps": steps,
        "bare_ms": 1e3 * sum(a) / len(a),
        "allowed": allowed,
        "measured": share,
        "error": block_error(a, b),
        "own_account": 2 * governor.spent_s / max(1e-9, loop.run._ledger.now()),
        "held": share <= FACTOR * allowed,
    }


def print_arms(names: list[str], arms: dict[str, Attach], scale: float, device: torch.device) -> list[dict[str, Any]]:
    rows = []
    print(
        f"{'model':13} {'arm':24} {'bare ms':>8} {'median':>8} {'mean':>8} {'+-':>6} {'with start':>11} {'added us':>9}"
    )
    for name in names:
        make, steps = MODELS[name]
        for arm, attach in arms.items():
            try:
                row: dict[str, Any] = {"model": name, "arm": arm, **measure(make, int(steps * scale), attach, device)}
            except ImportError as error:
                print(f"{name:13} {arm:24} not here: {error}", flush=True)
                continue
            rows.append(row)
            print(
                f"{name:13} {arm:24} {row['bare_ms']:8.2f} {row['median_ratio']:8.3f} {row['mean_ratio']:8.3f} "
                f"{row['mean_ratio_se']:6.3f} {row['mean_ratio_with_start']:11.3f} {row['added_us_mean']:9.1f}",
                flush=True,
            )
    return rows


def print_budgets(steps: int, device: torch.device) -> list[dict[str, Any]]:
    rows = []
    print(f"\ngovernor, {steps} steps from the first one on")
    print(f"{'model':18} {'bare ms':>8} {'budget':>7} {'allowed':>8} {'measured':>9} {'+-':>7} {'own account':>12}")
    for model, (make, budgets) in GOVERNED.items():
        for budget in budgets:
            row: dict[str, Any] = {"model": model, **governed(make, budget, steps, device)}
            rows.append(row)
            print(
                f"{model:18} {row['bare_ms']:8.2f} {budget:7.1%} {row['allowed']:8.2%} {row['measured']:9.2%} "
                f"{row['error']:7.2%} {row['own_account']:12.2%}"
                f"  {'held' if row['held'] else 'NOT held'} within {FACTOR}",
                flush=True,
            )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of steps")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS), help="none: the governor alone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peer", action="append", default=[], help="module:function of a further arm")
    parser.add_argument("--no-governor", action="store_true")
    parser.add_argument("--only-peers", action="store_true", help="the null pair and the peers alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    arms = {"bare (null)": bare} if options.only_peers else dict(ARMS)
    arms |= {word: peer(word) for word in options.peer}
    found: dict[str, Any] = {"arms": print_arms(options.models, arms, options.scale, device)}
    if not options.only_peers and not options.no_governor:
        found["governor"] = print_budgets(int(2000 * options.scale), device)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
