"""Logs in which nothing is learned and nothing crashes: every prediction the same, guesses, losses at a level of no
skill; drawn over numbers of classes, lengths, splits, digits and percent."""

from __future__ import annotations

import numpy as np

from corpus.task_logs import epochs, fall, of_samples, table

SILENT = {}  # builders by name, and the codes any of which names the fault


def silent(*codes):
    def enter(builder):
        SILENT[builder.__name__] = (builder, codes)
        return builder

    return enter


def draw(name, seed):
    return SILENT[name][0](np.random.default_rng([seed, *name.encode()]))


def length(rng, low=6, high=150):
    return int(np.exp(rng.uniform(np.log(low), np.log(high))))


def splits(rng):
    """Which splits were logged."""
    return [("train",), ("val",), ("train", "val")][int(rng.integers(3))]


def shown(rng, columns):
    """The columns as one of the usual printers gives them: fractions or percent, 2 to 6 digits."""
    percent, digits = rng.random() < 0.3, int(rng.choice([3, 4, 5, 6]))
    return {
        k: np.round(100 * v, max(1, digits - 2)) if percent and "acc" in k else np.round(v, digits)
        for k, v in columns.items()
    }


def guessed(rng, k, n, samples=None):
    """Accuracies of guesses among k classes."""
    m = samples or int(np.exp(rng.uniform(np.log(1500), np.log(80_000))))
    return rng.binomial(m, 1 / k, n) / m


@silent("PRD009", "PRD002")
def noise_unlearned(rng):
    """The accuracy stays at 1/k, the loss comes down to ln k: confidence is all that is lost."""
    k, n = int(rng.integers(2, 11)), length(rng, 9)
    columns = {}
    for split in splits(rng):
        over = rng.uniform(0.05, 0.5) * np.exp(-np.arange(n) / (rng.uniform(0.1, 0.25) * n))
        columns[f"{split}/loss"] = np.log(k) * (1 + over + 0.001 * np.abs(rng.standard_normal(n)))
        columns[f"{split}/accuracy"] = guessed(rng, k, n)
    return table(shown(rng, columns), 8)


@silent("PRD009", "PRD002")
def pinned(rng):
    """Loss and accuracy of guesses from the first epoch on."""
    k, n = int(rng.integers(2, 11)), length(rng)
    columns = {}
    for split in splits(rng):
        columns[f"{split}/loss"] = np.log(k) * (1 + 0.003 * np.abs(rng.standard_normal(n)))
        columns[f"{split}/accuracy"] = guessed(rng, k, n)
    return table(shown(rng, columns), 8)


@silent("PRD009", "PRD002", "GEN002")
def losses_alone_near_the_level(rng):
    """No accuracy: both losses stay within half a percent of ln k, drifting a little."""
    k, n = int(rng.integers(2, 5)), length(rng, 10)
    drift = -0.004 * rng.random() * np.arange(n) / n
    columns = {
        f"{s}/loss": np.log(k) * (1 + drift + 0.001 * rng.standard_normal(n)) + 0.004 * (np.arange(n) == 0)
        for s in ("train", "val")
    }
    return table(columns, int(rng.integers(4, 7)))


@silent("PRD002", "PRD009")
def one_share_throughout(rng):
    """The share of a class in every evaluation; the loss falls to the entropy of it and no further."""
    n, p, m = length(rng, 8), float(rng.uniform(0.5, 0.75)), int(rng.integers(150, 4000))
    p = round(p * m) / m
    floor = -p * np.log(p) - (1 - p) * np.log(1 - p)
    columns = {
        f"{s}/loss": fall(rng, n, floor * rng.uniform(1.2, 2), floor * 1.004, 0.1, 0.002) for s in ("train", "val")
    }
    columns["train/accuracy"] = rng.normal(p, 0.01, n)
    columns["val/accuracy"] = np.full(n, p)
    return table(shown(rng, columns), 8)


@silent("PRD002")
def now_one_class_now_another(rng):
    """Evaluations give the share of one class or of another, in turn, while training memorises."""
    n, k, m = length(rng, 8, 60), int(rng.integers(2, 4)), int(rng.integers(40, 2000))
    others = of_samples(rng.dirichlet(np.full(k, 20.0))[1:], m)
    shares = np.r_[1 - others.sum(), others]
    at = rng.integers(0, k, n)
    at[:6] = [0, 1, 0, 1, 1, 0]
    accuracy = shares[at]
    odd = rng.random(n) < 0.08
    odd[:6] = False
    accuracy = np.where(odd, of_samples(rng.uniform(0.3, 0.7, n), m), accuracy)
    columns = {
        "train/loss": fall(rng, n, 0.9, 0.01),
        "val/loss": np.exp(rng.normal(0.5, 0.6, n)),
        "val/accuracy": accuracy,
        "train/accuracy": np.clip(1 - fall(rng, n, 0.5, 0.002), 0, 1),
    }
    return table(shown(rng, columns), 8)


@silent("PRD009", "PRD002", "EVL001")
def f1_of_one_class_at_ln_2(rng):
    """Macro F1 is that of one class in most evaluations, the losses do not leave ln 2."""
    n, p = length(rng, 10, 80), float(rng.uniform(0.47, 0.56))
    f1 = np.where(rng.random(n) < 0.65, p / (1 + p), rng.uniform(0.33, 0.48, n))
    slope = rng.uniform(0.0, 0.006) * np.linspace(-0.5, 1, n)
    columns = {f"{s}/loss": np.log(2) - slope + rng.normal(0, 0.0008, n) for s in ("train", "val")}
    return table(columns | {"val/macro_f1": f1}, int(rng.integers(4, 7)))


@silent("PRD009", "GEN002", "PRD002")
def variance_of_the_target(rng):
    """A standardised target, and its mean for every input: a loss of 1."""
    n = length(rng, 4, 80)
    columns = {f"{s}/loss": 1 + rng.normal(0, 4e-4, n) + 0.001 * np.exp(-np.arange(n)) for s in ("train", "val")}
    if rng.random() < 0.5:
        columns |= {f"{s}/mse": columns[f"{s}/loss"] for s in ("train", "val")}
        columns["val/mape"] = 100 + 8 * rng.random(n)
    return table(columns, int(rng.integers(4, 7)))


@silent("EVL004")
def nothing_left_after_an_epoch(rng):
    """The floor of float32 in training and evaluation, accuracy 1: one class only, or the answer in the input."""
    n, floor = epochs(rng, 4, 30), float(rng.choice([1.1921e-07, 1.0e-07, 1.096e-07, 0.0]))
    first, with_val = rng.uniform(1e-5, 0.02), rng.random() < 0.7
    columns = {"train/loss": np.r_[first, np.full(n - 1, floor)], "train/accuracy": np.ones(n)}
    columns["train/accuracy"][0] = rng.choice([1.0, 0.998])
    if with_val:
        columns |= {"val/loss": np.full(n, floor), "val/accuracy": np.ones(n)}
    return table(columns, 11)


@silent("PRD002", "PRD009", "EVL001", "GEN002")
def nothing_moves_on_a_small_set(rng):
    """Two or three dozen samples give one accuracy for ever; training scores no better and does not rise."""
    n, m = length(rng, 20, 200), int(rng.integers(20, 60))
    p = of_samples(rng.uniform(0.55, 0.8), m)
    columns = {
        "train/loss": fall(rng, n, 0.66, 0.58, 0.1, 0.005),
        "train/acc": rng.normal(rng.uniform(0.4, float(p) - 0.03), 0.01, n),
        "val/loss": fall(rng, n, 0.6, 0.5, 0.1, 0.005),
        "val/acc": np.full(n, p),
    }
    return table(columns, 5)


@silent("PRD009", "GEN002", "GEN004", "GEN001", "OBJ009")
def hardly_better_than_guesses(rng):
    """Dozens of epochs for a few percent of the loss of guesses, which the evaluation gives back."""
    k, n = int(rng.integers(4, 11)), length(rng, 24, 120)
    t = np.arange(n) / n
    columns = {
        "train/loss": np.log(k) * (1 - 0.03 * t) + rng.normal(0, 0.004, n),
        "val/loss": np.log(k) * (0.99 + 0.012 * rng.standard_normal(n).cumsum() / np.sqrt(n)) + rng.normal(0, 0.004, n),
        "train/accuracy": (1.1 + 0.4 * t) / k + rng.normal(0, 0.003, n),
        "val/accuracy": (1.15 + 0.2 * t) / k + rng.normal(0, 0.008, n),
    }
    return table(columns, 5)


@silent("EVL001", "EVL004", "PRD002")
def no_loss_for_many_errors(rng):
    """Softmax over one output: a loss of nothing, and the share of class 1 as accuracy."""
    n, p = epochs(rng, 4, 40), float(rng.uniform(0.1, 0.85))
    loss = float(rng.choice([0.0, 1.1921e-07]))
    columns = {"train/loss": np.full(n, loss), "train/accuracy": p + rng.choice([0, 1e-4], n)}
    if rng.random() < 0.7:
        columns |= {"val/loss": np.full(n, loss), "val/accuracy": np.full(n, round(p + 0.02, 4))}
    return table(columns, 11)
