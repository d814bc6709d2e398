"""EVL001: fires where the logged metric is not that of the predictions, silent on every honest way to compute one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Moments, Run, Series

RULE = find_rule("EVL001")
ABR = [41391, 417, 5513, 1715, 2925]
FALL = [20.3035, 14.1, 10.2, 7.7, 6.0, 4.9, 4.1, 3.4, 2.9, 2.5959]


def findings(run):
    return check_run(run, [RULE]).findings


def classifier(seed=0, n=400, classes=4, skill=0.6):
    """Target and prediction: right with probability ``skill``, else any class; a skewed prior."""
    rng = np.random.default_rng(seed)
    target = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    return target, np.where(rng.random(n) < skill, target, rng.integers(classes, size=n))


def confusion(target, prediction, classes=4):
    dense = np.zeros((classes, classes), int)
    np.add.at(dense, (target, prediction), 1)
    return Confusion.of(dense)


def logging(name, values, dense=None, task="main", kind="classes", split="val", other=()):
    """A run whose evaluations log ``name``; the metric stands on the evaluation and as a series."""
    matrix = confusion(*classifier()) if dense is None else dense
    evaluations = []
    for k, value in enumerate(values):
        evaluations.append(Evaluation(split, task, k + 1, kind, matrix.n, confusion=matrix, metrics={name: value}))
        evaluations += [Evaluation(split, t, k + 1, kind, matrix.n, confusion=matrix) for t in other]
    return Run.of("r", evaluations=tuple(evaluations), series={name: values}, exit="finished")


def test_report_002_from_its_log_alone():
    run = Run.of(series={"val/f1": [0.0] * 10, "val/loss": FALL})
    (found,) = findings(run)
    assert found.message == (
        "val/f1 is exactly 0 in 10 evaluations since step 1, while val/loss fell from 20.3 to 2.596: a default that "
        "nothing replaced, or not one hit"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/f1", 1)
    assert [(e.source, e.value, e.step) for e in found.evidence] == [("val/f1", 0.0, 10), ("val/loss", 2.5959, 10)]


def test_report_002_with_the_predictions_that_all_majority_would_have_given():
    majority = Confusion.of(np.column_stack([ABR, *np.zeros((4, 5), int)]))
    (found,) = findings(logging("val/f1", [0.0] * 10, majority))
    assert found.message == (
        "val/f1 is logged as 0, but the recorded predictions give 0.1774 (macro over 5 classes of val/main) at the "
        "nearest; none of 5 definitions agrees in any of 10 evaluations since step 1"
    )
    assert found.evidence[0].source == "val/f1"
    assert not findings(logging("val/f1", [0.1774] * 10, majority))


def test_a_metric_of_other_predictions_rings_from_the_third_evaluation():
    target, prediction = classifier(skill=0.9)
    shuffled = f1(target, np.random.default_rng(1).permutation(prediction))
    (found,) = findings(logging("val/f1_macro", [shuffled] * 5, confusion(target, prediction)))
    assert (found.step, found.rang_at) == (1, 3)


def f1(target, prediction, average="macro"):
    return metrics.f1_score(target, prediction, average=average, zero_division=0)


def recall(target, prediction, **options):
    return metrics.recall_score(target, prediction, zero_division=0, **options)


HONEST = {
    "val/f1_macro": f1,
    "val/F1": lambda t, p: f1(t, p, "micro"),
    "eval_f1_weighted": lambda t, p: round(f1(t, p, "weighted"), 2),
    "eval_accuracy": lambda t, p: 100 * metrics.accuracy_score(t, p),
    "val/BalancedAccuracy": lambda t, p: recall(t, p, average="macro", labels=np.unique(t)),
    "valid_acc": metrics.accuracy_score,
    "val/main/precision": lambda t, p: metrics.precision_score(t, p, average="macro", zero_division=0),
    "Val MulticlassRecall (%)": lambda t, p: round(100 * recall(t, p, average="weighted"), 1),
}
OTHERS = """val/joint_accuracy val/acc_top5 val/f1_class_3 val/combined_f1 test/accuracy train/accuracy
val/precision_recall val/f1_loss val/entity_f1 val/accuracy@5 val/ema_accuracy val/auc"""


@pytest.mark.parametrize("name", HONEST)
def test_honest_spellings_and_averages_are_silent_and_a_zero_in_their_place_rings(name):
    run = logging(name, [HONEST[name](*classifier())] * 6)
    assert not findings(run)
    assert not check_run(run, [RULE]).not_checked
    assert [f.subject for f in findings(logging(name, [0.0] * 6))] == [name]


@pytest.mark.parametrize("name", OTHERS.split())
def test_names_of_something_else_are_left_alone(name):
    assert not findings(logging(name, [0.013] * 6))


def test_of_several_tasks_only_a_named_one_is_compared():
    for name, rings in {"val/mod_f1": 1, "val/modulation/f1": 1, "val/f1": 0, "val/joint_f1": 0, "val/o_f1": 0}.items():
        assert len(findings(logging(name, [0.0] * 6, task="modulation", other=("snr",)))) == rings, name
    honest = f1(*classifier())
    assert not findings(logging("val/mod_f1", [honest] * 6, task="mod", other=("snr",)))


def test_a_metric_of_another_split_that_was_open_at_the_same_step_is_left_alone():
    matrix = confusion(*classifier())
    logged = {"val/accuracy": float(matrix.correct.sum() / matrix.n), "test/accuracy": 0.05, "accuracy": 0.05}
    pair = [
        Evaluation(split, "main", k, "classes", matrix.n, confusion=matrix, metrics=logged)
        for k in range(1, 7)
        for split in ("val", "test")
    ]
    assert [f.subject for f in findings(Run.of(evaluations=tuple(pair), exit="finished"))] == ["test/accuracy"]


def test_a_threshold_of_their_own_may_only_raise_a_binary_score():
    weak = Confusion.of([[150, 10], [30, 10]])
    assert not findings(logging("val/f1", [0.95] * 6, weak, kind="binary"))
    assert not findings(logging("val/f1", [0.33] * 6, weak, kind="binary"))
    strong = Confusion.of([[90, 10], [5, 95]])
    assert findings(logging("val/f1", [0.3] * 6, strong, kind="binary"))
    never = Confusion.of([[160, 0], [40, 0]])
    assert not findings(logging("val/f1", [0.0] * 6, never, kind="binary"))


def test_multilabel_scores_come_from_the_label_counts():
    rows = np.array([[40, 10, 10, 140], [60, 20, 20, 100]])
    honest = np.mean([80 / 100, 120 / 160])

    def run(value):
        logged = {"val/f1_macro": value, "val/accuracy": 0.3}
        return Run.of(
            evaluations=tuple(
                Evaluation("val", "tags", k, "multilabel", 200, labels_confusion=rows, metrics=logged)
                for k in (1, 2, 3)
            )
        )

    assert not findings(run(honest))
    assert [f.subject for f in findings(run(0.0))] == ["val/f1_macro"]


def regression(name, values, noises=(1.0, 0.8, 0.6, 0.5, 0.4, 0.35)):
    rng, evaluations = np.random.default_rng(0), []
    for k, (value, noise) in enumerate(zip(values, noises, strict=True)):
        t = rng.normal(size=300)
        moments = Moments.of(t, t + noise * rng.normal(size=300))
        logged = value(moments) if callable(value) else value
        evaluations.append(
            Evaluation("val", "main", k + 1, "regression", 300, moments=(moments,), metrics={name: logged})
        )
    return Run.of(evaluations=tuple(evaluations), exit="finished")


def rmse(m):
    return float(np.sqrt(np.mean((m.sample_prediction - m.sample_target) ** 2)))


@pytest.mark.parametrize(
    ("name", "value", "rings"),
    [
        ("val/r2", lambda m: metrics.r2_score(m.sample_target, m.sample_prediction), False),
        ("val/R2", 0.0, True),
        ("val/r2_score", -3.0, True),
        ("val/rmse", rmse, False),
        ("val/rmse", lambda m: 12.4 * rmse(m), False),
        ("val/mse", lambda m: rmse(m) ** 2, False),
        ("val/mae", lambda m: np.abs(m.sample_prediction - m.sample_target).mean(), False),
        ("val/rmse", 0.0, True),
        ("val/rmse", lambda m: 1 / rmse(m), True),
        ("val/rmse_km", 0.0, False),
    ],
)
def test_regression_metrics(name, value, rings):
    assert bool(findings(regression(name, [value] * 6))) == rings


@pytest.mark.parametrize(
    "series",
    [
        {"val/f1": [0.0] * 10, "val/loss": [2.0 + 0.01 * (-1) ** k for k in range(10)]},
        {"val/f1": [0.0] * 24, "val/loss": np.r_[np.linspace(3, 1, 8), np.linspace(1, 3, 16)]},
        {"val/f1": [0.0] * 3, "train/loss": np.linspace(3, 1, 60)},
        {"val/accuracy": [1.0] * 10, "val/loss": FALL},
        {"val/accuracy": [0.7981] * 10, "val/loss": FALL},
        {"val/f1": [0.0] * 5 + [0.1, 0.2, 0.3, 0.4, 0.5], "val/loss": FALL},
        {"val/f1_class_3": [0.0] * 10, "val/loss": FALL},
        {"val/f1": [np.nan] * 10, "val/loss": FALL},
    ],
    ids=["flat loss", "came back", "three", "saturated", "majority", "rises", "one class", "nan"],
)
def test_healthy_logs_are_silent(series):
    assert not [f for f in findings(Run.of(series=series)) if f.severity != "note"]


def test_a_plateau_after_the_fall_does_not_undo_it():
    noise = 0.02 * np.random.default_rng(0).normal(size=40)
    run = Run.of(series={"val/f1": [0.0] * 40, "val/loss": 0.5 + 2 * np.exp(-np.arange(40) / 3) + noise})
    (found,) = check_run(run, [RULE]).findings
    assert (found.severity, found.healed_at, found.step) == ("warning", None, 1)
    assert found.rang_at == 32  # the first look at a log without evaluations


def epochs(first=43, **columns):
    n = len(next(iter(columns.values())))
    at = np.arange(first, first + n)
    named = {k.replace("__", "/"): v for k, v in columns.items()}
    return Run.of(series={k: Series.of(k, v, step=178 * at, epoch=at) for k, v in named.items()}, source="console")


REGRESSION = {
    "val__acc": [0.0] * 9,
    "val__loss": [0.0078, 0.0078, 0.0079, 0.0079, 0.0078, 0.0079, 0.0081, 0.008, 0.0082],
    "train__loss": [0.0201, 0.0192, 0.0198, 0.0174, 0.0185, 0.0179, 0.0213, 0.0172, 0.0196],
}


def test_an_accuracy_beside_a_loss_that_its_errors_could_not_cost():
    (found,) = findings(epochs(**REGRESSION))
    assert (found.severity, found.subject, found.step) == ("warning", "val/acc", 178 * 43)
    assert "most 0.0082: an error costs a cross-entropy ln 2" in found.message
    (both, _) = findings(epochs(**REGRESSION, train__acc=[0.0056] * 9))
    assert both.subject == "train/acc"


@pytest.mark.parametrize(
    "columns",
    [
        {"val__acc": [0.0] * 5 + [0.1, 0.2, 0.3, 0.4]},
        {"val__acc": np.linspace(0.02, 0.5, 9).round(4)},
        {"val__loss": [0.05] * 9},
        {"val__loss": [-0.01] * 9},
        {"val__acc": [0.9917] * 9},
        {"val__acc": [0.3] * 5 + [0.0] * 4},
    ],
    ids=["begins late", "rises", "focal", "below 0", "saturated", "four"],
)
def test_neighbours_of_an_impossible_accuracy_are_silent(columns):
    assert not findings(epochs(**REGRESSION | columns))


def test_a_likelihood_of_a_perfect_model_beside_no_hit():
    words = {"acc": [0.0] * 4, "ctcloss": [0.0] * 4, "train__loss": [1.692174, 1.675561, 1.653464, 1.606826]}
    (found,) = findings(epochs(3, **words))
    assert "ctcloss is exactly 0 beside it" in found.message
    assert not findings(epochs(3, **words | {"ctcloss": [0.0, 0.0, 0.0, 0.1]}))
    assert not findings(epochs(3, **words | {"acc": [0.0, 0.0, 0.0, 0.1]}))


def test_values_of_training_count_once_an_epoch():
    steps, fall = 10 * np.arange(1, 41), np.linspace(110, 20, 40)
    series = {"acc": np.zeros(40), "train/loss": fall}
    one = Run.of(series={k: Series.of(k, v, steps, epoch=np.ones(40)) for k, v in series.items()}, source="console")
    ten = Run.of(series={k: Series.of(k, v, steps, epoch=1 + steps // 41) for k, v in series.items()}, source="console")
    assert not findings(one)
    assert findings(ten)


def test_a_log_with_another_clock_for_the_training_loss():
    f1 = Series.of("eval_f1", [0.0] * 4, [100, 200, 300, 400])
    (found,) = findings(Run.of(series={"eval_f1": f1, "train/loss": np.linspace(3, 1, 400)}))
    assert found.message.startswith("eval_f1 is exactly 0 in 4 evaluations since step 100, while train/loss fell")


def test_tiny_sets_and_runs_without_metrics():
    tiny = Confusion.of(np.diag([5, 5, 5]))
    assert not findings(logging("val/f1", [0.0] * 10, tiny))
    for run in (Run.of(), Run.of(series={"train/loss": [1.0, 2.0]})):
        assert "needs an accuracy" in check_run(run, [RULE]).not_checked["EVL001"].reason


def test_two_values_are_no_pattern_and_no_clean_bill_either():
    for run in (logging("val/f1", [0.0] * 2), Run.of(series={"val/f1": [0.0] * 2, "val/loss": FALL[:2]})):
        keeper = check_run(run, [RULE])
        assert not keeper.findings
        assert "EVL001" in keeper.not_checked


@given(seed=st.integers(0, 1000), name=st.sampled_from(sorted(HONEST)), percent=st.booleans())
@settings(max_examples=30, deadline=None)
def test_an_honest_metric_never_rings_whatever_the_predictions(seed, name, percent):
    rng = np.random.default_rng(seed)
    target, prediction = classifier(seed, n=int(rng.integers(20, 300)), skill=rng.random())
    value = HONEST[name](target, prediction) * (100 if percent and "%" not in name and name != "eval_accuracy" else 1)
    assert not findings(logging(name, [value] * 4, confusion(target, prediction)))


def healthy_run(seed):
    """Training logged as people do: any average, fractions or percent, rounding, a metric averaged over batches."""
    rng = np.random.default_rng(seed)
    name, classes, n = sorted(HONEST)[seed % len(HONEST)], 4, int(rng.choice([60, 400, 2000]))
    batched, evaluations, loss = seed % 3 == 0, [], []
    for k in range(int(rng.integers(3, 15))):
        target, prediction = classifier(seed * 100 + k, n, classes, 1 - np.exp(-0.3 * (k + 1)))
        parts = range(0, n, 50) if batched else [0]
        size = 50 if batched else n
        value = np.mean([HONEST[name](target[i : i + size], prediction[i : i + size]) for i in parts])
        matrix = confusion(target, prediction)
        evaluations.append(Evaluation("val", "main", k + 1, "classes", n, confusion=matrix, metrics={name: value}))
        loss.append(np.exp(-0.2 * k))
    return Run.of(evaluations=tuple(evaluations), series={"val/loss": loss}, exit="finished")


def test_healthy_runs_are_silent(record_property):
    alarms = [seed for seed in range(24) if findings(healthy_run(seed))]
    record_property("figure", f"EVL001: {len(alarms)} of 24 healthy synthetic runs rang")
    assert not alarms


def test_zeros_that_the_loss_contradicts():
    zeros = {"train/accuracy": [0.0] * 2, "val/accuracy": [0.0] * 2}

    def told(**series):
        return [f.subject for f in findings(Run.of("r", series={k.replace("__", "/"): v for k, v in series.items()}))]

    assert told(**zeros, val__loss=[0.76, 0.23]) == ["val/accuracy"]
    assert not told(**zeros, val__loss=[0.76, 0.6])
    assert not told(**zeros | {"train/accuracy": [0.0, 0.1]}, val__loss=[0.76, 0.23])
    falling = [2.307, 2.09, 2.0, 2.6, 1.94]
    assert told(train__accuracy=[0.0] * 5, cross_entropy=falling) == ["train/accuracy"]
    assert not told(train__accuracy=[0.0] * 5, cross_entropy=[2.307, 2.3, 2.29, 2.28, 2.3])
    assert not told(train__accuracy=[0.0] * 5, cross_entropy=[4.6, 4.0, 3.5, 3.4, 3.2])
