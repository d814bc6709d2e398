"""The same samples as training sees them and as evaluation sees them: how alike they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin import stats
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import SetupError

Floats = NDArray[np.float64]
_QUANTILES = 256


@dataclass(frozen=True)
class Likeness:
    """Correlation of the two views over samples: entry by entry, and of their sorted values; with their interval."""

    places: float
    interval: tuple[float, float]
    values: float
    n: int


def views_of(bench: Bench) -> tuple[Tensor, Tensor]:
    """Both views of the samples of the first training batches, [n, ...] each.

    Raises:
        SetupError: ``views`` raised, or gave something else.
    """
    pairs = [_pair(bench, batch) for batch in bench.train]
    try:
        return torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    except RuntimeError as error:
        raise SetupError(f"preflight: views(batch) gave samples of different shapes: {error}") from error


def _pair(bench: Bench, batch: object) -> tuple[Tensor, Tensor]:
    views = bench.setup.views
    try:
        given = views(batch) if views is not None else ()
        a, b = (torch.as_tensor(one).detach().cpu() for one in given)
        a, b = (torch.view_as_real(one.resolve_conj()) if one.is_complex() else one for one in (a, b))
    except Exception as error:
        raise SetupError(
            f"preflight: views(batch) must give two tensors, as training and as evaluation see the samples; "
            f"{type(error).__name__}: {error}"
        ) from error
    if not a.dim() or len(a) != len(b if b.dim() else a[:0]):
        raise SetupError(
            "preflight: views(batch) must give the same samples twice, got shapes "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    return a, b


def likeness(a: Tensor, b: Tensor) -> Likeness | None:
    """How alike two views are; None with fewer than 20 samples that vary. A mirrored sample is alike."""
    values = _correlations(_sorted(a), _sorted(b))
    if a.shape == b.shape:
        turned = [b, *(b.flip(dims) for dims in ([-1], [-2], [-2, -1]) if b.dim() > 2)]
        places = np.max([_correlations(_flat(a), _flat(one)) for one in turned], axis=0)
    else:
        places = values
    known = np.isfinite(places) & np.isfinite(values)
    if known.sum() < 20:
        return None
    mean = float(places[known].mean())
    interval = stats.mean_interval(places[known])
    return Likeness(
        mean, interval if np.ptp(places[known]) > 0 else (mean, mean), float(values[known].mean()), known.sum()
    )


def _flat(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1).double()


def _sorted(x: Tensor) -> Tensor:
    """So many quantiles of each sample."""
    flat = _flat(x).sort(dim=1).values
    return flat[:, _spread(flat.shape[1], min(_QUANTILES, flat.shape[1]))]


def _spread(length: int, n: int) -> Tensor:
    """``n`` places from first to last; in double precision, since single would round beyond the last of 2^24."""
    return torch.linspace(0, length - 1, n, dtype=torch.float64).long()


def _correlations(a: Tensor, b: Tensor) -> Floats:
    """Pearson's r of each row; NaN where one is constant."""
    if a.shape != b.shape:
        n = min(a.shape[1], b.shape[1])
        a, b = (x[:, _spread(x.shape[1], n)] for x in (a, b))
    a, b = (x - x.mean(dim=1, keepdim=True) for x in (a, b))
    scale = a.norm(dim=1) * b.norm(dim=1)
    r = (a * b).sum(dim=1) / torch.where(scale > 0, scale, torch.nan)
    found: Floats = r.numpy().astype(np.float64)
    return found
