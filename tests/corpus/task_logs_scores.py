"""Healthy logs whose scores look most like those of faults: reports, tasks of their own, undefined and early values."""

from __future__ import annotations

import numpy as np

from corpus.task_logs import batches, epochs, fall, of_samples, printed, rise, table, task
from tocsin.run import Event


def report(recalls, supports):
    """A classification report at the end, two decimals."""
    columns = {}
    for label, (recall, support) in enumerate(zip(recalls, supports, strict=True)):
        columns |= {f"test/recall/{label}": [recall], f"test/precision/{label}": [min(1, recall + 0.02)]}
        columns |= {f"test/f1/{label}": [recall], f"test/support/{label}": [support]}
    return columns


@task
def report_with_a_class_of_few_samples(rng):
    """One class of ten has a handful of samples, none of them found."""
    n, supports = epochs(rng, 5, 30), [*rng.integers(40, 200, 9), int(rng.integers(3, 25))]
    recalls = [*rng.uniform(0.6, 0.98, 9).round(2), 0.0]
    return table({"train/loss": fall(rng, n, 2.3, 0.3), **report(recalls, supports)})


@task
def report_of_an_easy_set(rng):
    """Every one of a few hundred samples is right."""
    n = epochs(rng, 5, 30)
    return table({"train/loss": fall(rng, n, 0.7, 0.01), **report([1.0, 1.0], rng.integers(40, 300, 2))})


@task
def entities_by_class_over_epochs(rng):
    """The rarer kinds of entity are found from the fourth to the ninth epoch on."""
    n, columns = epochs(rng, 12, 30), {}
    for label, late in (("PER", 0), ("LOC", 0), ("ORG", 4), ("MISC", int(rng.integers(5, 9)))):
        recall = np.where(np.arange(n) < late, 0, np.round(rise(rng, n, 0.3, 0.9), 2))
        columns |= {f"val/recall/{label}": recall, f"val/f1/{label}": recall, f"val/support/{label}": np.full(n, 120)}
    return table({"train/loss": fall(rng, n, 1.5, 0.05), "val/loss": fall(rng, n, 0.8, 0.2), **columns})


@task
def entities_in_the_first_epoch(rng):
    """NCRF++ after an epoch: nothing is predicted yet, and a third finds something."""
    predicted = [0, *rng.integers(20, 500, 2)]
    counts = {"val/support": [5942] * 3, "val/predicted": predicted, "val/correct": np.array(predicted) // 2}
    return table({"train/loss": fall(rng, 3, 30, 12), **counts})


@task
def two_tasks_with_their_own_losses(rng):
    """Keras with two heads: both learn, one near chance for long."""
    n = epochs(rng, 10, 40)
    kind, side = rise(rng, n, 0.3, 0.9), rise(rng, n, 0.5, 0.8, 0.6)
    columns = {"val/kind_accuracy": of_samples(kind, 800), "val/side_accuracy": of_samples(side, 800)}
    for split in ("train", "val"):
        columns |= {f"{split}/loss/kind": fall(rng, n, 1.6, 0.3), f"{split}/loss/side": fall(rng, n, 0.7, 0.45, 0.5)}
    return table({"train/loss": fall(rng, n, 2.3, 0.8), "val/loss": fall(rng, n, 2.3, 0.9), **columns})


@task
def preferences_begin_at_ln_2(rng):
    """DPO with a long warm-up: .6931 in the first prints, then below."""
    n, still = int(rng.integers(8, 40)), int(rng.integers(2, 6))
    loss = np.r_[np.full(still, 0.6931), 0.6931 - 0.3 * (1 - np.exp(-np.arange(n - still) / n)) - 0.001]
    return table({"train/loss": batches(loss + 0.003 * (np.arange(n) >= still) * rng.standard_normal(n))})


@task
def head_of_zeros_in_warm_up(rng):
    """A transformer for 1000 classes whose last layer starts at 0: ln 1000 for some prints while the rate rises."""
    n = int(rng.integers(6, 30))
    loss = np.log(1000) - 0.002 * np.arange(n) ** 1.5 + 0.001 * rng.standard_normal(n)
    return table({"train/loss": batches(loss), "lr/0": batches(1e-5 * np.arange(1, n + 1), digits=7)})


@task
def squared_error_that_passes_a_quarter(rng):
    """A regression whose loss happens to pass, or end near, 1/4."""
    n, floor = epochs(rng, 25, 60), float(rng.uniform(0.246, 0.249))
    return table({"train/loss": fall(rng, n, 1.0, floor, 0.1, 0.002), "val/loss": fall(rng, n, 1.1, 0.28, 0.15, 0.004)})


@task
def dice_undefined_in_some_epochs(rng):
    """A batch without foreground makes the mean Dice of single epochs NaN."""
    n = epochs(rng, 10, 40)
    dice = rise(rng, n, 0.2, 0.85)
    train = np.where(rng.random(n) < 0.4, np.nan, dice)
    train[int(rng.integers(n))] = 0.5
    return table(
        {
            "train/loss": fall(rng, n, 0.8, 0.1),
            "val/loss": fall(rng, n, 0.8, 0.15),
            "train/dice": train,
            "val/dice": dice,
        }
    )


@task
def evaluation_of_one_sample(rng):
    """Leave one out: the accuracy of a fold is 0 or 1, now this, now that."""
    n = epochs(rng, 8, 30)
    accuracy = (rng.random(n) < rise(rng, n, 0.3, 0.9)).astype(float)
    accuracy[-1] = 1
    return table(
        {"train/loss": fall(rng, n, 0.7, 0.1), "val/loss": fall(rng, n, 0.7, 0.3, noise=0.2), "val/accuracy": accuracy}
    )


@task
def clustering(rng):
    """Deep clustering: NMI and ARI rise from the pretrained features, then wobble."""
    n = epochs(rng, 8, 30)
    scores = {"acc": rise(rng, n, 0.8, 0.9), "nmi": rise(rng, n, 0.75, 0.85), "ari": rise(rng, n, 0.7, 0.82)}
    return table({"train/loss": fall(rng, n, 0.6, 0.1), **scores})


@task
def boosting_that_stops_late(rng):
    """LightGBM: hundreds of rounds, an AUC below 1."""
    n = int(rng.integers(20, 60))
    auc = np.round(rise(rng, n, 0.8, 0.93), 4)
    text = f"Early stopping, best iteration is: [{10 * n}]\tvalid_0's auc: {auc[-1]}"
    return table({"val/auc": batches(auc)}, events=(Event("early-stop", text, 10 * n),))


@task
def detection_whose_boxes_come_late(rng):
    """YOLO on few images: mAP 0 in the first epochs, box losses never are."""
    n, late = epochs(rng, 3, 12), 5
    found = np.where(np.arange(n) < late, 0, rise(rng, n, 0, 0.4))
    terms = {
        f"{s}/loss/{t}": fall(rng, n, a, b)
        for s in ("train", "val")
        for t, a, b in (("box", 0.12, 0.05), ("dfl", 1.6, 1.1), ("cls", 0.06, 0.01))
    }
    return table({**terms, "val/mAP50": found, "val/precision": found, "val/recall": found}, 5)


@task
def speech_in_its_first_epochs(rng):
    """Six or seven epochs of CTC: no word is right yet, characters and the loss get better."""
    n = epochs(rng, 6, 8)
    return table(
        {"train/loss": fall(rng, n, 480, 150, 0.4), "val/wer": np.ones(n), "val/cer": fall(rng, n, 0.95, 0.55, 0.4)}
    )


@task
def whole_lines_are_rarely_right(rng):
    """OCR by attention: the accuracy of lines is 0 at first, in training and evaluation, at a loss well above 1."""
    n = epochs(rng, 2, 4)
    zeros = printed(np.zeros(n))
    return table(
        {"train/loss": fall(rng, n, 4.5, 2.2), "val/loss": fall(rng, n, 4.2, 2.4), "train/acc": zeros, "val/acc": zeros}
    )
