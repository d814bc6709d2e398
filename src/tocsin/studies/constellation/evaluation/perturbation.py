"""Which pixels matter: accuracy after masking the brightest, the darkest or random ones, an equal number of each.

Nearly all occupied pixels of a frame hold one sample, so a percentile of the grey level is a tie of most of them:
"the lowest 1 %" by <= masks two thirds of the picture, "the highest 1 %" by >= a twentieth, and "1 % at random" of all
pixels hits empty ones. Here each arm masks the same number of *occupied* pixels of each frame, ties are broken at
random, and the score divides by the share that was really masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from tocsin.studies.constellation.view.representation import Batch
from tocsin.studies.exports import Row

Arm = Literal["brightest", "darkest", "random"]
ARMS: tuple[Arm, ...] = ("brightest", "darkest", "random")
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
FRAMES = 1024  # enough for a standard error of 0.016, and few beside the test


@dataclass(frozen=True)
class Impact:
    """What masking one arm did.

    Attributes:
        arm: Which pixels were masked.
        share: Mean share of the occupied pixels that were masked, as applied.
        samples_share: Mean share of the frame's samples that lay in them.
        accuracy: Before masking.
        masked_accuracy: After it.
    """

    arm: Arm
    share: float
    samples_share: float
    accuracy: float
    masked_accuracy: float

    @property
    def score(self) -> float:
        """Perturbation impact: loss of accuracy for each unit of occupied pixels masked; NaN where none was."""
        return (self.accuracy - self.masked_accuracy) / self.share if self.share > 0 else float("nan")


def mask(counts: Tensor, arm: Arm, share: float, generator: torch.Generator) -> Tensor:
    """The pixels to be masked of each frame, bool [B, P]: round(share * occupied) of the occupied ones, at least 1.

    Args:
        counts: Samples a pixel [B, P], P pixels; 0 where empty.
        arm: Which of the occupied pixels come first.
        share: Of the occupied pixels, in (0, 1].
        generator: Breaks ties, and draws the random arm.

    Raises:
        ValueError: A share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number above 0 and at most 1, got {share}")
    occupied = counts > 0
    wanted = (occupied.sum(1) * share).round().clamp(min=1).to(torch.int64).minimum(occupied.sum(1))
    luck = torch.rand(counts.shape, generator=generator, device=counts.device, dtype=torch.float64)
    level = counts.to(torch.float64)
    key = {"brightest": level + luck, "darkest": luck - level, "random": luck}[arm]
    key = key.masked_fill(~occupied, -torch.inf)
    place = key.argsort(1, descending=True).argsort(1)
    return place < wanted[:, None]


def impacts(
    batches: Iterable[Batch], right: Callable[[Batch], Tensor], shares: Sequence[float] = SHARES, seed: int = 0
) -> list[Impact]:
    """Every arm at every share.

    Args:
        batches: Frames; the pixels of all layers of one count together.
        right: Whether each frame of a batch is answered right, bool [B].
        shares: Shares of the occupied pixels.
        seed: Of ties and of the random arm.
    """
    held = list(batches)
    plain = torch.cat([right(batch) for batch in held]).float().mean().item()
    return [_impact(held, right, arm, share, plain, seed) for share in shares for arm in ARMS]


def table(found: Sequence[Impact]) -> list[Row]:
    """One row for each arm and share."""
    return [
        {
            "arm": i.arm,
            "masked_share": i.share,
            "masked_samples_share": i.samples_share,
            "joint_accuracy": i.accuracy,
            "masked_joint_accuracy": i.masked_accuracy,
            "impact": i.score,
        }
        for i in found
    ]


def _impact(
    held: Sequence[Batch], right: Callable[[Batch], Tensor], arm: Arm, share: float, plain: float, seed: int
) -> Impact:
    generator = torch.Generator(held[0].counts.device).manual_seed(seed)
    hits, pixels, samples = [], [], []
    for batch in held:
        flat = batch.counts.flatten(1)
        masked = mask(flat, arm, share, generator)
        hits.append(right(replace(batch, counts=flat.masked_fill(masked, 0).view_as(batch.counts))).float())
        pixels.append(masked.sum(1) / (flat > 0).sum(1).clamp(min=1))
        samples.append((flat * masked).sum(1) / flat.sum(1).clamp(min=1))
    mean = [float(torch.cat(parts).double().mean()) for parts in (pixels, samples, hits)]
    return Impact(arm, mean[0], mean[1], plain, mean[2])
