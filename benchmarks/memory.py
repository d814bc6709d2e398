"""What watching holds in memory: over a million steps, beside the model's parameters, and bytes a step on disk.

Printed: resident memory and held points of one simulated run after 10^4, 10^5 and 10^6 steps (a tiny real model, so
that sampled windows open as in any run); what the recorder allocates on the model's device, at its peak and between
windows, as a share of the parameters of models of 10^6 to 10^8 parameters; bytes of a plain and of a sampled row.

    python benchmarks/memory.py [--json FILE] [--steps 1000000] [--parameters 1000000 10000000 100000000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

import tocsin
from tocsin.governor import SPARSEST
from tocsin.probes.hook import Meter

LAYERS = 12
OURS = "tocsin: "


def quiet(_: str) -> None: ...


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# A long run


def long_run(steps: int, evaluate_each: int = 1000) -> Iterator[dict[str, Any]]:
    """One run of ``steps`` steps; a row at each power of ten from 10^4 on. The same loop unwatched runs first."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, foreach=False)
    x = torch.randn(8, 4)
    target, prediction = torch.randn(512), torch.randn(512)

    def step() -> float:
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return 1.0

    for _ in range(2000):
        step()
    with tempfile.TemporaryDirectory() as folder:
        start, began = resident_mib(), time.perf_counter()
        with tocsin.watch(model, optimizer, run_dir=Path(folder) / "r", say=quiet) as run:
            for k in range(1, steps + 1):
                value = step()
                run.losses(total=value, first=0.6, second=0.4)
                if k % evaluate_each == 0:
                    run.evaluate("val", target=target, prediction=prediction)
                    run.metrics({"val/loss": 1.0})
                    run.end_epoch()
                if k in {10**4, 10**5, 10**6, steps}:
                    held = run._ledger.columns
                    yield {
                        "steps": k,
                        "resident_mib": resident_mib(),
                        "added_mib": resident_mib() - start,
                        "points": sum(len(c.values) for c in held._series.values()),
                        "rows": len(held._step),
                        "evaluations": len(held.evaluations),
                        "disk_bytes_a_step": bytes_in(Path(folder)) / k,
                        "us_a_step": 1e6 * (time.perf_counter() - began) / k,
                    }


# Beside the parameters


class HostPeaks:
    """The most that Python and NumPy held inside our ranges beyond what they held at the start, bytes by probe."""

    def __init__(self) -> None:
        self.by_probe: Counter[str] = Counter()

    @contextmanager
    def traced(self) -> Iterator[None]:
        """While this holds, memory that is not torch's is followed."""
        run = Meter.run

        def following(meter: Meter, probe: str, action: Callable[..., Any], *args: Any, default: Any = None) -> Any:
            if meter._inside:
                return run(meter, probe, action, *args, default=default)
            tracemalloc.reset_peak()
            found = run(meter, probe, action, *args, default=default)
            self.by_probe[probe] = max(self.by_probe[probe], tracemalloc.get_traced_memory()[1] - start)
            return found

        tracemalloc.start()
        start = tracemalloc.get_traced_memory()[0]
        Meter.run = following  # type: ignore[method-assign]  # measured from outside
        yield
        Meter.run = run  # type: ignore[method-assign]  # measured from outside
        tracemalloc.stop()


@contextmanager
def marked() -> Iterator[None]:
    """While this holds, what the recorder does is a range of the profile."""
    run = Meter.run

    def marking(self: Meter, probe: str, action: Callable[..., Any], *args: Any, default: Any = None) -> Any:
        if self._inside:
            return run(self, probe, action, *args, default=default)
        with record_function(OURS + probe):
            return run(self, probe, action, *args, default=default)

    Meter.run = marking  # type: ignore[method-assign]  # measured from outside
    yield
    Meter.run = run  # type: ignore[method-assign]  # measured from outside


def square_layers(parameters: int) -> nn.Sequential:
    """Twelve equal square layers with about this many parameters: each tensor is a twelfth of the model."""
    width = max(2, round((parameters / LAYERS) ** 0.5))
    return nn.Sequential(*(layer for _ in range(LAYERS) for layer in (nn.Linear(width, width), nn.ReLU())))


def own_bytes(profiled: Any) -> tuple[Counter[str], int, int]:
    """Peak by probe and final sum of what torch allocated and did not free inside our ranges, and the peak of all."""
    events = list(profiled.profiler.kineto_results.events())
    ranges = [e for e in events if e.name().startswith(OURS)]
    ours = sorted((e.start_ns(), e.start_ns() + e.duration_ns(), e.name().removeprefix(OURS)) for e in ranges)
    peak: Counter[str] = Counter()
    held = whole = whole_peak = at = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        when = event.start_ns()
        whole += event.nbytes()
        whole_peak = max(whole_peak, whole)
        while at < len(ours) and ours[at][1] < when:
            at += 1
        if at < len(ours) and ours[at][0] <= when:
            held += event.nbytes()
            peak[ours[at][2]] = max(peak[ours[at][2]], held)
    return peak, held, whole_peak


def beside_parameters(parameters: int, *, terms: bool, watched: bool = True) -> dict[str, Any]:
    """What sampled steps allocate by themselves; the default settings sample the first steps all.

    The peak is that of torch plus that of Python and NumPy in the probe where this is most.

    With two ``terms`` given as tensors before backward, their gradients at one tensor, the trunk, are taken in turn.
    """
    model = square_layers(parameters)
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, foreach=False)
    x = torch.randn(8, model[0].in_features)
    size = sum(p.numel() * p.element_size() for p in model.parameters())

    def step(run: Any) -> None:
        loss = model(x).square().mean()
        run.losses(total=loss, **({"first": 0.5 * loss, "second": 0.1 * loss} if terms else {}))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    with (
        tempfile.TemporaryDirectory() as folder,
        marked(),
        tocsin.watch(model, optimizer, run_dir=Path(folder) / "r", say=quiet, enabled=watched) as run,
    ):
        step(run)
        step(run)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            for _ in range(3):
                step(run)
        host = HostPeaks()
        with host.traced():
            for _ in range(3):
                step(run)
    peaks, held, whole = own_bytes(profiled)
    of = max(host.by_probe, key=lambda probe: host.by_probe[probe] + peaks[probe], default="")
    peak = host.by_probe[of] + peaks[of]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "terms": terms,
        "parameter_mib": size / 2**20,
        "peak_mib": peak / 2**20,
        "peak_in": of,
        "of_it_host_mib": host.by_probe[of] / 2**20,
        "peak_share": peak / size,
        "held_mib": held / 2**20,
        "held_share": held / size,
        "step_peak_mib": whole / 2**20,
    }


# On disk


def rows_on_disk(tensors: int) -> dict[str, Any]:
    """Bytes of a plain and of a sampled step in the record, and what a long run writes a step at most."""
    found = {}
    for every, steps in ((10**9, 2000), (1, 40)):
        model = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(tensors)))
        optimizer = torch.optim.SGD(model.parameters(), 1e-4)
        x = torch.randn(8, 4)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "r"
            with tocsin.watch(model, optimizer, run_dir=path, say=quiet, every=every) as run:
                for k in range(steps):
                    loss = model(x).square().mean() if k < 2 or every == 1 else None
                    run.losses(total=0.1234567 * (k + 1), first=0.07654321 * (k + 1))
                    if loss is not None:
                        loss.backward()
                        optimizer.step()
                        optimizer.zero_grad()
                    if k == 4:
                        run._ledger.settle()
                        run._ledger.writer.flush()
                        start = bytes_in(path / "rank0")
                run._ledger.settle()
                run._ledger.writer.flush()
                found[every] = (bytes_in(path / "rank0") - start) / (steps - 5)
    plain, sampled = found[10**9], found[1]
    return {
        "tensors": tensors,
        "plain_row": plain,
        "sampled_row": sampled,
        "long_run_a_step": plain + sampled / SPARSEST,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=10**6)
    parser.add_argument("--parameters", type=int, nargs="*", default=[10**6, 10**7, 10**8])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found: dict[str, list[dict[str, Any]]] = {"parameters": [], "disk": [], "steps": []}

    print("What tocsin allocates by itself, and the peak of a whole step beside the bare one")
    print(
        f"{'parameters':>12} {'MiB':>8} {'terms':>6} {'peak MiB':>9} {'share':>8} {'held MiB':>9} {'share':>8}", end=""
    )
    print(f" {'step peak':>10} {'bare':>8}  peak in")
    for parameters, terms in itertools.product(options.parameters, (False, True)):
        row = beside_parameters(parameters, terms=terms)
        row["bare_step_peak_mib"] = beside_parameters(parameters, terms=terms, watched=False)["step_peak_mib"]
        found["parameters"].append(row)
        print(
            f"{row['parameters']:12,} {row['parameter_mib']:8.1f} {terms!s:>6} {row['peak_mib']:9.3f} "
            f"{row['peak_share']:8.2%} {row['held_mib']:9.3f} {row['held_share']:8.2%} "
            f"{row['step_peak_mib']:10.2f} {row['bare_step_peak_mib']:8.2f}  {row['peak_in']}",
            flush=True,
        )
    print(f"\n{'tensors':>8} {'bytes of a plain step':>22} {'sampled step':>13} {'long run, at most':>18}")
    for tensors in (6, 1000):
        row = rows_on_disk(tensors)
        found["disk"].append(row)
        print(
            f"{tensors:8} {row['plain_row']:22.0f} {row['sampled_row']:13.0f} {row['long_run_a_step']:18.0f}",
            flush=True,
        )
    print(
        f"\n{'steps':>9} {'resident MiB':>13} {'added':>7} {'points':>9} {'rows':>7} {'evals':>6} {'disk B/step':>12}"
    )
    for row in long_run(options.steps):
        found["steps"].append(row)
        print(
            f"{row['steps']:9,} {row['resident_mib']:13.1f} {row['added_mib']:7.1f} {row['points']:9,} "
            f"{row['rows']:7,} {row['evaluations']:6,} {row['disk_bytes_a_step']:12.1f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
