"""Findings to the tool that the user logs to already, in its own form: TensorBoard, Weights & Biases, MLflow.

    forward = Forwarding([TensorBoard(writer), WandB(run), MLflow(client, run_id)], say=run.say)
    forward.findings(run.findings)   # as often as you like: each goes once
    forward.report(run.report)       # at the end

What leaves the machine is redacted as reports are. A tool that raises is left alone from then on, and said so once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tocsin.findings import Finding, Report
from tocsin.identifiers import Redactor, texts_of

LEVELS = {"error": "ERROR", "warning": "WARN", "note": "INFO"}  # those of W&B
MOST_SAID = 5000  # characters of an MLflow tag


class Sink(Protocol):
    """A tool that findings go to."""

    def finding(self, finding: Finding) -> None:
        """An error or a warning that has just rung."""

    def report(self, report: Report) -> None:
        """The outcome, once."""


@dataclass
class TensorBoard:
    """Text, under ``tocsin/<code>`` at the step where the fault began. ``writer`` is a ``SummaryWriter``."""

    writer: Any

    def finding(self, finding: Finding) -> None:
        """A text beside the curves."""
        self.writer.add_text(f"tocsin/{finding.code}", in_words(finding), global_step=finding.step)
        self.writer.flush()

    def report(self, report: Report) -> None:
        """The verdict as a text."""
        self.writer.add_text("tocsin/verdict", report.verdict)
        self.writer.flush()


@dataclass
class WandB:
    """Alerts, which reach the user by mail or Slack where they asked W&B for that. ``run`` is ``wandb.run``."""

    run: Any

    def finding(self, finding: Finding) -> None:
        """An alert, titled by the rule."""
        title = f"tocsin {finding.code} {finding.name}"
        self.run.alert(title=title, text=in_words(finding), level=LEVELS[finding.severity or "note"])

    def report(self, report: Report) -> None:
        """The verdict in the run's summary, where runs are filtered by it."""
        self.run.summary["tocsin/verdict"] = report.verdict


@dataclass
class MLflow:
    """A tag for each finding; at the end the verdict as a tag and the whole report as ``tocsin.json``."""

    client: Any
    run_id: str

    def finding(self, finding: Finding) -> None:
        """A tag, named by the rule."""
        self.client.set_tag(self.run_id, f"tocsin.{finding.code}", f"{finding.severity}: {finding.message}"[:MOST_SAID])

    def report(self, report: Report) -> None:
        """The verdict as a tag, the report as an artifact."""
        self.client.set_tag(self.run_id, "tocsin.verdict", report.verdict[:MOST_SAID])
        self.client.log_text(self.run_id, json.dumps(report.to_json(), indent=1), "tocsin.json")


@dataclass
class Forwarding:
    """Sends each error and warning once to every sink, and the report at the end."""

    sinks: list[Sink] = field(default_factory=list)
    say: Callable[[str], None] = print
    _sent: set[tuple[str, str, str]] = field(default_factory=set)

    def findings(self, rung: Iterable[Finding]) -> None:
        """Send those that were not sent before; notes wait for the report."""
        new = [f for f in rung if f.severity != "note" and f.identity not in self._sent] if self.sinks else []
        for finding in new:
            self._sent.add(finding.identity)
            clean = Redactor.of([finding.message]).finding(finding)
            self._each(lambda sink, clean=clean: sink.finding(clean))  # type: ignore[misc]

    def report(self, report: Report) -> None:
        """Send what is left of the findings, and the verdict."""
        if self.sinks:
            self.findings(report.findings)
            clean = Redactor.of(texts_of(report)).report(report)
            self._each(lambda sink: sink.report(clean))

    def _each(self, send: Callable[[Sink], None]) -> None:
        for sink in list(self.sinks):
            try:
                send(sink)
            except Exception as error:  # a logger that is offline or closed must not reach the training
                self.sinks.remove(sink)
                self.say(f"tocsin: nothing more goes to {type(sink).__name__}: {error!r}".splitlines()[0][:500])


def in_words(finding: Finding) -> str:
    """Message and remedies as Markdown, which all three show."""
    fixes = [f"- {'safe' if r.safe else 'unsafe'} fix: {r.text}" for r in finding.remedies]
    return "\n".join([f"**{finding.severity} {finding.code} {finding.name}** {finding.message}", "", *fixes])
