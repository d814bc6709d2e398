"""The page of the tables, from their numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from arms import ARMS, SHORT

Run = Mapping[str, Any]
COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("joint", "joint", lambda v: f"{v:.3f}"),
    ("modulation", "modulation", lambda v: f"{v:.3f}"),
    ("snr", "SNR", lambda v: f"{v:.3f}"),
    ("one_bin", "± 1 bin", lambda v: f"{v:.3f}"),
    ("snr_high", "SNR at 22 to 30 dB", lambda v: f"{v:.3f}"),
    ("mae_db", "MAE [dB]", lambda v: f"{v:.2f}"),
    ("nll", "NLL [nat]", lambda v: f"{v:.2f}"),
    ("ece", "ECE", lambda v: f"{v:.3f}"),
    ("attractor", "attractor index", lambda v: f"{v:.2f}"),
    ("cpu_s", "CPU s", lambda v: f"{v:.0f}"),
)
TABLES = {
    "synchronous": "## Synchronous: one sample a symbol, 16 modulations, 16 SNRs",
    "oversampled": "## Oversampled: 8 samples a symbol, 17 modulations, 16 SNRs, unknown timing, phase and carrier",
    "ablations": f"## Ablations: synchronous, {SHORT} epochs",
}
HEAD = """<!-- Written by benchmarks/studies/constellation.py --page from its results: edit those, not this. -->

# The study constellation: what networks reach, and what is attainable

Test frames, at the checkpoint with the best validation score. Each arm is trained with as many seeds as the table says;
figures are means, with the lowest and the highest of the seeds in brackets. Arms whose brackets meet are not
ranked, nor is anything claimed of one seed. All arms of one scenario are scored on the same frames. `make bench` makes
the page anew.

*Joint*: modulation and SNR both exactly right. *Attractor index*: the largest share of the predictions that one SNR
takes, times the number of SNRs; 1 is none. *CPU s*: of the whole process, recording, evaluations and pictures included,
on one core of a machine that others used, too.
"""
VERDICTS = {
    "attributed": "beyond noise, by this setting",
    "within-noise": "within noise",
    "confounded": "beyond noise; several settings differ",
    "one-seed": "one seed",
    "unexplained": "beyond noise",
}


def page(found: Mapping[str, Any]) -> str:
    """The whole page, from what ``constellation.py`` writes as JSON."""
    parts = [HEAD]
    for table, title in TABLES.items():
        text = arms_table(found["runs"], table)
        if text:
            parts += [
                title + "\n",
                text,
                ceilings(found["ceilings"].get(table, ())),
                contrasts(found["contrasts"], table),
            ]
    return "\n".join(part for part in parts if part)


def arms_table(runs: Sequence[Run], table: str) -> str:
    """Mean and range of each arm that was trained, or nothing."""
    trained = {name: [r for r in runs if r["arm"] == name] for name, arm in ARMS.items() if arm.table == table}
    lines = [_line(ARMS[name].title, of) for name, of in trained.items() if of]
    if not lines:
        return ""
    head = ["arm", "epochs kept", "seeds", *(title for _, title, _ in COLUMNS)]
    return _table(head, lines)


def _line(title: str, runs: Sequence[Run]) -> list[str]:
    kept = "/".join(str(r["checkpoint_epoch"]) for r in runs)
    return [title, kept, str(len(runs)), *(spread([r[key] for r in runs], show) for key, _, show in COLUMNS)]


def spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Mean, and the range where there is one."""
    mean = show(float(np.mean(values)))
    return f"{mean} [{show(min(values))}, {show(max(values))}]" if len(values) > 1 else mean


def ceilings(rows: Sequence[Run]) -> str:
    """What is attainable without training, or nothing."""
    keys = ("joint", "modulation", "snr", "snr_high")
    lines = [[r["ceiling"], *(f"{r[key]:.3f}" if key in r else "-" for key in keys)] for r in rows]
    return _table(["not trained", "joint", "modulation", "SNR", "SNR at 22 to 30 dB"], lines) if lines else ""


def contrasts(rows: Sequence[Run], table: str) -> str:
    """What ``tocsin compare`` says, or nothing."""
    lines = [_contrast(row) for row in rows if ARMS[row["arm"]].table == table]
    if not lines:
        return ""
    head = ["`tocsin compare`", "against", "score", "difference", "95 % interval", "verdict"]
    return _table(head, lines)


def _contrast(row: Run) -> list[str]:
    low, high = row["interval"] or (float("nan"), float("nan"))
    what = "joint" if "joint" in row["metric"] else "SNR"
    words = VERDICTS.get(row["verdict"], row["verdict"])
    names = [ARMS[row["arm"]].title, ARMS[row["against"]].title]
    return [*names, what, f"{row['difference']:+.3f}", f"[{low:+.3f}, {high:+.3f}]", words]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
