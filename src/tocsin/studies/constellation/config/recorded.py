"""Settings of recorded frames: which file, and which of its frames are trained on."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tocsin.studies.constellation.config.view import View
from tocsin.studies.study import Settings

SHARES = (0.8, 0.1, 0.1)
MOST_BINS = 256  # 256^2 cells have numbers of 16 bits


def cache_refusal(view: View) -> str | None:
    """Why ``OfFile.bin_cache`` cannot hold what this view shows; None if it can."""
    if view.input != "image" or view.layers != ("samples",) or view.scalars:
        return (
            "it keeps the image of all samples and nothing else: take view.layers samples and no scalars, or no cache"
        )
    return f"expected view.bins of {MOST_BINS} at most, got {view.bins}" if view.bins > MOST_BINS else None


class OfFile(Settings):
    """What is read instead of generated.

    Attributes:
        radioml: The HDF5 file of RadioML 2018.01A; None generates frames. Recorded frames are seen as those of the
            oversampled scenario are, so that ``scenario`` must be ``oversampled``.
        bin_cache: Folder that keeps the cell of the image in which each sample falls, 2 bytes a sample, so that later
            epochs and runs neither read nor normalise the samples again. For a view of the samples' image alone, with
            at most 256 bins; None reads the file.
        split_seed: Of the split of each cell's frames by a hash of their identity.
        split_fractions: Shares of training, validation and test part; they sum to 1 at most.
    """

    radioml: str | None = None
    bin_cache: str | None = None
    split_seed: int = Field(default=0, ge=0)
    split_fractions: tuple[float, float, float] = SHARES

    @model_validator(mode="after")
    def _file_is_read(self) -> Self:
        changed = [n for n in ("bin_cache", "split_seed", "split_fractions") if self._differs(n)]
        if changed and self.radioml is None:
            raise ValueError(f"nothing reads {' and '.join(changed)} of generated frames: set data.radioml to a file")
        return self

    def _differs(self, *names: str) -> bool:
        """Whether a setting is not at its default."""
        return any(getattr(self, name) != type(self).model_fields[name].default for name in names)
