"""Files that lie beside logs, or look a little like them, and are none; by name."""

from __future__ import annotations

import io
import random
import sqlite3
import tempfile
import zipfile
from pathlib import Path

_RNG = random.Random(0)
_ROOT = Path(__file__).resolve().parents[2]


def _database() -> bytes:
    """A SQLite file of something else."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder, "a.db"))
        connection.execute("create table customers (id integer, name text, loss real)")
        connection.execute("insert into customers values (1, 'a', 2.5)")
        connection.commit()
        connection.close()
        return Path(folder, "a.db").read_bytes()


def _checkpoint() -> bytes:
    """The start of a file of weights: a zip archive with a pickle."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00X\x05\x00\x00\x00epochq\x01K\x05s.")
    return held.getvalue()


_FLOWERS = "".join(
    f"{5 + i % 3}.{i % 10},3.{i % 7},1.{i % 5},0.2,{('setosa', 'virginica')[i % 2]}\n" for i in range(60)
)
_ROWS = "".join(f"{i},{i % 2},0.{(i * 37) % 100:02d}\n" for i in range(80))
_WEATHER = "".join(f"2021-01-{1 + i % 28:02d},{i % 30}.5,{(i * 7) % 100},{1000 + i % 40}\n" for i in range(90))

NO_LOGS: dict[str, bytes] = {
    "empty.log": b"",
    "newlines.log": b"\n\n\n",
    "noise.log": _RNG.randbytes(4096),
    "zeros.log": bytes(4096),
    "picture.log": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + _RNG.randbytes(2000),
    "weights.log": _checkpoint(),
    "other.db": _database(),
    "licence.txt": (_ROOT / "LICENSE").read_bytes(),
    "project.toml": (_ROOT / "pyproject.toml").read_bytes(),
    "pins.txt": (_ROOT / "constraints.txt").read_bytes(),
    "make.txt": (_ROOT / "Makefile").read_bytes(),
    "notes.md": (_ROOT / "CONTRIBUTING.md").read_bytes(),
    "layers.txt": (_ROOT / "tests" / "laws" / "test_layers.py").read_bytes(),
    "flowers.csv": b"sepal_length,sepal_width,petal_length,petal_width,species\n" + _FLOWERS.encode(),
    "predictions.csv": b"id,label,probability\n" + _ROWS.encode(),
    "weather.csv": b"date,temperature,humidity,pressure\n" + _WEATHER.encode(),
    "vocabulary.txt": "".join(f"token{i}\n" for i in range(300)).encode(),
    "words.json": b'{"the": 0, "loss": 1, "step": 2, "epoch": 3, "accuracy": 4}',
    "package.json": b'{"name": "page", "version": "1.0.0", "dependencies": {"vue": "^3.0.0"}}',
    "config.json": b'{"hidden_size": 768, "layer_norm_eps": 1e-12, "num_labels": 2, "vocab_size": 30522}',
    "boxes.json": b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"id": 1, "bbox": [1, 2, 3, 4]}]}',
    "texts.jsonl": b'{"text": "the loss fell at step 3", "label": 1}\n{"text": "epoch 2", "label": 0}\n' * 20,
    "train.yaml": b"lr: 0.001\nepochs: 20\nloss: cross_entropy\nmodel:\n  depth: 50\n",
    "page.html": b"<html><head><title>loss</title></head><body><p>epoch 1 of 3</p></body></html>",
    "empty.ipynb": b'{"cells": [{"cell_type": "code", "source": ["1 + 1"], "outputs": []}], "nbformat": 4}',
    "access.log": b'127.0.0.1 - - [10/Oct/2020:13:55:36 +0000] "GET /a.png HTTP/1.0" 200 2326\n' * 40,
    "install.log": b"Collecting numpy\n  Downloading numpy-1.24.0-cp311.whl (17.3 MB)\nInstalling collected packages\n"
    * 9,
    "history.txt": b"1a2b3c4 Lower the learning rate to 1e-4\n5d6e7f8 Loss: mask the padding\n" * 9,
}
