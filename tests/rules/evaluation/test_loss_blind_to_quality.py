"""EVL002: the score worsens under a content loss; silent where they agree, wander or trade places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tocsin.engine import check_run, find_rule
from tocsin.rules.evaluation import loss_blind_to_quality as module
from tocsin.run import Run

RULE = find_rule("EVL002")
E = np.arange(24.0)


def wobble(seed, sd=1.0):
    return sd * np.random.default_rng(seed).standard_normal(E.size)


def findings(**series):
    named = {f"val/{k}": v for k, v in series.items()}
    return check_run(Run.of("r", series=named, source="csv"), [RULE]).findings


def test_the_score_sinks_under_a_flat_or_falling_loss():
    (found,) = findings(loss=0.52 + wobble(0, 0.003), r2=-0.02 - 0.008 * E + wobble(1, 0.01))
    assert (found.severity, found.subject) == ("warning", "val/r2")
    (found,) = findings(loss=0.8 - 0.01 * E + wobble(0, 0.003), accuracy=80 - 0.6 * E + wobble(1, 0.8))
    assert found.evidence[0].interval[1] < 0
    assert "rank agreement -" in found.message


def test_a_later_half_counts():
    up = np.minimum(E, 12) * 0.03 - np.maximum(E - 12, 0) * 0.02
    (found,) = findings(loss=2 * np.exp(-E / 10), accuracy=0.3 + up + wobble(2, 0.004))
    assert found.step == 13


def test_an_over_confident_improvement_is_a_note():
    (found,) = findings(loss=0.5 + 0.02 * E + wobble(0, 0.01), accuracy=0.7 + 0.005 * E + wobble(1, 0.004))
    assert found.severity == "note"


@pytest.mark.parametrize(
    "series",
    [
        {"loss": 2 * np.exp(-E / 8), "accuracy": 1 - 0.7 * np.exp(-E / 8) + wobble(0, 0.01)},
        {"loss": 0.5 + wobble(0, 0.02), "accuracy": 0.8 + wobble(1, 0.02)},
        {"loss": 0.5 - 0.01 * E, "accuracy": 0.9 - 0.0005 * E + wobble(1, 0.002)},
        {"loss": 0.5 - 0.01 * E, "precision": 0.9 - 0.01 * E, "recall": 0.5 + 0.01 * E},
        {"loss": 0.5 - 0.01 * E, "auc": 0.9 - 0.01 * E, "f1": 0.5 + 0.01 * E},
        {"loss": 0.5 + 0.02 * E, "accuracy": 0.9 - 0.01 * E},
        {"loss": [3, 2, 1.0], "accuracy": [0.9, 0.8, 0.7]},
        {"loss": 2 * np.exp(-E / 8), "wer": 0.9 * np.exp(-E / 8)},
    ],
    ids=["agree", "noise", "a little", "trade", "two scores", "both worse", "short", "error rate"],
)
def test_neighbours_are_silent(series):
    assert not [f for f in findings(**series) if f.severity != "note"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=40))
@settings(max_examples=60, deadline=None)
def test_agreement_is_spearmans(pairs):
    loss, quality = np.array(pairs, float).T
    if np.ptp(loss) == 0 or np.ptp(quality) == 0:
        return
    pair = module.Pair("", "", np.arange(loss.size), loss, quality, quality)
    assert np.isclose(module._agreement(pair)[0], spearmanr(-loss, quality).statistic, atol=2e-4)


def test_noise_of_either_kind_rings_seldom(record_property):
    rung, rng = 0, np.random.default_rng(4)
    for _ in range(100):
        n, rho = int(rng.integers(8, 40)), rng.choice([0, 0.6])
        walk = rng.standard_normal((2, n))
        for k in range(1, n):
            walk[:, k] += rho * walk[:, k - 1]
        rung += any(f.severity == "warning" for f in findings(loss=0.5 + 0.02 * walk[0], accuracy=0.7 + 0.03 * walk[1]))
    record_property("figure", f"EVL002: {rung} of 100 pairs of independent flat curves rang")
    assert rung <= 3


def test_scores_that_all_sink_while_only_the_training_loss_is_known():
    sink = {"acc": 0.91 - 0.003 * E, "nmi": 0.86 - 0.005 * E, "ari": 0.82 - 0.006 * E}
    columns = {k: v + wobble(i, 0.001) for i, (k, v) in enumerate(sink.items())}

    def told(**changed):
        series = {"train/loss": np.linspace(50, 1, 200), **columns, **changed}
        return check_run(Run.of("r", series=series, source="console"), [RULE]).findings

    (found,) = told()
    assert (found.severity, found.subject) == ("warning", "ari")
    assert not told(nmi=0.6 + 0.004 * E)
    assert not told(**{"train/loss": np.linspace(1, 50, 200)})
    assert not told(**{k: 0.9 + wobble(i, 0.01) for i, k in enumerate(columns)})
