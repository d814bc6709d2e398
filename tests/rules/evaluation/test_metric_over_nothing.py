"""EVL006: rings where there is nothing to find, silent on rare classes and on losses that broke."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, check_runs, find_rule
from tocsin.run import Run

RULE = find_rule("EVL006")
NAN = float("nan")
FALLING = np.linspace(2, 1, 40)


def findings(**series):
    run = Run.of("r", series={k.replace("__", "/"): v for k, v in series.items()}, source="console")
    return check_run(run, [RULE]).findings


def test_a_conll_evaluation_without_phrases():
    (found,) = findings(val__support=[0], val__predicted=[0], val__f1=[0.0], val__accuracy=[69.18])
    assert (found.severity, found.subject) == ("error", "val")
    assert found.message == (
        "val: there is nothing to find in the evaluated data: support 0 in the only evaluation "
        "(predicted 0, accuracy 69.18, f1 0)"
    )


def test_it_explains_the_zero_metric():
    series = {"val/support": [0] * 6, "val/f1": [0.0] * 6, "val/loss": np.linspace(2, 1, 6)}
    report = check_runs([Run.of("r", series=series, source="csv")], select=["EVL"])
    assert [f.code for f in report.roots if f.severity != "note"] == ["EVL006"]
    assert "EVL001" in {f.code for f in report.findings}


def test_support_lost_on_the_way_is_a_warning_from_there():
    (found,) = findings(val__support=[300, 300, 0, 0], val__f1=[0.1, 0.2, 0, 0])
    assert (found.severity, found.step) == ("warning", 3)


def test_an_undefined_metric():
    (found,) = findings(val__auc=[NAN] * 3, val__loss=[0.7, 0.6, 0.5])
    assert found.message == (
        "val/auc is NaN in all 3 evaluations while val/loss is finite (0.5): "
        "it is undefined for targets of one class only"
    )
    assert "without ground truth" in findings(val__mAP=[-1.0, -1.0], train__loss=FALLING)[0].message


def test_a_tagger_that_says_minus_one():
    (found,) = findings(test__p=[-1.0, 0.0], test__r=[-1.0, -1.0], test__f=[-1.0, -1.0], train__loss=FALLING)
    assert (found.subject, found.severity) == ("test/r", "warning")
    assert not findings(test__p=[-1.0, 0.3], test__r=[0.0, 0.1], test__f=[-1.0, 0.1], train__loss=FALLING)
    assert not findings(test__r=[-1.0, -1.0], test__rmse=[0.4, 0.3], train__loss=FALLING)  # a correlation


def test_what_is_undefined_in_one_split_is_said_once():
    assert len(findings(val__f1=[NAN] * 3, val__recall=[NAN] * 3, val__loss=[0.7, 0.6, 0.5])) == 1


@pytest.mark.parametrize(("records", "severity"), [(1, "note"), (6, "warning")])
def test_rewards_of_no_episode(records, severity):
    (found,) = findings(episode_reward_mean=[NAN] * records, episodes_this=[0.0] * records)
    assert (found.severity, found.subject) == (severity, "episode_reward_mean")
    assert not findings(episode_reward_mean=[NAN, 3.0], episodes_this=[0.0, 4.0])


def test_an_evaluation_loss_of_nothing():
    assert "the mean over no batch" in findings(val__loss=[0.0, 0.0, 0.0], train__loss=FALLING)[0].message
    assert not findings(val__loss=[0.0, 0.0, 0.0], val__accuracy=[1.0, 1.0, 1.0], train__loss=FALLING)
    assert not findings(val__loss=[0.0, 0.0, 0.0], train__loss=FALLING * 1e-3)


@pytest.mark.parametrize(
    "series",
    [
        {
            "val__f1__MISC": [0.0] * 3,
            "val__support__MISC": [1] * 3,
            "val__support__PER": [40] * 3,
            "val__f1": [0.7] * 3,
        },
        {"val__support__MISC": [0] * 3, "val__support__PER": [40] * 3, "val__f1": [0.7] * 3},
        {"val__f1__cat": [NAN] * 3, "val__f1": [0.7] * 3, "val__loss": [1.0, 0.9, 0.8]},
        {"val__auc": [NAN] * 3, "val__loss": [NAN] * 3, "train__loss": [NAN] * 40},
        {"val__auc": [NAN, 0.7, 0.8], "val__loss": [1.0, 0.9, 0.8]},
        {"val__mAP_s": [-1.0] * 3, "val__mAP": [0.3] * 3, "train__loss": FALLING},
        {"val__f1": [0.0] * 3, "val__support": [220] * 3},
    ],
    ids=[
        "rare class",
        "absent class",
        "NaN of a class",
        "NaN run",
        "sanity check",
        "no small object",
        "learns nothing",
    ],
)
def test_neighbours_are_silent(series):
    assert not findings(**series)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_rings_exactly_when_the_last_support_is_zero(supports):
    found = findings(val__support=supports)
    assert bool(found) == (supports[-1] == 0)
    if found:
        assert (found[0].severity == "error") == (max(supports) == 0)


def test_a_metric_of_training_that_is_never_defined():
    columns = {"train__loss": FALLING[:8], "train__dice_coef": [NAN] * 8, "val__dice_coef": np.linspace(0.2, 0.6, 8)}
    (found,) = findings(**columns)
    assert (found.severity, found.subject) == ("warning", "train/dice_coef")
    assert not findings(**columns | {"train__dice_coef": [NAN] * 7 + [0.5]})
    assert not findings(**columns | {"train__loss": [1.0] * 7 + [NAN]})


def boxes(box=0.0, n=1, found=0.0, train=True, kind=3.0):
    terms = {f"{s}__loss__{t}": [box] * n for s in ("train", "val")[not train :] for t in ("box", "dfl")}
    terms |= {f"{s}__loss__cls": [kind] * n for s in ("train", "val")}
    return findings(**terms, **{f"val__{m}": [found] * n for m in ("mAP50", "recall")})


def test_box_terms_that_no_label_feeds():
    assert [f.severity for f in boxes()] == ["error"]
    assert [f.severity for f in boxes(train=False, n=3)] == ["warning"]
    assert not boxes(0.1)
    assert not boxes(found=0.3)
    assert not boxes(kind=0.0)
    assert not findings(train__loss__box=[0.0], train__loss__dfl=[0.0], train__loss__cls=[2.0])  # a single record


def test_an_accuracy_that_goes_from_all_to_nothing():
    (found,) = findings(val__accuracy=[1, 1, 0.98, 0.3, 0, 0, 0])
    assert (found.severity, found.subject) == ("warning", "val/accuracy")
    assert not findings(val__accuracy=[1, 1, 0, 0, 0, 1, 0])
    assert not findings(val__accuracy=[1, 0.98, 0.3, 0, 0])
