"""``tocsin train``: train a reference study with the recorder on, show it live, judge it."""

from __future__ import annotations

import glob
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin import api
from tocsin.cli.check import exit_code, judged, show
from tocsin.cli.choosing import chosen, installed, list_studies, parsed
from tocsin.cli.errors import INTERRUPTED, USAGE_ERROR, UserError
from tocsin.cli.output import nearby, say, say_json, warn
from tocsin.cli.report import cleaned, write_html
from tocsin.cli.settings import find_settings
from tocsin.findings import Report
from tocsin.reports.pictures import pictures
from tocsin.reports.plain import plain

if TYPE_CHECKING:
    from tocsin.studies.study import Study


def train(
    study: Annotated[str | None, typer.Argument(help="The study; --list shows them.", metavar="STUDY")] = None,
    preset: Annotated[
        str, typer.Option(help="Size of the study: quick, quick-oversampled, standard or paper.")
    ] = "quick",
    fault: Annotated[str | None, typer.Option(help="Plant this fault; --list shows them.", metavar="NAME")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the data, the weights and the order.", min=0)] = 0,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the record; by default a new one below runs/.", metavar="DIR")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --run-dir.")] = False,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Begin with the weights of this checkpoint of another run.", metavar="CHECKPOINT"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="The same as --set training.epochs=N.", min=1)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Another value for one setting, as JSON, else text; repeat it for more."
        ),
    ] = None,
    exit_on: Annotated[bool, typer.Option("--exit-code", help="Exit 1 when a warning or error rang.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the studies, their presets and faults.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as JSON; progress goes to stderr.")] = False,
) -> None:
    """Train a reference study with the recorder on.

    Findings ring while it runs; the verdict and an HTML report follow at its end.
    Exits 0 whenever training completed, whatever rang.
    """
    if list_:
        list_studies(as_json)
        return
    if study is None:
        raise UserError("train needs a study; `tocsin train --list` shows them")
    if resume and run_dir is None:
        raise UserError("--resume needs --run-dir, the folder of the run to go on with")
    if resume and from_ is not None:
        raise UserError("--resume goes on with a run, --from begins a new one with the weights of another: choose one")
    find_settings()  # a mistake in pyproject.toml is said before the training, not after it
    overrides = parsed(settings or ())
    if epochs is not None:
        overrides["training.epochs"] = epochs
    choice = {"preset": preset, "fault": fault, "seed": seed}
    how = {"run_dir": run_dir, "device": device, "resume": resume, "init": from_, "overrides": overrides}
    folder = nearby(_train(chosen(study, preset, fault), choice, how, as_json))
    report, html = _judge(folder)
    _tell({"study": study, **choice, "run": str(folder)}, report, html, as_json)
    if exit_on:
        raise typer.Exit(USAGE_ERROR if report is None else exit_code(report))


def _train(study: Study, choice: dict[str, Any], how: dict[str, Any], as_json: bool) -> Path:
    from tocsin.cli.live import shown
    from tocsin.surroundings import run_name

    with installed():
        from tocsin.studies.study import StudyError
        from tocsin.studies.training import train as train_study
    how["run_dir"] = how["run_dir"] or Path("runs") / run_name(study.name)
    title = f"{study.name} {choice['preset']}, seed {choice['seed']}"
    title += f", planted fault {choice['fault']}" if choice["fault"] else ""
    try:
        with shown(title, sys.stderr if as_json else sys.stdout) as progress:
            return train_study(study, **choice, **how, on_progress=progress)
    except StudyError as error:
        raise UserError(str(error)) from error
    except KeyboardInterrupt as stop:
        warn(_interrupted(how["run_dir"]))
        raise typer.Exit(INTERRUPTED) from stop


def _interrupted(run_dir: Path) -> str:
    """Where the run is: in the folder asked for, or in a sibling where that one held a finished run."""
    beside = [run_dir, *run_dir.parent.glob(f"{glob.escape(run_dir.name)}-*")]
    recorded = [folder for folder in beside if (folder / "run.json").is_file()]
    if not recorded:
        return "interrupted before anything was recorded"
    folder = max(recorded, key=lambda folder: (folder / "run.json").stat().st_mtime)
    again = "; --resume goes on with it" if (folder / "checkpoints" / "last.pt").is_file() else ""
    return f"interrupted; the run is recorded in {folder}, `tocsin check` judges it{again}"


def _judge(folder: Path) -> tuple[Report | None, Path | None]:
    """The report on a recorded run and its HTML file; what cannot be had is said, for training has completed."""
    try:
        runs = api.read(folder)
        report = judged(runs)
    except api.ReadError as error:
        warn(str(error))
        return None, None
    try:
        return report, write_html(report, cleaned(runs), folder / "report.html", pictures(runs))
    except Exception as error:
        warn(f"no HTML report: {error}")
        return report, None


def _tell(choice: dict[str, Any], report: Report | None, html: Path | None, as_json: bool) -> None:
    if as_json:
        judged_as = None if report is None else report.to_json()
        say_json("tocsin.train/1", {**choice, "html": None if html is None else str(html), "report": judged_as})
        return
    if report is not None:
        say("")
        show(report)
    say("")
    say(f"run     {plain(choice['run'])}")
    if html is not None:
        say(f"report  {plain(html)}")
