"""What each peer costs the loop, by ``overhead.py`` in the peer's own environment."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detection.runs import Cell

from peers import traincheck
from peers.environments import HERE, TORCH, Peer, pip

MODELS = ("cnn", "transformer")
IN_THE_LOOP = ("torch-audit", "torchmortem", "trainpulse", "training-doctor")
LIMIT_S = 1200


def of_peer(peer: Peer, verdicts: Mapping[Cell, Mapping[str, Any]]) -> str:
    """CPU time of a step with it over that of a bare step, for each model; or what it costs where it takes no part."""
    if peer.name in IN_THE_LOOP:
        return ", ".join(f"{ratio:.3f} ({model})" for model, ratio in _ratios(peer).items())
    if peer.sees == "batch":
        return f"{statistics.median(v['cpu_s'] for v in verdicts.values() if 'cpu_s' in v):.1f} s, once"
    if peer.sees == "script":
        return f"{_traced(peer):.0f} (digits-mlp, {traincheck.STEPS} steps with the start)"
    return "none: reads the log"


def ours(found: Path) -> str:
    """tocsin's at its default budget, from the stored table of ``overhead.py``."""
    if not found.is_file():
        return ""
    arms = [a for a in json.loads(found.read_text())["arms"] if a["arm"] == "watch, default budget"]
    return ", ".join(f"{a['mean_ratio']:.3f} ({a['model']})" for a in arms if a["model"] in MODELS)


def _ratios(peer: Peer) -> dict[str, float]:
    """Mean ratios by model; its environment is given torch where it brings none."""
    subprocess.run([*pip(peer), *TORCH], check=True, capture_output=True)
    arm = f"peers.tools.overhead_arms:{peer.name.replace('-', '_')}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        script = str(HERE.parent / "overhead.py")
        words = ["--only-peers", "--peer", arm, "--models", *MODELS, "--scale", "0.5", "--json", str(out)]
        subprocess.run([str(peer.python), script, *words], check=True, capture_output=True, timeout=LIMIT_S)
        return {a["model"]: a["mean_ratio"] for a in json.loads(out.read_text())["arms"] if a["arm"] == arm}


def _traced(peer: Peer) -> float:
    """CPU time of a short traced script over that of the same script alone."""
    cell = Cell(*traincheck.REFERENCES[0])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        before = _children()
        traincheck.trace(peer, cell, home)
        between = _children()
        environment = {**os.environ, **traincheck.environment(peer, str(cell))}
        subprocess.run([str(peer.python), str(home / "script.py")], env=environment, check=True, capture_output=True)
        return (between - before) / (_children() - between)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
