"""Runs beside each other: arms, noise, and what may be said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as reference

from corpus.seeds import constellation
from tocsin.comparison import compare
from tocsin.comparison.contrasts import welch
from tocsin.run import Run


def run(name, score, n=0, **config):
    told = {"val_samples": n} if n else {}
    return Run.of(name, series={"val/accuracy": [score]}, config={**told, **config})


def seeds(arm, scores, **config):
    return [run(f"{arm}-{k}", score, seed=k, **config) for k, score in enumerate(scores)]


def verdicts(runs, **how):
    return [contrast.verdict for contrast in compare(runs, **how).contrasts]


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    for sizes in [(2, 2), (3, 5), (10, 4)]:
        a, b = (rng.normal(k, 1 + k, size) for k, size in enumerate(sizes))
        told = reference.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
        assert welch(a, b, 0.95) == pytest.approx((told.low, told.high), rel=0.02, abs=0.02)


def test_one_setting_with_seeds_on_both_sides_is_the_cause():
    runs = seeds("a", [0.50, 0.51, 0.49], lr=1e-3) + seeds("b", [0.60, 0.61, 0.59], lr=1e-4)
    found = compare(runs)
    assert [arm.runs for arm in found.arms] == [("a-0", "a-1", "a-2"), ("b-0", "b-1", "b-2")]
    (contrast,) = found.contrasts
    assert (contrast.verdict, contrast.basis) == ("attributed", "seeds")
    assert contrast.interval[0] < 0.1 < contrast.interval[1]
    assert contrast.settings == {"lr": ("0.001", "0.0001")}


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (seeds("b", [0.50, 0.52, 0.49], lr=1e-4), "within-noise"),
        (seeds("b", [0.60, 0.61, 0.59], lr=1e-4, model="swin"), "confounded"),
        (seeds("b", [0.60, 0.61, 0.59], lr=1e-4, num_classes=5), "different-question"),
    ],
)
def test_what_is_near_it_is_not(second, verdict):
    first = seeds("a", [0.50, 0.51, 0.49], lr=1e-3, model="resnet", num_classes=10)
    second = [
        Run.of(r.name, series=r.series, config={"model": "resnet", "num_classes": 10, **r.config}) for r in second
    ]
    assert verdicts(first + second) == [verdict]


def test_one_seed_an_arm_is_never_a_cause():
    assert verdicts([run("a", 0.5, 4000, lr=1e-3), run("b", 0.6, 4000, lr=1e-4)]) == ["one-seed"]
    assert verdicts([run("a", 0.5, 4000, lr=1e-3), run("b", 0.505, 4000, lr=1e-4)]) == ["within-noise"]
    assert verdicts([run("a", 0.5, lr=1e-3), run("b", 0.6, lr=1e-4)]) == ["unsized"]


def test_equal_arms_are_false_causes_at_the_stated_rate():
    rng = np.random.default_rng(1)
    told = [
        verdicts(seeds("a", rng.normal(0.5, 0.02, 3), lr=1) + seeds("b", rng.normal(0.5, 0.02, 3), lr=2))
        for _ in range(400)
    ]
    assert sum(v == ["attributed"] for v in told) <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


def test_runs_that_share_no_score_are_said_to():
    runs = [Run.of("a", series={"train/loss": [1.0]}, config={"lr": 1}), run("b", 0.5, lr=2)]
    assert verdicts(runs) == ["no-score"]


@pytest.mark.parametrize(
    ("runs", "how", "message"),
    [
        ([run("a", 0.5)], {}, "at least two runs"),
        ([run("a", 0.5), run("b", 0.5)], {"metric": "val/f1"}, "they share val/accuracy"),
        ([run("a", 0.5), run("b", 0.5)], {"confidence": 95}, "between 0 and 1"),
    ],
)
def test_a_mistake_is_said(runs, how, message):
    with pytest.raises(ValueError, match=message):
        compare(runs, **how)


def test_report_000_alpha():
    """ "alpha .5 is optimal": the learning rate differs as well."""
    found = compare([constellation.super_plasma_180(), constellation.honest_silence_181()])
    assert found.contrasts[0].sentence == (
        "honest-silence-181 against super-plasma-180: val/accuracy -0.43, but 2 settings differ (alpha: 0.5 against 1; "
        "max_lr: 0.0001 against 5e-05): none of them can be named as the cause"
    )


def test_report_000_label_spaces():
    """ "64.8 % improvement 27.58 -> 45.45": 442 classes against 272."""
    (contrast,) = compare([constellation.vague_wave_153(), constellation.iconic_serenity_164()]).contrasts
    assert contrast.verdict == "different-question"
    assert contrast.questions["num_classes"] == ("442", "272")
    assert contrast.beyond_chance == ("val/accuracy 27.58 against 46.53 is 0.274 against 0.463",)
