"""A small record with something of everything in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tocsin import record
from tocsin.findings import Evidence, Finding
from tocsin.run import Confusion, Evaluation, Event, Moments, Parameter

NAN = float("nan")
CLASSES = Evaluation(
    "val", "main", 20, "classes", 7, time=1.5, nonfinite=2,
    confusion=Confusion.of([[3, 1], [0, 3]], ("0 dB", "2 dB")), metrics={"val/f1": 0.5, "val/bad": NAN},
    batchwise={"f1_macro": 0.1 + 0.2, "r2": NAN}, auc=(NAN, 1 / 3, 1.0), baseline="majority",
)  # fmt: skip
REGRESSION = Evaluation(
    "val", "snr", 20, "regression", 3, epoch=1.0, moments=(Moments.of([1.0, 2.0, -0.0], [0.1, 1e-310, 3.0], 4),)
)
LABELS = Evaluation("test", "tags", 40, "multilabel", 5, labels_confusion=np.array([[1, 2, 1, 1], [0, 0, 5, 0]]))
FINDING = Finding(
    "val/loss is nan", "val", 20, (Evidence("val/loss", NAN, 20, interval=(0.0, float("inf"))),), code="X001"
)
PARAMETERS = [Parameter("enc.weight", 12, True, False, "enc", role="embedding"), Parameter("b", 1, False, False)]


def opened(folder: Path, **options: Any) -> record.Writer:
    """A writer with a configuration."""
    return record.open_record(folder, **{"config": {"lr": 1e-3}, "environment": {"python": "3"}, **options})


def fill(writer: record.Writer, steps: int = 40) -> None:
    """Rows at steps 1..n, three evaluations, two epochs, a finding and the parameters."""
    for step in range(1, steps + 1):
        writer.rows([(step, None, 0.1 * step, {"train/loss": 1.0 / step, "grad/norm": NAN if step == 7 else 2.0})])
    for evaluation in (CLASSES, REGRESSION, LABELS):
        writer.evaluation(evaluation)
    writer.event(Event("end_epoch", step=20, time=2.0, data={"epoch": 1}))
    writer.event(Event("end_epoch", step=40, time=4.0, data={"epoch": 2}))
    writer.finding(FINDING)
    writer.parameters(PARAMETERS[:1], 0)
    writer.parameters(PARAMETERS, 1)
    assert writer.flush()
