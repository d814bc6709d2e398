"""What the generators share: a case runs in a process of its own, and its truth is noted apart from the library's logs.

``python lightning_runs.py SCRATCH [PART OF A NAME]`` makes the cases of one script anew.
"""

from __future__ import annotations

import getpass
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

CASES = Path(__file__).resolve().parents[1]
NOTES = ".truth.jsonl"
_run = ""
WEIGHTS = (".pt", ".pth", ".bin", ".safetensors", ".ckpt", ".zip", ".png", ".pkl")
_MADE: dict[str, tuple[Callable[[], None], bool]] = {}
_NUMBER_OF_PROCESS = re.compile(r"(events\.out\.tfevents\.\d+)\.[^.].*?\.(\d+)\.(\d+)$")


def case(name: str, console: bool = True) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a case ``library/what``; with ``console`` what it prints is kept as ``console.txt``."""

    def keep(function: Callable[[], None]) -> Callable[[], None]:
        _MADE[name] = (function, console)
        return function

    return keep


def note(**values: float) -> None:
    """Note what the library was given to log, under canonical names with ``__`` for ``/``; written at once."""
    with (Path(os.environ["CASE_FOLDER"]) / NOTES).open("a") as file:
        said = {name.replace("__", "/"): float(value) for name, value in values.items()}
        file.write(json.dumps([_run, said]) + "\n")


def of_run(name: str) -> None:
    """What is noted from now on is of this run, where a case holds several."""
    global _run
    _run = name


def note_all(values: dict[str, float]) -> None:
    """The same for names that are no identifiers."""
    note(**{name.replace("/", "__"): value for name, value in values.items()})


def main(*packages: str) -> None:
    """Make the cases of the script that calls this."""
    if "CASE" in os.environ:
        _MADE[os.environ["CASE"]][0]()
        return
    scratch, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:]
    for name in _MADE:
        if not wanted or any(part in name for part in wanted):
            _make(name, scratch / name, packages)


def _make(name: str, folder: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    workspace = Path(tempfile.gettempdir()) / "workspace"  # a path that may stand in binary logs
    shutil.copytree(Path(__file__).parent, workspace, dirs_exist_ok=True)
    shutil.copy(sys.argv[0], workspace / "train.py")
    environment = {
        **os.environ, "CASE": name, "CASE_FOLDER": str(folder), "HOME": str(folder.parent), "OMP_NUM_THREADS": "1",
        "COLUMNS": "100", "PYTHONPATH": str(workspace), "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }  # fmt: skip
    output = folder / "console.txt"
    with output.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-u", workspace / "train.py"],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    print(f"{name}: exit {done.returncode}")
    truth = _truth(folder / NOTES)
    (folder / NOTES).unlink(missing_ok=True)
    if not _MADE[name][1]:
        shutil.move(output, folder.parent / f"{folder.name}.console.txt")
    _keep(folder, CASES / "fixtures" / name)
    whole = truth.pop("", {})
    truth = {"made_with": {p: metadata.version(p) for p in packages}, "series": whole, "runs": truth}
    target = CASES / "truth" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(truth, indent=1) + "\n")


def _truth(notes: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Number of points, first and last value of each series, by run."""
    columns: dict[str, dict[str, list[float]]] = {}
    for line in notes.read_text().splitlines() if notes.exists() else ():
        run, said = json.loads(line)
        for name, value in said.items():
            columns.setdefault(run, {}).setdefault(name, []).append(value)
    return {
        run: {n: {"points": len(v), "first": _exact(v[0]), "last": _exact(v[-1])} for n, v in sorted(of.items())}
        for run, of in columns.items()
    }


def _exact(value: float) -> float | str:
    """The value, as text where strict JSON has no number for it."""
    return value if math.isfinite(value) else str(value)


def _keep(folder: Path, target: Path) -> None:
    """Copy what a person would share: no weights, no pickles, no names of machines, people or folders."""
    shutil.rmtree(target, ignore_errors=True)
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in WEIGHTS or path.name.startswith("debug-"):
            continue
        where = target / _NUMBER_OF_PROCESS.sub(r"\1.host.\2.\3", str(path.relative_to(folder)))
        where.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        try:
            where.write_bytes(_scrubbed(content.decode(), folder).encode())
        except UnicodeDecodeError:
            where.write_bytes(content)


def _scrubbed(text: str, folder: Path) -> str:
    own = {
        str(Path(tempfile.gettempdir()) / "workspace"): "/workspace",
        str(folder): "/workspace",
        str(folder.parent): "/workspace",
        sysconfig.get_paths()["purelib"]: "site-packages",
        sys.prefix: "/env",
        socket.gethostname(): "host",
    }
    for secret, plain in own.items():
        text = text.replace(secret, plain)
    return re.sub(rf"\b{re.escape(getpass.getuser())}\b(?=[@:/])", "user", text)
