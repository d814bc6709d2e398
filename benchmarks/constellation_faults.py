"""Detection and false alarms on the study ``constellation``: every fault and healthy runs over several seeds.

Two processes of one thread each. Finished runs in the results folder are not trained again, so it can be stopped and
started; delete the folder to start afresh. Faults that need no long training are trained for fewer epochs than the
preset says (``EXPECTED``); healthy runs never. Exit code 1 if an expectation is missed.

    python benchmarks/constellation_faults.py [--seeds 5] [--modes healthy ...] [--folder DIR] [--judge] [--page]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

os.environ["OMP_NUM_THREADS"] = "1"


@dataclass(frozen=True)
class Expectation:
    """What should lead the report of a mode.

    Attributes:
        code: Of the finding that must lead the roots above a note; None if there may be no such root.
        subject: Part of its subject.
        verdict: What ``tocsin compare`` must say of it beside the healthy run; not asked where empty.
        verb: ``check`` the run, ``compare`` it with the healthy run of the same seed, or ``preflight`` it untrained.
        settings: Of the training, beside those of the preset.
        begins: Whether the training begins with the weights of the healthy run of the same seed.
    """

    code: str | None
    subject: str = ""
    verdict: str = ""
    verb: Literal["check", "compare", "preflight"] = "check"
    settings: dict[str, Any] = field(default_factory=dict)
    begins: bool = False


HEALTHY = "healthy"
SHORT: dict[str, Any] = {"training.epochs": 5}
OVERSAMPLED = {
    "data.scenario": "oversampled",
    "data.modulations": "digital-17",
    "view.layers": ["samples", "instants"],
    "view.scalars": ["spectral_floor"],
}
EXPECTED = {
    HEALTHY: Expectation(None),
    "healthy-oversampled": Expectation(None, settings=OVERSAMPLED),
    "argmax-distance": Expectation("OBJ007", "distance"),
    "masked-overflow": Expectation("AMP002", settings=SHORT),
    "frozen-backbone": Expectation("OPT001", settings=SHORT),
    "lr-bottleneck": Expectation("OPT010", settings=SHORT),
    "constant-snr-head": Expectation("PRD002", "snr", settings=SHORT),
    "nan-at-peak-lr": Expectation("AMP003", settings=SHORT),
    "fp16-crash": Expectation("AMP003", settings=SHORT),
    "batchnorm-lag": Expectation("EVL007"),
    "weighted-selection": Expectation("EVL003"),
    "image-only": Expectation("PRD006", "snr"),
    "no-shuffle": Expectation("DAT003", settings=SHORT),
    "batch-scaled-images": Expectation("DAT008", verb="preflight"),
    "dead-curriculum": Expectation("CFG005", "curriculum", verb="preflight"),
    "contaminated-resume": Expectation("CMP006", verb="compare", settings={"training.epochs": 2}, begins=True),
    "other-label-space": Expectation(
        None, verdict="different-question", verb="compare", settings={"training.epochs": 2}
    ),
}
SUMMARY = "outcome.json"
PAGE = Path(__file__).parents[1] / "docs" / "studies" / "constellation-faults.md"


def train_one(folder: Path, mode: str, seed: int) -> Path:
    """Train one run unless it is there; what an interrupted one left goes first, and a crash is an outcome."""
    from tocsin import studies
    from tocsin.studies.training import train

    training = folder / f"{mode}-{seed}"
    if (training / SUMMARY).is_file():
        return training
    shutil.rmtree(training, ignore_errors=True)
    fault = None if mode.startswith(HEALTHY) else mode
    wall, cpu, died = time.perf_counter(), time.process_time(), ""
    study, wanted = studies.load("constellation"), EXPECTED[mode]
    how: dict[str, Any] = {"overrides": wanted.settings, "device": "cpu", "on_progress": quiet}
    if wanted.begins:
        how["init"] = folder / f"{HEALTHY}-{seed}" / "checkpoints" / "best.pt"
    try:
        train(study, fault=fault, seed=seed, run_dir=training, **how)
    except ValueError as error:
        died = str(error)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "died": died}
    (training / SUMMARY).write_text(json.dumps(seconds))
    return training


def quiet(_: object) -> None:
    """The table says what rang."""


def judged(folder: Path, mode: str, seed: int) -> dict[str, Any]:
    """Check one finished run, and say whether it is as expected."""
    wanted = EXPECTED[mode]
    report, run = reported(folder, mode, seed)
    verdict = compared(folder, mode, seed) if wanted.verdict else ""
    roots = [(f.code, f.subject, f.severity) for f in report.roots if f.severity != "note"]
    hits = [r for r in roots if r[0] == wanted.code and wanted.subject in r[1]]
    others = [" ".join(filter(None, root)) for root in roots if root not in hits]
    return {
        "mode": mode,
        "seed": seed,
        "verb": wanted.verb,
        "expected": wanted.verdict or wanted.code or "silence",
        "met": verdict == wanted.verdict and roots[:1] == hits[:1] and bool(hits) == (wanted.code is not None),
        "alone": not others,
        "roots": [" ".join(root).strip() for root in roots],
        "other_roots": others,
        "notes": sorted({f.code for f in report.findings if f.severity == "note"}),
        "rang_at": min((f.rang_at or 0 for f in report.findings if f.code == wanted.code), default=None),
        **{name: last(run, f"test/{name}") for name in SCORES},
        **(json.loads((folder / f"{mode}-{seed}" / SUMMARY).read_text()) if run else {"wall_s": 0, "cpu_s": 0}),
    }


SCORES = ("joint_accuracy", "modulation_accuracy", "snr_accuracy", "attractor_index")


def reported(folder: Path, mode: str, seed: int) -> tuple[Any, Any]:
    """The report of a mode, and its run where there is one."""
    import tocsin
    from tocsin import studies
    from tocsin.prechecks.flight import checked
    from tocsin.studies.setups import setup_of

    verb = EXPECTED[mode].verb
    if verb == "preflight":
        overrides = EXPECTED[mode].settings
        setup = setup_of(studies.load("constellation"), fault=mode, seed=seed, overrides=overrides)
        return checked(setup), None
    (run,) = tocsin.read(folder / f"{mode}-{seed}")
    beside = [folder / f"{HEALTHY}-{seed}"] if verb == "compare" else []
    return tocsin.check([*beside, folder / f"{mode}-{seed}"], select=["CMP"] if beside else []), run


def compared(folder: Path, mode: str, seed: int) -> str:
    """The verdict on a run beside the healthy one of the same seed."""
    import tocsin

    (contrast,) = tocsin.compare([folder / f"{HEALTHY}-{seed}", folder / f"{mode}-{seed}"]).contrasts
    return contrast.verdict


def last(run: Any, name: str) -> float | None:
    """The last value of a series, None where there is none."""
    series = run.get(name) if run else None
    return float(series.value[-1]) if series is not None else None


def page(outcomes: list[dict[str, Any]]) -> str:
    """The table with a word on how to read it."""
    seeds = len({o["seed"] for o in outcomes})
    return f"""<!-- Written by benchmarks/constellation_faults.py --page: edit that, not this. -->

# The faults of the study constellation: what is found

Each fault of the study over {seeds} seeds: trained and given to `tocsin check`, beside the healthy run of its seed to
`tocsin compare`, or untrained to `tocsin preflight`. *Leads*: runs whose first cause above a note is the expected one;
*alone*: runs in which nothing but it is left unexplained, symptoms that it accounts for aside. Healthy runs are to be
silent, notes aside. Faults that need no long training are trained for 5 epochs of the preset's 12, those that are
compared for 2.

{table(outcomes)}
{missed(outcomes)}"""


def missed(outcomes: list[dict[str, Any]]) -> str:
    """A line for each run in which the expected did not lead."""
    lines = [f"- {o['mode']}, seed {o['seed']}: {', '.join(o['roots']) or 'silent'}" for o in outcomes if not o["met"]]
    return "\n".join(["\nMissed:\n", *lines, ""]) if lines else ""


def table(outcomes: list[dict[str, Any]]) -> str:
    """One line a mode: how often what is expected leads, and alone, what else is a cause, the accuracy and the time."""
    lines = [
        "| fault | verb | expected | leads | alone | joint accuracy (test) | CPU s | other causes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for mode, wanted in EXPECTED.items():
        rows = [o for o in outcomes if o["mode"] == mode]
        if not rows:
            continue
        joint = [o["joint_accuracy"] for o in rows if o["joint_accuracy"] is not None]
        span = f"{min(joint):.3f} to {max(joint):.3f}" if joint else "-"
        cpu = f"{sum(o['cpu_s'] for o in rows) / len(rows):.0f}" if wanted.verb != "preflight" else "-"
        met, alone = (f"{sum(o['met'] and o[kind] for o in rows)}/{len(rows)}" for kind in ("met", "alone"))
        others = ", ".join(sorted({root for o in rows for root in o["other_roots"]})) or "-"
        cells = (mode, wanted.verb, rows[0]["expected"], met, alone, span, cpu, others)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def train_all(folder: Path, jobs: Iterable[tuple[str, int]]) -> None:
    """Train what is not there yet, two at a time."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(train_one, folder, *job) for job in jobs]
        for job in as_completed(running):
            print(f"{job.result().name}: trained", flush=True)


def main() -> int:
    """Run all, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", choices=list(EXPECTED), default=list(EXPECTED))
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "results" / "constellation_faults")
    parser.add_argument("--judge", action="store_true", help="Train nothing: judge the runs that are finished.")
    parser.add_argument("--page", action="store_true", help="Write the page in docs, too.")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    jobs = [(mode, seed) for seed in range(asked.seeds) for mode in asked.modes]
    if not asked.judge:
        trained = [job for job in jobs if EXPECTED[job[0]].verb != "preflight"]
        train_all(asked.folder, [job for job in trained if not EXPECTED[job[0]].begins])
        train_all(asked.folder, [job for job in trained if EXPECTED[job[0]].begins])  # with what is there now
    there = [(m, s) for m, s in jobs if EXPECTED[m].verb == "preflight" or finished(asked.folder, m, s)]
    outcomes = sorted(
        (judged(asked.folder, *job) for job in there), key=lambda o: (list(EXPECTED).index(o["mode"]), o["seed"])
    )
    print(f"\n{table(outcomes)}\n{missed(outcomes)}")
    summary = asked.folder.with_suffix(".json")
    summary.write_text(json.dumps(outcomes, indent=1))
    if asked.page and len(outcomes) == asked.seeds * len(EXPECTED):  # never a part of the table
        PAGE.write_text(page(outcomes), encoding="utf-8")
    print(f"\n{summary}")
    return 0 if all(o["met"] for o in outcomes) else 1


def finished(folder: Path, mode: str, seed: int) -> bool:
    """Whether the run, and the healthy one that it is compared with, are there."""
    needed = [mode, HEALTHY] if EXPECTED[mode].verb == "compare" else [mode]
    return all((folder / f"{name}-{seed}" / SUMMARY).is_file() for name in needed)


if __name__ == "__main__":
    sys.exit(main())
