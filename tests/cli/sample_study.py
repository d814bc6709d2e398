"""A study that trains nothing, in place of the real ones: same doors, no torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from tocsin import record
from tocsin.findings import Finding

LOSSES = (5.0, 4.0, 3.0, 2.0, 1.0, 0.5)
FINDING = Finding(
    "the loss is 60 (limit 10)", "train", 3, severity="warning", code="LOW001", name="loss-above", run="calm", rang_at=4
)


@dataclass(frozen=True)
class Progress:
    """The fields of ``studies.training.Progress``."""

    step: int = 2
    steps: int = 6
    epoch: int = 1
    epochs: int = 3
    elapsed_s: float = 1.0
    remaining_s: float = 2.0
    losses: Mapping[str, float] = field(default_factory=lambda: {"total": 5.0, "mod": 1.0, "snr": 3.0})
    weights: Mapping[str, float] = field(default_factory=lambda: {"mod": 1.0, "snr": 0.5})
    metrics: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    main_metric: str = "val/joint"


@dataclass(frozen=True)
class Study:
    name: str = "toy"
    summary: str = "A study that trains nothing."
    presets: Mapping[str, Any] = field(default_factory=lambda: {"quick": 1, "standard": 2})
    faults: Mapping[str, str] = field(default_factory=lambda: {"loud": "its loss is ten times too large"})


class StudyError(ValueError):
    """As in ``studies.study``."""


@dataclass
class Trainer:
    """Stands in for ``studies.training.train``; notes how it was called, and may be told to raise midway."""

    raises: BaseException | None = None
    called_with: dict[str, Any] = field(default_factory=dict)

    def __call__(self, study: Study, *, run_dir: Path, fault: str | None, on_progress: Any, **how: Any) -> Path:
        self.called_with = {"study": study.name, "run_dir": run_dir, "fault": fault, **how}
        if isinstance(self.raises, StudyError):
            raise self.raises
        writer = record.open_record(run_dir, config={}, environment={})
        for step, loss in enumerate(LOSSES, 1):
            value = loss * (20 if fault else 1)
            writer.rows([(step, None, float(step), {"train/loss": value})])
            metrics = {"val/joint": step / 10, "val/loss": value} if step % 2 == 0 else {}
            findings = (FINDING,) if fault and step >= 4 else ()
            on_progress(
                Progress(step, 6, (step + 1) // 2, 3, float(step), 6.0 - step, metrics=metrics, findings=findings)
            )
            if self.raises is not None and step == 3:
                writer.close("interrupted")
                raise self.raises
        writer.close("finished")
        return writer.folder


def install(monkeypatch: Any, trainer: Trainer) -> None:
    """Put the study in the place of ``tocsin.studies``."""

    def module(name: str, **contents: Any) -> None:
        made = ModuleType(name)
        vars(made).update(contents)
        monkeypatch.setitem(sys.modules, name, made)

    module("tocsin.studies", names=lambda: ["toy"], load=lambda _: Study())
    module("tocsin.studies.study", StudyError=StudyError)
    monkeypatch.setattr("tocsin.surroundings.run_name", lambda prefix: f"{prefix}-calm-reed-7")
    module("tocsin.studies.progress", Progress=Progress)
    module("tocsin.studies.training", train=trainer)
