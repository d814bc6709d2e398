"""EVL001 and EVL010 before the run: metric functions on made-up predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from prechecks.objective_setups import binary, cross_entropy, look, setup, squared
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.checks.batch_averaged_metric import batch_averaged_metric
from tocsin.prechecks.checks.metric_disconnected import metric_disconnected
from tocsin.prechecks.metric_probes import probes_of


def of_one(model, batch):
    return batch[1], model(batch[0])[:, 0]


def classes(metrics, **parts):
    return setup(cross_entropy, metrics=metrics, **parts)


def values(metrics, **parts):
    return setup(squared, target="values", out=1, metrics=metrics, **parts)


def labels(metrics, **parts):
    return setup(binary, target="binary", out=1, predict=of_one, metrics=metrics, **parts)


def accuracy(t, p):
    return (p.argmax(1) == t).float().mean()


def macro_f1(t, p):
    """Macro F1 over the classes seen, by counts."""
    said, k = p.argmax(1), p.shape[1]
    hit = torch.bincount(t[t == said], minlength=k)
    both = torch.bincount(t, minlength=k) + torch.bincount(said, minlength=k)
    return float((2 * hit / both.clamp_min(1))[both > 0].mean())


def r2(t, p):
    return 1 - (t - p).square().sum() / (t - t.mean()).square().sum()


def of_ids(t, p):
    if p.dim() != 1:
        raise ValueError("ids are wanted")
    return float((t == p).double().mean())


def nothing(*_):
    return 0.0


BROKEN = {
    "default": (nothing, "error", "it gives the same for all of them"),
    "itself": (lambda _, p: macro_f1(p.argmax(1), p), "error", "it gives the same for all of them"),
    "shift": (lambda t, p: (p.argmax(1) == t.roll(1)).float().mean(), "error", "on both sides of it"),
    "accuracy": (lambda t, p: (p.argmin(1) == t).float().mean(), "error", "each wrong order scores higher"),
    "f1": (lambda t, p: (p.argmax(1) + 1 == t).float().mean(), "error", "each wrong order scores higher"),
    "diversity": (lambda _, p: float(p.argmax(1).float().mean()), "warning", "are not compared with their targets"),
    "empty": (lambda t, p: accuracy(t, p) if accuracy(t, p) < 1 else float("nan"), "error", "get no number"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_metric_that_looks_elsewhere_rings(name, seed):
    metric, severity, said = BROKEN[name]
    (finding,), _ = look(metric_disconnected, classes({name: metric}, seed=seed))
    assert (finding.subject, finding.severity) == (name, severity)
    assert finding.message.endswith(said)


def test_the_message_is_exact():
    (finding,), _ = look(metric_disconnected, classes({"f1": nothing}))
    assert finding.message == (
        "f1 of 192 perfect predictions is 0, in 19 wrong orders from 0 to 0: it gives the same for all of them"
    )


HEALTHY = {
    "classes": (
        classes,
        {
            "accuracy": accuracy,
            "f1": macro_f1,
            "ids": of_ids,
            "nll": lambda t, p: torch.nn.functional.cross_entropy(p, t),
        },
    ),
    "labels": (
        labels,
        {
            "auc": lambda t, p: roc_auc_score(t, p),
            "accuracy": lambda t, p: ((p > 0) == (t > 0.5)).float().mean(),
            "error_rate": lambda t, p: ((p > 0) != (t > 0.5)).float().mean(),
        },
    ),
    "values": (
        values,
        {
            "mse": lambda t, p: (t - p).square().mean(),
            "r2": r2,
            "corr": lambda t, p: np.corrcoef(t[:, 0], p[:, 0])[0, 1],
            "bias": lambda t, p: (t - p).mean(),
        },
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_good_metrics_are_silent(name, seed):
    make, metrics = HEALTHY[name]
    assert look(metric_disconnected, make(metrics, seed=seed)) == ([], [])


def test_targets_that_are_all_alike_are_not_checked():
    given = classes({"accuracy": accuracy}, made=lambda x, y: (x, torch.zeros_like(y)))
    found, unable = look(metric_disconnected, given)
    assert (found, unable) == ([], ["accuracy: the targets of the first batches are all alike"])


def test_a_metric_that_always_raises_is_not_checked():
    def raising(t, p):
        raise KeyError("no such key")

    found, unable = look(metric_disconnected, classes({"odd": raising}))
    assert (found, len(unable)) == ([], 1)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("make", "name", "metric"), [(classes, "f1", macro_f1), (values, "r2", r2)])
def test_a_metric_that_is_no_mean_is_noted(make, name, metric, seed):
    (finding,), _ = look(batch_averaged_metric, make({name: metric}, seed=seed, size=16))
    assert finding.severity == "note"
    low, high = finding.evidence[0].interval
    assert high < 0 or low > 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_means_over_samples_are_not(seed):
    assert look(batch_averaged_metric, classes({"accuracy": accuracy, "ids": of_ids}, seed=seed)) == ([], [])
    assert look(batch_averaged_metric, values({"mse": lambda t, p: (t - p).square().mean()}, seed=seed)) == ([], [])


def test_the_made_up_scores_are_those_of_sklearn():
    bench = Bench(classes({"f1": macro_f1}))
    (probe,), _ = probes_of(bench)
    made = probe.shuffled(0, 0.3)
    assert probe.score(probe.target, made) == pytest.approx(f1_score(probe.target, made.argmax(1), average="macro"))
    bench = Bench(values({"r2": r2}))
    (probe,), _ = probes_of(bench)
    made = probe.shuffled(0, 0.3)
    assert probe.score(probe.target, made) == pytest.approx(r2_score(probe.target, made), rel=1e-5)


def test_the_message_names_both_numbers():
    (finding,), _ = look(batch_averaged_metric, classes({"f1": macro_f1}))
    evidence = finding.evidence[0]
    assert finding.message.startswith(
        "f1 is no mean over samples: with 30% of the answers wrong, the mean over 6 batches of 32 is "
        f"{evidence.value:.4g}, all 192 samples together give {evidence.limit:.4g} (difference "
    )


@pytest.mark.parametrize("axis", [-1, 1])
def test_classes_by_position_are_probed(axis):
    def predict(_, batch):
        made = torch.randn(32, 5, 3)
        return batch[1], made if axis == -1 else made.movedim(-1, 1)

    given = classes(
        {"accuracy": lambda t, p: (p.argmax(axis) == t).float().mean(), "f1": nothing},
        predict=predict,
        made=lambda x, y: (x, torch.randint(0, 3, (len(y), 5))),
    )
    found, unable = look(metric_disconnected, given)
    assert ([f.subject for f in found], unable) == (["f1"], [])
