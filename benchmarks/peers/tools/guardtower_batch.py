"""guardtower's ``audit`` on the first batch, before training."""

from __future__ import annotations

from typing import Any

import guardtower
from cells import Found, each

LEVELS = {"FAIL": "critical", "WARN": "warning", "INFO": "info"}


def inspect(training: Any) -> Found:
    batch = next(iter(training.batches(1)))
    report = guardtower.audit(
        training.model, lambda: training.loss(batch)[0], optimizer=training.optimizers[0], inputs=batch["x"]
    )
    return [
        {"severity": LEVELS[f.severity.label], "text": f"{f.check}: {f.message}", "step": 0} for f in report.findings
    ]


if __name__ == "__main__":
    each(inspect)
