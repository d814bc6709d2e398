"""What ``tocsin.compare`` says of each arm against the one that it changes.

Compared are configurations and scores. All arms of a table are scored on the same frames, whatever version of the code
wrote their manifests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import arm_runs
from arms import ARMS

import tocsin

METRICS = {"joint": "test/joint_accuracy", "snr": "test/snr_accuracy"}
OWN_WORD = {"network.task": "network.heads"}  # a run's task is what it is asked, and other scores would be no answer


def rows(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Difference, interval and verdict of each arm and metric; arms without runs left out."""
    trained = {name: [r for r in results if r["arm"] == name] for name in ARMS}
    return [
        _row(name, arm.against, trained[arm.against], trained[name], short)
        for name, arm in ARMS.items()
        if arm.against is not None and trained[name] and trained[arm.against]
        for short in METRICS
    ]


def _row(name: str, against: str, first: list[Any], other: list[Any], short: str) -> dict[str, Any]:
    runs = [_run(result, short) for result in (*first, *other)]
    (contrast,) = tocsin.compare(runs, metric=METRICS[short]).contrasts
    return {
        "arm": name,
        "against": against,
        "metric": METRICS[short],
        "seeds": [len(first), len(other)],
        "difference": contrast.difference,
        "interval": contrast.interval,
        "basis": contrast.basis,
        "verdict": contrast.verdict,
        "settings": contrast.settings,
    }


def _run(result: dict[str, Any], short: str) -> tocsin.Run:
    from tocsin.studies.study import leaves

    told = leaves(arm_runs.configuration(result["arm"]))
    config = {OWN_WORD.get(key, key): value for key, value in told} | {"seed": result["seed"]}
    return tocsin.Run.of(f"{result['arm']}-{result['seed']}", series={METRICS[short]: [result[short]]}, config=config)
