"""OpenMMLab: ``<time>.log.json`` of MMCV runners (MMDetection 2), ``vis_data/scalars.json`` of MMEngine (3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.literals import assigned
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.records import flat, head_records, records_of
from tocsin.readers.values import number, whole

_CLOCK = frozenset({"mode", "epoch", "iter", "step", "time", "data_time", "eta", "base_lr"})
_CONFIG = ("optimizer", "optimizer_config", "lr_config", "total_epochs", "runner", "fp16", "load_from", "resume_from")
_LONGEST_INFO = 4_000


def _sniffs(file: File) -> bool:
    if file.binary or not file.start.lstrip("\ufeff").startswith("{"):
        return False
    records, lines = head_records(file, 60)
    return lines and any(_of_mmcv(row) or _of_mmengine(row) for row in records[:3])


def _of_mmcv(row: dict[str, Any]) -> bool:
    return "env_info" in row or (row.get("mode") in ("train", "val") and {"epoch", "iter"} <= row.keys())


def _of_mmengine(row: dict[str, Any]) -> bool:
    return {"step", "time", "data_time"} <= row.keys() and ("iter" in row or "memory" in row or "/" in str(row.keys()))


def _read(file: File) -> Iterator[Log]:
    frame = Frame()
    rows = list(records_of(file.lines(), frame))
    log = Log("mmdetection", file.path, unread=frame.unread)
    training = [row for row in rows if _trains(row)]
    told = _Told(log, _iterations_of_epoch(rows, training))
    if told.per_epoch:
        log.environment["steps_per_epoch"] = float(told.per_epoch)
    for row in rows:
        if "env_info" in row or "config" in row:
            told.header(row)
        elif _trains(row):
            told.train(row)
        elif whole(row.get("iter", row.get("step"))) is not None:
            told.evaluate(row)
    yield log


def _trains(row: dict[str, Any]) -> bool:
    mode = row.get("mode")
    return mode == "train" if mode is not None else "iter" in row or "lr" in row or "loss" in row


def _iterations_of_epoch(rows: list[dict[str, Any]], training: list[dict[str, Any]]) -> int:
    """Iterations of an epoch where they start again with each, 0 where they count over the run.

    The row of an evaluation tells the exact number where it stands just behind the last one logged; in newer versions
    it counts the batches of the evaluation instead.
    """
    pairs = [(e, i) for row in training if (e := whole(row.get("epoch"))) and (i := whole(row.get("iter")))]
    gaps = [now[1] - before[1] for before, now in pairwise(pairs)]
    falls = [now[1] < before[1] for before, now in pairwise(pairs) if now[0] > before[0]]
    most = max((iteration for _, iteration in pairs), default=0)
    usual = median([gap for gap in gaps if gap > 0] or [most])
    ends = [n for row in rows if row.get("mode") == "val" and (n := whole(row.get("iter"))) is not None]
    exact = max((n for n in ends if most <= n < most + usual), default=0)
    if falls:
        return max(most, exact) if sum(falls) > 0.5 * len(falls) else 0
    return 0 if any("step" in row for row in training) else max(most, exact)


@dataclass
class _Told:
    """Where the reading stands."""

    log: Log
    per_epoch: int
    time: float = 0.0
    last: int = 0  # iteration of the last training row, over the run
    begun: bool = False
    epochs: dict[int, int] = field(default_factory=dict)

    def header(self, row: dict[str, Any]) -> None:
        """The first line; another one where the run was taken up again."""
        if self.begun:
            self.log.event("resume", "another header: the run was started again", step=self.last)
        self.log.event("launch", str(row.get("exp_name") or ""), step=self.last)
        said = row.get("env_info")
        if isinstance(said, str):
            self.log.environment.setdefault("env_info", said[:_LONGEST_INFO])
        if isinstance(row.get("config"), str):
            config = assigned(row["config"])
            self.log.config.update({key: config[key] for key in _CONFIG if key in config})
            runner = config.get("runner")
            epochs = config.get("total_epochs", runner.get("max_epochs") if isinstance(runner, dict) else None)
            self.log.planned(epochs=number(epochs))
        for key in ("seed", "exp_name"):
            if row.get(key) is not None:
                self.log.config[key] = row[key]

    def train(self, row: dict[str, Any]) -> None:
        """A row every so many iterations; ``time`` is the mean of seconds an iteration since the last one."""
        iteration = whole(row.get("iter", row.get("step")))
        epoch = whole(row.get("epoch"))
        step = iteration if iteration is not None else self.last
        if self.per_epoch and epoch is not None and "step" not in row:
            step += (epoch - 1) * self.per_epoch
        if (seconds := number(row.get("time"))) is not None and seconds >= 0:
            self.time += seconds * max(0, step - self.last if self.begun else iteration or 0)
        if self.begun and step < self.last:
            self.log.event("resume", "the iterations go back", step=step)
        self.last, self.begun = step, True
        if epoch is not None:
            self.epochs[epoch] = step
        self._add(row, "train", step, epoch)

    def evaluate(self, row: dict[str, Any]) -> None:
        """An evaluation; MMEngine counts it in epochs or in iterations, MMCV by the epoch it follows."""
        said, epoch = whole(row.get("step")), whole(row.get("epoch"))
        step = self.last
        if said is not None and said in self.epochs:
            epoch, step = said, self.epochs[said]
        elif said is not None and said >= self.last:
            step = said
        elif said is None and self.per_epoch and epoch is not None:
            step = epoch * self.per_epoch
        self._add({key: value for key, value in row.items() if key not in ("lr", "memory")}, "val", step, epoch)

    def _add(self, row: dict[str, Any], split: str, step: int, epoch: int | None) -> None:
        self.begun = True
        for key, value in flat(row):
            if key not in _CLOCK and not isinstance(value, str):
                self.log.add(key, value, step=step, epoch=epoch, time=self.time or None, split=split)


READER = Reader("mmdetection", 20, _sniffs, _read)
