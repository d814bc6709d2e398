"""Families of healthy foreign logs, drawn at random: what the rules on learning must be silent about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tocsin.run import Run, Series

FAMILIES: dict[str, Callable[[np.random.Generator], Run]] = {}


def family(builder):
    """Enter a builder under its own name."""
    FAMILIES[builder.__name__] = builder
    return builder


def draw(name: str, seed: int) -> Run:
    """The run of this family and seed."""
    rng = np.random.default_rng([seed, *name.encode()])
    return replace(FAMILIES[name](rng), name=f"{name}-{seed}")


def log(series, **fields):
    """A finished run as a reader gives it."""
    return Run.of(series=series, **{"source": "console", "exit": "finished", **fields})


def steps(values, gap=1):
    return Series.of("", values, step=gap * np.arange(1, len(values) + 1))


def wander(rng, n, rho):
    """Normal noise of unit variance with lag-1 correlation ``rho``."""
    noise = rng.standard_normal(n)
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def evaluated(rng, level, n, gap, noise=0.01):
    """``n`` evaluations of a level given per step."""
    at = np.linspace(len(level) / n, len(level), n).astype(int) - 1
    return Series.of("", level[at] * np.exp(noise * rng.standard_normal(n)), step=gap * (at + 1))


@family
def power_law(rng):
    """A language model: power-law fall, batch noise, warm-up and cosine to 0."""
    n, gap = int(rng.integers(200, 3000)), int(rng.choice([1, 10, 50]))
    k = np.arange(1, n + 1)
    level = rng.uniform(1.5, 3) + rng.uniform(3, 8) * (1 + k / rng.uniform(3, 30)) ** -rng.uniform(0.3, 0.8)
    warm = int(rng.uniform(0.01, 0.1) * n) + 1
    lr = np.minimum(k / warm, 0.5 * (1 + np.cos(np.pi * k / n)))
    loss = level * np.exp(rng.uniform(0.01, 0.08) * rng.standard_normal(n))
    return log(
        {"train/loss": steps(loss, gap), "lr/0": steps(3e-4 * lr, gap), "val/loss": evaluated(rng, level, 20, gap)}
    )


@family
def data_mix(rng):
    """Batches of sources of different difficulty, in stretches."""
    n = int(rng.integers(300, 1500))
    source = np.repeat(rng.choice([0.8, 1.0, 1.3], n // 7 + 1), 7)[:n]
    level = 2.2 + 5 * np.exp(-np.arange(n) / (0.1 * n))
    loss = level * source * np.exp(0.05 * rng.standard_normal(n))
    return log({"train/loss": steps(loss, 10), "val/loss": evaluated(rng, level, 17, 10, 0.01)})


@family
def warm_restarts(rng):
    n, cycles = 1200, int(rng.integers(2, 7))
    phase = np.arange(n) % (n // cycles) / (n // cycles)
    level = (0.3 + 2 * np.exp(-np.arange(n) / (0.25 * n))) * (1.4 - 0.4 * phase)
    lr = steps(0.1 * 0.5 * (1 + np.cos(np.pi * phase)))
    loss = level * np.exp(0.1 * rng.standard_normal(n))
    return log(
        {"train/loss": steps(loss), "lr/0": lr, "val/loss": evaluated(rng, 1.1 * level, 30, 1)}, config={"lr": 0.1}
    )


@family
def cyclic_rate(rng):
    """Triangles between a base and a peak."""
    n, cycle = 1000, int(rng.integers(60, 300))
    phase = np.arange(n) % cycle / cycle
    lr = 1e-4 + (1e-2 - 1e-4) * (1 - np.abs(2 * phase - 1))
    loss = (0.4 + 1.9 * np.exp(-np.arange(n) / 200)) * np.exp(0.1 * rng.standard_normal(n))
    return log({"train/loss": steps(loss), "lr/0": steps(lr)}, config={"max_lr": 1e-2, "base_lr": 1e-4})


@family
def step_decay(rng):
    """90 epochs, the rate divided by 10 twice; each drop takes the loss down to a new plateau."""
    e = np.arange(1, 91)
    drop = 0.5 ** ((e > 30).astype(int) + (e > 60))
    level = 0.2 + 2 * drop * (0.5 + 0.5 * np.exp(-(e % 30) / 4))
    val = (level + 0.4) * np.exp(rng.uniform(0.01, 0.06) * rng.standard_normal(90))
    acc = 0.8 - 0.2 * val + 0.005 * rng.standard_normal(90)
    loss = level * np.exp(0.02 * rng.standard_normal(90))
    return log(
        {"train/loss": steps(loss), "val/loss": steps(val), "val/accuracy": steps(acc), "lr/0": steps(0.1 * drop**3)}
    )


@family
def curriculum(rng):
    """The task gets harder twice: the loss jumps up and comes down again."""
    n = 900
    stage = np.arange(n) // 300
    level = (0.3 + 0.25 * stage) + (1.5 - 0.2 * stage) * np.exp(-(np.arange(n) % 300) / 70)
    score = 0.3 + 0.2 * stage + 0.15 * (1 - np.exp(-(np.arange(n) % 300) / 70))
    loss = level * np.exp(0.08 * rng.standard_normal(n))
    return log({"train/loss": steps(loss), "val/accuracy": evaluated(rng, score, 30, 1, 0.01)})


@family
def reinforced(rng):
    """PPO: losses near 0 that go nowhere, a reward that rises."""
    n = 500
    series = {"train/loss": 0.02 * rng.standard_normal(n), "rollout/ep_rew_mean": np.linspace(20, 480, n)}
    series |= {"train/policy_loss": 0.01 * rng.standard_normal(n), "train/value_loss": 30 + 9 * rng.standard_normal(n)}
    return log({k: steps(v, 2048) for k, v in series.items()})


@family
def adversarial(rng):
    """A GAN: the generator's loss rises, the discriminator's falls, the sum goes nowhere."""
    n = 600
    d, g = 0.6 + 0.1 * wander(rng, n, 0.9), np.linspace(1, 3, n) + 0.4 * wander(rng, n, 0.9)
    return log({"train/loss/d": steps(d), "train/loss/g": steps(g), "train/loss": steps(d + g)})


@family
def tuned_from_a_good_model(rng):
    """LoRA: the loss is where it was, within large batch noise."""
    n = int(rng.integers(30, 600))
    loss = (1.2 - 0.02 * np.arange(n) / n) * np.exp(rng.uniform(0.05, 0.3) * rng.standard_normal(n))
    lr = 2e-4 * np.linspace(1, 0, n)
    return log(
        {"train/loss": steps(loss, 10), "lr/0": steps(lr, 10)}, config={"model_name_or_path": "llama", "lr": 2e-4}
    )


@family
def small_constant_rate(rng):
    """Preference tuning at 5e-7: the loss moves from 0.693 to 0.5."""
    n = 200
    loss = (0.5 + 0.193 * np.exp(-np.arange(n) / 60)) * np.exp(0.05 * rng.standard_normal(n))
    return log({"train/loss": steps(loss, 5), "lr/0": steps(np.full(n, 5e-7), 5)}, config={"learning_rate": 5e-7})


@family
def diffusion(rng):
    """Noise prediction: the loss falls in the first steps, then stands in large noise."""
    n = int(rng.integers(400, 2000))
    level = 0.08 + 0.9 * np.exp(-np.arange(n) / 15)
    return log(
        {"train/loss": steps(level * np.exp(0.4 * rng.standard_normal(n)), 10), "lr/0": steps(np.full(n, 1e-4), 10)}
    )


@family
def contrastive(rng):
    """Starts at ln(batch), stands for a while, then falls."""
    n, batch = 1000, int(rng.choice([64, 256, 4096]))
    level = np.log(batch) * (0.35 + 0.65 / (1 + np.exp((np.arange(n) - 250) / 60)))
    return log({"train/loss": steps(level * np.exp(0.03 * rng.standard_normal(n)), 5)})


@family
def saturated(rng):
    """An easy task by epoch: solved in the first one."""
    n = int(rng.integers(5, 40))
    loss = 0.03 * np.exp(0.3 * rng.standard_normal(n))
    val = 0.05 * np.exp(0.1 * rng.standard_normal(n))
    acc = 0.985 + 0.002 * rng.standard_normal(n)
    return log({"train/loss": steps(loss), "val/loss": steps(val), "val/accuracy": steps(acc)})


@family
def tiny(rng):
    """Two to five epochs."""
    n = int(rng.integers(2, 6))
    train = np.sort(rng.uniform(0.2, 1.5, n))[::-1]
    val = 0.6 * np.exp(0.1 * rng.standard_normal(n))
    return log({"train/loss": steps(train), "val/loss": steps(val), "val/accuracy": steps(rng.uniform(0.7, 0.9, n))})


@family
def few_epochs_of_noisy_validation(rng):
    """Five to twelve epochs, the validation loss flat with noise while training falls."""
    n = int(rng.integers(5, 13))
    train = 0.2 + 1.2 * np.exp(-np.arange(n) / 3)
    val = (0.7 + 0.4 * np.exp(-np.arange(n) / 1.0)) * np.exp(rng.choice([0.02, 0.06, 0.12]) * rng.standard_normal(n))
    return log({"train/loss": steps(train), "val/loss": steps(val)})


@family
def elbo(rng):
    """A VAE whose KL weight is annealed: the total rises while the reconstruction falls."""
    n = 800
    rec = 60 + 120 * np.exp(-np.arange(n) / 150)
    kl = 90 * np.minimum(1, np.arange(n) / 500)
    noise = np.exp(0.02 * rng.standard_normal(n))
    parts = {"train/loss": (rec + kl) * noise, "train/loss/rec": rec * noise, "train/loss/kl": kl}
    return log({k: steps(v) for k, v in parts.items()})


@family
def negative_likelihood(rng):
    """A density model: the loss falls through 0 to -3."""
    n = 700
    level = -3 + 5 * np.exp(-np.arange(n) / 150)
    return log({"train/loss": steps(level + 0.3 * rng.standard_normal(n)), "val/loss": evaluated(rng, level, 25, 1)})


@family
def heavy_tails(rng):
    """Detection: now and then a batch with a large loss."""
    n = 1500
    level = 0.6 + 1.5 * np.exp(-np.arange(n) / 200)
    loss = level * np.exp(0.15 * rng.standard_t(3, n))
    lr = np.minimum(1, np.arange(1, n + 1) / 50) * 0.01 * 0.1 ** ((np.arange(n) > 1000).astype(int))
    return log(
        {"train/loss": steps(loss, 50), "lr/0": steps(lr, 50)}, config={"optimizer": {"type": "SGD", "lr": 0.01}}
    )


@family
def scale_that_probes(rng):
    """fp16: up to 19 overflows at the start, then one each 2000 steps or one each 256."""
    n, window = 6000, int(rng.choice([256, 1000, 2000]))
    power, since, scale, early = 24.0, 0, np.empty(n), int(rng.integers(0, 20))
    level = 24.0 - early
    for i in range(n):
        over = power > level + (0.5 if i > 30 else 0)
        power, since = (power - 1, 0) if over else (power, since + 1)
        power, since = (power + 1, 0) if since >= window else (power, since)
        scale[i] = 2**power
    at = np.arange(0, n, int(rng.choice([1, 10, 100])))
    loss = 2 + 4 * np.exp(-np.arange(n) / 900)
    return log({"amp/scale": Series.of("", scale[at], step=at + 1), "train/loss": Series.of("", loss[at], step=at + 1)})


@family
def one_cycle(rng):
    """The rate rises for 30 % of the run and comes down."""
    n = 600
    x = np.arange(n) / n
    lr = np.where(x < 0.3, 0.04 + 0.96 * x / 0.3, np.maximum(0, 1 - (x - 0.3) / 0.7))
    loss = (0.3 + 2 * np.exp(-np.arange(n) / 120)) * np.exp(0.1 * rng.standard_normal(n))
    return log({"train/loss": steps(loss), "lr/0": steps(0.1 * lr)}, config={"max_lr": 0.1, "lr": 0.1})


@family
def resumed(rng):
    """The second half of a run: flat at 2.1 in its noise, from step 50,000 on."""
    n = 400
    loss = (2.1 - 0.01 * np.arange(n) / n) * np.exp(0.04 * rng.standard_normal(n))
    at = 50_000 + 10 * np.arange(n)
    return log({"train/loss": Series.of("", loss, step=at), "lr/0": Series.of("", np.full(n, 1e-5), step=at)})


@family
def tuned_and_nobody_says_so(rng):
    """A language model tuned from a good one: only the loss, flat in its batch noise, is logged."""
    n = int(rng.integers(40, 800))
    loss = (1.3 - 0.02 * np.arange(n) / n) * np.exp(rng.uniform(0.08, 0.3) * rng.standard_normal(n))
    return log({"train/loss": steps(loss, 10)})


@family
def noisy_regression(rng):
    """Squared error with the noise of small batches, falling slowly to an irreducible part."""
    n = 1000
    level = 0.8 + 0.2 * np.exp(-np.arange(n) / 300)
    return log(
        {"train/loss": steps(level * np.exp(0.3 * rng.standard_normal(n))), "val/loss": evaluated(rng, level, 20, 1)}
    )


@family
def tuned_for_few_epochs(rng):
    """Fine-tuning: the loss of the evaluation rises a little while its accuracy still grows."""
    n = int(rng.integers(3, 9))
    k = np.arange(n)
    train = 0.6 * np.exp(-k / 1.5) * np.exp(0.05 * rng.standard_normal(n))
    val = (0.45 + 0.04 * np.maximum(0, k - 1)) * np.exp(0.03 * rng.standard_normal(n))
    accuracy = 0.9 - 0.1 * np.exp(-k / 1.5) + 0.001 * k
    return log({"train/loss": steps(train), "val/loss": steps(val), "val/accuracy": steps(accuracy)})


@family
def learned_in_the_first_epoch(rng):
    """Training scores start low, as means over the first epoch; the evaluation is good from then on."""
    n = int(rng.integers(5, 25))
    k = np.arange(n)
    train, val = 0.99 - 0.45 * np.exp(-k / 2), 0.84 + 0.03 * (1 - np.exp(-k / 3)) + 0.006 * rng.standard_normal(n)
    losses = {"train/loss": 0.03 + 1.2 * np.exp(-k / 2.5), "val/loss": 0.5 * np.exp(0.04 * rng.standard_normal(n))}
    return log({k: steps(v) for k, v in {**losses, "train/accuracy": train, "val/accuracy": val}.items()})


@family
def sums_over_sequences(rng):
    """Speech: the loss is a sum over a batch of utterances of all lengths; the accuracy grows from 0.1."""
    n, epochs = int(rng.integers(60, 600)), int(rng.integers(3, 12))
    loss = (30 + 370 * np.exp(-np.arange(n) / (0.3 * n))) * np.exp(0.5 * rng.standard_normal(n))
    accuracy = 0.1 + 0.7 * (1 - np.exp(-np.arange(1, epochs + 1) / 3)) + 0.02 * rng.standard_normal(epochs)
    return log({"train/loss": steps(loss, 10), "val/acc": evaluated(rng, np.repeat(accuracy, n // epochs), epochs, 10)})


@family
def regression_on_large_targets(rng):
    """Squared error of prices; an accuracy that counts exact hits stands beside it and means nothing."""
    n, scale = int(rng.integers(6, 60)), 10 ** rng.uniform(2, 9)
    k = np.arange(n)
    loss = scale * (0.05 + np.exp(-k / (0.2 * n))) * np.exp(0.05 * rng.standard_normal(n))
    val = scale * (0.08 + np.exp(-k / (0.2 * n))) * np.exp(0.05 * rng.standard_normal(n))
    hits = rng.choice([0.0, 0.0, 0.0, 0.004, 0.008], n)
    return log({"train/loss": steps(loss), "val/loss": steps(val), "val/accuracy": steps(hits)})


@family
def boosted(rng):
    """Boosting: both loglosses fall, the evaluation's to a floor where it stands."""
    n = int(rng.integers(5, 200))
    k = np.arange(n)
    train, val = 0.05 + 0.64 * np.exp(-k / (0.3 * n)), 0.4 + 0.29 * np.exp(-k / (0.2 * n))
    val = val + 0.01 * k / n + 0.001 * rng.standard_normal(n)
    pair = {"train/logloss": train, "val/logloss": val, "val/auc": 0.5 + 0.4 * (1 - np.exp(-k / (0.2 * n)))}
    return log({name: steps(np.round(values, 5)) for name, values in pair.items()}, exit="unknown")


@family
def beginning_of_a_log(rng):
    """The first lines of a long run: the rate climbs in its warm-up, the loss has hardly begun to fall."""
    n = int(rng.integers(3, 40))
    rate = 1e-4 * np.arange(1, n + 1) / 100
    loss = 10.4 - 0.3 * np.arange(n) / n + 0.02 * rng.standard_normal(n)
    plan = {} if rng.random() < 0.5 else {"planned": {"steps": 500_000}}
    return log({"train/loss": steps(loss, 10), "lr/0": steps(rate, 10)}, exit="unknown", environment=plan)


@family
def overflows_that_nobody_counts(rng):
    """Half precision: now and then the norm that is logged is infinite; the step was skipped."""
    n = int(rng.integers(10, 400))
    loss = (0.5 + 2 * np.exp(-np.arange(n) / (0.2 * n))) * np.exp(0.05 * rng.standard_normal(n))
    norm = np.exp(0.3 * rng.standard_normal(n))
    norm[rng.random(n) < 0.03] = np.inf
    norm[:2] = np.inf
    return log({"train/loss": steps(loss, 10), "grad/norm": steps(norm, 10)}, exit="unknown")


@family
def distilled(rng):
    """The weight of a second term is ramped up: the total grows eightfold while the first term falls."""
    n = 400
    ramp = np.minimum(1, np.arange(n) / 300)
    noise = np.exp(0.05 * rng.standard_normal(n))
    first, second = (0.4 + 1.6 * np.exp(-np.arange(n) / 80)) * noise, 12 * ramp * noise
    return log(
        {"train/loss": steps(first + second), "train/loss/task": steps(first), "train/loss/match": steps(second)}
    )


@family
def detector_by_terms(rng):
    """A detector whose logger prints three terms and no total; the evaluation's stand still after a while."""
    n = int(rng.integers(10, 120))
    e = np.arange(1, n + 1)
    series = {}
    for term, start in {"box": 1.8, "cls": 2.8, "dfl": 1.5}.items():
        train, val = start * (0.3 + 0.7 * np.exp(-4 * e / n)), start * (0.6 + 0.4 * np.exp(-8 * e / n))
        noise = rng.uniform(0.005, 0.04)
        series[f"train/loss/{term}"] = steps(train * np.exp(0.02 * rng.standard_normal(n)))
        series[f"val/loss/{term}"] = steps(val * np.exp(noise * rng.standard_normal(n)))
    score = 0.6 * (1 - np.exp(-6 * e / n)) + 0.01 * rng.standard_normal(n)
    return log({**series, "val/mAP50": steps(np.clip(score, 0, 1))}, exit="unknown")


@family
def memorised_within_the_rounding(rng):
    """A tiny set learned by heart: the loss falls through the four decimals of the log to 0.0000."""
    n = int(rng.integers(15, 120))
    k = np.arange(n)
    loss = rng.uniform(0.3, 3) * np.exp(-k / rng.uniform(0.35, 6)) * np.exp(0.2 * rng.standard_normal(n))
    return log({"train/loss": steps(np.round(loss, 4), 10)}, source="hf-trainer")


@family
def odd_batches_of_a_likelihood(rng):
    """A density model whose hard batches lose up to 50 times the level, now and then."""
    n = int(rng.integers(20, 1500))
    loss = (2 + 6 * np.exp(-np.arange(n) / (0.2 * n))) * np.exp(0.1 * rng.standard_normal(n))
    loss[rng.random(n) < 0.03] *= rng.uniform(5, 50)
    return log({"train/loss": steps(loss, 10), "val/loss": evaluated(rng, np.linspace(4, 2, n), 12, 10)})


@family
def validation_of_a_few_samples(rng):
    """Ten to sixty epochs on a set of a few samples: 20 % noise that lasts for some epochs, flat; training halves."""
    n = int(rng.integers(10, 60))
    k = np.arange(n)
    val = (0.5 + 0.8 * np.exp(-k / (0.1 * n))) * np.exp(0.2 * wander(rng, n, 0.4))
    return log({"train/loss": steps(0.1 + 0.9 * np.exp(-k / (0.3 * n))), "val/loss": steps(val)})


@family
def only_evaluated(rng):
    """The training loss was not recorded: the evaluations fall to a floor and stay there in their noise."""
    n = int(rng.integers(4, 40))
    val = (0.4 + rng.uniform(0, 2) * np.exp(-np.arange(n) / (0.15 * n))) * np.exp(
        rng.uniform(0.02, 0.2) * rng.standard_normal(n)
    )
    return log({"val/loss": steps(val)})


@family
def spikes_of_a_validation_that_settles(rng):
    """Batch norm at a large rate: some evaluations are 3 to 30 times the others, in the first two thirds."""
    n = int(rng.integers(12, 50))
    k = np.arange(n)
    level = 0.15 + 1.0 * np.exp(-k / (0.25 * n))
    burst = np.where((rng.random(n) < 0.15) & (k < 0.65 * n), rng.uniform(3, 30, n), 1)
    val = 1.1 * level * burst * np.exp(0.1 * rng.standard_normal(n))
    return log({"train/loss": steps(level), "val/loss": steps(val)})
