"""OBJ003: a term that never moves beside others that do; silent on what may stand still."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Event, Run

RULE = find_rule("OBJ003")
N = 400
FALL = 1.8 * np.exp(-np.arange(N) / 90) + 0.2
NOISE = np.random.default_rng(0).standard_normal(N)


def findings(term, values, total=True, events=(), split="train"):
    series = {f"{split}/loss/kind": FALL[: len(values)], f"{split}/loss/{term}": values}
    if total:
        series[f"{split}/loss"] = FALL[: len(values)] + values
    return check_run(Run.of("r", series=series, source="csv", events=tuple(events)), [RULE]).findings


def test_flat_at_chance():
    (found,) = findings("side", np.log(2) + 0.03 * NOISE)
    assert (found.severity, found.subject, found.step) == ("warning", "side", 1)
    assert found.message.startswith("train/loss/side is flat at ln 2 at 0.69")
    assert found.evidence[0].interval[0] < 0 < found.evidence[0].interval[1]


def test_exactly_constant_and_flat_and_large():
    (found,) = findings("side", np.full(N, 1.2345))
    assert "exactly constant" in found.message
    (found,) = findings("side", 1.31 + 0.03 * NOISE)
    assert " is flat at 1.3" in found.message
    assert findings("side", 1.31 + 0.03 * NOISE, total=False)


def test_a_term_of_zero_is_a_note_unless_the_run_speaks_of_missing_labels():
    assert [f.severity for f in findings("cls", np.zeros(N))] == ["note"]
    said = Event("warning", "WARNING: no labels found in train/labels.cache")
    assert [f.severity for f in findings("cls", np.zeros(N), events=[said])] == ["warning"]


def test_an_evaluation_term_of_few_epochs():
    series = {"val/loss/kind": FALL[:320:40], "val/loss/side": np.full(8, 0.6931)}
    assert check_run(Run.of("r", series=series, source="csv"), [RULE]).findings


@pytest.mark.parametrize(
    ("term", "values"),
    [
        ("side", 0.7 * np.exp(-np.arange(N) / 300) + 0.01 * NOISE),
        ("side", np.r_[np.zeros(N // 2), FALL[: N // 2]]),
        ("side", np.r_[0.4, 0.1, np.zeros(N - 2)]),
        ("side", np.full(N, 0.01)),
        ("side", 0.02 + 0.004 * NOISE),
        ("d_real", np.log(2) + 0.01 * NOISE),
        ("aux_balance", np.full(N, 1.0003)),
        ("l2_reg", 1.31 + 0.001 * NOISE),
        ("kl", np.linspace(0, 3, N)),
        ("side", 4 + 0.1 * NOISE),
        ("side", 0.6931 + 0.3 * NOISE + np.linspace(0.2, -0.2, N)),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_neighbours_are_silent(term, values):
    total = term != "side" or values[0] < 3
    series = {"train/loss": FALL if not total else FALL + values, "train/loss/kind": FALL, f"train/loss/{term}": values}
    series = {name: np.round(v, 2 if np.ptp(values) == 0 else 6) for name, v in series.items()}
    assert not check_run(Run.of("r", series=series, source="csv"), [RULE]).findings


def test_nothing_is_said_where_nothing_fell():
    keeper = check_run(Run.of("r", series={"train/loss/a": np.full(99, 0.7), "train/loss/b": np.full(99, 1.0)}), [RULE])
    assert not keeper.findings
    assert "OBJ003" in keeper.not_checked


@given(st.floats(0.05, 0.9), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_a_term_that_falls_is_never_dead(share, seed):
    noise = np.random.default_rng(seed).standard_normal(N)
    assert not findings("side", np.linspace(1, 1 - share, N) * (1 + 0.02 * noise) * 0.9)


def detector(n, box=0.0, **more):
    terms = {"iou": np.full(n, box), "dfl": np.zeros(n), "cls": 0.0113 * np.ones(n)}
    series = {f"train/loss/{k}": v for k, v in terms.items()}
    return check_run(Run.of("r", series={**series, **more}, source="csv"), [RULE]).findings


def test_box_terms_of_zero_beside_one_that_is_not():
    (found,) = detector(9)
    assert (found.severity, found.subject) == ("warning", "iou")
    assert found.message.startswith("train/loss/iou, train/loss/dfl are exactly 0 in all 9 records: no box was matched")
    assert [f.severity for f in detector(2)] == ["note"]
    assert not detector(9, box=0.4)
    assert not detector(1)


def test_a_total_of_zero_in_each_record():
    def said(*values, **more):
        run = Run.of("r", series={"train/loss": values, **more}, source="csv")
        return [f.severity for f in check_run(run, [RULE]).findings]

    assert said(*[0.0] * 6) == ["note"]
    assert said(*[0.0] * 4) == said(0.1, *[0.0] * 6) == []
    assert said(*[0.0] * 6, **{"grad/norm": [1.0] + [np.nan] * 5}) == []
    assert said(*[0.0] * 6, **{"train/loss/kl": [0.1] * 6}) == []
    assert said(*[0.0] * 6, episode_reward=[0.1] * 6) == []
