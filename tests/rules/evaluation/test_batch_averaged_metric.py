"""EVL010: fires on means over batches, and then explains EVL001; silent on pooled scores by any definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, r2_score

import tocsin
from tocsin.engine import check_run, find_rule
from tocsin.probes.predictions import OpenEvaluations
from tocsin.run import Run

RULE = find_rule("EVL010")


def findings(run):
    return check_run(run, [RULE]).findings


def macro(t, p):
    return f1_score(t, p, average="macro", zero_division=0)


def recorded(score, *, average, seed=0, looks=4, k=6, size=16, n=240, digits=4, name="val/f1_macro", skill=1.5):
    """Evaluations as tocsin records them, and a score as a loop would log it: by the batch or of all."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for step in range(1, looks + 1):
        target = torch.randint(0, k, (n,), generator=g)
        logits = torch.randn(n, k, generator=g)
        logits[torch.arange(n), target] += skill * step / looks
        evaluation, each = OpenEvaluations(), []
        for t, p in zip(target.split(size), logits.split(size), strict=True):
            evaluation.add("val", "main", t, p, None, None)
            each.append(score(t.numpy(), p.argmax(1).numpy()))
        value = np.mean(each) if average else score(target.numpy(), logits.argmax(1).numpy())
        evaluation.metrics({name: round(float(value), digits)})
        found += evaluation.close(step, float(step), 0.0)
    return Run.of("r", evaluations=tuple(found), exit="finished")


def test_the_mean_over_batches_is_named_beside_the_pooled_score():
    (found,) = findings(recorded(macro, average=True))
    last = recorded(macro, average=True).evaluations[-1]
    pooled = recorded(macro, average=False).evaluations[-1]
    logged, whole = last.metrics["val/f1_macro"], pooled.metrics["val/f1_macro"]
    assert found.message == (
        f"val/f1_macro is {logged:.4g}, the mean over batches (f1_macro); all 240 samples together give {whole:.4g}; "
        "the same in 4 evaluations since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/f1_macro", 1)


def test_it_explains_a_metric_that_looks_disconnected():
    run = recorded(macro, average=True, k=20, size=8, n=640, skill=3.5, looks=5)
    report = tocsin.check(run)
    assert [f.code for f in report.roots if f.severity != "note"] == ["EVL010"]
    assert "EVL001" in RULE.explains


@pytest.mark.parametrize("digits", [2, 4, 7])
def test_pooled_scores_are_silent(digits):
    assert not findings(recorded(macro, average=False, digits=digits))


def test_other_faults_than_averaging_are_not_its_own():
    run = recorded(macro, average=True)
    off = [replace(e, metrics={n: v + 0.02 for n, v in e.metrics.items()}) for e in run.evaluations]
    assert not findings(replace(run, evaluations=tuple(off)))
    named = [replace(e, metrics={"val/f1_class_3": e.metrics["val/f1_macro"]}) for e in run.evaluations]
    assert not findings(replace(run, evaluations=tuple(named)))


def test_a_cured_metric_and_few_evaluations_are_silent():
    run, pooled = recorded(macro, average=True), recorded(macro, average=False)
    (healed,) = findings(replace(run, evaluations=(*run.evaluations[:3], pooled.evaluations[3])))
    assert (healed.severity, healed.healed_at) == ("note", 4)
    assert not findings(recorded(macro, average=True, looks=2))


def test_one_batch_is_not_checked():
    keeper = check_run(recorded(macro, average=True, size=240), [RULE])
    assert not keeper.findings
    assert "several batches" in keeper.not_checked["EVL010"].reason


def test_percent_is_understood():
    (found,) = findings(recorded(lambda t, p: 100 * macro(t, p), average=True, digits=2))
    assert found.severity == "warning"


def test_accuracies_of_equal_batches_are_the_accuracy():
    assert not findings(recorded(lambda t, p: float((t == p).mean()), average=True, name="val/accuracy"))


@pytest.mark.parametrize("average", [True, False])
def test_r2_by_the_batch(average):
    g = torch.Generator().manual_seed(1)
    found = []
    for step in (1, 2, 3, 4):
        t = torch.randn(200, generator=g)
        p = 0.2 * step * t + 0.3 * torch.randn(200, generator=g)
        evaluation = OpenEvaluations()
        for a, b in zip(t.split(10), p.split(10), strict=True):
            evaluation.add("val", "main", a, b, None, None)
        each = np.mean([r2_score(a, b) for a, b in zip(t.split(10), p.split(10), strict=True)])
        evaluation.metrics({"val/r2": float(each if average else r2_score(t, p))})
        found += evaluation.close(step, 1.0, 0.0)
    assert bool(findings(Run.of("r", evaluations=tuple(found), exit="finished"))) == average


@given(seed=st.integers(0, 10_000), average=st.booleans())
@settings(max_examples=15, deadline=None)
def test_it_tells_the_two_apart_whatever_the_data(seed, average):
    assert bool(findings(recorded(macro, average=average, seed=seed, n=96, looks=3))) == average
