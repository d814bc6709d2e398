"""TrainCheck: invariants of reference runs, checked on the others' first steps.

It rewrites a script, traces it (some 20 s for 12 steps of a small MLP here), infers what always held, and checks that
on another trace. A violated invariant counts as a warning; its text is the invariant itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detection import store
from detection.runs import Cell

from peers.environments import HERE, Peer

REFERENCES = (("digits-mlp", "plain", 0), ("digits-mlp", "plain", 1))
TASK = "digits-mlp"
VARIANTS = (  # a cell takes more than a minute: what shows in a dozen steps, and as many healthy ones as it may confuse
    "left-out-of-optimizer", "frozen-layer", "detached-branch", "missing-zero-grad", "step-gate", "lr-zero", "lr-x100",
    "dead-relu", "double-softmax", "loss-outside-loop", "clip-tiny", "class-attractor",
    "plain", "noisy-loss", "clipping", "honest-accumulation", "two-optimizers", "deliberate-freezing",
    "gradual-unfreezing", "fine-tune",
)  # fmt: skip
TIMEOUT_S = 1200
STEPS = 12  # as in tools/traincheck_script.py


def verdict(peer: Peer, cell: Cell, home: Path) -> dict[str, Any]:
    """What TrainCheck says of one cell, or how it failed."""
    try:
        invariants = _invariants(peer, home)
        traced = trace(peer, cell, home)
        out = home / f"checked-{_slug(cell)}"
        shutil.rmtree(out, ignore_errors=True)
        _tool(peer, "check", ["-f", str(traced), "-i", str(invariants), "-o", str(out), "--no-html-report"], home)
        shutil.rmtree(traced)
        return {"findings": [_finding(line) for line in _violated(out)]}
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        return {"findings": [], "error": f"{type(error).__name__}: {error}"[-300:]}


def _invariants(peer: Peer, home: Path) -> Path:
    kept = home / f"invariants-{'-'.join(store.definition(Cell(*reference)) for reference in REFERENCES)}.json"
    if not kept.is_file():
        traces = [str(trace(peer, Cell(*reference), home)) for reference in REFERENCES]
        _tool(peer, "infer", ["-f", *traces, "-o", str(kept)], home)
    return kept


def trace(peer: Peer, cell: Cell, home: Path) -> Path:
    """The folder of a trace of the cell's first steps."""
    out = home / f"trace-{_slug(cell)}"
    shutil.rmtree(out, ignore_errors=True)
    script = home / "script.py"  # it writes its instrumented copy beside the script
    shutil.copy(HERE / "tools" / "traincheck_script.py", script)
    _tool(
        peer,
        "collect",
        ["-p", str(script), "--models-to-track", "model", "--output-dir", str(out)],
        home,
        cell=str(cell),
    )
    return out


def environment(peer: Peer, cell: str) -> dict[str, str]:
    """What the script and the tool read from the environment."""
    root = HERE.parents[1]
    return {
        "PATH": f"{peer.python.parent}{os.pathsep}{os.environ['PATH']}",
        "TOCSIN_CELL": cell,
        "TOCSIN_PATHS": os.pathsep.join([str(root / "benchmarks"), str(root / "src")]),
        "OMP_NUM_THREADS": "1",
    }


def _tool(peer: Peer, verb: str, words: Sequence[str], home: Path, cell: str = "") -> None:
    command = [str(peer.python.parent / f"traincheck-{verb}"), *words]
    given = {**os.environ, **environment(peer, cell)}
    done = subprocess.run(command, cwd=home, env=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise ValueError(f"traincheck-{verb} ended with {done.returncode}: {done.stderr.strip()[-200:]}")


def _violated(out: Path) -> list[dict[str, Any]]:
    """The failed invariants: it writes one JSON object a line, or a list."""
    found: list[dict[str, Any]] = []
    for path in out.rglob("failed*.log*"):
        for text in re.split(r"\n(?=\{)", path.read_text()):
            try:
                found.append(json.loads(text))
            except ValueError:
                continue
    return found


def _finding(failed: dict[str, Any]) -> dict[str, Any]:
    invariant = failed.get("invariant", failed)
    text = f"{invariant.get('text_description', '')} {json.dumps(invariant.get('params', ''))}"
    return {"severity": "warning", "text": text[:600], "step": None}


def _slug(cell: Cell) -> str:
    return f"{cell.variant}-{cell.seed}"
