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
CLAIMED = 3  # seeds of each arm that a difference needs
TABLES = {
    "synchronous": "## Synchronous: one sample a symbol, 16 modulations, 16 SNRs",
    "oversampled": "## Oversampled: 8 samples a symbol, 17 modulations, 16 SNRs, unknown timing, phase and carrier",
    "ablations": f"## Ablations: synchronous, {SHORT} epochs",
}
NOTICE = "<!-- Written by benchmarks/studies/constellation.py --page from its results: edit those, not this. -->\n"
HEAD = (
    NOTICE
    + """
# The study constellation: what networks reach, and what is attainable

Test frames, at the checkpoint with the best validation score. Each arm is trained with as many seeds as the table says;
figures are means, with the lowest and the highest of the seeds in brackets. Arms whose brackets meet are not
ranked, nor is anything claimed of one seed. All arms of one scenario are scored on the same frames. `make bench` makes
the page anew.

*Joint*: modulation and SNR both exactly right. *Attractor index*: the largest share of the predictions that one SNR
takes, times the number of SNRs; 1 is none. *CPU s*: of the whole process, recording, evaluations and pictures included,
on one core of a machine that others used, too.
"""
)
VERDICTS = {
    "attributed": "beyond noise, by this setting",
    "within-noise": "within noise",
    "confounded": "beyond noise; several settings differ",
    "one-seed": "one seed",
    "unexplained": "beyond noise",
}


def page(found: Mapping[str, Any], said: str = "") -> str:
    """The whole page, from what ``constellation.py`` writes as JSON.

    Args:
        found: Runs, ceilings and contrasts.
        said: What to say of them, below.
    """
    parts = [HEAD]
    for table, title in TABLES.items():
        text = arms_table(found["runs"], table)
        known, compared = ceilings(found["ceilings"].get(table, ())), contrasts(found["contrasts"], table)
        parts += [title + "\n", text, known, compared] if text else []
    return "\n".join(part for part in [*parts, attractors(found["runs"]), said] if part)


def summary(found: Mapping[str, Any]) -> str:
    """The few figures that stand beside the code of the study."""
    keys = ("joint", "modulation", "snr", "attractor", "cpu_s")
    columns = [(key, title, show) for key, title, show in COLUMNS if key in keys]
    lines = [
        [f"{arm.table}: {arm.title}", str(len(of)), *(spread([r[key] for r in of], show) for key, _, show in columns)]
        for name, arm in ARMS.items()
        if arm.table != "ablations" and (of := [r for r in found["runs"] if r["arm"] == name])
    ]
    known = [
        [f"{table}: {row['ceiling']}", "-", *(f"{row[key]:.3f}" if key in row else "-" for key in keys)]
        for table, rows in found["ceilings"].items()
        for row in rows
    ]
    head = ["arm", "seeds", *(title for _, title, _ in columns)]
    return NOTICE + "\n" + _table(head, lines + known)


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
    few = min(row["seeds"]) < CLAIMED
    words = "too few seeds to claim" if few else VERDICTS.get(row["verdict"], row["verdict"])
    names = [ARMS[row["arm"]].title, ARMS[row["against"]].title]
    return [*names, what, f"{row['difference']:+.3f}", f"[{low:+.3f}, {high:+.3f}]", words]


def attractors(runs: Sequence[Run]) -> str:
    """The attractor index of the validation frames by epoch, or nothing."""
    long = {name: [r for r in runs if r["arm"] == name] for name, arm in ARMS.items() if arm.table != "ablations"}
    lines = [
        [ARMS[n].table, ARMS[n].title, " ".join(f"{v:.2f}" for v in np.mean([r["attractor_by_epoch"] for r in of], 0))]
        for n, of in long.items()
        if of
    ]
    title = "## Attractor index by epoch, validation frames, mean over seeds\n\n"
    return title + _table(["scenario", "arm", "epochs from 1"], lines) if lines else ""


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
