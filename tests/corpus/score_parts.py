"""Evaluations with scores, batches and several heads, for healthy and faulty runs alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from corpus.ingredients import Rng, assemble, at_epochs, curve, f1_macro, parameters, probes
from tocsin.run import Confusion, Evaluation, Moments, Run, Series

PER = 40


def counted(target: Any, guess: Any, k: int) -> Confusion:
    """The confusion of these ids."""
    dense = np.zeros((k, k), dtype=int)
    np.add.at(dense, (target, guess), 1)
    return Confusion.of(dense)


def scored(rng: Rng, step: int, skill: float, *, bias: float = 0.0, n: int = 900, task: str = "main") -> Evaluation:
    """Three classes by noisy scores, ``bias`` on that of the last one, with the area of each class."""
    target = rng.integers(0, 3, n)
    scores = skill * np.eye(3)[target] + rng.standard_normal((n, 3)) + np.array([0, 0, bias])
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    auc = tuple(float(roc_auc_score(target == c, odds[:, c])) for c in range(3))
    confusion = counted(target, scores.argmax(axis=1), 3)
    return Evaluation("val", task, step, "classes", n, confusion=confusion, auc=auc)


def batched(rng: Rng, step: int, skill: float, *, averaged: bool, n: int = 960, size: int = 32) -> Evaluation:
    """Eight classes in batches of 32, and the macro-F1 as logged: averaged over the batches, or of all samples."""
    target = rng.integers(0, 8, n)
    guess = (skill * np.eye(8)[target] + rng.standard_normal((n, 8))).argmax(axis=1)
    each = [f1_macro(counted(target[i : i + size], guess[i : i + size], 8)) for i in range(0, n, size)]
    confusion, mean = counted(target, guess, 8), float(np.mean(each))
    logged = {"val/f1_macro": round(mean if averaged else f1_macro(confusion), 4)}
    return Evaluation(
        "val", "main", step, "classes", n, confusion=confusion, metrics=logged, batchwise={"f1_macro": mean}
    )


def heads(rng: Rng, step: int, r: float, *, stuck: bool, n: int = 500) -> Evaluation:
    """Two outputs: one of correlation r, one that works, too, or is a ReLU that is off for 99 % of the inputs."""
    t, e, u = rng.standard_normal((3, n))
    p = r * (r * t + np.sqrt(1 - r * r) * e)
    level = np.abs(u) + 1
    other = np.maximum(0.0, t - 2.6) if stuck else 0.7 * level + 0.5 + 0.1 * e
    return Evaluation("val", "q", step, "regression", n, moments=(Moments.of(t, p), Moments.of(level, other)))


def restarts(rng: Rng, epochs: int, per_cycle: int = 4) -> Run:
    """Warm restarts; loss and accuracy of the validation get worse after each and come back better."""
    steps = PER * epochs
    phase = (np.arange(steps) % (per_cycle * PER)) / (per_cycle * PER)
    train = curve(rng, steps, floor=0.4, tau=0.3) * (1.25 - 0.35 * phase)
    at = phase[PER - 1 :: PER]
    val = 1.1 * train.reshape(epochs, PER)[:, -10:].mean(axis=1)
    accuracy = 0.6 + 0.004 * np.arange(epochs) + 0.1 * at + 0.004 * rng.standard_normal(epochs)
    lr = Series.of("lr/0", 1e-3 * (1.01 + np.cos(np.pi * phase)) / 2)
    series = {**probes(rng, steps), "train/loss": train, "lr/0": lr}
    series |= {"val/loss": at_epochs("val/loss", val, PER), "val/accuracy": at_epochs("val/accuracy", accuracy, PER)}
    return assemble("", series, parameters=parameters())
