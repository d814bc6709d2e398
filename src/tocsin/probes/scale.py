"""The loss scale of a GradScaler and the steps that it skipped, read from its public state alone."""

from __future__ import annotations

import math
from typing import Any

_LEAST = 2.0**-149  # the least positive float32: a scale that falls further is 0


class LossScale:
    """Counts skipped steps by the falls of the scale: each skip multiplies it by the back-off factor.

    Between two reads the scale may fall several times, and the logarithm tells how often; growth in between (every
    2000 clean steps by default) would hide a fall, so read often. At 0 it falls no more, and steps skipped there are
    not counted. Reading synchronises on an accelerator.
    """

    def __init__(self, scaler: Any) -> None:
        self.scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self.skipped = 0
        self.value = self._read()

    @property
    def on(self) -> bool:
        """Whether there is an enabled scaler."""
        return self.scaler is not None

    def update(self) -> float:
        """Read the scale again, count falls, return it (1.0 without a scaler)."""
        before, self.value = self.value, self._read()
        if self.scaler is not None and self.value < before:
            fall = max(self.value, _LEAST) / before
            self.skipped += max(1, round(math.log(fall) / math.log(self.scaler.get_backoff_factor())))
        return self.value

    def _read(self) -> float:
        return 1.0 if self.scaler is None else float(self.scaler.get_scale())
