"""Which samples of an evaluation were trained on, by hashes of their exact content that stay on the device."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import torch
from torch import Tensor

from tocsin.probes import measures

FORWARDS = 8
MOST_TRAINED = 65_536
MOST_ROWS = 2048
ENTRIES = 1024
PART_ENTRIES = 2**15
LEAST_ENTRIES = 4
MOST_TENSORS = 4
DENSE_ROUNDS = 32
_INTEGER_VIEW = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_ODD = (-7046029254386353131, -4658895280553007687, -7723592293110705685)  # of splitmix64, as signed integers
_SHIFT = (31, 27)


class Contents:
    """Hashes of training samples so far, against which those of an evaluation are held.

    A *round* is what lies between two epoch ends or evaluations. The first ``FORWARDS`` forwards of a round count, in
    each of the first ``DENSE_ROUNDS`` rounds and then in the 2^k-th. At most ``MOST_TRAINED`` hashes are kept.
    """

    def __init__(self) -> None:
        self._rounds = {"train": 1, "eval": 1}
        self._left = {"train": FORWARDS, "eval": FORWARDS}
        self._trained: list[Tensor] = []
        self._count = 0
        self._sorted: Tensor | None = None

    def restart(self, mode: str) -> None:
        """A new epoch or evaluation begins; after an evaluation new training samples count, too."""
        for one in {mode, "train"}:
            self._rounds[one] += 1
            self._left[one] = FORWARDS if self.due(one) else 0

    def due(self, mode: str) -> bool:
        """Whether the present round of this mode is one that is looked at."""
        return self._rounds[mode] <= DENSE_ROUNDS or not self._rounds[mode] & (self._rounds[mode] - 1)

    @property
    def compared(self) -> bool:
        """Whether samples of the present evaluation are held against training ones."""
        return self._count > 0 and self.due("eval")

    def wanting(self, mode: str) -> bool:
        """Whether the next forward of this mode counts."""
        return self._left[mode] > 0 and (self._count < MOST_TRAINED if mode == "train" else self._count > 0)

    def see(self, mode: str, tensors: Sequence[Tensor], training: bool) -> dict[str, Tensor | float]:
        """Take one forward's input tensors: kept of a training forward, compared of an evaluation's."""
        if not self.wanting(mode):
            return {}
        self._left[mode] -= 1
        if (mode == "train" and not training) or not (parts := samples(tensors)):
            return {}
        if mode == "train":
            codes = hashes(parts)[: MOST_TRAINED - self._count]
            self._trained.append(codes)
            self._count += codes.numel()
            self._sorted = None
            return {}
        return self._compare(hashes(parts), varied(parts[0]))

    def _compare(self, codes: Tensor, valid: Tensor) -> dict[str, Tensor | float]:
        """Shares of the valid samples that were trained on, and that repeat another of this forward."""
        if not self._trained or any(t.device != codes.device for t in self._trained):
            return {}
        if self._sorted is None:
            self._trained = [torch.cat(self._trained)]
            self._sorted = self._trained[0].sort().values
        at = torch.searchsorted(self._sorted, codes).clamp(max=self._sorted.numel() - 1)
        known = (self._sorted[at] == codes).logical_and(valid)
        alone = torch.arange(codes.numel(), device=codes.device)  # constant samples repeat none
        run = torch.where(valid, codes, alone).sort().values
        repeats = (run[1:] == run[:-1]).float().mean()
        compared = valid.sum()
        return {
            "input/overlap_frac": known.sum() / compared.clamp(min=1),
            "input/compared": compared,
            "input/repeat_frac": repeats,
        }


def samples(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The inputs as rows of samples, each [n, entries], at most ``MOST_ROWS``; none where the layout is ambiguous."""
    first = next((t for t in tensors if t.is_floating_point()), tensors[0] if tensors else None)
    if first is None or first.dim() < 2 or first.shape[0] < 2 or first[0].numel() < LEAST_ENTRIES:
        return []
    n = first.shape[0]
    others = [t for t in tensors if t is not first and t.dim() and t.shape[0] == n and t[0].numel()]
    return [_rows(t) for t in (first, *others[: MOST_TENSORS - 1])]


def hashes(parts: Sequence[Tensor]) -> Tensor:
    """A 64-bit hash of each sample, of every entry by value and place; shape (n,).

    Two unlike samples agree with a chance of about 2^-64, below 1e-6 for any two among a million; more entries than
    ``ENTRIES`` count by the sums of their rows and columns.
    """
    code = torch.zeros(parts[0].shape[0], dtype=torch.int64, device=parts[0].device)
    for rows in parts:
        salt = crc32(f"{rows.dtype} {rows.shape[1]}".encode())
        code = _mixed(code + salt + torch.cat([_of_rows(part) for part in _parted(rows)]))
    return code


def _of_rows(rows: Tensor) -> Tensor:
    entries = _summed(_words(rows))
    place = torch.arange(1, entries.shape[1] + 1, device=rows.device) * _ODD[0]
    entries = entries.mul(_ODD[2]).add_(place)  # one copy less is held while they are mixed
    return _mixed(entries).sum(dim=1)


def _parted(rows: Tensor) -> Sequence[Tensor]:
    """A few samples at a time: mixing holds several 64-bit copies of them, on a CPU best within its caches."""
    most = PART_ENTRIES if rows.device.type == "cpu" else 256 * PART_ENTRIES
    return torch.split(rows, max(1, most // rows.shape[1]))


def _words(rows: Tensor) -> Tensor:
    """The bytes of each row as integers: eight at a time where that fits, which is several times as fast."""
    if rows.dtype == torch.bool:
        return rows
    size = rows.element_size()
    if rows.shape[1] * size % 8:
        return rows.view(_INTEGER_VIEW[size])
    return (rows.clone() if rows.storage_offset() * size % 8 else rows).view(torch.int64)


def _summed(bits: Tensor) -> Tensor:
    """The entries as int64; long rows as a table of ``ENTRIES`` columns: the sums of both, and what is left over."""
    whole = bits.shape[1] // ENTRIES
    if whole <= 1:
        return bits.to(torch.int64)
    table = bits[:, : whole * ENTRIES].view(-1, whole, ENTRIES)
    sums = [table.sum(dim=1, dtype=torch.int64), table.sum(dim=2, dtype=torch.int64)]
    return torch.cat([*sums, bits[:, whole * ENTRIES :].to(torch.int64)], dim=1)


def varied(rows: Tensor) -> Tensor:
    """Whether the entries of each row differ: padding does not; shape (n,)."""
    return rows.amin(dim=1) != rows.amax(dim=1) if rows.dtype != torch.bool else rows.any(dim=1) != rows.all(dim=1)


def _rows(tensor: Tensor) -> Tensor:
    """The first samples, flat and contiguous."""
    return measures.dense(tensor[:MOST_ROWS]).reshape(min(MOST_ROWS, tensor.shape[0]), -1).contiguous()


def _mixed(codes: Tensor) -> Tensor:
    """Each int64 with its bits spread over all places (two rounds of splitmix64, arithmetic shifts)."""
    for shift, odd in zip(_SHIFT, _ODD[1:], strict=True):
        codes = (codes >> shift).bitwise_xor_(codes).mul_(odd)
    return (codes >> _SHIFT[0]).bitwise_xor_(codes)
