"""The tables of the study ``constellation`` without its runs: arms that can be built, numbers that become a page."""

from __future__ import annotations

import arm_goals
import arm_page
import arm_runs
import pytest
from arms import ARMS

SCORES = {
    "joint": 0.76, "modulation": 0.8, "snr": 0.9, "one_bin": 0.99, "snr_high": 0.95, "mae_db": 0.2, "nll": 0.6,
    "ece": 0.02, "attractor": 1.1, "attractor_by_epoch": [2.0, 1.1], "cpu_s": 100.0,
    "checkpoint_epoch": 12, "alarms": [],
}  # fmt: skip


def runs(arm, *joints, **more):
    return [{"arm": arm, "seed": seed, **SCORES, "joint": joint, **more} for seed, joint in enumerate(joints)]


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_has_a_configuration(name):
    plain = arm_runs.configuration(name)
    assert plain["training"]["epochs"] > 0
    assert ARMS[name].table in arm_page.TABLES


def test_arms_of_one_table_differ_and_are_held_against_one_of_it():
    settings = [str(arm_runs.configuration(name)) for name in ARMS]
    assert len(set(settings)) == len(settings)
    assert all(a.against is None or ARMS[a.against].table == a.table for a in ARMS.values())


def test_mean_and_range_of_seeds():
    assert arm_page.spread([0.5, 0.7, 0.6], lambda v: f"{v:.2f}") == "0.60 [0.50, 0.70]"
    assert arm_page.spread([0.5], lambda v: f"{v:.2f}") == "0.50"


def test_page_holds_what_was_trained_and_its_ceilings_alone():
    contrast = {
        "arm": "conditional", "against": "short", "metric": "test/joint_accuracy", "difference": 0.02,
        "interval": [0.01, 0.03], "verdict": "attributed", "seeds": [3, 3],
    }  # fmt: skip
    found = {
        "runs": runs("short", 0.7, 0.72) + runs("conditional", 0.73),
        "ceilings": {"synchronous": [{"ceiling": "oracle", "joint": 0.8}]},
        "contrasts": [contrast],
    }
    text = arm_page.page(found)
    assert arm_page.TABLES["ablations"] in text
    assert arm_page.TABLES["synchronous"] not in text
    assert "| 0.710 [0.700, 0.720] |" in text
    assert "| joint | +0.020 | [+0.010, +0.030] | beyond noise, by this setting |" in text
    few = arm_page.page({**found, "contrasts": [{**contrast, "seeds": [3, 1]}]})
    assert "| joint | +0.020 | [+0.010, +0.030] | too few seeds to claim |" in few


def test_attractors_by_epoch_and_summary_show_the_long_arms():
    found = {
        "runs": runs("short", 0.7) + runs("image", 0.2, 0.3),
        "ceilings": {"oversampled": [{"ceiling": "floor", "snr": 0.99}]},
    }
    assert "| oversampled | image of the samples alone | 2.00 1.10 |" in arm_page.page({**found, "contrasts": []})
    text = arm_page.summary(found)
    assert "| oversampled: image of the samples alone | 2 | 0.250 [0.200, 0.300] |" in text
    assert "| oversampled: floor | - | - | - | 0.990 | - | - |" in text
    assert "cross-entropy" not in text


def test_a_run_is_kept_while_its_settings_are_the_same():
    kept = arm_runs.configuration("short")
    assert arm_runs.still(kept, {**kept, "later": 1})
    assert not arm_runs.still(kept, arm_runs.configuration("emd2"))
    assert not arm_runs.still({**kept, "gone": 1}, kept)


def test_goals_are_of_means_and_an_alarm_misses_one():
    good = runs("synchronous", 0.76, 0.74, 0.77)
    assert arm_goals.missed(good, 0.8) == []
    (far,) = arm_goals.missed(runs("synchronous", 0.76, 0.74, 0.74), 0.8)
    assert far.startswith("synchronous: joint below the oracle")
    (slow,) = arm_goals.missed(runs("features", 0.9, 0.9, cpu_s=130.0), 0.8)
    assert "CPU" in slow
    assert arm_goals.missed(runs("features", 0.9, alarms=["PRD001 snr"]), 0.8) == ["features 0: check says PRD001 snr"]
    assert arm_goals.missed(runs("image", 0.2, alarms=["PRD006 val/snr/spectral floor"]), 0.8) == []
    assert arm_goals.missed(runs("image", 0.2), 0.8) == ["image 0: check says nothing"]
