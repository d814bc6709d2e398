"""torchmortem's ``Autopsy`` with its default sampling, in the running loop."""

from __future__ import annotations

import contextlib
from typing import Any

from cells import Found, each
from detection.loop import Silent, train
from torchmortem import Autopsy

LEVELS = {0: "info", 1: "warning", 2: "critical"}


class Dissected(Silent):
    """Its ``step`` is called after each optimizer step with the loss, as its README shows."""

    def attach(self, model: Any, optimizers: Any, **_: Any) -> None:
        self.autopsy = Autopsy(model, optimizer=optimizers[0])
        self.autopsy.attach()
        self.loss = float("nan")
        optimizers[0].register_step_post_hook(lambda *_: self.autopsy.step(loss=self.loss))

    def losses(self, **terms: Any) -> None:
        self.loss = float(terms["total"])

    def close(self, *_: Any) -> None:
        self.autopsy.detach()


def inspect(training: Any) -> Found:
    observer = Dissected()
    with contextlib.suppress(Exception):  # the fault ended the run
        train(training, observer)
    report = observer.autopsy.get_report()
    found = [
        {"severity": LEVELS[int(f.severity)], "text": f"{f.detector}: {f.title}. {f.summary}", "step": f.step_range[0]}
        for f in report.findings
    ]
    return found + [
        {"severity": "info", "text": f"insight: {i.title}. {i.summary}", "step": None} for i in report.insights
    ]


if __name__ == "__main__":
    each(inspect)
