"""Healthy runs, each close to some fault: seeded builders without torch. No rule may ring them above a note."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from corpus.ingredients import (
    TENSORS,
    assemble,
    at_epochs,
    classified,
    curve,
    parameters,
    probes,
    regressed,
    sample_steps,
)
from tocsin.run import Confusion, Evaluation, Moments, Run, Series

PER, EPOCHS = 40, 10
STEPS = PER * EPOCHS
Builder = Callable[[np.random.Generator], Run]
HEALTHY: dict[str, Builder] = {}


def healthy(builder: Builder) -> Builder:
    """Enter a builder under its own name."""
    HEALTHY[builder.__name__.replace("_", "-")] = builder
    return builder


def build(name: str, seed: int) -> Run:
    """The run ``name`` of this seed."""
    order = list(HEALTHY).index(name)
    return replace(HEALTHY[name](np.random.default_rng([seed, order])), name=f"{name}-{seed}")


def skills(last: float = 3.0, epochs: int = EPOCHS) -> np.ndarray:
    """How separation grows over the epochs."""
    return last * (1 - np.exp(-np.arange(1, epochs + 1) / 3))


def losses(rng, floor=0.3, gap=1.1, **kw):
    """A training loss and the validation loss that goes with it."""
    train = curve(rng, STEPS, floor=floor, **kw)
    smooth = train.reshape(EPOCHS, PER)[:, -PER // 4 :].mean(axis=1)
    val = gap * smooth * np.exp(0.02 * rng.standard_normal(EPOCHS))
    return {"train/loss": train, "val/loss": at_epochs("val/loss", val, PER)}


@healthy
def classification(rng):
    evaluations = [classified(rng, PER * e, skill, epoch=e) for e, skill in enumerate(skills(), 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def regression(rng):
    evaluations = [regressed(rng, PER * e, min(0.95, k / 3), epoch=e) for e, k in enumerate(skills(2.8), 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def several_terms(rng):
    """Two tasks of unequal scale (12 to 1), both improving."""
    kind, depth = curve(rng, STEPS, 1.6, 0.3), curve(rng, STEPS, 19, 4, 0.2)
    series = {"train/loss": kind + depth, "train/loss/kind": kind, "train/loss/depth": depth}
    at = sample_steps(STEPS)
    series |= {f"loss/path/{t}": Series.of("", np.ones(at.size), step=at) for t in ("total", "kind", "depth")}
    series["val/loss"] = at_epochs("val/loss", 1.05 * (kind + depth).reshape(EPOCHS, PER).mean(axis=1), PER)
    evaluations = []
    for e, skill in enumerate(skills(), 1):
        evaluations += [classified(rng, PER * e, skill, task="kind"), regressed(rng, PER * e, min(0.95, skill / 3))]
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def heavy_term_that_leaves_the_others_learning(rng):
    """One term is 99.7 % of the loss, yet the task of the other improves all along."""
    kind, count = curve(rng, STEPS, 1.6, 0.2, 0.4), curve(rng, STEPS, 900, 100)
    series = {"train/loss": kind + count, "train/loss/kind": kind, "train/loss/count": count}
    evaluations = [classified(rng, PER * e, skill, task="kind") for e, skill in enumerate(skills(), 1)]
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def noisy_loss(rng):
    evaluations = [classified(rng, PER * e, skill, n=400) for e, skill in enumerate(skills(2), 1)]
    return assemble("", {**losses(rng, noise=0.5), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def warm_restarts(rng):
    """Loss and validation loss rise at each restart of the learning rate and come back lower."""
    phase = (np.arange(STEPS) % (4 * PER)) / (4 * PER)
    train = curve(rng, STEPS, floor=0.4, tau=0.3) * (1.25 - 0.35 * phase)
    val = 1.1 * train.reshape(EPOCHS, PER)[:, -10:].mean(axis=1)
    lr = Series.of("lr/0", 1e-3 * (1 + np.cos(np.pi * phase)) / 2)
    series = {**probes(rng, STEPS), "train/loss": train, "val/loss": at_epochs("val/loss", val, PER), "lr/0": lr}
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def plateau(rng):
    """All is learned in the first tenth; the rest is flat noise."""
    evaluations = [classified(rng, PER * e, 2.0) for e in range(1, EPOCHS + 1)]
    return assemble("", {**losses(rng, floor=0.7, tau=0.02), **probes(rng, STEPS)}, evaluations)


@healthy
def early_attractor(rng):
    """Until the third epoch one class takes most of what is uncertain; then it lets go."""
    pull = [3.0, 1.5, 0.5] + [0.0] * (EPOCHS - 3)
    evaluations = [
        classified(rng, PER * e, skill, bias=[0, 0, b, 0, 0])
        for (e, skill), b in zip(enumerate(skills(), 1), pull, strict=True)
    ]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def class_imbalance(rng):
    """Rare classes, predicted about as often as they occur."""
    priors = (0.80, 0.12, 0.05, 0.03)
    evaluations = [classified(rng, PER * e, 1.5 * k, priors=priors) for e, k in enumerate(skills(), 1)]
    return assemble("", {**losses(rng, floor=0.15), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def ordered_classes(rng):
    """Neighbouring levels are confused, evenly in both directions."""
    evaluations, k = [], 9
    labels = tuple(f"{2 * i} dB" for i in range(k))
    for e, skill in enumerate(skills(2.2), 1):
        target = rng.integers(0, k, 3000)
        guess = np.clip(np.rint(target + rng.normal(0, 2.4 / (0.6 + skill), 3000)), 0, k - 1).astype(int)
        dense = np.zeros((k, k), dtype=int)
        np.add.at(dense, (target, guess), 1)
        evaluations.append(Evaluation("val", "snr", PER * e, "ids", 3000, confusion=Confusion.of(dense, labels)))
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def correct_shrinkage(rng):
    """A weak signal (r = 0.4): least squares then shrinks to s = r, which is right."""
    evaluations = [regressed(rng, PER * e, min(0.4, k / 4)) for e, k in enumerate(skills(), 1)]
    return assemble("", {**losses(rng, floor=0.84, start=1.0), **probes(rng, STEPS)}, evaluations)


@healthy
def benign_overflows(rng):
    """The loss scale starts too high: 8 early steps overflow and are skipped, then none."""
    skipped = [1, 2, 3, 4, 6, 9, 11, 15]
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    series = {**losses(rng), **probes(rng, STEPS, skipped=skipped)}
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def honest_accumulation(rng):
    """One optimizer step every 4 calls; between them nothing moves and nothing is lost."""
    series = {**losses(rng), **probes(rng, STEPS)}
    every = np.arange(1, STEPS + 1)
    series["count/optimizer"] = Series.of("count/optimizer", every // 4, step=every)
    at = 4 * np.unique(np.maximum(1, sample_steps(STEPS) // 4))
    for name in [n for n in series if n.startswith(("grad/", "param/", "update/"))]:
        series[name] = Series.of(name, np.resize(series[name].value, at.size), step=at)
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def curriculum(rng):
    """The second task is off (its term exactly 0) for the first 4 epochs; its head is at chance until then."""
    off = 4 * PER
    kind = curve(rng, STEPS, 1.6, 0.3)
    depth = np.concatenate([np.zeros(off), curve(rng, STEPS - off, 1.0, 0.2)])
    series = {"train/loss": kind + depth, "train/loss/kind": kind, "train/loss/depth": depth}
    evaluations = []
    for e, skill in enumerate(skills(), 1):
        late = 0.0 if e <= 4 else min(0.9, 0.25 * (e - 4))
        evaluations += [classified(rng, PER * e, skill, task="kind"), regressed(rng, PER * e, late, s=max(late, 0.05))]
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def floats_for_logging(rng):
    """A term is passed as a float, for the record only: it has no path and no weight in the total."""
    kind, raw = curve(rng, STEPS, 1.6, 0.3), curve(rng, STEPS, 40, 9)
    at = sample_steps(STEPS)
    series = {"train/loss": kind, "train/loss/kind": kind, "train/loss/raw_error": raw}
    series |= {f"loss/path/{t}": Series.of("", np.ones(at.size), step=at) for t in ("total", "kind")}
    evaluations = [classified(rng, PER * e, skill, task="kind") for e, skill in enumerate(skills(), 1)]
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def gradual_unfreezing(rng):
    """Only the head trains at first; the encoder joins half way."""
    encoder = {n: s for n, s in TENSORS.items() if n.startswith("encoder")}
    head = {n: s for n, s in TENSORS.items() if n not in encoder}
    series = {**losses(rng), **probes(rng, STEPS, encoder, first=STEPS // 2), **probes(rng, STEPS, head)}
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def frozen_on_purpose(rng):
    """A pre-trained encoder with ``requires_grad=False`` in no optimizer: nobody asked it to move."""
    head = {n: s for n, s in TENSORS.items() if n.startswith("head")}
    kept = parameters({n: s for n, s in TENSORS.items() if n not in head}, requires_grad=False, in_optimizer=False)
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    series = {**losses(rng), **probes(rng, STEPS, head)}
    return assemble("", series, evaluations, parameters=(*kept, *parameters(head)))


@healthy
def saturated_metric(rng):
    """An easy task: accuracy and F1 are exactly 1 from the third epoch on."""
    evaluations = [classified(rng, PER * e, 3.0 if e < 3 else 40.0, n=500) for e in range(1, EPOCHS + 1)]
    return assemble("", {**losses(rng, floor=0.001, tau=0.05), **probes(rng, STEPS)}, evaluations)


@healthy
def tiny_data(rng):
    """20 validation samples, 3 classes, 4 steps an epoch, 30 epochs."""
    epochs, per = 30, 4
    train = curve(rng, epochs * per, 1.1, 0.2, noise=0.2)
    val = curve(rng, epochs, 1.1, 0.3, 0.25, noise=0.1)
    evaluations = [classified(rng, per * e, k, priors=(1, 1, 1), n=20) for e, k in enumerate(skills(3, epochs), 1)]
    series = {"train/loss": train, "val/loss": at_epochs("val/loss", val, per), **probes(rng, epochs * per)}
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def foreign_log(rng):
    """What a console log holds: two sparse losses and a metric, nothing else."""
    series = losses(rng)
    sparse = slice(9, None, 10)
    series["train/loss"] = Series.of("train/loss", series["train/loss"][sparse], step=np.arange(1, STEPS + 1)[sparse])
    series["val/accuracy"] = at_epochs("val/accuracy", 1 - np.exp(-skills() / 2), PER)
    return assemble("", series, source="console", config={})


@healthy
def regularised_training(rng):
    """Dropout and augmentation make the training loss a fifth larger than the validation loss."""
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    return assemble("", {**losses(rng, gap=0.8), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def one_blip(rng):
    """A single non-finite batch loss at step 57, after which training goes on as before."""
    series = {**losses(rng), **probes(rng, STEPS, skipped=[57])}
    series["train/loss"][56] = np.inf
    evaluations = [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)]
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def many_classes(rng):
    """272 classes and five samples of each: most cells are empty, some classes are never predicted by chance."""
    evaluations = [classified(rng, PER * e, 1.4 * k, priors=(1,) * 272, n=1360) for e, k in enumerate(skills(), 1)]
    return assemble("", {**losses(rng, start=5.6, floor=1.5), **probes(rng, STEPS)}, evaluations)


@healthy
def wandering_validation(rng):
    """A flat validation loss with autocorrelated wander (3 %, lag-1 0.6) while training creeps down."""
    wander = np.zeros(30)
    for k in range(1, 30):
        wander[k] = 0.6 * wander[k - 1] + 0.024 * rng.standard_normal()
    train = curve(rng, 30 * PER, 2.3, 0.5, 0.05) * np.linspace(1, 0.9, 30 * PER)
    val = 1.2 * curve(rng, 30 * PER, 2.3, 0.5, 0.05, noise=0)[PER - 1 :: PER] * np.exp(wander)
    evaluations = [classified(rng, PER * e, k) for e, k in enumerate(skills(2.2, 30), 1)]
    return assemble("", {"train/loss": train, "val/loss": at_epochs("val/loss", val, PER)}, evaluations)


@healthy
def tracks(rng):
    """Regression on autocorrelated tracks with heavy tails, a second output whose target is constant."""
    evaluations = []
    for e, k in enumerate(skills(2.6), 1):
        truth = np.cumsum(rng.standard_t(3, 800)) / 10
        truth -= truth.mean()
        r = min(0.9, k / 3)
        seen = r * r * truth + r * np.sqrt(1 - r * r) * truth.std() * rng.standard_normal(800)
        constant = Moments.of(np.full(800, 2.0), 2.0 + 0.01 * rng.standard_normal(800))
        evaluations.append(
            Evaluation("val", "doa_deg", PER * e, "regression", 800, moments=(Moments.of(truth, seen), constant))
        )
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def absent_class(rng):
    """A class that the validation split does not hold and that the model rightly never predicts."""
    priors = (0.3, 0.3, 0.4, 1e-9)
    evaluations = [classified(rng, PER * e, k, priors=priors) for e, k in enumerate(skills(), 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def detached_copy_for_logging(rng):
    """A detached tensor of no weight in the total is passed along, to be seen in the record."""
    kind, error = curve(rng, STEPS, 1.6, 0.3), np.exp(0.2 * rng.standard_normal(STEPS))
    at = sample_steps(STEPS)
    series = {"train/loss": kind, "train/loss/kind": kind, "train/loss/error": error}
    for term, path in {"total": 1.0, "kind": 1.0, "error": 0.0}.items():
        series[f"loss/path/{term}"] = Series.of("", np.full(at.size, path), step=at)
    evaluations = [classified(rng, PER * e, skill, task="kind") for e, skill in enumerate(skills(), 1)]
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())


@healthy
def interrupted_early(rng):
    """Stopped by hand in the second epoch: too little to judge."""
    run = classification(rng)
    return replace(run.prefix(PER + 20), exit="interrupted")


# More of them, by subject; importing them enters them above.
from corpus import healthy_gradients  # noqa: E402, F401

# isort: split
from corpus import healthy_scores  # noqa: E402, F401

# Drifting weights, known losses, baselines.
# isort: split
from corpus import healthy_objective  # noqa: E402, F401

# What the probes of the forward pass record.
# isort: split
from corpus import healthy_forward  # noqa: E402, F401
