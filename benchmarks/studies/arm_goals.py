"""What the study is to reach, on means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from arms import ARMS

CPU_S = 120  # "a two-minute run on one core"


def missed(results: Sequence[dict[str, Any]], oracle: float) -> list[str]:
    """The goals that are missed, in words; those of arms that were not trained are not looked at.

    Args:
        results: Outcomes of runs.
        oracle: Joint accuracy of the Bayes oracle on the synchronous test frames.
    """
    checks = {
        "synchronous: joint below the oracle, at most .05": (
            "synchronous",
            lambda r: oracle - r["joint"],
            "<",
            0.05,
        ),
        "synchronous: CPU seconds": ("synchronous", lambda r: r["cpu_s"], "<", CPU_S),
        "synchronous: attractor index": ("synchronous", lambda r: r["attractor"], "<", 1.3),
        "features: joint, at least .55": ("features", lambda r: r["joint"], ">", 0.55),
        "features: SNR at 22 to 30 dB, at least .9": ("features", lambda r: r["snr_high"], ">", 0.9),
        "features: CPU seconds": ("features", lambda r: r["cpu_s"], "<", CPU_S),
        "features: attractor index": ("features", lambda r: r["attractor"], "<", 1.3),
    }
    found = []
    for what, (arm, value, side, limit) in checks.items():
        values = [value(r) for r in results if r["arm"] == arm]
        if values and not (np.mean(values) <= limit if side == "<" else np.mean(values) >= limit):
            found.append(f"{what}: {np.mean(values):.3f}")
    alarms = [f"{r['arm']} {r['seed']}: check says {', '.join(r['alarms']) or 'nothing'}" for r in results if _odd(r)]
    return found + alarms


def _odd(result: dict[str, Any]) -> bool:
    """Whether ``tocsin check`` rang where it should not, or was silent where it should ring."""
    arm, rang = ARMS[result["arm"]], {alarm.split()[0] for alarm in result["alarms"]}
    return not set(arm.alarms) <= rang <= {*arm.alarms, *arm.may_alarm}
