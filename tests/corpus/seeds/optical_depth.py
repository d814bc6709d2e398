"""Report 003, "Third Training Run Analysis": its three runs, by its numbers.

Steps are epochs; test scores stand at the last epoch. Means are told for Run 3 alone: its correlation follows from the
printed R2, means and standard deviations by R2 = 2 r s - s^2 - b^2, which is arithmetic on the report's numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tocsin.run import Evaluation, Event, Moments, Run, Series

N = 144  # "Final Test Metrics": Samples
TRUE_MEAN, TRUE_SD, TRUE_RANGE = 0.937, 0.4827, (0.15, 1.95)  # "Prediction Distribution"
STUDY = "All Three Runs"


def _run(name: str, losses: dict[str, dict[int, float]], scores: dict[str, float], epochs: int, **fields: Any) -> Run:
    """Losses by epoch; test scores at the last of ``epochs``."""
    points = {**losses, **{f"test/{key}": {epochs: value} for key, value in scores.items()}}
    series = {key: Series.of(key, [*p.values()], [*p], epoch=[*p]) for key, p in points.items()}
    config = {"study": STUDY, "test_samples": N, **fields.pop("config")}
    return Run.of(name, series=series, config=config, exit="finished", **fields)


def run_1() -> Run:
    """ "Comparison Across All Three Runs" and "Comparison of Training"; note: "Key Observations" 1."""
    return _run(
        "Run 1",
        {"val/loss": {1: 1.9769, 17: 0.5266}},
        {"r2": -0.0457, "mae": 0.3965, "rmse": 0.4936},
        27,
        config={
            "pretraining": "SSL broken",
            "notes": "Run 1 was actually the best despite having broken SSL pretraining",
        },
    )  # fmt: skip


def run_2() -> Run:
    """The same tables."""
    return _run(
        "Run 2", {"val/loss": {1: 0.6949, 21: 0.5136}}, {"r2": -0.0226, "mae": 0.3493, "rmse": 0.4882}, 31,
        config={"pretraining": "none", "init_std": 0.01},
    )  # fmt: skip


def run_3() -> Run:
    """ "Final Test Metrics", "Prediction Distribution", "Third Run Training Dynamics"."""
    mean, sd, r2, last = 0.718, 0.0166, -0.2034, 29
    s, b = sd / TRUE_SD, (mean - TRUE_MEAN) / TRUE_SD
    r = (r2 + s * s + b * b) / (2 * s)
    nothing = np.empty(0)
    moments = Moments(
        N, TRUE_MEAN, mean, TRUE_SD**2, sd**2, r * sd * TRUE_SD, *TRUE_RANGE, 0.681, 0.749, nothing, nothing
    )
    said = Event("early_stop", "Early stopped 10 epochs after best validation loss", last)
    return _run(
        "Run 3",
        {"train/loss": {1: 0.7269, 29: 0.6275}, "val/loss": {1: 0.9866, 19: 0.5323, 29: 0.5837}},
        {"r2": r2, "mae": 0.3138, "rmse": 0.5296, "mse": 0.2804},
        last,
        evaluations=(Evaluation("test", "main", last, "regression", N, epoch=last, moments=(moments,)),),
        events=(said,),
        config={"pretraining": "none", "init_std": 0.1, "init_bias": 0.0, "overweight_factor": 1.5},
    )  # fmt: skip


def runs() -> list[Run]:
    """The three runs."""
    return [run_1(), run_2(), run_3()]
