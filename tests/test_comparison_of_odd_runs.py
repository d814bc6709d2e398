"""Runs as people have them: other spellings, percent, NaN, nothing told, equal names, given twice, many arms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats as reference

import tocsin
from tocsin import stats
from tocsin.comparison import compare
from tocsin.run import Run


def run(name, told=None, **series):
    named = {key.replace("__", "/"): value for key, value in series.items()}
    return Run.of(name, series=named, config=told or {})


def written(folder, lr, score):
    folder.mkdir(parents=True)
    rows = [{"epoch": e, "train/loss": 2 / e, "val/accuracy": score} for e in (1, 2)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.yaml").write_text(f"lr: {lr}\n")
    return folder


def test_two_spellings_of_one_score_are_one():
    found = compare([run("a", {"lr": 1}, val__accuracy=[0.5]), run("b", {"lr": 2}, val__acc=[0.6])])
    assert (found.metric, found.contrasts[0].difference) == ("val/accuracy", pytest.approx(0.1))
    again = compare([run("a", {"lr": 1}, val__accuracy=[0.5]), run("b", {"lr": 2}, val__acc=[0.6])], metric="val/acc")
    assert again.metric == "val/accuracy"


def test_a_class_or_another_average_is_another_score():
    found = compare([run("a", {"lr": 1}, val__f1_macro=[0.5]), run("b", {"lr": 2}, val__f1_micro=[0.6])])
    assert (found.metric, found.contrasts[0].verdict) == (None, "no-score")


def test_percent_beside_fractions_are_fractions_and_percent_alone_stay():
    first, percent = run("a", {"lr": 1}, val__accuracy=[0.5]), run("b", {"lr": 2}, val__accuracy=[60.0])
    assert compare([first, percent]).arms[1].scores == (pytest.approx(0.6),)
    both = compare([run("a", {"lr": 1}, val__accuracy=[50.0]), percent])
    assert both.contrasts[0].difference == pytest.approx(10)


def test_a_run_without_a_finite_score_does_not_cost_the_others_theirs():
    runs = [
        run("a", {"lr": 1}, val__accuracy=[0.5]),
        run("dead", {"lr": 2}, val__accuracy=[np.nan, np.nan]),
        run("bare", {"lr": 3}, train__loss=[1.0]),
        run("b", {"lr": 4}, val__accuracy=[0.6, np.nan]),
    ]
    found = compare(runs)
    assert [c.verdict for c in found.contrasts] == ["no-score", "no-score", "unsized"]
    assert found.contrasts[0].sentence == "dead against a: no val/accuracy in dead"
    assert found.contrasts[2].difference == pytest.approx(0.1)


def test_the_score_that_most_runs_have_comes_first_and_losses_last():
    runs = [
        run("a", {"lr": 1}, val__accuracy=[0.5], val__f1=[0.4], val__loss=[1.0]),
        run("b", {"lr": 2}, val__f1=[0.5], val__loss=[0.9]),
        run("c", {"lr": 3}, val__accuracy=[0.6], val__f1=[0.6], val__loss=[0.8]),
    ]
    assert compare(runs).metrics == ("val/f1", "val/accuracy", "val/loss")


def test_where_nothing_but_losses_is_shared_the_lowest_is_taken():
    found = compare([run("a", {"lr": 1}, val__loss=[1.0, 0.8, 0.9]), run("b", {"lr": 2}, val__loss=[1.0, 0.5])])
    assert (found.metric, [arm.scores for arm in found.arms]) == ("val/loss", [(0.8,), (0.5,)])
    assert [arm.steps for arm in found.arms] == [(2,), (2,)]


def test_runs_that_tell_nothing_are_no_repetitions_of_each_other():
    found = compare([run(name, {}, val__accuracy=[0.5]) for name in "abc"])
    assert [arm.runs for arm in found.arms] == [("a",), ("b",), ("c",)]


def test_what_one_alone_tells_may_differ_and_is_said():
    first = [run(f"a{k}", {"lr": 1, "seed": k}, val__accuracy=[0.5 + k / 100]) for k in range(3)]
    other = [run(f"b{k}", {"lr": 2, "warmup": 500, "seed": k}, val__accuracy=[0.7 + k / 100]) for k in range(3)]
    (contrast,) = compare(first + other).contrasts
    assert contrast.verdict == "attributed"
    assert contrast.untold == {"warmup": ("none", "500")}
    assert contrast.sentence.endswith(
        "lr is the only setting that differs; told by one of them alone, so they may differ: warmup"
    )


def test_a_difference_without_any_setting_is_unexplained():
    samples = {"val_samples": 4000, "lr": 1}
    runs = [run("a", {**samples, "seed": 1}, val__accuracy=[0.5]), run("b", samples, val__accuracy=[0.6])]
    assert compare(runs).contrasts[0].verdict == "unexplained"


def test_one_run_that_is_given_twice_is_one(tmp_path):
    first = written(tmp_path / "runs" / "first", 1, 0.5)
    written(tmp_path / "runs" / "other", 2, 0.6)
    written(tmp_path / "runs" / "another", 3, 0.7)
    found = compare([first, tmp_path / "runs"])
    assert [arm.runs for arm in found.arms] == [("first",), ("another",), ("other",)]
    with pytest.raises(ValueError, match="each counted once, got 1"):
        compare([first, first])


def test_equal_names_get_the_folders_that_tell_them_apart(tmp_path):
    paths = [written(tmp_path / day / "run", lr, 0.5) for lr, day in enumerate(("monday", "tuesday"), 1)]
    assert [arm.runs for arm in compare(paths).arms] == [("monday/run",), ("tuesday/run",)]
    runs = [run("x", {"lr": lr}, val__accuracy=[0.5]) for lr in (1, 2, 3)]
    assert [arm.runs for arm in compare(runs).arms] == [("x",), ("x (2)",), ("x (3)",)]


def test_a_label_space_of_a_task_corrects_the_score_of_that_task_alone():
    runs = [
        run("a", {"num_snr_classes": 9}, val__accuracy=[0.07], val__snr_accuracy=[0.1282]),
        run("b", {"num_snr_classes": 16}, val__accuracy=[0.46], val__snr_accuracy=[0.6279]),
    ]
    (contrast,) = compare(runs).contrasts
    assert contrast.beyond_chance == ("val/snr_accuracy 0.1282 against 0.6279 is 0.019 against 0.603",)
    alone = [run(r.name, {"num_pet_classes": k}, val__accuracy=[0.5]) for r, k in zip(runs, (2, 4), strict=True)]
    assert len(compare(alone).contrasts[0].beyond_chance) == 1


def arms(rng, scores, seeds, spread=0.02):
    return [
        run(f"arm{a}-{s}", {"lr": a + 1, "seed": s}, val__accuracy=[score + rng.normal(0, spread)])
        for a, score in enumerate(scores)
        for s in range(seeds)
    ]


def test_many_equal_arms_hold_a_false_cause_as_seldom_as_one_pair():
    """Twelve arms, three seeds: some interval misses 0 in at most 5 % of the comparisons, not in 45 %."""
    rng = np.random.default_rng(0)
    false = sum(
        any(c.verdict != "within-noise" for c in compare(arms(rng, [0.5] * 12, 3)).contrasts) for _ in range(120)
    )
    assert false <= 120 * 0.05 + 2 * np.sqrt(120 * 0.05 * 0.95)


def test_few_seeds_take_the_spread_of_all_arms_and_find_what_is_large():
    rng = np.random.default_rng(1)
    found = compare(arms(rng, [0.5, *[0.5] * 10, 0.6], 3))
    assert found.contrasts[-1].verdict == "attributed"
    low, high = found.contrasts[-1].interval
    assert low < 0.1 < high
    pooled = np.sqrt(np.mean([np.var(arm.scores, ddof=1) for arm in found.arms]))
    assert (high - low) / 2 == pytest.approx(
        reference.t.ppf(0.5 + found.each / 2, 24) * pooled * np.sqrt(2 / 3), rel=0.01
    )


@pytest.mark.parametrize("freedom", [2, 4, 24])
def test_students_quantile_holds_for_the_confidence_of_one_of_many(freedom):
    each = 1 - 0.05 / 50
    assert stats.t_of(each, freedom) == pytest.approx(reference.t.ppf(0.5 + each / 2, freedom), rel=0.03)


def test_the_public_name_takes_paths(tmp_path):
    written(tmp_path / "a", 1, 0.5)
    written(tmp_path / "b", 2, 0.6)
    assert tocsin.compare(tmp_path).contrasts[0].settings == {"lr": ("1", "2")}
