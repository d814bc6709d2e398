"""Console text: ``train.log``, ``nohup.out``, Slurm output, fairseq, Keras bars, whatever a training run printed."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.console.reading import Console
from tocsin.readers.console.sniffing import looks_like_training
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader

SOURCE = "console"


def _read(file: File) -> Iterator[Log]:
    """Each run in the text, in order. Raises: ReadError where the file cannot be read."""
    console = Console(SOURCE, file.path)
    for line in file.lines():
        console.feed(line)
        for log in console.logs():
            yield log
    for log in console.finish():
        for sentence in file.unread:
            log.miss(sentence)
        yield log


READER = Reader(SOURCE, 90, looks_like_training, _read)
