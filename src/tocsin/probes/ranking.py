"""How well scores rank each class: the area under its ROC curve, from a bounded sample of the rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tocsin.run import AUC_CELLS, AUC_CLASSES, AUC_ROWS

_LEAST = 5  # rows of either side: fewer rank too coarsely to say anything


class ScoreRows:
    """A systematic sample of rows of scores with their targets: every ``stride``-th, the stride doubling when full.

    At most ``AUC_ROWS`` rows and ``AUC_CELLS`` scores are kept; nothing is of more than ``AUC_CLASSES`` classes.
    """

    def __init__(self) -> None:
        self.stride = 1
        self._truth: list[Tensor] = []
        self._scores: list[Tensor] = []
        self._size = 0
        self._seen = 0

    def add(self, truth: Tensor, scores: Tensor) -> None:
        """What falls on the stride of a batch: classes [N] or labels [N, K], with scores [N, K]; kept as copies."""
        if scores.shape[1] > AUC_CLASSES:
            return
        room = min(AUC_ROWS, AUC_CELLS // scores.shape[1])
        while self._size + len(scores) // self.stride > 2 * room:  # before a copy of a large batch is made
            self._halve()
        part = slice(-self._seen % self.stride, None, self.stride)
        self._seen += len(scores)
        self._truth.append(truth[part].clone())
        self._scores.append(scores[part].clone())
        self._size += len(self._truth[-1])
        while self._size > room:
            self._halve()

    def _halve(self) -> None:
        self.stride *= 2
        if self._truth:
            self._truth, self._scores = [torch.cat(self._truth)[::2].clone()], [torch.cat(self._scores)[::2].clone()]
            self._size = len(self._truth[0])

    def areas(self) -> tuple[float, ...]:
        """The area of each class or label against the rest, shape (K,), NaN below 5 rows of either side.

        Classes are ranked by their probability: logits go through a softmax first. A single column of scores gives
        both classes of two. Empty where no area is known.
        """
        if not self._truth:
            return ()
        truth, scores = torch.cat(self._truth), torch.cat(self._scores).float()
        known = torch.isfinite(scores).all(dim=1)
        if truth.dim() == 1:
            known &= (truth >= 0) & (truth < max(2, scores.shape[1]))
        truth, scores = truth[known], scores[known]
        if truth.dim() > 1:
            found = _of_labels(truth > 0.5, scores)
        elif scores.shape[1] == 1:
            found = 2 * _of_labels(truth[:, None] == 1, scores)
        else:
            found = _of_classes(truth.long(), scores)
        return tuple(found) if any(math.isfinite(area) for area in found) else ()


def _of_labels(positive: Tensor, scores: Tensor) -> list[float]:
    """The area of each column of scores [m, K] for its own positives [m, K]."""
    usable = _usable(positive.sum(dim=0), len(scores))
    return _placed(_areas(positive[:, usable].T, scores[:, usable].T), usable, scores.shape[1])


def _of_classes(truth: Tensor, scores: Tensor) -> list[float]:
    """The area of each class's probability, by scores that are some or logits, [m, K]; truth [m]."""
    usable = _usable(torch.bincount(truth, minlength=scores.shape[1]), len(scores))
    if not len(usable):
        return [math.nan] * scores.shape[1]
    given = bool(((scores >= 0).all(dim=1) & ((scores.sum(dim=1) - 1).abs() < 1e-2)).all())
    ranked = scores[:, usable] if given else scores[:, usable] - scores.logsumexp(dim=1, keepdim=True)
    return _placed(_areas(truth[None] == usable[:, None], ranked.T), usable, scores.shape[1])


def _usable(count: Tensor, rows: int) -> Tensor:
    return torch.nonzero((count >= _LEAST) & (rows - count >= _LEAST))[:, 0]


def _placed(areas: list[float], usable: Tensor, size: int) -> list[float]:
    every = [math.nan] * size
    for k, area in zip(usable.tolist(), areas, strict=True):
        every[k] = area
    return every


def _areas(positive: Tensor, scores: Tensor) -> list[float]:
    """Mann-Whitney U over its largest value, row by row of [k, m]; ties share their mean rank."""
    k, m = scores.shape
    if not k or not m:
        return []
    ordered, order = scores.contiguous().sort(dim=1)
    hit = positive.gather(1, order)
    place = torch.arange(m, device=scores.device).expand(k, m)
    differs = ordered[:, 1:] != ordered[:, :-1]
    edge = torch.ones(k, 1, dtype=torch.bool, device=scores.device)
    first = torch.where(torch.cat([edge, differs], dim=1), place, 0).cummax(dim=1).values
    last = torch.where(torch.cat([differs, edge], dim=1), place, m).flip(1).cummin(dim=1).values.flip(1)
    p = positive.sum(dim=1)
    beaten = ((first + last + 2) * hit).sum(dim=1) - p * (p + 1)  # twice U, whole numbers
    areas: list[float] = (beaten.cpu().double() / (2 * p * (m - p)).cpu().double()).tolist()
    return areas
