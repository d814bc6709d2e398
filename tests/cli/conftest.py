"""The command line called in this process, in an empty project, with a small catalogue of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.sample_study import Trainer, install
from tocsin import engine, record
from tocsin.cli import main
from tocsin.findings import Evidence, Finding, Remedy, Rule, rule
from tocsin.run import Run


@rule("LOW001", needs=("train/loss",), explains=("LOW002",))
def loss_above(run: Run, *, limit: float = 10.0) -> Iterator[Finding]:
    """The training loss is above a limit.

    ## What it does
    Rings where `train/loss` > limit.
    """
    series = run.series["train/loss"]
    for step, value in zip(series.step, series.value, strict=True):
        if value > limit:
            evidence = Evidence("train/loss", float(value), int(step), limit)
            remedy = Remedy("Divide it.", safe=True, patch={"scale": 0.1})
            yield Finding(f"the loss is {value:g} (limit {limit:g})", "train", int(step), (evidence,), (remedy,))
            return


@rule("LOW002", needs=("train/loss",), severity="error", when="end")
def loss_at_hundred(run: Run) -> Iterator[Finding]:
    """The training loss is exactly 100."""
    series = run.series["train/loss"]
    for step in series.step[series.value == 100.0]:
        yield Finding("the loss is exactly 100", step=int(step))
        return


@rule("NTE001", needs=("train/loss",), severity="note", live=True)
def loss_is_seven(run: Run) -> Iterator[Finding]:
    """The training loss is exactly 7."""
    if (run.series["train/loss"].value == 7.0).any():
        yield Finding("the loss was 7")


@rule("VAL001", needs=("val/loss",))
def no_validation(run: Run) -> Iterator[Finding]:
    """The validation loss is never looked at."""
    yield from ()


@rule("BAD001", needs=("train/loss",))
def broken_rule(run: Run) -> Iterator[Finding]:
    """Raises."""
    raise ZeroDivisionError("by design")
    yield


REAL_RULES = engine.all_rules
RULES = {r.code: r for r in (loss_above, loss_at_hundred, loss_is_seven, no_validation)}


@dataclass
class Outcome:
    """What one call of the command line gave."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder whose own pyproject.toml ends the search for settings."""
    for variable in ("NO_COLOR", "FORCE_COLOR", "TOCSIN_FORMAT", "TOCSIN_TRACEBACK", "RANK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call ``tocsin`` with these words."""

    def call(*words: Any) -> Outcome:
        code = main([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The rules there are: ``RULES``, or those it is called with."""

    def use(*rules: Rule) -> None:
        monkeypatch.setattr(engine, "all_rules", lambda: {r.code: r for r in rules})

    use(*RULES.values())
    return use


@pytest.fixture
def recorded(project: Path) -> Callable[..., Path]:
    """Record these losses as a finished run."""

    def make(name: str, *losses: float) -> Path:
        writer = record.open_record(project / "runs" / name, config={"lr": 0.1}, environment={})
        writer.rows([(step, None, float(step), {"train/loss": loss}) for step, loss in enumerate(losses, 1)])
        writer.close("finished")
        return Path("runs") / name

    return make


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """A fake study in place of the real ones."""
    made = Trainer()
    install(monkeypatch, made)
    return made
