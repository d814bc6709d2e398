"""Learning rates step by step, against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tocsin.studies.schedules import REDUCTION, START_FRAC, Schedule, schedule_of
from tocsin.studies.settings import Training

PEAK, STEPS = 0.1, 200


def made(name: str, steps: int = STEPS, **more: Any) -> tuple[torch.optim.Optimizer, Schedule]:
    settings = Training(epochs=4, batch=1, peak_lr=PEAK, schedule=name, **more)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    return optimizer, schedule_of(optimizer, settings, steps)


def rates(name: str, steps: int = STEPS, **more: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The rate of every step, evaluated at each quarter with a metric that never gets better."""
    optimizer, schedule = made(name, steps, **more)
    found = []
    for step in range(1, steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.after_step()
        if step % (steps // 4) == 0:
            schedule.after_evaluation(1.0)
    return np.asarray(found)


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "triangular2"])
@pytest.mark.parametrize("frac", [0.1, 0.3])
def test_it_rises_for_the_warm_up_to_the_peak_and_falls_to_the_end(name: str, frac: float) -> None:
    found = rates(name, warmup_frac=frac)
    top = int(found.argmax())
    assert found[top] == pytest.approx(PEAK, rel=1e-3)
    assert abs(top - frac * STEPS) <= 1
    assert found[0] == pytest.approx(START_FRAC * PEAK)
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) < 0).all()
    assert found[-1] < 1.2 * START_FRAC * PEAK


def test_cosine_is_half_a_cosine() -> None:
    found = rates("cosine", warmup_frac=0.2)
    after = np.arange(160)
    assert found[40:] == pytest.approx(0.5 * PEAK * (1 + np.cos(math.pi * after / 160)))


def test_triangles_halve_and_end_with_the_last_step() -> None:
    found = rates("triangular2", 210, lr_cycles=3, warmup_frac=0.5)
    base = START_FRAC * PEAK
    for cycle in range(3):
        part = found[70 * cycle : 70 * (cycle + 1)]
        rise = np.concatenate([np.arange(35), 35 - np.arange(35)]) / 35
        assert part == pytest.approx(base + (PEAK - base) * rise / 2**cycle)


def test_a_plateau_rises_stays_and_falls_after_its_patience() -> None:
    found = rates("plateau", warmup_frac=0.2, plateau_patience=1)
    assert found[0] == pytest.approx(START_FRAC * PEAK)
    assert (np.diff(found[:41]) > 0).all()
    assert found[40:150] == pytest.approx(np.full(110, PEAK))
    assert found[150:] == pytest.approx(np.full(50, REDUCTION * PEAK))  # 2 evaluations no better than the first


def test_evaluations_before_the_peak_do_not_count_against_a_plateau() -> None:
    found = rates("plateau", warmup_frac=0.9, plateau_patience=0)
    assert (np.diff(found[:181]) > 0).all()


def test_a_plateau_waits_while_it_gets_better() -> None:
    optimizer, schedule = made("plateau", 10, warmup_frac=0.1, plateau_patience=0)
    for metric, expected in ((3.0, 1.0), (2.0, 1.0), (2.5, REDUCTION), (1.0, REDUCTION), (math.nan, REDUCTION**2)):
        optimizer.step()
        schedule.after_step()
        schedule.after_evaluation(metric)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected * PEAK)


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "triangular2", "plateau"])
def test_no_number_of_steps_is_too_small(name: str) -> None:
    for steps in range(4, 12):
        assert np.isfinite(rates(name, steps)).all()
    for steps in (1, 2, 3):
        assert made(name, steps)[0].param_groups[0]["lr"] > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lr_cycles": 2}, "lr_cycles is read by schedule triangular2, not by one-cycle: leave it at 1"),
        ({"schedule": "cosine", "plateau_patience": 9}, "plateau_patience is read by schedule plateau, not by cosine"),
        (
            {"precision": "bfloat16", "init_scale": 8.0},
            "init_scale is read by precision float16-heads, not by bfloat16",
        ),
        ({"ema_decay": 1.0}, "less than 1"),
    ],
)
def test_settings_that_nothing_reads_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Training(epochs=1, batch=1, peak_lr=0.1, **wrong)
