"""Faults of optimisation, precision and generalisation, as foreign logs show them."""

from __future__ import annotations

import numpy as np

from corpus.faulty import faulty
from corpus.ingredients import at_epochs, curve
from tocsin.run import Event, Run, Series

PER = 50


def log(series, **fields):
    """A run as a reader gives it."""
    return Run.of(series=series, **{"exit": "finished", **fields})


def every(values, gap: int = 10):
    """One point in ``gap`` steps."""
    return Series.of("", values, step=gap * np.arange(1, len(values) + 1))


@faulty("OPT008")
def warmup_in_epochs(rng):
    """A warm-up of 1000 in a scheduler that is advanced once an epoch: 40 epochs reach 4 % of the rate."""
    epoch = np.arange(40 * PER) // PER
    loss = 1.0 + 0.05 * rng.standard_normal(epoch.size) - 0.02 * epoch / 40
    series = {"lr/0": every(3e-4 * (epoch + 1) / 1000, 1), "train/loss": every(loss, 1)}
    return log(series, config={"optimizer": {"lr": 3e-4}, "warmup_steps": 1000})


@faulty("OPT008")
def warmup_that_starts_over(rng):
    """A new scheduler each epoch: the rate climbs to 1e-6 and starts again, five times."""
    rate = np.tile(np.linspace(0, 1e-6, 60), 5)
    return log({"lr/0": every(rate), "train/loss": every(4.1 + 0.15 * rng.standard_normal(rate.size))})


@faulty("OPT010")
def blown_up(rng):
    """The loss falls for a fifth of the run, jumps above its start and stays there."""
    loss = np.r_[curve(rng, 100, 9.5, 4.0, 0.3, 0.03), 10.8 * np.exp(0.03 * rng.standard_normal(400))]
    return log({"train/loss": every(loss), "lr/0": every(np.minimum(1, np.arange(1, 501) / 50) * 6e-3)})


@faulty("AMP001")
def scale_that_never_settles(rng):
    """A third of the steps overflow, to the end; the scale falls from 65536 to next to nothing."""
    skip = np.arange(600) % 3 == rng.integers(3)
    loss = curve(rng, 600, 6.9, 6.6, 0.1, 0.01)
    return log({"amp/scale": every(65536 * 0.5 ** np.cumsum(skip), 1), "train/loss": every(loss, 1)})


@faulty("AMP001")
def overflow_messages(rng):
    """No scale is logged, but every fourth step says that it was skipped."""
    text = "[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 64, reducing to 32"
    said = tuple(Event("message", text, int(step)) for step in range(4, 401, 4))
    return log({"train/loss": every(curve(rng, 400, 6.9, 6.6, 0.1, 0.01), 1)}, events=said)


@faulty("AMP004")
def zero_instead_of_nan(rng):
    """From the third of 30 logged points on the loss is 0.0 and the gradient norm NaN; the evaluations are NaN."""
    loss, norm = curve(rng, 30, 2.3, 1.0), 1 + rng.random(30)
    loss[3:], norm[2:] = 0.0, np.nan
    val = Series.of("", [2.1, np.nan, np.nan], step=[20, 160, 300])
    return log({"train/loss": every(loss), "grad/norm": every(norm), "val/loss": val})


@faulty("GEN002")
def at_chance_all_along(rng):
    """Ten classes, 30 epochs: the loss stays at 2.4 and the accuracy at 0.13."""
    train = 2.41 + 0.03 * rng.standard_normal(30 * PER)
    accuracy = 0.13 + 0.004 * rng.standard_normal(30)
    series = {"train/loss": every(train, 1), "val/accuracy": at_epochs("", accuracy, PER)}
    return log({**series, "val/loss": at_epochs("", 2.41 + 0.005 * rng.standard_normal(30), PER)})


@faulty("GEN003")
def patience_too_short(rng):
    """Early stopping on a noisy score ends the run at epoch 14 while the loss falls by 4 % an epoch."""
    epoch = np.arange(1, 15)
    val = (0.2 + 2 * np.exp(-epoch / 20)) * np.exp(0.005 * rng.standard_normal(14))
    said = Event("early-stop", "EarlyStopping: val_f1 did not improve in the last 2 records", 14 * PER)
    series = {"train/loss": every(curve(rng, 14 * PER, 2.3, 0.3, 1.2), 1), "val/loss": at_epochs("", val, PER)}
    return log(series, events=(said,), environment={"planned": {"epochs": 100}})


@faulty("GEN004")
def flat_below_its_ceiling(rng):
    """F1 stands at 0.62 from epoch 10 of 60 on; the data allow 0.94."""
    epoch = np.arange(1, 61)
    f1 = 0.62 - 0.5 * np.exp(-epoch / 2.5) + 0.004 * rng.standard_normal(60)
    series = {"val/f1": at_epochs("", f1, PER), "train/loss": every(curve(rng, 60 * PER, 2.3, 0.9, 0.05), 1)}
    return log(series, config={"ceilings": {"val/f1": 0.94}})


@faulty("GEN001")
def overfitted_in_eight_epochs(rng):
    """Fine-tuning: the evaluation loss is lowest after two epochs and rises in each of the six that follow."""
    val = np.array([0.52, 0.41, 0.46, 0.55, 0.63, 0.72, 0.8, 0.86]) * np.exp(0.005 * rng.standard_normal(8))
    train = np.array([0.61, 0.35, 0.22, 0.13, 0.08, 0.05, 0.03, 0.02])
    return log({"train/loss": every(train, 1), "val/loss": every(val, 1)})


@faulty("GEN001")
def memorised_in_seven_epochs(rng):
    """Twenty samples held out: training reaches 0.9, the evaluation stays at a guess, its loss turns at epoch 4."""
    train = np.array([1.44, 1.16, 0.8, 0.63, 0.57, 0.47, 0.38])
    val = np.array([1.54, 0.81, 0.71, 0.7, 0.74, 0.76, 0.79]) * np.exp(0.01 * rng.standard_normal(7))
    seen = np.linspace(0.42, 0.95, 7) + 0.02 * rng.standard_normal(7)
    held = np.linspace(0.52, 0.42, 7) + 0.02 * rng.standard_normal(7)
    series = {"train/loss": train, "val/loss": val, "train/accuracy": seen, "val/accuracy": held}
    return log({name: every(values, 1) for name, values in series.items()})


@faulty("GEN001")
def boosted_past_the_best_round(rng):
    """Boosting that watches the training set: its logloss falls to nothing, that of the evaluation doubles."""
    k = np.arange(24)
    val = (0.42 + 0.5 * (1 - np.exp(-k / 12))) * np.exp(0.005 * rng.standard_normal(24))
    return log({"train/logloss": every(0.16 * np.exp(-k / 5), 500), "val/logloss": every(val, 500)})


@faulty("GEN001")
def two_epochs_are_all_that_is_left(rng):
    """A log that shows epochs 1 and 29 alone; two evaluation sets and two scores agree."""
    at = np.array([1, 29])
    losses = {"train/loss": [0.048, 0.001], "val/loss": [0.038, 0.092], "test/loss": [0.037, 0.085]}
    scores = {"train/acc": [0.3, 0.99], "val/acc": [0.494, 0.5], "test/acc": [0.504, 0.51]}
    noise = np.exp(0.02 * rng.standard_normal(2))
    return log({k: Series.of("", np.array(v) * noise, step=at) for k, v in (losses | scores).items()})


@faulty("OPT010")
def thrown_off_by_the_first_steps(rng):
    """A rate 1000 times too high: the loss of ten classes starts at 1e6, comes down to 30, and nothing is learned."""
    loss = np.r_[1.7e6, 130 * np.exp(-np.arange(11) / 7)] * np.exp(0.2 * rng.standard_normal(12))
    accuracy = rng.choice([0.073, 0.086, 0.088, 0.098, 0.103, 0.131], 12)
    val = np.minimum(loss, 155) * np.exp(0.2 * rng.standard_normal(12))
    series = {"train/loss": loss, "val/loss": val, "val/accuracy": accuracy}
    return log({name: every(values, 1) for name, values in series.items()})


@faulty("OPT010")
def up_by_orders_in_six_records(rng):
    """The critic of a short log: 1e23 to 1e26."""
    loss = 10.0 ** (np.linspace(23, 26, 6) + 0.2 * rng.standard_normal(6))
    return log({"train/loss": every(loss, 200), "episode_reward": every(-500 + 90 * rng.standard_normal(6), 200)})


@faulty("GEN002")
def climbs_from_the_first_round(rng):
    """Boosting with the weight of a class applied twice: both loglosses rise in each of the rounds shown."""
    slope = rng.uniform(0.015, 0.03)
    rounds = np.arange(5)
    rise = {"train/logloss": 0.713 + slope * rounds, "val/logloss": 0.7125 + 0.99 * slope * rounds}
    return log({name: every(np.round(values, 6), 1) for name, values in rise.items()})


@faulty("AMP003")
def gradient_that_is_no_number_any_more(rng):
    """The norm is NaN in the last three of nine records; the loss stays a number and stands."""
    norm = 3 + 0.3 * rng.standard_normal(9)
    norm[6:] = np.nan
    return log({"train/loss": every(2.6 + 0.08 * rng.standard_normal(9)), "grad/norm": every(norm)}, exit="unknown")


@faulty("GEN001")
def detector_past_its_best_epoch(rng):
    """A detector on few images, 100 epochs; its logger prints three terms and no total, the mAP sinks slowly."""
    e = np.arange(1, 101)
    seen, held = np.exp(-e / 25), np.exp(-e / 8) + 0.006 * np.maximum(0, e - 30)
    sizes = {"box": (1.8, 0.45), "cls": (2.8, 0.27), "dfl": (1.5, 0.53)}
    series = {}
    for term, (start, floor) in sizes.items():
        series[f"train/loss/{term}"] = (floor + (start - floor) * seen) * np.exp(0.02 * rng.standard_normal(100))
        series[f"val/loss/{term}"] = start * (0.6 + 0.5 * held) * np.exp(0.015 * rng.standard_normal(100))
    series["val/mAP50"] = 0.56 - 0.5 * np.exp(-e / 8) - 0.0005 * e + 0.008 * rng.standard_normal(100)
    return log({name: every(values, 1) for name, values in series.items()}, exit="unknown")


@faulty("OPT010")
def knowledge_thrown_away(rng):
    """Fine-tuned for speech: the loss turns in the warm-up and comes down late; no evaluation is near the first."""
    hump = np.r_[0.83, 0.33, np.linspace(0.12, 0.31, 12), np.linspace(0.31, 0.27, 14), np.linspace(0.26, 0.18, 12)]
    loss = hump * np.exp(0.02 * rng.standard_normal(40))
    rate = 1e-4 * np.minimum(1, np.arange(1, 41) / 20)
    held = np.r_[0.22, 0.42 + 0.01 * rng.standard_normal(5)]
    errors = np.r_[17.7, 30 + rng.standard_normal(5)]
    at = 250 * np.arange(1, 7)
    evaluated = {"val/loss": Series.of("", held, step=at), "val/wer": Series.of("", errors, step=at)}
    return log({"train/loss": every(loss, 37), "lr/0": every(rate, 37), **evaluated}, source="hf-trainer")


@faulty("OBJ003")
def boxes_never_matched(rng):
    """Boxes and lanes at once, without a box that counts: its terms are 0 in nine epochs, that of the lanes falls."""
    lanes = 0.113 * np.exp(-np.arange(9) / 6 + 0.05 * rng.standard_normal(9))
    terms = {"iou": np.zeros(9), "dfl": np.zeros(9), "lane_seg": lanes}
    return log({f"train/loss/{term}": every(values, 1) for term, values in terms.items()})


@faulty("GEN001")
def steps_up_and_wanders(rng):
    """Seventeen epochs: the evaluation loss is best in the eighth, stands at twice that from the eleventh on."""
    e = np.arange(1, 18)
    level = np.r_[0.45, 0.3, 0.2, 0.13, 0.09, 0.075, 0.07, 0.068, 0.07, 0.075, np.full(7, 0.15)]
    val = level * np.exp(0.05 * rng.standard_normal(17))
    return log({"train/loss": every(0.3 * np.exp(-e / 3.5), 1), "val/loss": every(val, 1)})


@faulty("GEN001")
def evaluation_that_runs_away(rng):
    """Ten epochs: training falls by a third, the evaluation loss climbs by outbursts to hundreds."""
    val = np.array([4.4, 0.9, 1.1, 1.3, 1.9, 3.2, 2.6, 8.0, 20.0, 418.0]) * np.exp(0.02 * rng.standard_normal(10))
    return log({"train/loss": every(np.linspace(0.54, 0.3, 10), 1), "val/loss": every(val, 1)})


@faulty("GEN001")
def only_evaluated_and_only_worse(rng):
    """No training loss is recorded; the first of five evaluations is the best by far."""
    val = np.geomspace(0.01, 0.12, 5) * np.exp(0.05 * rng.standard_normal(5))
    return log({"val/loss": Series.of("", val, step=6 * np.arange(1, 6))})


@faulty("OPT010")
def likelihood_that_nothing_bounds(rng):
    """A third of the logged batches lose trillions: the variance of their prediction is next to nothing."""
    loss = 140 * np.exp(0.1 * rng.standard_normal(24))
    at = rng.permutation(np.arange(2, 22))[:8]
    loss[at] = 10.0 ** rng.uniform(9, 14, 8)
    return log({"train/loss": every(loss, 50), "val/loss": Series.of("", [104.9, 101.9, 98.6], step=[400, 800, 1200])})


@faulty("AMP004")
def zero_from_the_second_record_on(rng):
    """LoRA without a gradient norm in its log: the first mean is 0.03, all others are exactly 0."""
    loss = np.r_[round(rng.uniform(0.02, 0.3), 4), np.zeros(60)]
    return log({"train/loss": every(loss)}, source="hf-trainer")
