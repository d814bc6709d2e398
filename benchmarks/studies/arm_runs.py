"""Trainings of arms, kept in folders: one is done again only if its configuration has changed since."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from arms import ARMS

from tocsin.studies import exports
from tocsin.studies.study import leaves

SUMMARY = "outcome.json"
SCORES = {
    "joint": "joint_accuracy",
    "modulation": "modulation_accuracy",
    "snr": "snr_accuracy",
    "one_bin": "snr_within_one_bin_frac",
    "mae_db": "snr_mae_db",
    "nll": "joint_nll",
    "ece": "joint_calibration_error",
    "attractor": "attractor_index",
}
HIGH = 22  # dB, where seed 000 found an SNR accuracy of 0.337


def outcome(folder: Path, name: str, seed: int) -> dict[str, Any]:
    """What an arm reached with a seed, on the test split at its selected checkpoint; trained unless it is there."""
    training = folder / f"{name}-{seed}"
    made = kept(folder, name, seed) or _train(training, name, seed, configuration(name))
    return {"arm": name, "seed": seed, "cpu_s": made["cpu_s"], **scores(training), "alarms": alarms(training)}


def kept(folder: Path, name: str, seed: int) -> dict[str, Any] | None:
    """What was noted of a finished run, if there is one of the arm's configuration."""
    noted = folder / f"{name}-{seed}" / SUMMARY
    made: dict[str, Any] = json.loads(noted.read_text()) if noted.is_file() else {}
    return made if made and still(made["config"], configuration(name)) else None


def configuration(name: str) -> dict[str, Any]:
    """The whole configuration of an arm, as plain data."""
    from tocsin import studies

    config = studies.load("constellation").configure("quick", None, dict(ARMS[name].settings))
    plain: dict[str, Any] = json.loads(config.model_dump_json())
    return plain


def still(made: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a configuration is the same in all settings that there were when it was trained."""
    now = dict(leaves(wanted))
    return all(key in now and now[key] == value for key, value in leaves(made))


def _train(training: Path, name: str, seed: int, wanted: dict[str, Any]) -> dict[str, Any]:
    """Train into ``training``; what an interrupted training left there goes first."""
    from tocsin import studies
    from tocsin.studies.training import train

    shutil.rmtree(training, ignore_errors=True)
    start = time.process_time()
    settings = dict(ARMS[name].settings)
    options: dict[str, Any] = {"seed": seed, "run_dir": training, "device": "cpu", "overrides": settings}
    train(studies.load("constellation"), on_progress=_quiet, **options)
    made = {"config": wanted, "cpu_s": time.process_time() - start}
    (training / SUMMARY).write_text(json.dumps(made))
    return made


def _quiet(_: object) -> None:
    """So that the recorder says nothing of findings in the middle of a table."""


def scores(training: Path) -> dict[str, Any]:
    """Scores of the test split, and the attractor index by epoch, from a run's tables."""
    tables = training / "tables"
    row = exports.read(tables / "test_scores.csv")[-1]
    by_snr = exports.read(tables / "test_by_snr.csv")
    high = [float(r["snr_accuracy"]) for r in by_snr if float(str(r["class"]).removesuffix(" dB")) >= HIGH]
    return {
        **{short: float(row[name]) for short, name in SCORES.items() if name in row},
        "snr_high": sum(high) / len(high),
        "checkpoint_epoch": int(float(row["epoch"])),
        "attractor_by_epoch": [float(r["attractor_index"]) for r in exports.read(tables / "val_scores.csv")],
    }


def alarms(training: Path) -> list[str]:
    """Warnings and errors of ``tocsin check``."""
    import tocsin

    (run,) = tocsin.read(training)
    return sorted(f"{f.code} {f.subject}".strip() for f in tocsin.check(run).findings if f.severity != "note")
