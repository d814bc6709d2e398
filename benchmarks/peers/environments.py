"""Peers from the package index, each in an environment of its own in ``benchmarks/.peers/``; never a dependency."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / ".peers"
TORCH = ("torch==2.13.0", "numpy", "scikit-learn", "scipy", "pydantic", "pyyaml")  # what the benchmark runs need


@dataclass(frozen=True)
class Peer:
    """A tool, what it sees, and the script that runs it in its own environment.

    Attributes:
        name: Name on the package index.
        version: The version that we ran.
        sees: "log" (exported logs), "loop" (hooks in the running loop), "batch" (one batch before
            training) or "script" (a script that it rewrites).
        needs: Other packages, besides its own dependencies.
    """

    name: str
    version: str
    sees: Literal["log", "loop", "batch", "script"]
    needs: tuple[str, ...] = ()

    @property
    def script(self) -> Path:
        """Its script under ``tools/``."""
        seen = "logs" if self.sees == "log" else self.sees
        return HERE / "tools" / f"{self.name.replace('-', '_')}_{seen}.py"

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return HOME / self.name / "bin" / "python"


PEERS = {
    p.name: p
    for p in (
        Peer("runmedic", "0.1.1", "log"),
        Peer("trainpulse", "0.4.0", "log"),
        Peer("training-doctor", "0.1.0", "log"),
        Peer("trainproof", "0.22.0", "log"),
        Peer("torch-audit", "0.3.0", "loop", TORCH),
        Peer("torchmortem", "0.1.1", "loop", TORCH),
        Peer("torchtest2", "0.1.0", "batch", TORCH),
        Peer("guardtower", "0.1.0", "batch", TORCH),
        Peer("traincheck", "0.2.0", "script", TORCH),
    )
}


def pip(peer: Peer) -> list[str]:
    """The command that installs into its environment."""
    return [str(peer.python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]


def build(peer: Peer) -> str:
    """Make the environment where it is missing; what went wrong, or ""."""
    if not peer.python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME / peer.name)], check=True)
    done = subprocess.run([*pip(peer), f"{peer.name}=={peer.version}", *peer.needs], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip()[-500:]
