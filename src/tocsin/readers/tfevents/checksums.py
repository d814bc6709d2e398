"""CRC-32C (Castagnoli) as TFRecord files use it: of one text, and of many rows of one length at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def _table() -> NDArray[np.uint32]:
    value = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        value = np.where(value & 1, (value >> 1) ^ np.uint32(0x82F63B78), value >> 1).astype(np.uint32)
    return value


_TABLE = _table()
_PLAIN_TABLE: list[int] = _TABLE.tolist()


def masked_crc32c(data: bytes) -> int:
    """The masked CRC-32C of ``data``."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _PLAIN_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def masked_crc32c_rows(rows: Bytes) -> NDArray[np.uint32]:
    """The masked CRC-32C of each row; ``rows`` of shape (n, length)."""
    crc: NDArray[np.uint32] = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc = np.bitwise_not(crc)
    return np.asarray(((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8), np.uint32)
