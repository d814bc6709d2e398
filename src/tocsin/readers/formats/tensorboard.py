"""TensorBoard event files: scalars of TensorFlow, Keras, PyTorch, tensorboardX, Lightning, JAX; no point is dropped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.readers.file import MOST_STREAMED, File
from tocsin.readers.log import Log
from tocsin.readers.protobuf import WireError, fields
from tocsin.readers.reader import Reader
from tocsin.readers.tfevents.batches import read_piece
from tocsin.readers.tfevents.columns import Columns
from tocsin.readers.tfevents.records import HEADER, header_fits, pieces
from tocsin.readers.tfevents.settings import settings_of
from tocsin.run import Floats, Ints

_EPOCHS = ("epoch", "train/epoch", "trainer/epoch", "eval/epoch")
_PLACEHOLDER = "hp_metric"  # Lightning writes -1 under it, so that its table of hyper-parameters has a row


def sniffs(file: File) -> bool:
    """Whether a sound TFRecord header and an ``Event`` come first; a ``tf.Example`` has other fields."""
    head = file.head
    if not header_fits(head):
        return False
    payload = head[HEADER : HEADER + int.from_bytes(head[:8], "little")]
    if payload[:1] == b"\x09":
        return True
    try:
        return any(field.number == 3 and payload[field.start :].startswith(b"brain.Event") for field in fields(payload))
    except WireError:
        return False


def read(file: File) -> Iterator[Log]:
    """The one log of the file."""
    log = Log("tensorboard", file.path)
    found = Columns(log.miss)
    size = min(file.size, MOST_STREAMED)
    if size < file.size:
        log.miss(f"only the first {size} of {file.size} bytes were read")
    with file.opened() as stream:
        for piece in pieces(stream, size, log.miss):
            read_piece(piece, found)
    _complain(log, found.left_out)
    _fill(log, found)
    log.config, log.config_typed = settings_of(found.notes)
    yield log


def _complain(log: Log, left_out: int) -> None:
    if left_out > 1:
        log.miss(f"{left_out} damaged records were left out")
    if any(sentence.startswith("truncated") for sentence in log.unread):
        log.event("truncated", "the file ends in the middle of a record")


def _fill(log: Log, found: Columns) -> None:
    epochs = _epochs(found)
    for tag, column in found.by_tag.items():
        if tag in _EPOCHS:
            continue
        step, wall, value = column.ordered()
        if tag == _PLACEHOLDER:
            real = value != -1
            step, wall, value = step[real], wall[real], value[real]
        if value.size:
            log.extend(tag or "value", value, step=step, epoch=_at_steps(step, epochs), time=wall)
    if log.empty:
        log.miss("no scalar in it: a writer was opened and nothing was logged")


def _epochs(found: Columns) -> tuple[Ints, Floats] | None:
    """Ascending steps and the epoch that the log gives for each; None where it gives none."""
    tag = next((tag for tag in _EPOCHS if tag in found.by_tag), None)
    if tag is None:
        return None
    step, _, epoch = found.by_tag[tag].ordered()
    steps, last = np.unique(step[::-1], return_index=True)
    return steps, epoch[::-1][last]


def _at_steps(step: Ints, epochs: tuple[Ints, Floats] | None) -> Floats | None:
    if epochs is None:
        return None
    place = np.minimum(np.searchsorted(epochs[0], step), epochs[0].size - 1)
    return np.where(epochs[0][place] == step, epochs[1][place], np.nan)


READER = Reader("tensorboard", 10, sniffs, read)
