"""Faults of the objective, predictions and evaluation, as foreign logs show them."""

from __future__ import annotations

import numpy as np

from corpus.faulty import faulty
from corpus.ingredients import at_epochs, curve
from tocsin.run import Run, Series

PER, EPOCHS = 50, 16
STEPS = PER * EPOCHS
END = np.arange(1, EPOCHS + 1)


def noise(rng, n, sd):
    return sd * rng.standard_normal(n)


def printed(name, values, digits=4):
    """One value an epoch, rounded as logs print it."""
    return at_epochs(name, np.round(values, digits), PER)


def log(train, config=None, **columns):
    """A run as a console or CSV log tells it: names with ``__`` for ``/``."""
    named = {k.replace("__", "/"): v for k, v in columns.items()}
    series = {k: v if isinstance(v, Series) else printed(k, v) for k, v in named.items()}
    return Run.of(series={"train/loss": np.round(train, 4), **series}, source="csv", config=config or {})


@faulty("OBJ003")
def term_at_chance_in_a_log(rng):
    """One of two heads never learns: its term stays at ln 2, the other falls."""
    kind, side = curve(rng, STEPS, 1.8, 0.2), np.log(2) * np.exp(noise(rng, STEPS, 0.02))
    terms = {
        "train/loss/kind": Series.of("train/loss/kind", np.round(kind, 4)),
        "train/loss/side": Series.of("train/loss/side", np.round(side, 4)),
    }
    return log(kind + side, **terms)


@faulty("OBJ004")
def bce_with_labels_of_1_and_2(rng):
    """Targets above 1: the binary cross-entropy falls without end."""
    fall = 0.7 - np.exp(np.linspace(0, 12, STEPS)) * np.exp(noise(rng, STEPS, 0.05))
    late = fall.reshape(EPOCHS, PER).mean(axis=1)
    return log(fall, {"compile": {"loss": "binary_crossentropy"}}, val__loss=late, val__accuracy=np.zeros(EPOCHS))


@faulty("PRD009")
def pinned_at_ln_10(rng):
    """Ten classes, and the loss never leaves ln 10."""
    train = np.log(10) + noise(rng, STEPS, 0.02)
    val, accuracy = np.log(10) + noise(rng, EPOCHS, 0.0008), 0.1 + noise(rng, EPOCHS, 0.003)
    return log(train, {"model": {"num_classes": 10}}, val__loss=val, val__accuracy=accuracy)


@faulty("PRD002")
def always_positive_in_a_log(rng):
    """Precision equals accuracy and recall is 1: every sample is called positive."""
    scores = {"val__accuracy": np.full(EPOCHS, 62.14), "val__precision": np.full(EPOCHS, 62.14)}
    val = 0.67 - 0.01 * np.log(END) + noise(rng, EPOCHS, 0.002)
    return log(curve(rng, STEPS, 0.75, 0.5, 0.4), val__loss=val, val__recall=np.full(EPOCHS, 100.0), **scores)


@faulty("PRD002")
def half_right_in_every_split(rng):
    """Two equal classes, one answer: accuracy .5000 of training, validation and test while the loss jumps about."""
    half = {f"{split}__accuracy": np.full(EPOCHS, 0.5) for split in ("val", "test")}
    half["train__accuracy"] = 0.5 + 0.0002 * rng.integers(0, 2, EPOCHS)
    return log(np.exp(noise(rng, STEPS, 0.3)), val__loss=np.exp(noise(rng, EPOCHS, 0.3)), **half)


@faulty("PRD002")
def outputs_at_the_clamp(rng):
    """A saturated sigmoid: each error costs 15.94, and half of the samples are errors."""
    level = np.full(EPOCHS, 7.9712)
    return log(
        np.full(STEPS, 7.9712), val__loss=level, val__accuracy=np.full(EPOCHS, 0.5), train__accuracy=level / 15.9424
    )


@faulty("PRD002")
def majority_share_and_its_entropy(rng):
    """A graph network: accuracy .5298 for ever, the loss at the entropy of that share."""
    val = 0.6914 + noise(rng, EPOCHS, 0.001)
    return log(0.6914 + noise(rng, STEPS, 0.01), val__loss=val, val__accuracy=np.full(EPOCHS, 0.5298))


@faulty("PRD003")
def classes_without_a_voxel(rng):
    """Segmentation of six structures: two of them are at Dice 0 to the end."""
    loss = curve(rng, STEPS, 1.2, 0.3)
    dice = {f"val__dice__{k}": 0.8 - 0.5 * np.exp(-END / 3) + noise(rng, EPOCHS, 0.004) for k in range(4)}
    lost = {f"val__dice__{k}": np.zeros(EPOCHS) for k in (4, 5)}
    return log(loss, val__loss=1.1 * loss.reshape(EPOCHS, PER).mean(axis=1), **dice, **lost)


@faulty("EVL001")
def accuracy_of_a_regression(rng):
    """Keras' accuracy beside a squared error: 1 of 178 by chance, and a loss of .02."""
    train = curve(rng, STEPS, 0.03, 0.02)
    val = np.round(0.008 + noise(rng, EPOCHS, 0.0002), 4)
    return log(train, val__loss=val, val__accuracy=np.zeros(EPOCHS), train__accuracy=np.full(EPOCHS, 0.0056))


@faulty("EVL002")
def loss_content_while_skill_sinks(rng):
    """The evaluation loss hardly moves, R2 sinks all the way."""
    val, r2 = 0.53 - 0.0008 * END + noise(rng, EPOCHS, 0.001), -0.02 - 0.011 * END + noise(rng, EPOCHS, 0.006)
    return log(curve(rng, STEPS, 0.9, 0.5, 0.3), val__loss=val, val__r2=r2)


@faulty("EVL003")
def best_model_by_the_smallest_accuracy(rng):
    """``greater_is_better`` is off for an accuracy."""
    train = curve(rng, STEPS)
    val = 1.1 * train.reshape(EPOCHS, PER).mean(axis=1)
    config = {"metric_for_best_model": "eval_accuracy", "greater_is_better": False}
    return log(train, config, val__loss=val, val__accuracy=1 - val / 3)


@faulty("EVL004")
def target_among_the_inputs(rng):
    """Solved to the last digit within the first epoch."""
    train = curve(rng, STEPS, 2.3, 1e-5, 0.004, 0.1)
    val = Series.of("val/loss", 2e-5 * np.exp(noise(rng, EPOCHS, 0.1)), step=PER * END, epoch=END)
    return Run.of(
        series={"train/loss": train, "val/loss": val, "val/accuracy": printed("val/accuracy", np.ones(EPOCHS))},
        source="csv",
    )


@faulty("EVL006")
def entities_without_labels(rng):
    """The evaluated file holds no entity: phrases 0, found 0, F1 0 at every epoch."""
    train = curve(rng, STEPS, 1.5, 0.1)
    nothing = {f"val__{k}": np.zeros(EPOCHS) for k in ("support", "predicted", "precision", "recall", "f1")}
    return log(
        train, val__loss=1.2 * train.reshape(EPOCHS, PER).mean(axis=1), val__accuracy=np.full(EPOCHS, 69.18), **nothing
    )


@faulty("PRD002")
def majority_in_the_only_report(rng):
    """A classification report at the end: recall 1.00 and 0.00, of 150 and 60 samples."""
    scores = {"recall": (1.0, 0.0), "precision": (0.71, 0.0), "f1": (0.83, 0.0), "support": (150.0, 60.0)}
    columns = {f"val__{k}__{c}": Series.of("", [v[c]], step=[STEPS]) for k, v in scores.items() for c in (0, 1)}
    return log(curve(rng, STEPS, 0.7, 0.6), **columns)


@faulty("PRD003")
def a_class_missing_from_the_report(rng):
    """A report of four classes: one of 90 targets is never found."""
    recall, columns = (0.81, 0.0, 0.77, 0.9), {}
    for label, value in zip("abcd", recall, strict=True):
        columns[f"val__recall__{label}"] = Series.of("", [value], step=[STEPS])
        columns[f"val__support__{label}"] = Series.of("", [90.0], step=[STEPS])
    return log(curve(rng, STEPS), **columns)


@faulty("PRD009")
def pinned_to_the_digits(rng):
    """Stopped early: ln 12 to four decimals in each of five epochs."""
    val, train = np.log(12) + noise(rng, 5, 5e-5), np.log(12) + noise(rng, 5, 5e-5)
    series = {"train/loss": printed("train/loss", train), "val/loss": printed("val/loss", val)}
    return Run.of(series=series, source="console")


@faulty("PRD009")
def transcripts_of_nothing(rng):
    """Speech: every word is wrong after thirty epochs, and the characters get no better."""
    characters = 0.74 + noise(rng, EPOCHS, 0.004) + 0.002 * END
    return log(curve(rng, STEPS, 480, 440), val__wer=np.full(EPOCHS, 1.0), val__cer=characters)


@faulty("EVL006")
def boxes_without_labels(rng):
    """A detector whose label files are empty: no box is matched, in training or evaluation."""
    terms = {f"{s}__loss__{t}": np.zeros(EPOCHS) for s in ("train", "val") for t in ("box", "dfl")}
    terms |= {f"{s}__loss__cls": 60 * np.exp(-END / 4) + 0.1 for s in ("train", "val")}
    return log(
        curve(rng, STEPS, 60, 0.2), **terms, **{f"val__{m}": np.zeros(EPOCHS) for m in ("mAP50", "precision", "recall")}
    )


@faulty("EVL002")
def clusters_fall_apart(rng):
    """Clustering: the loss falls, and accuracy, NMI and ARI sink from the first evaluation on."""
    slopes = {"acc": (0.91, 0.003), "nmi": (0.86, 0.005), "ari": (0.82, 0.006)}
    sink = {k: start - fall * END + noise(rng, EPOCHS, 0.002) for k, (start, fall) in slopes.items()}
    return log(curve(rng, STEPS, 50, 1), **sink)


@faulty("EVL001")
def accuracy_by_integer_division(rng):
    """Correct // total: 0 in training and evaluation, though the loss falls to .2."""
    zeros = {"train__accuracy": np.zeros(3), "val__accuracy": np.zeros(3)}
    return log(curve(rng, 3 * PER, 0.8, 0.2), val__loss=[0.7, 0.4, 0.2], **zeros)
