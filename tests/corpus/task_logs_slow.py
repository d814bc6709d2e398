"""Healthy logs that come nearest to silent faults: late starts, levels of chance that are right, sets that saturate."""

from __future__ import annotations

import numpy as np

from corpus.task_logs import batches, epochs, fall, of_samples, printed, rise, table, task


@task
def late_start(rng):
    """Chance for a third of the run, then it learns."""
    k, n = int(rng.integers(2, 11)), epochs(rng, 12, 80)
    still = int(n * rng.uniform(0.1, 0.5))
    skill = np.r_[np.zeros(still), rise(rng, n - still, 0, 0.8)]
    accuracy = of_samples((1 + (k - 1) * skill) / k, 2000, rng)
    loss = np.log(k) * (1 - 0.9 * skill) * np.exp(0.003 * rng.standard_normal(n))
    columns = {
        "train/loss": loss,
        "val/loss": 1.02 * loss,
        "train/accuracy": accuracy,
        "val/accuracy": accuracy - 0.004,
    }
    return table(columns)


@task
def first_epochs_of_a_late_start(rng):
    """Two or three epochs at chance; what follows is not in the log."""
    k, n = int(rng.integers(2, 11)), int(rng.integers(2, 4))
    loss = np.log(k) * (1 + 0.02 * rng.random(n))
    return table({"train/loss": loss, "train/accuracy": of_samples(np.full(n, 1 / k), 5000, rng)})


@task
def unequal_classes_learned_slowly(rng):
    """The share of the majority at first, then a little more, at a loss below its entropy."""
    n, p, m = epochs(rng, 10, 60), float(rng.uniform(0.6, 0.92)), int(rng.integers(200, 3000))
    floor = -p * np.log(p) - (1 - p) * np.log(1 - p)
    accuracy = of_samples(p + (1 - p) * np.maximum(0, rise(rng, n, -0.2, 0.5)), m, rng)
    loss = fall(rng, n, 1.05 * floor, 0.6 * floor, noise=0.005)
    return table(
        {"train/loss": loss, "val/loss": loss * 1.05, "val/accuracy": accuracy, "val/auc": rise(rng, n, 0.6, 0.85)}
    )


@task
def small_set_that_saturates(rng):
    """Some dozens of samples: the same accuracy from the second epoch on, training climbs to it and beyond."""
    n, m = epochs(rng, 8, 60), int(rng.integers(15, 90))
    p = of_samples(rng.uniform(0.7, 0.97), m)
    first = of_samples(p - 0.1, m)
    columns = {
        "train/loss": fall(rng, n, 0.7, 0.1),
        "train/accuracy": rise(rng, n, 0.6, 0.99),
        "val/loss": fall(rng, n, 0.6, 0.25),
        "val/accuracy": np.r_[first, np.full(n - 1, p)],
    }
    return table(columns)


@task
def small_set_with_two_values(rng):
    """Thirty samples, of which one turns now and then."""
    n, m = epochs(rng, 10, 60), int(rng.integers(10, 50))
    right = round(m * rng.uniform(0.7, 0.95)) + rng.integers(0, 3, n)
    columns = {"train/loss": fall(rng, n, 0.7, 0.15), "val/loss": fall(rng, n, 0.6, 0.3, noise=0.01)}
    return table(columns | {"val/accuracy": np.minimum(right, m) / m, "train/accuracy": rise(rng, n, 0.65, 0.95)})


@task
def noisy_small_set(rng):
    """Twenty to sixty samples and a large learning rate: the accuracy jumps about."""
    n, m = epochs(rng, 8, 40), int(rng.integers(10, 60))
    accuracy = of_samples(np.clip(rise(rng, n, 0.4, 0.75, noise=0.1), 0, 1), m, rng)
    return table(
        {"train/loss": fall(rng, n, 0.8, 0.2), "val/loss": fall(rng, n, 0.8, 0.5, noise=0.1), "val/accuracy": accuracy}
    )


@task
def tuned_and_as_good_from_the_start(rng):
    """A good model tuned further: accuracy .9 and more, wobbling by a thousandth."""
    n, p = epochs(rng, 4, 30), float(rng.uniform(0.85, 0.98))
    accuracy = of_samples(np.full(n, p), 5000, rng)
    loss = 0.3 * (1 - p) / 0.1 * np.exp(0.01 * rng.standard_normal(n))
    return table({"train/loss": loss, "val/loss": loss * 1.1, "val/accuracy": accuracy})


@task
def self_play(rng):
    """Win rate and accuracy of the policy about one half, the loss anywhere."""
    n = int(rng.integers(20, 80))
    columns = {
        "train/loss": np.exp(rng.normal(-0.36, 0.05, n)),
        "win_rate": rng.normal(0.5, 0.02, n),
        "episode_reward": rng.normal(0, 0.1, n),
    }
    return table(columns)


@task
def discriminator_at_one_half(rng):
    """GAN at its equilibrium: ln 2 and one half."""
    n = int(rng.integers(10, 80))
    columns = {
        "train/loss/d": np.log(2) + 0.004 * rng.standard_normal(n),
        "train/loss/g": np.log(2) + 0.004 * rng.standard_normal(n),
        "d_accuracy": rng.normal(0.5, 0.006, n),
    }
    return table(columns)


@task
def contrastive_pairs(rng):
    """InfoNCE over a batch: ln B to a half of it, the accuracy of pairs rises."""
    n, size = epochs(rng, 8, 60), int(rng.choice([8, 32, 256]))
    loss = fall(rng, n, np.log(size), 0.5 * np.log(size))
    return table({"train/loss": loss, "val/loss": loss * 1.02, "val/accuracy": rise(rng, n, 1 / size, 0.7)})


@task
def preferences_slowly(rng):
    """DPO: .6931 to .66, reward accuracy .5 to .6."""
    n = int(rng.integers(10, 60))
    loss = np.log(2) - 0.035 * np.arange(n) / n + 0.002 * rng.standard_normal(n)
    columns = {"train/loss": batches(loss), "rewards/accuracies": batches(rise(rng, n, 0.5, 0.62, noise=0.02))}
    return table(
        columns
        | {"val/loss": printed(np.linspace(0.69, 0.665, 4)), "val/rewards/accuracies": printed([0.54, 0.57, 0.58, 0.6])}
    )


@task
def reward_model(rng):
    """Pairs of answers: accuracy .52 to .64, loss .693 to .64."""
    n = epochs(rng, 4, 12)
    return table(
        {
            "train/loss": fall(rng, n, 0.69, 0.62, 0.5),
            "val/loss": fall(rng, n, 0.69, 0.645, 0.4, 0.003),
            "val/accuracy": rise(rng, n, 0.52, 0.64),
        }
    )


@task
def weak_signal(rng):
    """A task near the limit of what its inputs tell: ln 2 to .66, accuracy .53 to .6, AUC .63."""
    n = epochs(rng, 8, 60)
    loss = fall(rng, n, 0.693, 0.655, 0.25, 0.002)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss + 0.006,
            "val/accuracy": rise(rng, n, 0.53, 0.605),
            "val/auc": rise(rng, n, 0.54, 0.64),
        }
    )


@task
def standardised_target_learned(rng):
    """Squared error of a standardised target: from 1 down, a little or a lot."""
    n = epochs(rng, 5, 60)
    floor = float(rng.uniform(0.3, 0.93))
    return table(
        {"train/loss": fall(rng, n, 1.0, floor, noise=0.004), "val/loss": fall(rng, n, 1.0, floor + 0.03, noise=0.004)}
    )


@task
def loss_that_ends_near_one(rng):
    """A language model, a detector, a weighted sum: the loss comes down and levels off about 1."""
    n = epochs(rng, 8, 60)
    return table(
        {
            "train/loss": fall(rng, n, rng.uniform(1.3, 4), rng.uniform(0.98, 1.02), noise=0.003),
            "val/loss": fall(rng, n, 2, 1.05),
        }
    )


@task
def statistics_that_lag(rng):
    """Batch norm: the evaluation gives one class for some epochs, then follows training."""
    n, k, m = epochs(rng, 14, 50), int(rng.integers(2, 11)), int(rng.integers(200, 3000))
    late = int(rng.integers(2, 7))
    accuracy = np.r_[np.full(late, of_samples(1 / k, m)), of_samples(rise(rng, n - late, 0.5, 0.93), m, rng)]
    loss = np.r_[np.log(k) * rng.uniform(1, 4, late), fall(rng, n - late, 0.8, 0.2)]
    return table(
        {
            "train/loss": fall(rng, n, np.log(k), 0.1),
            "train/accuracy": rise(rng, n, 1 / k, 0.98),
            "val/loss": loss,
            "val/accuracy": accuracy,
        }
    )


@task
def easily_separated(rng):
    """Digits or clusters: .99 after an epoch, the loss small but never nothing."""
    n = epochs(rng, 4, 60)
    columns = {"train/loss": fall(rng, n, rng.uniform(0.1, 0.6), 1e-3, 0.1), "val/loss": fall(rng, n, 0.05, 4e-3, 0.1)}
    return table(
        columns
        | {
            "train/accuracy": rise(rng, n, 0.97, 1.0, noise=0.001),
            "val/accuracy": rise(rng, n, 0.985, 1.0, noise=0.001),
        },
        6,
    )


@task
def toy_set_learned_by_heart(rng):
    """A toy problem over hundreds of epochs: training ends at the floor of float32."""
    n = int(rng.integers(100, 300))
    loss = np.maximum(0.69 * np.exp(-np.arange(n) / 10), 1.1921e-07)
    return table({"train/loss": loss, "train/accuracy": np.minimum(1, 0.5 + 0.02 * np.arange(n))}, 11)


@task
def mixed_labels(rng):
    """Mixup: training scores .4 to .5 throughout, the evaluation .8 and rising."""
    n = epochs(rng, 20, 80)
    columns = {"train/loss": fall(rng, n, 1.9, 1.4), "train/accuracy": rise(rng, n, 0.3, 0.5, noise=0.01)}
    return table(
        columns | {"val/loss": fall(rng, n, 1.2, 0.7), "val/accuracy": of_samples(rise(rng, n, 0.6, 0.85), 500)}
    )


@task
def many_classes_slowly(rng):
    """A hundred classes from scratch: 4.6 to 4.2 in ten epochs, accuracy .01 to .06."""
    n = epochs(rng, 8, 25)
    loss = fall(rng, n, np.log(100), 4.1, 0.5, 0.003)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss * 1.005,
            "val/accuracy": of_samples(rise(rng, n, 0.012, 0.07, noise=0.001), 10_000),
        }
    )


@task
def hinge_that_falls(rng):
    """A hinge or Dice loss: from 1 down."""
    n = epochs(rng, 5, 60)
    return table(
        {
            "train/loss": fall(rng, n, 0.99, 0.3),
            "val/loss": fall(rng, n, 0.98, 0.35),
            "val/dice": rise(rng, n, 0.05, 0.7),
        }
    )


@task
def very_weak_signal(rng):
    """Two classes and inputs that tell next to nothing: .6935 to .687, accuracy .505 to .55, learned all the same."""
    n, m = epochs(rng, 12, 60), int(rng.integers(5000, 50_000))
    loss = fall(rng, n, 0.6938, 0.6865, 0.3, 2e-4)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss + 3e-4,
            "train/accuracy": of_samples(rise(rng, n, 0.505, 0.555, noise=0), 3 * m, rng),
            "val/accuracy": of_samples(rise(rng, n, 0.505, 0.55, noise=0), m, rng),
        }
    )


@task
def five_ratings_slowly(rng):
    """Ordered ratings: ln 5 to 1.52, accuracy .22 to .31 over dozens of epochs."""
    n = epochs(rng, 20, 80)
    loss = fall(rng, n, np.log(5), 1.52, 0.4, 0.002)
    columns = {"train/loss": loss - 0.01, "val/loss": loss, "train/accuracy": rise(rng, n, 0.22, 0.33)}
    return table(columns | {"val/accuracy": rise(rng, n, 0.21, 0.31)})
