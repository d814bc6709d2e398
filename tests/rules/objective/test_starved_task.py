"""OBJ002: fires where a task loses its weight and its score stalls or falls, silent on weights that merely move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.ingredients import classified
from tocsin.engine import check_run, find_rule
from tocsin.run import Run, Series

RULE = find_rule("OBJ002")
STEPS, AT = np.arange(1, 401), np.arange(20, 401, 20)
DRIFT = 1 / (1 + np.exp(-(STEPS - 200) / 60))
RISING = 1 - np.exp(-AT / 150)
FALLING = np.where(AT < 160, 0.002 * AT, 0.32 - 0.0004 * (AT - 160))
STALLED = np.minimum(0.002 * AT, 0.27) + 0.001 * np.sin(AT)
LATER = np.minimum(0.0015 * AT, 0.3) + 0.001 * np.sin(AT)


def findings(run):
    return check_run(run, [RULE]).findings


def run_of(easy=RISING, hard=FALLING, lost=0.45, **series):
    scores = {f"val/{k}/accuracy": Series.of(k, v, step=AT) for k, v in {"easy": easy, "hard": hard}.items()}
    weights = {"weight/easy": 0.5 + lost * DRIFT, "weight/hard": 0.5 - lost * DRIFT}
    return Run.of("r", series={**weights, **scores, **series})


def test_a_score_that_falls_with_its_weight():
    (found,) = findings(run_of())
    assert found.message == (
        "hard went from 47.8 to 7.12 % of the weights, and since step 137 its score falls (best 0.32, now 0.232, by "
        "val/hard/accuracy)"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "hard", 137)


def test_a_stall_is_a_warning_where_the_share_is_small_and_room_is_left():
    (found,) = findings(run_of(hard=STALLED))
    assert (found.severity, found.subject) == ("warning", "hard")
    (found,) = findings(run_of(hard=LATER, lost=0.2))
    assert found.severity == "note"
    (found,) = findings(run_of(hard=STALLED * 3))
    assert found.severity == "note", "most of what there is"


@pytest.mark.parametrize(
    "run",
    [
        run_of(hard=RISING),
        run_of(hard=STALLED, easy=np.minimum(RISING, 0.5)),
        run_of(lost=0.05),
        run_of(lost=-0.4, easy=RISING, hard=RISING),
        run_of(hard=0.5 + 0.03 * np.sin(7.0 * AT)),
    ],
    ids=["both learn", "both saturate", "little drift", "gains", "flat throughout"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_weights_are_fitted_where_none_was_logged():
    rng = np.random.default_rng(0)
    a, b = (np.exp(0.2 * rng.standard_normal(400)) for _ in range(2))
    easy, hard = 0.5 + 0.45 * DRIFT, 0.5 - 0.45 * DRIFT
    logged = run_of().series
    scores = {k: v for k, v in logged.items() if k.startswith("val/")}
    exact = {"train/loss": easy * a + hard * b, "train/loss/easy": a, "train/loss/hard": b}
    keeper = check_run(Run.of("r", series={**exact, **scores}), [RULE])
    stepwise = np.repeat([0.5, 0.5, 0.5, 0.39, 0.3, 0.2, 0.1, 0.06], 50)  # constant within the stretches of the fit
    total = (1 - stepwise) * a + stepwise * b
    (found,) = findings(Run.of("r", series={**exact, "train/loss": total, **scores}))
    assert "hard went from 50 to 6" in found.message
    assert not keeper.findings
    assert found.evidence[0].source == "train/loss/hard"


def test_recorded_evaluations_come_first():
    rng = np.random.default_rng(1)
    skills = np.where(AT < 160, AT / 100, 1.6 - (AT - 160) / 200)
    evaluations = tuple(classified(rng, int(s), k, task="hard") for s, k in zip(AT, skills, strict=True))
    run = Run.of("r", series=run_of(hard=RISING).series, evaluations=evaluations)
    (found,) = findings(run)
    assert found.evidence[1].source == "evaluation:val/hard"


@pytest.mark.parametrize("missing", ["weight/easy", "val/hard/accuracy"])
def test_without_weights_or_scores_it_does_not_ring(missing):
    run = run_of()
    series = {k: v for k, v in run.series.items() if k != missing}
    assert not findings(Run.of("r", series=series))


def test_few_evaluations_are_not_checked():
    short = {k: (v if k.startswith("weight") else v[:6]) for k, v in run_of().series.items()}
    keeper = check_run(Run.of("r", series=short), [RULE])
    assert "10 evaluations" in keeper.not_checked["OBJ002"].reason


@given(st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_the_scale_of_the_weights_does_not_matter(scale):
    run = run_of()
    scaled = {k: scale * v.value for k, v in run.series.items() if k.startswith("weight/")}
    (found,) = findings(Run.of("r", series={**run.series, **scaled}))
    assert found.message == findings(run)[0].message
