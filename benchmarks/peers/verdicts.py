"""What each tool says of the benchmark's cells, kept on disk: a tool's scripts run in its own environment."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from detection import store
from detection.runs import Cell

import tocsin
from peers import debugger_thresholds, traincheck
from peers.environments import PEERS, Peer, build
from peers.exporting import write_csv

Verdict = dict[str, Any]
BATCH = 20  # cells that one process of a tool takes
LIMIT_S = 1800


def of_peer(peer: Peer, cells: Sequence[Cell], runs: Path, kept: Path, workers: int) -> dict[Cell, Verdict]:
    """The tool's findings of each cell, an ``error`` where it raised, died or could not be installed."""
    trouble = build(peer)
    if trouble:
        return {cell: {"findings": [], "error": f"not installed: {trouble}"} for cell in cells}
    home = kept / peer.name / _version(peer)
    home.mkdir(parents=True, exist_ok=True)
    if peer.sees == "script":
        mine = [cell for cell in cells if cell.task == traincheck.TASK]
        cells, workers = [cell for cell in mine if cell.variant in traincheck.VARIANTS], 1
    waiting = [cell for cell in cells if not _file(home, cell).is_file()]
    parts = [waiting[k : k + BATCH] for k in range(0, len(waiting), BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda part: _run(peer, part, runs, home), parts))
    return {cell: json.loads(_file(home, cell).read_text()) for cell in cells}


def of_thresholds(cells: Iterable[Cell], runs: Path) -> dict[Cell, Verdict]:
    """The re-stated published thresholds on our own records."""
    return {cell: {"findings": debugger_thresholds.findings(_record(cell, runs))} for cell in cells}


def _run(peer: Peer, cells: Sequence[Cell], runs: Path, home: Path) -> None:
    if peer.sees == "script":
        for cell in cells:
            _file(home, cell).write_text(json.dumps(traincheck.verdict(peer, cell, home)))
        return
    names = {_name(peer, cell, runs, home): cell for cell in cells}
    command = [str(peer.python), str(peer.script), *names]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    trouble = "it said nothing of this run"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environment, check=False)
        said, trouble = done.stdout, done.stderr.strip()[-300:] or trouble
    except subprocess.TimeoutExpired as late:
        said, trouble = (late.stdout or b"").decode(), f"stopped after {LIMIT_S} s"
    for line in said.splitlines():
        if line.startswith("{"):
            verdict = json.loads(line)
            cell = names.pop(verdict.pop("path", None) or verdict.pop("cell"))
            _file(home, cell).write_text(json.dumps(verdict))
    for cell in names.values():
        _file(home, cell).write_text(json.dumps({"findings": [], "error": trouble}))


def _name(peer: Peer, cell: Cell, runs: Path, home: Path) -> str:
    """What the script is given: an exported log, or the cell itself."""
    if peer.sees != "log":
        return str(cell)
    log = home / "logs" / f"{store.key(cell, 'tocsin')}.csv"  # a name that says nothing of the fault
    log.parent.mkdir(exist_ok=True)
    write_csv(_record(cell, runs), log)
    return str(log)


def _record(cell: Cell, runs: Path) -> tocsin.Run:
    store.result(cell, runs)
    return tocsin.read(runs / store.key(cell, "tocsin") / "record")[0]


def _version(peer: Peer) -> str:
    """Names the scripts that ran: a changed one runs again."""
    sources = [peer.script, peer.script.parent / "cells.py", Path(__file__).with_name("exporting.py")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _file(home: Path, cell: Cell) -> Path:
    return home / f"{cell.task}-{cell.variant}-{cell.seed}-{store.definition(cell)}.json"


def known(names: Iterable[str]) -> list[Peer]:
    """The peers of these names, all when none is named."""
    wanted = set(names)
    return [peer for peer in PEERS.values() if not wanted or peer.name in wanted]
