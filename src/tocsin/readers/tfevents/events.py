"""One ``Event`` of TensorBoard: its time and step, and where in its bytes the scalars stand."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from tocsin.readers.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, fields, signed, text, varints

Span = tuple[int, int]

# Numbers of the dtypes of TensorFlow, how their bytes are laid out, and the field of typed values.
_LAYOUT = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 9: "<i8", 10: "<?", 14: "bfloat16", 17: "<u2",
    19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
_TYPED = {1: 5, 2: 6, 3: 7, 4: 7, 5: 7, 6: 7, 9: 10, 10: 11, 14: 13, 17: 7, 19: 13, 22: 16, 23: 17}
_STRING = 7
_FIXED = {5: "<f4", 6: "<f8"}
_LONGEST_VARINT = 10


class Scalar(NamedTuple):
    """One scalar: ``number``, or where it stands as ``layout`` (``<f4`` or ``<f8``) from byte ``at`` on."""

    tag: str
    number: float
    layout: str = ""
    at: int = 0


class Note(NamedTuple):
    """A text or the payload of a plugin, by tag."""

    tag: str
    plugin: str
    content: bytes


class Event(NamedTuple):
    """One event. ``wall_at`` and ``step_at`` are the bytes of its time and step, empty where it has none."""

    wall: float
    step: int
    wall_at: Span
    step_at: Span
    scalars: tuple[Scalar, ...]
    notes: tuple[Note, ...]
    version: str = ""

    @property
    def slots(self) -> tuple[Any, ...]:
        """Where what differs between two events of one making stands."""
        return (self.wall_at, self.step_at, *((s.layout, s.at) for s in self.scalars))


def parse(data: bytes) -> Event:
    """The event in ``data``; images, histograms, audio and graphs are stepped over.

    Raises:
        WireError: It is no protobuf message.
    """
    wall, step, wall_at, step_at, version = 0.0, 0, (0, 0), (0, 0), ""
    scalars: list[Scalar] = []
    notes: list[Note] = []
    for field in fields(data):
        if field.number == 1 and field.wire == FIXED64:
            wall, wall_at = struct.unpack_from("<d", data, field.start)[0], (field.start, field.stop)
        elif field.number == 2 and field.wire == VARINT:
            step, step_at = signed(field.whole), (field.start, field.stop)
        elif field.number == 3 and field.wire == BYTES:
            version = data[field.start : min(field.stop, field.start + 64)].decode("utf-8", "replace")
        elif field.number == 5 and field.wire == BYTES:
            for value in fields(data, field.start, field.stop):
                if value.number == 1 and value.wire == BYTES:
                    _take_value(data, value, scalars, notes)
    return Event(wall, step, wall_at, step_at, tuple(scalars), tuple(notes), version)


def _take_value(data: bytes, value: Field, scalars: list[Scalar], notes: list[Note]) -> None:
    tag, simple, tensor, metadata = "", None, None, None
    for field in fields(data, value.start, value.stop):
        if field.number == 1 and field.wire == BYTES:
            tag = text(data, field)
        elif field.number == 2 and field.wire == FIXED32:
            simple, tensor = field.start, None
        elif field.number == 8 and field.wire == BYTES:
            simple, tensor = None, field
        elif field.number == 9 and field.wire == BYTES:
            metadata = field
    if simple is not None:
        scalars.append(_at(data, tag, "<f4", simple))
        return
    plugin, content = _plugin(data, metadata)
    if content and plugin == "hparams":
        notes.append(Note(tag, plugin, content))
    if tensor is not None and plugin in ("", "scalars", "text"):
        _take_tensor(data, tag, tensor, scalars, notes)


def _at(data: bytes, tag: str, layout: str, at: int) -> Scalar:
    return Scalar(tag, float(struct.unpack_from("<f" if layout == "<f4" else "<d", data, at)[0]), layout, at)


def _plugin(data: bytes, metadata: Field | None) -> tuple[str, bytes]:
    name, content = "", b""
    if metadata is not None:
        for field in fields(data, metadata.start, metadata.stop):
            if field.number == 1 and field.wire == BYTES:
                for part in fields(data, field.start, field.stop):
                    if part.number == 1 and part.wire == BYTES:
                        name = text(data, part)
                    elif part.number == 2 and part.wire == BYTES:
                        content = data[part.start : part.stop]
    return name, content


def _take_tensor(data: bytes, tag: str, tensor: Field, scalars: list[Scalar], notes: list[Note]) -> None:
    parts = list(fields(data, tensor.start, tensor.stop))
    dtype = next((f.whole for f in reversed(parts) if f.number == 1 and f.wire == VARINT), 0)
    if dtype == _STRING:
        said = next((f for f in parts if f.number == 8 and f.wire == BYTES), None)
        if said is not None:
            notes.append(Note(tag, "text", data[said.start : said.stop]))
        return
    if dtype not in _LAYOUT or any(f.number == 2 and f.wire == BYTES and _elements(data, f) != 1 for f in parts):
        return
    content = next((f for f in reversed(parts) if f.number == 4 and f.wire == BYTES and f.stop > f.start), None)
    scalar = _of_content(data, tag, dtype, content) if content else _of_typed(data, tag, dtype, parts)
    if scalar is not None:
        scalars.append(scalar)


def _elements(data: bytes, shape: Field) -> int:
    """The number of elements of a tensor of this shape; 0 where it is not known."""
    count = 1
    for dim in fields(data, shape.start, shape.stop):
        if dim.number == 2 and dim.wire == BYTES:
            sizes = [f.whole for f in fields(data, dim.start, dim.stop) if f.number == 1 and f.wire == VARINT]
            count = min(count * (sizes[-1] if sizes else 0), 2)
        elif dim.number == 3 and dim.whole:
            return 0
    return count


def _of_content(data: bytes, tag: str, dtype: int, content: Field) -> Scalar | None:
    layout = _LAYOUT[dtype]
    raw = data[content.start : content.stop]
    if len(raw) != (2 if layout == "bfloat16" else np.dtype(layout).itemsize):
        return None
    if layout in ("<f4", "<f8"):
        return _at(data, tag, layout, content.start)
    return Scalar(tag, _bfloat16(raw) if layout == "bfloat16" else float(np.frombuffer(raw, layout)[0]))


def _of_typed(data: bytes, tag: str, dtype: int, parts: list[Field]) -> Scalar | None:
    """The one typed value, packed or not; a tensor that states none is 0, as TensorFlow reads it."""
    mine = [f for f in parts if f.number == _TYPED[dtype] and f.stop > f.start]
    if not mine:
        return Scalar(tag, 0.0)
    field, layout = mine[0], _FIXED.get(_TYPED[dtype], "")
    size = field.stop - field.start
    if len(mine) > 1 or (size != int(layout[-1]) if layout else size > _LONGEST_VARINT):
        return None
    if layout:
        return _at(data, tag, layout, field.start)
    numbers = [*varints(data, field.start, field.stop)] if field.wire in (BYTES, VARINT) else []
    return Scalar(tag, _number(dtype, numbers[0])) if len(numbers) == 1 else None


def _number(dtype: int, whole: int) -> float:
    layout = _LAYOUT[dtype]
    if layout == "bfloat16":
        return _bfloat16((whole & 0xFFFF).to_bytes(2, "little"))
    if layout == "<f2":
        return float(np.frombuffer((whole & 0xFFFF).to_bytes(2, "little"), layout)[0])
    return float(whole if layout in ("<u4", "<u8") else signed(whole))


def _bfloat16(raw: bytes) -> float:
    return float(struct.unpack("<f", b"\0\0" + raw)[0])
