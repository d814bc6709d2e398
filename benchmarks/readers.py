"""What reading logs costs: points a second and peak memory of tocsin's readers against the official ones.

Files are written here, each reader reads them in a process of its own, one after the other in rounds, so that all meet
the same machine; medians over the rounds. Peers are installed into environments of their own (``benchmarks/.peers``);
one that does not install is listed with its error. Seconds are those of reading: imports are measured apart.

    python benchmarks/readers.py [--json FILE] [--scale 1.0] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.readers.tfevents.checksums import masked_crc32c

HERE = Path(__file__).resolve().parent
TAGS = ("train/loss", "train/accuracy", "lr", "val/loss")
PACKAGES = {"tensorboard": ["tensorboard"], "tbparse": ["tbparse"], "pandas": ["pandas"], "mlflow": ["mlflow"]}
# The file store is refused by MLflow 3 without the first; nothing is to be reported anywhere.
QUIET = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
MAKE_RUN = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run:
    for key in sys.argv[2:]:
        mlflow.log_metric(key, 0.5, step=0, timestamp=1700000000000)
print(run.info.experiment_id, run.info.run_id)
"""


def curves(n: int) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    noise = np.random.default_rng(0).normal(size=(len(TAGS), n)) * 0.01
    return {tag: 1 / np.sqrt(np.arange(1, n + 1)) + row for tag, row in zip(TAGS, noise, strict=True)}


def event_file(folder: Path, n: int, python: Callable[[str], str]) -> Path:  # noqa: ARG001 (a writer takes them all)
    """4 tags as PyTorch's SummaryWriter writes them."""
    path = folder / "events.out.tfevents.1700000000.host"
    with path.open("wb") as out:
        out.write(_record(b"\x09" + struct.pack("<d", 1.7e9) + b"\x1a\x0dbrain.Event:2"))
        named = {tag: b"\x0a" + bytes([len(tag)]) + tag.encode() + b"\x15" for tag in TAGS}
        for step, row in enumerate(zip(*curves(n).values(), strict=True)):
            head = b"\x09" + struct.pack("<d", 1.7e9 + step / 10) + (b"\x10" + _varint(step) if step else b"")
            for tag, value in zip(TAGS, row, strict=True):
                body = named[tag] + struct.pack("<f", value)
                out.write(_record(head + b"\x2a" + bytes([len(body) + 2]) + b"\x0a" + bytes([len(body)]) + body))
    return path


def _record(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", masked_crc32c(length)) + payload + struct.pack("<I", masked_crc32c(payload))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def csv_file(folder: Path, n: int, python: Callable[[str], str]) -> Path:  # noqa: ARG001
    """One row a step, a column a tag."""
    path = folder / "metrics.csv"
    with path.open("w") as out:
        out.write(",".join(["step", *(tag.replace("/", "_") for tag in TAGS)]) + "\n")
        for step, row in enumerate(zip(*curves(n).values(), strict=True)):
            out.write(",".join([str(step), *(f"{value:.6g}" for value in row)]) + "\n")
    return path


def mlflow_files(folder: Path, n: int, python: Callable[[str], str]) -> Path:
    """A run of MLflow's file store; the store is made by MLflow, its metrics written in one go."""
    experiment, run = _made(python("mlflow"), (folder / "mlruns").as_uri())
    home = folder / "mlruns" / experiment / run
    for tag, values in curves(n).items():
        lines = (f"{1700000000000 + 100 * step} {value!r} {step}\n" for step, value in enumerate(values.tolist()))
        (home / "metrics" / tag).write_text("".join(lines))
    return home / "meta.yaml"


def mlflow_database(folder: Path, n: int, python: Callable[[str], str]) -> Path:
    """The same in SQLite."""
    path = folder / "mlflow.db"
    _, run = _made(python("mlflow"), f"sqlite:///{path}")
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM metrics")
        for tag, values in curves(n).items():
            rows = ((tag, value, 1700000000000 + 100 * k, run, k, 0) for k, value in enumerate(values.tolist()))
            db.executemany(
                "INSERT INTO metrics(key, value, timestamp, run_uuid, step, is_nan) VALUES (?,?,?,?,?,?)", rows
            )
    db.close()
    return path


def _made(python: str, uri: str) -> tuple[str, str]:
    done = _run([python, "-c", MAKE_RUN, uri, *TAGS])
    experiment, run = done.split()[-2:]
    return experiment, run


# What is written, steps at scale 1, and the readers, the one to compare with first.
CASES: dict[str, tuple[Callable[..., Path], int, tuple[str, ...]]] = {
    "TensorBoard events": (event_file, 50_000, ("tensorboard", "tensorboard, its default", "tbparse")),
    "CSV": (csv_file, 250_000, ("pandas",)),
    "MLflow file store": (mlflow_files, 25_000, ("mlflow",)),
    "MLflow SQLite": (mlflow_database, 25_000, ("mlflow",)),
}


class Peers:
    """The environments of the peers, made when first asked for; ``errors`` holds those that cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def python(self, peer: str) -> str:
        """The interpreter in which a peer lives.

        Raises:
            RuntimeError: It does not install.
        """
        name = peer.partition(",")[0]
        if name == "tocsin":
            return sys.executable
        if name in self.errors:
            raise RuntimeError(self.errors[name])
        home = self.folder / name
        python = home / "bin" / "python"
        try:
            if not (home / "installed").exists():
                print(f"installing {name} ...", file=sys.stderr)
                _run([sys.executable, "-m", "venv", "--clear", str(home)])
                _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[name]])
                (home / "installed").touch()
            self.versions[name] = _run(
                [str(python), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"]
            ).strip()
        except (RuntimeError, OSError) as error:
            self.errors[name] = str(error)
            raise RuntimeError(str(error)) from error
        return str(python)


def _run(command: Iterable[str]) -> str:
    done = subprocess.run(
        list(command),
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET},
        cwd=tempfile.gettempdir(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    return done.stdout


def measure(case: str, peers: Peers, scale: float, repeats: int) -> list[dict[str, Any]]:
    """Medians of each reader of one case; a peer that fails has its error instead."""
    write, steps, names = CASES[case]
    n = max(int(steps * scale), 2)
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in ("tocsin", *names)}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = write(Path(folder), n, peers.python)
        except RuntimeError as error:
            return [{"case": case, "reader": name, "error": str(error)} for name in taken]
        for turn in range(repeats):
            order = list(taken) if turn % 2 else list(reversed(taken))
            for name in (name for name in order if name not in failed):
                try:
                    done = _run([peers.python(name), str(HERE / "reader_peers.py"), name, str(path)])
                    taken[name].append(json.loads(done.splitlines()[-1]))
                except (RuntimeError, ValueError) as error:
                    failed[name] = str(error)
    errors = [{"case": case, "reader": name, "error": said} for name, said in failed.items()]
    return [_summed(case, name, rounds, len(TAGS) * n) for name, rounds in taken.items() if name not in failed] + errors


def _summed(case: str, name: str, rounds: list[dict[str, float]], points: int) -> dict[str, Any]:
    middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    return {
        "case": case,
        "reader": name,
        "points": points,
        "lost": points - int(middle["points"]),
        "points_per_s": middle["points"] / middle["read_s"],
        **{key: middle[key] for key in ("read_s", "import_s", "peak_mb")},
        "spread_s": [min(each["read_s"] for each in rounds), max(each["read_s"] for each in rounds)],
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one case; ``times`` is how often faster tocsin is."""
    ours = next((row for row in rows if row["reader"] == "tocsin" and "error" not in row), None)
    for row in rows:
        if "error" in row:
            print(f"{row['case']:20} {row['reader']:26} {row['error'][:70]}")
            continue
        times = row["read_s"] / ours["read_s"] if ours else float("nan")
        print(
            f"{row['case']:20} {row['reader']:26} {row['points_per_s']:12,.0f} {row['read_s']:8.3f} "
            f"{row['import_s']:8.2f} {row['peak_mb']:8.0f} {row['lost']:9,} {times:7.2f}",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "readers.json")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of steps")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    peers = Peers(HERE / ".peers")
    rows = []
    print(
        f"{'case':20} {'reader':26} {'points/s':>12} {'read s':>8} "
        f"{'import s':>8} {'peak MB':>8} {'lost':>9} {'times':>7}"
    )
    for case in CASES:
        found = measure(case, peers, options.scale, options.repeats)
        show(found)
        rows += found
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"versions": peers.versions, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
