"""EVL003: what is kept against what was best; silent within the luck of the best of n."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Event, Run, Series

RULE = find_rule("EVL003")
E = np.arange(20.0)
SCORE = 0.85 - 0.5 * np.exp(-E / 5) + 0.004 * (E % 2)
LOSS = 0.6 - 0.02 * np.minimum(E, 4) + 0.02 * np.maximum(E - 4, 0)


def findings(series, events=(), **config):
    run = Run.of("r", series=series, source="csv", events=tuple(events), config=config)
    return check_run(run, [RULE]).findings


def test_best_by_loss_is_a_note_without_a_word_about_the_selection():
    (found,) = findings({"val/loss": LOSS, "val/accuracy": SCORE})
    assert (found.severity, found.step) == ("note", 5)
    assert "the lowest evaluation loss" in found.message


def test_a_kept_checkpoint_that_is_worse_is_a_warning():
    for data in ({"step": 5}, {"epoch": 5.0}):
        best = Event("best", "saving best model", 5, data=data)
        (found,) = findings({"val/loss": LOSS, "val/accuracy": 100 * SCORE}, [best])
        assert (found.severity, found.step) == ("warning", 5)
    assert not findings({"val/loss": LOSS, "val/accuracy": SCORE}, [Event("best", "", 20, data={"step": 20})])


def test_scores_of_parts_must_agree_that_another_checkpoint_is_better():
    """None of them is known to count: one that is worse at the other checkpoint makes it a matter of taste."""
    best = [Event("best", "best val/weighted_loss", 5)]
    series = {"val/joint_accuracy": SCORE, "val/snr_accuracy": SCORE - 0.02, "val/modulation_accuracy": SCORE + 0.01}
    (found,) = findings(series, best)
    assert (found.severity, found.step, found.subject) == ("warning", 5, "val/joint_accuracy")
    assert "kept by the log's word (best val/weighted_loss)" in found.message
    assert not findings({**series, "val/modulation_accuracy": 0.9 - 0.01 * E}, best)
    assert not findings(series)
    assert not findings(series, [Event("best", "", 20)])


def moving(weights, a=None, b=None):
    """A total of two terms that fall, kept at its least, with nothing else recorded."""
    a, b = (0.4 + 0.6 * np.exp(-E / 6) if a is None else a), (0.2 + 1.3 * np.exp(-E / 8) if b is None else b)
    total = weights * a + b
    best = Event("best", "best val/total_loss", int(np.argmin(total)) + 1, data={"metric": "val/total_loss"})
    series = {"val/total_loss": total, "val/loss/a": a, "val/loss/b": b}
    return findings({name: Series.of(name, v, step=np.arange(1, 21)) for name, v in series.items()}, [best])


def test_a_total_that_rises_while_its_terms_fall_was_weighted_anew():
    (found,) = moving(1 / (0.4 + 0.6 * np.exp(-E / 6)) ** 2)
    assert (found.severity, found.subject) == ("warning", "val/total_loss")
    assert "although every term of the loss is lower at that one (a " in found.message
    assert found.message.startswith("kept at step ")
    assert found.message.endswith("its weights moved, or a term that is not recorded rose")


def test_totals_of_fixed_weights_and_terms_that_disagree_are_silent():
    assert not moving(np.ones(20))
    assert not moving(1 + 0.1 * E, a=0.5 + 0.01 * E)  # one term rises: whoever weighs it more is right


def kept_by(name, values, *, step=None, data=None, **terms):
    at = np.arange(1, 21) if step is None else step
    best = Event("best", f"best {name}", int(at[int(np.argmin(values))]), data={"metric": name, **(data or {})})
    series = {name: Series.of(name, values, step=at)}
    series |= {f"val/loss/{k}": Series.of(f"val/loss/{k}", v, step=np.arange(1, 21)) for k, v in terms.items()}
    return findings(series, [best])


FALLING = {"a": 0.4 + 0.6 * np.exp(-E / 6), "b": 0.2 + 1.3 * np.exp(-E / 8)}
TURNS = 0.3 + 0.002 * (E - 8) ** 2


def test_what_is_no_sum_of_these_terms_is_left_alone():
    assert kept_by("val/total_loss", TURNS, **FALLING)
    assert not kept_by("val/wer", TURNS, **FALLING)  # early stopping by a score
    assert not kept_by("val/joint_nll", TURNS, **FALLING)
    assert not kept_by("val/total_loss", TURNS, step=np.arange(100, 2100, 100), **FALLING)  # on other steps
    entropy = {**FALLING, "entropy": 1.5 - 0.04 * E + 0.01 * np.sin(E)}
    total = 0.2 * entropy["a"] + 0.1 * entropy["b"] - 0.5 * entropy["entropy"]  # a negative weight, but a fixed one
    assert not kept_by("val/loss", total, **entropy)


@given(seed=st.integers(0, 2**16), spread=st.floats(0, 0.05))
@settings(max_examples=50, deadline=None)
def test_law_fixed_weights_never_ring(seed, spread):
    noise = spread * np.random.default_rng(seed).standard_normal((2, 20))
    assert not moving(np.full(20, 2.0), a=0.5 + noise[0], b=0.3 + noise[1])


def test_the_training_loss_is_monitored():
    late = np.where(E > 8, 0.8 - 0.02 * (E - 8), SCORE) + 0.002 * (E % 2)
    series = {"train/loss": 1 - 0.04 * E, "val/loss": LOSS, "val/accuracy": late}
    (found,) = findings(series, checkpoint={"monitor": "loss"})
    assert found.severity == "warning"
    assert found.evidence[-1].source == "config:checkpoint.monitor"


@pytest.mark.parametrize(
    "config",
    [
        {"metric_for_best_model": "eval_accuracy", "greater_is_better": False},
        {"monitor": "val_loss", "mode": "max"},
        {"callbacks": {"early": {"monitor": "val_f1", "mode": "min"}}},
    ],
)
def test_the_wrong_direction(config):
    (found,) = findings({"val/loss": LOSS, "val/accuracy": SCORE}, **config)
    assert found.severity == "warning"
    assert "the worst one is kept" in found.message


@pytest.mark.parametrize(
    "config",
    [
        {"monitor": "val_loss", "mode": "min"},
        {"monitor": "val_acc", "mode": "auto"},
        {"monitor": "score", "mode": "min"},
        {"metric_for_best_model": "loss", "greater_is_better": None},
    ],
)
def test_right_or_unknown_directions_are_silent(config):
    assert not findings({"val/loss": LOSS[::-1], "val/accuracy": SCORE}, **config)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=40), st.sampled_from([1, 100]))
@settings(max_examples=60, deadline=None)
def test_keeping_the_best_is_never_wrong_and_the_worst_of_a_steady_climb_is(values, scale):
    score = scale * np.array(values) / 1000
    kept = Event("best", "", int(np.argmax(score)) + 1)
    assert not findings({"val/accuracy": score}, [kept])
    climb = scale * np.linspace(0.2, 0.9, len(values) + 12)
    assert findings({"val/accuracy": climb}, [Event("best", "", 1)])


def test_luck_of_the_best_is_allowed_for(record_property):
    rng, rung = np.random.default_rng(5), 0
    for _ in range(200):
        n = int(rng.integers(6, 60))
        accuracy = np.round(0.8 + 0.02 * rng.standard_normal(n), 4)
        kept = Event("best", "", int(rng.integers(1, n + 1)))
        rung += bool(findings({"val/accuracy": accuracy}, [kept]))
    record_property("figure", f"EVL003: {rung} of 200 random choices among equal checkpoints rang")
    assert rung <= 10
