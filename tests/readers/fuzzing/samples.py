"""What is damaged: the real files beside the tests, by the reader that knows them, and some small ones made here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from readers.fuzzing.damage import BYTES, TEXT, Damage
from readers.fuzzing.structures import json_damaged, sqlite_damaged, tfrecords_damaged, wandb_damaged
from tocsin.readers.detection import never_a_log, reader_of
from tocsin.readers.file import File

TESTS = Path(__file__).resolve().parents[2]
MOST = 24 * 1024  # bytes of a text that are used: more of them would only be slower
_FOLDERS = {"mlflow": 40, "dvclive": 40, "allennlp": 40}  # formats of many small files, and how many of them are taken
_STRUCTURED: dict[str, tuple[Damage, ...]] = {
    "tensorboard": (tfrecords_damaged,),
    "wandb": (wandb_damaged,),
    "mlflow-sqlite": (sqlite_damaged,),
    "trackio": (sqlite_damaged,),
}
_JSON = ("hf-trainer", "mmdetection", "notebook", "json-history", "json-lines", "allennlp", "wandb-summary", "dvclive")


@dataclass(frozen=True)
class Sample:
    """A log of one format.

    Attributes:
        source: The reader's.
        name: The file that the reader takes, relative to the folder.
        files: Contents by relative name: this file, and what belongs to it.
    """

    source: str
    name: str
    files: dict[str, bytes]


def ways_of(source: str) -> tuple[Damage, ...]:
    """Kinds of damage for a format; those inside of its structure come as often as all others."""
    if source in _STRUCTURED:
        return (*BYTES, *_STRUCTURED[source] * len(BYTES))
    return (*TEXT, *(json_damaged,) * len(TEXT)) if source in _JSON else TEXT


def samples(more: tuple[Path, ...] = ()) -> dict[str, list[Sample]]:
    """Samples by source, from the tests' fixtures, from the folders ``more``, and made ones."""
    found: dict[str, list[Sample]] = {}
    for top in (*(TESTS / "readers" / name for name in ("fixtures", "cases/fixtures", "shared_logs")), *more):
        for path in sorted(p for p in top.rglob("*") if p.is_file()):
            reader = None if never_a_log(path.name) or not path.stat().st_size else reader_of(File(path))
            if reader is not None:
                found.setdefault(reader.source, []).append(_sample(path, reader.source))
    for made in _made():
        found.setdefault(made.source, []).append(made)
    return found


def _sample(path: Path, source: str) -> Sample:
    if source in _FOLDERS:
        root = next((p.parent for p in path.parents if p.name == "plots"), path.parent)
        files = [p for p in sorted(root.rglob("*")) if p.is_file()][: _FOLDERS[source]]
        return Sample(
            source, path.relative_to(root).as_posix(), {p.relative_to(root).as_posix(): _head(p) for p in files}
        )
    beside = [p for p in sorted(path.parent.iterdir()) if p.name in ("args.yaml", "hparams.yaml", "args.json")]
    return Sample(source, path.name, {p.name: _head(p) for p in [path, *beside]})


def _head(path: Path) -> bytes:
    """The file; of a long text what its reader still knows."""
    content = path.read_bytes()
    if len(content) <= MOST or path.suffix in (".db", ".ipynb", ".wandb") or "tfevents" in path.name:
        return content
    cut = content[:MOST]
    return cut if content[:1] == b"{" and path.suffix == ".json" else cut[: cut.rfind(b"\n") + 1] or cut


def _made() -> list[Sample]:
    epochs = {
        f"metrics_epoch_{n}.json": json.dumps(
            {"epoch": n, "training_loss": 1 / (n + 1), "validation_loss": 2 / (n + 1), "training_duration": "0:01:02.5",
             "best_epoch": n, "best_validation_loss": 0.5, "validation_f1": {"a": 0.5, "b": [1, 2]}}
        ).encode()
        for n in range(5)
    }  # fmt: skip
    summary = {"_step": 40, "_runtime": 12.5, "_timestamp": 1.7e9, "train/loss": 0.3, "val": {"acc": 0.9}, "_wandb": {}}
    about = {"program": "/home/a/train.py", "args": ["--lr", "0.1"], "python": "3.11", "host": "h", "email": "a@b.org"}
    chart = '"Step","one - train/loss","one - train/loss__MIN","one - train/loss__MAX","two - train/loss"\n'
    chart += "".join(f'"{n}","{1 / (n + 1)}","0","1","{2 / (n + 1)}"\n' for n in range(40))
    scalar = "Wall time,Step,Value\n" + "".join(f"{1.7e9 + n},{n * 10},{1 / (n + 1)}\n" for n in range(60))
    history = {key: [1 / (n + 2) for n in range(30)] for key in ("loss", "val_loss", "accuracy", "lr")}
    rows = {"args": {"lr": 0.1}, "history": [{"epoch": n, "loss": 1 / (n + 1)} for n in range(20)]}
    return [
        Sample("allennlp", "metrics_epoch_0.json", epochs),
        Sample("wandb-summary", "wandb-summary.json", {
            "wandb-summary.json": json.dumps(summary).encode(), "wandb-metadata.json": json.dumps(about).encode(),
            "config.yaml": b"wandb_version: 1\nlr:\n  desc: null\n  value: 0.1\nmodel:\n  value: {depth: 3}\n",
        }),
        Sample("wandb-csv", "chart.csv", {"chart.csv": chart.encode()}),
        Sample("tensorboard-csv", "run-a-tag-loss.csv", {"run-a-tag-loss.csv": scalar.encode()}),
        Sample("json-history", "history.json", {"history.json": json.dumps(history).encode()}),
        Sample("json-history", "result.json", {"result.json": json.dumps(rows).encode()}),
    ]  # fmt: skip
