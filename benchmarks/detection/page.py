"""The page of the documentation on how often tocsin is right, from the stored tables of both benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detection.catalogue import VARIANTS

HEAD = """# How often is it right?

Measured, not estimated: `python benchmarks/detection` trains small networks, half of them with a fault in the training
code, watches them, and counts. Nine tasks on real data of scikit-learn, on text, and on simulated radio frames. Every
fault's row says, from before any result was seen, which findings name its cause; a fault counts as *cause leads* only
where the leading finding, the one in the verdict, is such a one.
[How the runs are divided, and why](decisions/0015-detection-benchmark.md).

The figures below are of **held-out** runs: seeds that were not looked at while rules were written, and three tasks
(wine, autoencoder, constellation) of which no run of this benchmark was. Other small trainings on the wine data and on
constellation frames had been seen before. Brackets are 95 % intervals.
"""
MISSES = """
## What is behind the misses and the false alarms

"""


def page(detection: Mapping[str, Any], peers: Mapping[str, Any] | None, reasons: str) -> str:
    """Markdown of the tables; ``reasons`` is written by hand."""
    parts = [HEAD, _summary(detection["summary"]), _peers(peers), _faults(detection["faults"])]
    parts += [_healthy(detection["healthy"]), MISSES + reasons.strip() + "\n", _tasks(detection["leave_one_task_out"])]
    return "\n".join(part for part in parts if part)


def _summary(summary: Mapping[str, str]) -> str:
    return _table(("", ""), [(label, value) for label, value in summary.items()])


def _peers(peers: Mapping[str, Any] | None) -> str:
    if peers is None:
        return ""
    seeds = ", ".join(str(seed) for seed in peers["seeds"])
    found = peers["rows"]
    counted = ("detected", "cause", "alarmed")
    rows = [(r["tool"], r["runs"], *(_short(r[k]) for k in counted), r["overhead"], r["failed"]) for r in found]
    errors = [f"- {r['tool']} failed in {k} runs: `{error}`" for r in found for error, k in r["errors"].items()]
    text = f"""## Beside its peers

Other tools on the same held-out runs (seed {seeds}), each installed from the package index into an environment of its
own, at its defaults (`python benchmarks/peers`). Log tools are given every step's loss, learning rate and gradient
norm; loop tools run inside the same training; one-batch tools are given model, batch and optimizer before it. The
words that count as naming a cause were fixed before they ran; hints on speed do not count as alarms. SageMaker
Debugger's rules run in closed containers: its published thresholds are re-stated by us, on our own records. TrainCheck
needs minutes for a dozen steps and was given a few runs of one task. The cost of a step is its CPU time over that of a
bare one beside it (`benchmarks/overhead.py`, whose null pair differs by up to .01).

"""
    columns = ("tool", "runs", "detected", "cause named", "healthy runs alarmed", "cost of a step", "failed")
    return text + _table(columns, rows) + "".join(f"\n{line}" for line in errors) + "\n"


def _faults(rows: Sequence[Mapping[str, Any]]) -> str:
    said = [
        (
            r["fault"],
            " ".join(r["expects"]),
            f"{r['detected']}/{r['runs']}",
            f"{r['cause']}/{r['runs']}",
            "" if r["median_fraction"] is None else f"{100 * r['median_fraction']:.0f} %",
            ", ".join(f"{code} x{k}" for code, k in r["instead"].items()),
        )
        for r in rows
    ]
    columns = ("fault", "cause", "detected", "cause leads", "after (of the run)", "what led instead")
    return "## By fault\n\n" + _table(columns, said)


def _healthy(rows: Sequence[Mapping[str, Any]]) -> str:
    said = [
        (r["healthy"], f"{r['alarmed']}/{r['runs']}", ", ".join(f"{c} x{k}" for c, k in r["codes"].items()), _why(r))
        for r in rows
    ]
    return "## Healthy runs\n\n" + _table(("healthy run", "alarmed", "by", "what it is"), said)


def _why(row: Mapping[str, Any]) -> str:
    return VARIANTS[row["healthy"]].why if row["healthy"] in VARIANTS else ""


def _tasks(rows: Sequence[Mapping[str, Any]]) -> str:
    text = """## Leaving one task out

For each task the rules are muted that ring in more than 1 % of the healthy runs of the *other* tasks; the task is
scored with the rest.

"""
    said = [(r["task"], r["detection"], r["cause"], r["alarm"], " ".join(r["muted"])) for r in rows]
    return text + _table(("task", "detection", "cause leads", "healthy runs alarmed", "muted"), said)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _short(share: str) -> str:
    """Without the counts."""
    return share.partition(" = ")[2] or share


def write(tables: Mapping[str, Any], peers: Path, out: Path) -> None:
    """Write the page from the held-out tables, the peers' results where there are any, and the reasons kept beside."""
    shown = json.loads(peers.read_text()) if peers.is_file() else None
    reasons = Path(__file__).with_name("reasons.md").read_text(encoding="utf-8")
    out.write_text(page(tables, shown, reasons), encoding="utf-8")
