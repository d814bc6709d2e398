"""PRD002: fires on one class or value for everything, silent where that is right or cannot be told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, check_runs, find_rule
from tocsin.run import Confusion, Evaluation, Moments, Run

RULE = find_rule("PRD002")


def findings(run):
    return check_run(run, [RULE]).findings


def confusions(matrices, kind="classes", labels=(), first=50):
    return tuple(
        Evaluation("val", "snr", first * (i + 1), kind, int(np.sum(m)), confusion=Confusion.of(m, labels))
        for i, m in enumerate(matrices)
    )


def always(target, supports):
    dense = np.zeros((len(supports), len(supports)), int)
    dense[:, target] = supports
    return dense


def regressions(pairs):
    return tuple(
        Evaluation("val", "main", i + 1, "regression", len(t), moments=(Moments.of(t, p),))
        for i, (t, p) in enumerate(pairs)
    )


def ended(evaluations, end="finished", **series):
    return Run.of("r", evaluations=tuple(evaluations), exit=end, series=series)


@pytest.mark.parametrize("looks", [4, 5, 8, 12])
def test_one_class_at_every_evaluation_rings_at_the_latest_at_the_end(looks):
    labels = tuple(f"{2 * k} dB" for k in range(16))
    (found,) = findings(ended(confusions([always(14, [40] * 16)] * looks, labels=labels)))
    assert (found.severity, found.subject, found.step) == ("error", "val/snr", 50)
    assert found.message == (
        "val/snr: all 640 predictions are 28 dB (6.2 % of the targets); "
        f"so in each of the {looks} evaluations since step 50"
    )
    assert found.evidence[0].value == 1.0


def test_rings_live_on_a_flat_loss():
    run = ended(confusions([always(1, [40, 40, 40])] * 20, first=1), **{"val/loss": 1 + 0.01 * np.sin(np.arange(20.0))})
    (found,) = findings(run)
    assert (found.step, found.rang_at) == (1, 8)


def test_once_proven_it_stands_in_later_evaluations_too_small_to_prove_it():
    shrinking = confusions([always(1, [40, 40, 40])] * 9 + [always(1, [8, 8, 8])] * 5, first=1)
    loss = {"val/loss": 1 + 0.01 * np.sin(np.arange(14.0))}
    (found,) = findings(ended(shrinking, **loss))
    assert (found.severity, found.healed_at) == ("error", None)
    alive = confusions([always(1, [40, 40, 40])] * 9 + [[[8, 0, 0], [0, 8, 0], [0, 8, 0]]] * 5, first=1)
    (healed,) = findings(ended(alive, **loss))
    assert healed.healed_at == 10


def test_the_published_all_majority_evaluation():
    (found,) = findings(ended(confusions([always(0, [4276, 43, 570, 177, 292])] * 3)))
    assert found.severity == "error"
    assert "all 5358 predictions are class 0 (80 % of the targets)" in found.message


def test_it_explains_the_attractor_and_the_shift_that_it_looks_like():
    report = check_runs([ended(confusions([always(14, [40] * 16)] * 4))], select=["PRD"])
    assert [f.code for f in report.roots] == ["PRD002"]
    t = np.random.default_rng(0).normal(size=400)
    report = check_runs([ended(regressions([(t, np.full(400, 5.0))] * 4))], select=["PRD"])
    assert [f.code for f in report.findings] == ["PRD002", "PRD007"]
    assert [f.code for f in report.roots] == ["PRD002"]


def test_the_class_may_change_from_one_evaluation_to_the_next():
    assert findings(ended(confusions([always(k, [40] * 4) for k in (0, 3, 1, 2)])))


def test_regression_constant_and_nearly_so():
    t = np.random.default_rng(0).normal(21.4, 20, 300)
    wobble = 8 + 0.0014 * np.random.default_rng(1).uniform(-1, 1, 300)
    (found,) = findings(ended(regressions([(t, wobble)] * 3)))
    assert found.message == (
        "val/main: all 300 predictions are 8 (range 0.0001 of the target's sd); "
        "so in each of the 3 evaluations since step 1"
    )
    noise = np.random.default_rng(2).normal(size=300)
    assert not findings(ended(regressions([(t, 20 + 0.034 * 20 * noise)] * 3)))  # spread of 3 %: weak, not constant


def test_binary_and_multilabel_outputs():
    assert findings(ended(confusions([[[100, 0], [80, 0]]] * 3, kind="binary", labels=("0", "1"))))
    rows = np.array([[0, 0, 90, 110], [60, 20, 30, 90], [120, 80, 0, 0]])
    evaluations = [Evaluation("val", "tags", s, "multilabel", 200, labels_confusion=rows) for s in (1, 2, 3)]
    (found,) = findings(ended(evaluations))
    assert found.severity == "warning"
    assert found.message.startswith(
        "val/tags: 2 of 3 outputs never vary over 200 inputs: "
        "label 0 is always 0 (55 % of the targets), label 2 is always 1 (60 % of the targets)"
    )


def test_with_a_baseline_that_finds_nothing_either_it_may_be_right():
    rng = np.random.default_rng(0)
    found = confusions([always(1, [100, 120])] * 3)
    blind = Confusion.of([[45, 55], [55, 65]])
    good = Confusion.of([[80, 20], [25, 95]])
    for beside, severity in ((always(1, [100, 120]), "note"), (blind, "note"), (good, "error")):
        counts = beside if isinstance(beside, Confusion) else Confusion.of(beside)
        baseline = Evaluation("val", "snr", 150, "classes", 220, confusion=counts, baseline="cheap")
        (rang,) = findings(ended((*found, baseline)))
        assert (rang.severity, rang.step) == (severity, 50)
        assert ("no recorded baseline (cheap) finds anything either" in rang.message) == (severity == "note")
    t, guess = rng.normal(size=(2, 300))
    same = regressions([(t, np.zeros(300))] * 3)
    cheap = Evaluation("val", "main", 3, "regression", 300, moments=(Moments.of(t, 0.1 * guess),), baseline="ridge")
    assert [f.severity for f in findings(ended((*same, cheap)))] == ["note"]


def test_a_class_that_dominates_the_targets_makes_it_a_warning():
    (found,) = findings(ended(confusions([[[5000, 0], [200, 0]]] * 3, kind="binary")))
    assert found.severity == "warning"


def test_a_dead_output_beside_a_working_one_is_a_warning():
    t = np.random.default_rng(0).normal(size=(2, 200))
    moments = (Moments.of(t[0], 0.8 * t[0]), Moments.of(t[1], np.zeros(200)))
    (found,) = findings(ended([Evaluation("val", "m", s, "regression", 200, moments=moments) for s in (1, 2, 3)]))
    assert found.severity == "warning"
    assert "1 of 2 outputs never vary over 200 inputs: output 1 is always 0" in found.message


def logged(end="unknown", **columns):
    series = {f"val/{k}": v for k, v in columns.items()} | {"train/loss": np.linspace(0.8, 0.5, 30)}
    return Run.of("r", series=series, source="csv", exit=end)


def test_from_logs_by_the_identities_of_scores():
    positive = logged(accuracy=[0.55, 0.6212, 0.6212, 0.6212], precision=[0.5, *[0.6212] * 3], recall=[0.7, 1, 1, 1])
    (found,) = findings(positive)
    assert (found.severity, found.subject, found.step) == ("error", "val", 2)
    assert found.message == (
        "val: the scores are those of a constant (always positive): accuracy 0.6212, precision 0.6212, recall 1; "
        "so in each of the 3 evaluations since step 2"
    )
    (found,) = findings(logged(accuracy=[69.18] * 3, precision=[0.0] * 3, recall=[0.0] * 3, f1=[0.0] * 3))
    assert "always negative" in found.message
    (found,) = findings(logged(accuracy=[0.9512] * 3, precision=[0.0] * 3, f1=[0.0] * 3))
    assert found.severity == "warning"  # a class that is most of the targets
    (found,) = findings(logged(accuracy=[0.7981] * 5, loss=[0.56, 0.53, 0.51, 0.506, 0.505]))
    assert (found.severity, found.healed_at) == ("warning", None)


def test_a_constant_from_the_start_leads_the_symptoms_of_it():
    e = np.arange(20)
    series = {"train/loss": 0.6914 + 1e-3 * np.sin(7.0 * e), "val/loss": 0.6914 + 1e-3 * np.cos(5.0 * e)}
    series |= {"val/accuracy": np.full(20, 0.5298), "train/accuracy": 0.53 + 1e-3 * np.sin(3.0 * e).round(3)}
    run = Run.of("r", series={k: np.round(v, 4) for k, v in series.items()}, source="console")
    report = check_runs([run], select=["PRD", "GEN", "EVL"])
    assert [f.code for f in report.roots if f.severity != "note"] == ["PRD002"]
    assert report.roots[0].severity == "error"


def test_scores_of_training_count_where_there_is_no_evaluation():
    steps = {"train/accuracy": [0.6212] * 4, "train/precision": [0.6212] * 4, "train/recall": [1.0] * 4}
    (found,) = findings(Run.of("r", series=steps, source="csv"))
    assert (found.subject, found.severity) == ("train", "error")


@pytest.mark.parametrize(
    "run",
    [
        logged(accuracy=[0.7, 0.72, 0.73], precision=[0.7, 0.71, 0.74], recall=[1, 0.99, 0.99]),
        logged(accuracy=[1.0] * 6, precision=[1.0] * 6, recall=[1.0] * 6),
        logged(
            accuracy=[0.95, 0.9531, 0.9544], precision=[0.0] * 3, f1=[0.0] * 3
        ),  # entities: tokens are still learned
        logged(accuracy=[0.85] * 5),
        logged(accuracy=[0.6, 0.6913, 0.7, 0.7012, 0.7012, 0.7012]),
        logged("running", accuracy=[0.6212] * 4, precision=[0.6212] * 4, recall=[1.0] * 4),
    ],
    ids=["nearly", "perfect", "tokens", "tiny set", "settled late", "running"],
)
def test_healthy_logs_are_silent(run):
    assert not findings(run)


def learned(n=60):
    return np.array([[n, 3, 2], [4, n, 3], [2, 2, n]])


@pytest.mark.parametrize(
    "evaluations",
    [
        confusions([learned()] * 4),
        confusions([always(0, [500, 0, 0])] * 4),
        confusions([always(0, [10, 10, 10])] * 4),
        confusions([always(0, [2000, 15, 15])] * 4),
        confusions([always(0, [40] * 4)] * 2 + [learned()] * 2),
        confusions([always(0, [40] * 4)], first=0),
        confusions([learned()] * 3 + [always(0, [40] * 3), learned(), always(0, [40] * 3)]),
        regressions([(np.zeros(100), np.ones(100))] * 4),
        regressions([(np.arange(10.0), np.ones(10))] * 4),
        regressions([(np.full(50, np.nan), np.ones(50))] * 4),
    ],
    ids=["varied", "one target", "tiny", "rare", "early", "untrained", "flicker", "flat target", "short", "nan"],
)
def test_healthy_neighbours_are_silent(evaluations):
    assert not findings(ended(evaluations))


def test_an_early_death_proves_nothing():
    dead = confusions([always(0, [40] * 4)] * 2)
    assert not findings(ended(dead, "killed"))
    assert not findings(ended(dead, "running"))
    assert findings(ended(dead, "finished"))


@given(
    supports=st.lists(st.integers(0, 300), min_size=2, max_size=8),
    target=st.integers(0, 7),
    strays=st.integers(0, 30),
)
@settings(max_examples=50, deadline=None)
def test_rings_exactly_when_enough_samples_of_other_classes_all_land_in_one(supports, target, strays):
    target %= len(supports)
    dense = always(target, supports)
    other = (target + 1) % len(supports)
    moved = min(strays, supports[other])
    dense[other, target] -= moved
    dense[other, other] += moved
    total, others = sum(supports), sum(supports) - supports[target]
    expected = moved == 0 and others >= 35 and np.count_nonzero(supports) > 1
    if moved and total and moved / total <= 0.001:
        return
    assert bool(findings(ended(confusions([dense] * 3)))) == expected


def healthy_run(seed):
    """A weak but sound classifier: few or many classes, imbalance up to .9, from chance to skill, argmax decisions."""
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(2, 20)), int(rng.choice([50, 200, 1000]))
    prior = np.full(classes, 1 / classes) if seed % 2 else rng.dirichlet(np.full(classes, 2.0))
    target, matrices = rng.choice(classes, n, p=prior), []
    looks = int(rng.integers(4, 16))
    for i in range(looks):
        skill = rng.uniform(1, 4) * (1 - np.exp(-4 * i / looks))
        logits = np.log(prior + 1e-9) + rng.gumbel(size=(n, classes))
        logits[np.arange(n), target] += skill
        dense = np.zeros((classes, classes), int)
        np.add.at(dense, (target, logits.argmax(1)), 1)
        matrices.append(dense if i else always(0, dense.sum(1)))
    return ended(confusions(matrices), **{"val/loss": 2 * 0.9 ** np.arange(looks) + rng.normal(size=looks) * 0.02})


def test_healthy_runs_are_silent(record_property):
    alarms = [seed for seed in range(60) if findings(healthy_run(seed))]
    record_property("figure", f"PRD002: {len(alarms)} of 60 healthy synthetic runs rang")
    assert not alarms


def report(m, n=50, times=1, **series):
    """A report by class in which each of n + m samples is called a."""
    by = {"recall": (1.0, 0.0), "support": (n, m)}
    columns = {f"test/{k}/{c}": [v[i]] * times for k, v in by.items() for i, c in enumerate("ab")}
    return findings(Run.of("r", series=columns | series, source="console"))


def test_one_report_tells_by_its_supports():
    (found,) = report(60, 90)
    assert (found.severity, found.subject) == ("error", "test")
    assert "every prediction is a (60 % of the targets) in the only evaluation" in found.message
    assert [f.severity for f in report(18)] == ["warning"]
    assert [f.severity for f in report(18, 500)] == ["note"]
    assert not report(9)
    assert not report(60, 90, 2, **{"test/recall/b": [0.4, 0.0]})  # the first of two evaluations finds some


def test_counts_of_nothing_predicted():
    counts = {f"val/{k}": [v] for k, v in (("support", 4000), ("predicted", 0), ("correct", 0))}
    assert [f.severity for f in findings(Run.of("r", series=counts))] == ["note"]
    train = {name.replace("val", "train"): v for name, v in counts.items()}
    assert [f.severity for f in findings(Run.of("r", series=counts | train))] == ["warning"]
    assert not findings(Run.of("r", series=counts | {"val/predicted": [7]}))


def test_a_task_is_held_against_its_own_loss():
    accuracy = np.full(12, 0.5268)
    accuracy[7] = 0.4765
    loss, other = np.full(12, 0.6925).round(4), np.linspace(2, 0.1, 12)
    columns = {"val/kind_accuracy": accuracy, "val/loss/kind": loss, "val/loss": other + loss, "train/loss": other}
    (found,) = findings(Run.of("r", series=columns, source="csv"))
    assert (found.severity, found.subject) == ("warning", "val/kind")
    columns["val/loss/kind"] = np.linspace(0.69, 0.3, 12)
    assert not findings(Run.of("r", series=columns, source="csv"))


def test_always_negative_that_comes_back_after_nearly_always_positive():
    accuracy, recall = [0.8095, 0.8095, 0.46, 0.87, 0.27, 0.8095, 0.8095], [0, 0, 1, 0.33, 1, 0, 0]
    precision = [0, 0, 0.26, 1, 0.2, 0, 0]
    columns = {"val/accuracy": accuracy, "val/precision": precision, "val/recall": recall}
    assert [f.severity for f in findings(Run.of("r", series=columns, source="csv"))] == ["warning"]
    columns["val/recall"] = [0, 0, 0.5, 0.33, 0.6, 0, 0]
    assert not findings(Run.of("r", series=columns, source="csv"))
