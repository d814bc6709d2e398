"""torch-audit's ``autopatch``, auditing every 10th step, in the running loop."""

from __future__ import annotations

import contextlib
from typing import Any

from cells import Found, each
from detection.loop import Silent, train
from torch_audit import autopatch

EVERY = 10
LEVELS = {"INFO": "info", "WARN": "warning", "ERROR": "critical", "FATAL": "critical"}


class Audited(Silent):
    """Patches model and optimizer; its reporters are switched off."""

    def attach(self, model: Any, optimizers: Any, **_: Any) -> None:
        self.auditor = autopatch(model, optimizer=optimizers[0], every_n_steps=EVERY, reporters=[])


def inspect(training: Any) -> Found:
    observer = Audited()
    with contextlib.suppress(Exception):  # the fault ended the run; what was audited until then counts
        train(training, observer)
    found = observer.auditor.finish(report=False).findings
    return [
        {
            "severity": LEVELS[f.severity.value],
            "text": f"{f.rule_id}: {f.message} {f.module_path or ''}",
            "step": f.step,
        }
        for f in found
        if not f.suppressed
    ]


if __name__ == "__main__":
    each(inspect)
