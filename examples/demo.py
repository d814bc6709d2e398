"""Train the study ``constellation`` twice at the same time, once with a planted silent failure, and judge both runs.

About two minutes on two CPU cores. Run it with ``make demo``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# One thread each, set before torch is loaded: the two trainings would otherwise fight for the same cores.
os.environ["OMP_NUM_THREADS"] = "1"

STUDY, FAULT = "constellation", "masked-overflow"


def train_one(fault: str | None, epochs: int | None) -> tuple[str, Path]:
    """Train one run in a process of its own, printing a line an epoch and each finding as it rings."""
    from tocsin import studies
    from tocsin.studies.training import Progress, train

    name = fault or "healthy"
    rung: set[tuple[str, str, str]] = set()

    def show(progress: Progress) -> None:
        for finding in progress.findings:
            if finding.identity not in rung:
                rung.add(finding.identity)
                line = f"{finding.severity} {finding.code} {finding.name}: {finding.message}"
                print(f"  {name:16} step {progress.step}: RINGS {line}", flush=True)
        if progress.metrics:
            joint = progress.metrics[progress.main_metric]
            print(
                f"  {name:16} epoch {progress.epoch:2}/{progress.epochs}  loss {progress.losses['total']:6.3f}"
                f"  {progress.main_metric} {joint:.3f}  {progress.remaining_s:3.0f} s left",
                flush=True,
            )

    settings = {"training.epochs": epochs} if epochs else None
    return name, train(studies.load(STUDY), fault=fault, device="cpu", on_progress=show, overrides=settings)


def main() -> None:
    """Train both, then print both verdicts and write both reports."""
    from tocsin import studies

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, help="fewer than the preset's, for a quicker look")
    epochs = parser.parse_args().epochs
    study = studies.load(STUDY)
    print(f"{STUDY}: {study.summary}")
    print(f"Two trainings, one thread each: healthy, and with the fault {FAULT}.")
    print(f"  {FAULT}: {study.faults[FAULT]}\n", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        jobs = [pool.submit(train_one, fault, epochs) for fault in (None, FAULT)]
        trained = dict(job.result() for job in jobs)
    for name in ("healthy", FAULT):
        judge(name, trained[name])


def judge(name: str, folder: Path) -> None:
    """Print the verdict on one run, what its network reached, and where its report is."""
    import tocsin
    from tocsin.reports import html

    (run,) = tocsin.read(folder)
    report = tocsin.check(run)
    reached, ceiling = (run.series[f"test/{key}"].value[-1] for key in ("joint_accuracy", "oracle_joint_accuracy"))
    print(f"\n{'=' * 20} {name} {'=' * (58 - len(name))}")
    print(f"test: joint accuracy {reached:.3f}; the Bayes classifier of the same images reaches {ceiling:.3f}\n")
    print(report)
    page = folder / "report.html"
    page.write_text(html.render(report, [run]), "utf-8")
    print(f"run     {folder}\nreport  {page.resolve().as_uri()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the runs so far are in runs/, `tocsin check runs` judges them")
