"""Scalars of many events at once: events of one making differ in time, step and value only.

Events of one length are laid side by side, bytes that may differ are blanked, and rows that are then equal to a row
which was parsed in full are read as columns. Whatever is not equal to one is parsed on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.readers.protobuf import WireError
from tocsin.readers.tfevents.checksums import Bytes, masked_crc32c_rows
from tocsin.readers.tfevents.columns import Columns
from tocsin.readers.tfevents.events import Event, parse
from tocsin.readers.tfevents.records import FOOTER, HEADER, Piece
from tocsin.run import Floats, Ints

FEW = 8  # rows below which columns cost more than they save
LONGEST_CHECKED = 65_536  # payloads above it hold images or graphs: their checksum is not worth its time
_ROUNDS = 12
_ODD = np.uint64(0x9E3779B97F4A7C15)


def read_piece(piece: Piece, into: Columns) -> None:
    """Put all scalars and notes of a piece into ``into``; it is told of each record that had to be left out."""
    order = np.argsort(piece.length, kind="stable")
    lengths = piece.length[order]
    for group in np.split(order, np.flatnonzero(np.diff(lengths)) + 1):
        length = int(piece.length[group[0]])
        if length:
            _Group(piece, group, length, into).read()


@dataclass
class _Group:
    """The records ``at`` of a piece, all of one length."""

    piece: Piece
    at: Ints
    length: int
    into: Columns

    def read(self) -> None:
        start = self.piece.start[self.at]
        place = start - HEADER + self.piece.offset
        if self.length > LONGEST_CHECKED:
            for begin, where in zip(start, place, strict=True):
                self._alone(self.piece.data[begin : begin + self.length], int(where))
            return
        # A batch of at most some MB, however many records of one length there are.
        step = max(FEW, 2**22 // (self.length + FOOTER))
        for first in range(0, start.size, step):
            part = slice(first, first + step)
            windows = np.lib.stride_tricks.sliding_window_view(self.piece.raw, self.length + FOOTER)
            self._batch(*self._checked(windows[start[part]], place[part]))

    def _checked(self, rows: Bytes, place: Ints) -> tuple[Bytes, Ints]:
        """The rows whose checksum fits, without it."""
        said = np.ascontiguousarray(rows[:, self.length :]).view("<u4")[:, 0]
        fits = masked_crc32c_rows(rows[:, : self.length]) == said
        for where in place[~fits]:
            self.into.leave_out(int(where), "its checksum does not fit")
        return rows[fits, : self.length], place[fits]

    def _batch(self, rows: Bytes, place: Ints) -> None:
        left = np.arange(len(rows))
        for _ in range(_ROUNDS):
            if left.size < FEW:
                break
            left = self._round(rows, place, left)
        for row in left:
            self._alone(rows[row].tobytes(), int(place[row]))

    def _round(self, rows: Bytes, place: Ints, left: Ints) -> Ints:
        """Read the rows made like the first one left; returns the rows still to be read."""
        model = self._alone(rows[left[0]].tobytes(), int(place[left[0]]))
        left = left[1:]
        if model is None or not model.scalars:
            return left
        kinds, odd = _alike(_blanked(rows[left], model))
        again = [left[odd]]
        for kind in kinds:
            one, others = left[kind[0]], left[kind[1:]]
            event = self._alone(rows[one].tobytes(), int(place[one]))
            if event is not None and event.slots == model.slots:
                self._columns(rows[others], place[others], event)
            else:
                again.append(others)
        return np.sort(np.concatenate(again))

    def _columns(self, rows: Bytes, place: Ints, event: Event) -> None:
        if not place.size:
            return
        wall = _numbers(rows, event.wall_at[0], "<f8") if event.wall_at[1] else np.full(len(rows), event.wall)
        step = _varints(rows, *event.step_at)
        for scalar in event.scalars:
            constant = np.full(len(rows), scalar.number)
            value = _numbers(rows, scalar.at, scalar.layout) if scalar.layout else constant
            self.into.extend(scalar.tag, place, step, wall, value)

    def _alone(self, data: bytes, place: int) -> Event | None:
        event = self._parsed(data, place)
        if event is not None:
            self.into.take(event, place)
            self.into.see(event)
        return event

    def _parsed(self, data: bytes, place: int) -> Event | None:
        try:
            return parse(data)
        except WireError as error:
            self.into.leave_out(place, f"no event ({error})")
            return None


def _blanked(rows: Bytes, model: Event) -> Bytes:
    """The rows with the bytes of time and values set to 0, and of the step all but where it ends."""
    made = rows.copy()
    made[:, slice(*model.wall_at)] = 0
    made[:, slice(*model.step_at)] &= 0x80
    for scalar in model.scalars:
        if scalar.layout:
            made[:, scalar.at : scalar.at + int(scalar.layout[-1])] = 0
    return made


def _alike(rows: Bytes) -> tuple[list[Ints], Ints]:
    """The indices of equal rows, kind by kind, and of rows that a clash of the hash kept out of their kind."""
    n, length = rows.shape
    words = np.zeros((n, -(-length // 8) * 8), np.uint8)
    words[:, :length] = rows
    hashed: NDArray[np.uint64] = np.zeros(n, np.uint64)
    for column in np.ascontiguousarray(words.view(np.uint64).T):
        hashed = (hashed ^ column) * _ODD
        hashed ^= hashed >> np.uint64(29)
    order = np.argsort(hashed, kind="stable")
    new = np.flatnonzero(np.diff(hashed[order], prepend=~hashed[order[:1]]))
    head = order[new].repeat(np.diff(new, append=n))  # the first row of the kind of each row, in this order
    same = (rows[order] == rows[head]).all(axis=1)
    kinds = np.split(order[same], np.searchsorted(np.flatnonzero(same), new[1:]))
    return [kind for kind in kinds if kind.size], order[~same]


def _numbers(rows: Bytes, at: int, layout: str) -> Floats:
    return np.ascontiguousarray(rows[:, at : at + int(layout[-1])]).view(layout)[:, 0].astype(np.float64)


def _varints(rows: Bytes, start: int, stop: int) -> Ints:
    """The varint of each row at these bytes; 0 where there are none."""
    value = np.zeros(len(rows), np.uint64)
    for place in range(start, stop):
        value |= (rows[:, place] & 0x7F).astype(np.uint64) << np.uint64(7 * (place - start))
    return value.view(np.int64)
