"""Joint moments of targets and predictions, batch by batch on the device, and a bounded sample of the pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tocsin.run import Moments

SAMPLE_PAIRS = 512
MOST_OUTPUTS = 64


class JointMoments:
    """The moments of all batches of one evaluation, for each of at most ``MOST_OUTPUTS`` outputs.

    Attributes:
        n: Pairs of rows taken.
        nonfinite: Rows that were left out.
    """

    def __init__(self) -> None:
        self.n: Tensor | int = 0
        self.nonfinite: Tensor | int = 0
        self._sums: list[Tensor] = []
        self._pairs = Pairs()

    def add(self, target: Tensor, prediction: Tensor) -> None:
        """One batch, [N, D] each."""
        wide = torch.float32 if target.device.type == "mps" else torch.float64
        t, p = target[:, :MOST_OUTPUTS].to(wide), prediction[:, :MOST_OUTPUTS].to(wide)
        keep = torch.isfinite(t).all(dim=1) & torch.isfinite(p).all(dim=1)
        self.nonfinite = self.nonfinite + (~keep).sum()
        t, p = t[keep], p[keep]
        if not len(t):
            return
        self._sums.append(_batch_moments(t, p))
        self._pairs.add(t, p)
        self.n = self.n + len(t)

    def close(self) -> tuple[tuple[Moments, ...], dict[str, float]]:
        """The moments of each output, and R2, MSE and RMSE averaged over the batches."""
        if not self._sums:
            return (), {}
        batches = torch.stack(self._sums).double().cpu().numpy()
        n, mean, square, low, high = _merged(batches)
        moments = tuple(
            Moments(
                n=int(n),
                mean_target=float(mean[0, d]),
                mean_prediction=float(mean[1, d]),
                var_target=float(square[0, d] / n),
                var_prediction=float(square[1, d] / n),
                cov=float(square[2, d] / n),
                min_target=float(low[0, d]),
                max_target=float(high[0, d]),
                min_prediction=float(low[1, d]),
                max_prediction=float(high[1, d]),
                sample_target=self._pairs.column(d)[0],
                sample_prediction=self._pairs.column(d)[1],
                stride=self._pairs.stride,
            )
            for d in range(mean.shape[1])
        )
        return moments, _batchwise(batches)


class Pairs:
    """A bounded systematic sample in order: every ``stride``-th pair; the stride doubles when the room is full."""

    def __init__(self) -> None:
        self.stride = 1
        self._kept: list[Tensor] = []
        self._size = 0
        self._seen = 0

    def add(self, target: Tensor, prediction: Tensor) -> None:
        """Take what falls on the stride of a batch that follows the earlier ones."""
        kept = torch.stack([target, prediction])[:, -self._seen % self.stride :: self.stride]
        self._seen += len(target)
        self._kept.append(kept)
        self._size += kept.shape[1]
        while self._size > SAMPLE_PAIRS:
            whole = torch.cat(self._kept, dim=1)[:, ::2]
            self._kept, self._size, self.stride = [whole], whole.shape[1], 2 * self.stride

    def column(self, output: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Sampled targets and predictions of one output, each shape (m,)."""
        one = torch.cat(self._kept, dim=1)[:, :, output].double().cpu()
        return one[0].numpy().copy(), one[1].numpy().copy()  # a view would keep the samples of all outputs


def _batch_moments(t: Tensor, p: Tensor) -> Tensor:
    """[10 rows + count, D]: means, centred sums of squares and product, minima, maxima."""
    mt, mp = t.mean(dim=0), p.mean(dim=0)
    dt, dp = t - mt, p - mp
    n = torch.full_like(mt, len(t))
    rows = [n, mt, mp, (dt * dt).sum(0), (dp * dp).sum(0), (dt * dp).sum(0), t.amin(0), p.amin(0), t.amax(0), p.amax(0)]
    return torch.stack(rows)


def _merged(batches: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    """Batch moments combined (Chan, Golub & LeVeque 1983): n, means [2, D], sums [3, D], minima, maxima [2, D]."""
    n = batches[:, 0, 0].sum()
    weight = batches[:, 0:1, :] / n
    mean = (weight * batches[:, 1:3, :]).sum(axis=0)
    dt, dp = batches[:, 1] - mean[0], batches[:, 2] - mean[1]
    apart = np.stack([dt * dt, dp * dp, dt * dp], axis=1) * batches[:, 0:1, :]
    square = (batches[:, 3:6, :] + apart).sum(axis=0)
    return n, mean, square, batches[:, 6:8].min(axis=0), batches[:, 8:10].max(axis=0)


def _batchwise(batches: np.ndarray[Any, Any]) -> dict[str, float]:
    """Unweighted means over two batches or more, of the mean over outputs; none of what a batch leaves undefined."""
    if len(batches) < 2:
        return {}
    n, mt, mp, dt2, dp2, dtp = (batches[:, k] for k in range(6))
    with np.errstate(all="ignore"):
        error = np.maximum(dt2 + dp2 - 2 * dtp, 0.0) + n * (mp - mt) ** 2
        mse = error / n
        each = {"r2": 1 - error / dt2, "mse": mse, "rmse": np.sqrt(mse)}
        found = {name: float(value.mean()) for name, value in each.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}
