"""Pictures that a run left in its folder, as they go into the report: checked, bounded, and inside the page."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.run import Run

FOLDER = "pictures"
MOST = 16
_MOST_BYTES = 2 << 20
_MOST_IN_ALL = 8 << 20
_MOST_PIXELS = 4000  # a side
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        title: From its file name: ``accuracy_by_snr.png`` is "accuracy by snr".
        width: In pixels.
        height: In pixels.
        data: The PNG as a ``data:`` address.
    """

    title: str
    width: int
    height: int
    data: str


def pictures(runs: Sequence[Run]) -> list[tuple[Picture, ...]]:
    """For each run the PNG files in ``pictures/`` of its folder, by name, at most ``MOST`` and 8 MiB in all.

    What is no picture of a bounded size is left out. Folders of foreign logs are not looked into: what lies there was
    not meant to be published with a report.
    """
    found, room, left = [], _MOST_IN_ALL, MOST
    for run in runs:
        own: list[Picture] = []
        for file in _files(run):
            picture = _picture(file) if left else None
            if picture is not None and len(picture.data) <= room:
                own.append(picture)
                room, left = room - len(picture.data), left - 1
        found.append(tuple(own))
    return found


def _files(run: Run) -> list[Path]:
    if run.source != "tocsin" or run.path is None or not (run.path / FOLDER).is_dir():
        return []
    return [file for file in sorted((run.path / FOLDER).glob("*.png"))[: 4 * MOST] if not file.is_symlink()]


def _picture(file: Path) -> Picture | None:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except OSError:
        return None
    if len(data) > _MOST_BYTES or data[:8] != _SIGNATURE or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    if not (0 < width <= _MOST_PIXELS and 0 < height <= _MOST_PIXELS):
        return None
    title = file.stem.replace("_", " ")[:80]
    return Picture(title, width, height, f"data:image/png;base64,{base64.b64encode(data).decode()}")
