"""trainpulse's monitor, default configuration, fed with exported logs step by step; one JSON line a log."""

import csv
import json
import sys
from pathlib import Path

from trainpulse import Monitor

for path in sys.argv[1:]:
    try:
        monitor = Monitor()
        with Path(path).open() as file:
            for row in csv.DictReader(file):
                for name, key in (
                    ("loss", "loss"),
                    ("val_loss", "eval_loss"),
                    ("grad_norm", "grad_norm"),
                    ("lr", "lr"),
                ):
                    if row[key] != "" and name != "val_loss":  # its loss detectors keep one state for all losses
                        monitor.log(name, int(row["step"]), float(row[key]))
        found = [
            {"severity": a.severity.value, "text": f"{a.detector}: {a.message}", "step": a.step} for a in monitor.alerts
        ]
        print(json.dumps({"path": path, "findings": found}))
    except Exception as error:  # a peer's own failure is a result
        print(json.dumps({"path": path, "findings": [], "error": f"{type(error).__name__}: {error}"}))
