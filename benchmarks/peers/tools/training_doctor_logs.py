"""training-doctor, default detectors, fed with exported logs step by step; one JSON line a log."""

import csv
import json
import sys
from pathlib import Path

from training_doctor import Doctor

NAMES = {"loss": "loss", "eval_loss": "val_loss", "accuracy": "accuracy", "lr": "lr", "grad_norm": "grad_norm"}

for path in sys.argv[1:]:
    try:
        doctor = Doctor().set_auto_print(False)
        with Path(path).open() as file:
            for row in csv.DictReader(file):
                values = {NAMES[k]: float(v) for k, v in row.items() if k in NAMES and v != ""}
                doctor.log(step=int(row["step"]), **values)
        found = [
            {"severity": d.severity.value, "text": f"{d.detector_name}: {d.problem} {d.explanation}", "step": d.step}
            for d in doctor.diagnoses
        ]
        print(json.dumps({"path": path, "findings": found}))
    except Exception as error:  # a peer's own failure is a result
        print(json.dumps({"path": path, "findings": [], "error": f"{type(error).__name__}: {error}"}))
