"""Faults of gradients, updates, randomness and pace, as a watched run shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus import healthy
from corpus.faulty import faulty, with_series
from corpus.healthy import EPOCHS, PER, STEPS
from corpus.ingredients import assemble, at_epochs, classified, parameters, probes, sample_steps
from tocsin.run import Parameter, Run, Series

DEEP = {f"{k}.weight": 1024 for k in range(9)}


def untrained(rng, tensors=None, **fields):
    """Nothing is learned: the loss is noise about its start, the predictions are guesses."""
    loss = 2.3 * np.exp(0.03 * rng.standard_normal(STEPS))
    val = 2.3 * np.exp(0.005 * rng.standard_normal(EPOCHS))
    made = probes(rng, STEPS) if tensors is None else probes(rng, STEPS, tensors)
    series = {"train/loss": loss, "val/loss": at_epochs("val/loss", val, PER), **made}
    table = parameters() if tensors is None else parameters(tensors)
    evaluations = [classified(rng, PER * e, 0.0) for e in range(1, EPOCHS + 1)]
    return assemble("", series, evaluations, parameters=table, **fields)


def scaled(run: Run, family: str, factor: float) -> dict[str, Series]:
    return {
        f"{family}/{k}".replace("/", "__"): replace(s, value=factor * s.value) for k, s in run.family(family).items()
    }


@faulty("OPT009")
def rate_a_thousandth(rng):
    """AdamW at 1e-6 where 1e-3 would do."""
    run = untrained(rng, environment={"optimizers": ["AdamW"]}, config={"lr": 1e-6})
    return with_series(run, lr__0=Series.of("", [1e-6], step=[1]), **scaled(run, "update/ratio", 1e-3))


@faulty("OPT009")
def rate_of_zero(rng):
    run = untrained(rng, environment={"optimizers": ["SGD"]})
    series = {
        k: replace(s, value=0 * s.value) for k, s in run.series.items() if k.startswith(("param/changed", "update/"))
    }
    return replace(run, series={**run.series, **series, "lr/0": Series.of("lr/0", [0.0], step=[1])})


@faulty("OPT004")
def updates_of_nothing(rng):
    """A custom optimizer divides twice by the batch size."""
    run = untrained(rng, environment={"optimizers": ["Ours"]})
    return with_series(run, **scaled(run, "update/ratio", 1e-3))


@faulty("OPT004")
def updates_that_replace_the_weights(rng):
    """Half of the weights are new at each step; the loss wanders upwards."""
    run = healthy.classification(rng)
    at = np.arange(STEPS)
    loss = (1.0 + at / 200) * np.exp(0.05 * rng.standard_normal(STEPS))
    val = 1.0 + np.arange(1, EPOCHS + 1) * PER / 200
    wild = with_series(run, train__loss=Series.of("", loss), val__loss=at_epochs("", val, PER))
    return with_series(wild, **scaled(run, "update/ratio", 400.0))


@faulty("OPT005")
def gradient_that_explodes(rng):
    """From step 240 on the gradients are 300 times as large and the loss is back above its start."""
    run = healthy.classification(rng)
    late = np.arange(1, STEPS + 1) >= 240
    loss = np.where(late, 3.0 * np.exp(0.1 * rng.standard_normal(STEPS)), run.series["train/loss"].value)
    norm = run.series["grad/norm"]
    high = replace(norm, value=np.where(norm.step >= 240, 300.0, 1.0) * norm.value)
    val = np.where(np.arange(1, EPOCHS + 1) * PER >= 240, 3.0, run.series["val/loss"].value)
    return with_series(run, train__loss=Series.of("", loss), grad__norm=high, val__loss=at_epochs("", val, PER))


@faulty("OPT006")
def nine_sigmoids(rng):
    """Each of nine sigmoid layers passes a tenth of the gradient on."""
    run = untrained(rng, DEEP, environment={"optimizers": ["SGD"]})
    series = {}
    for k, name in enumerate(DEEP):
        for family in ("grad/norm", "update/ratio"):
            s = run.series[f"{family}/{name}"]
            series[s.name] = replace(s, value=s.value * 10.0 ** (k - 8))
    return replace(run, series={**run.series, **series})


@faulty("OPT007")
def clipped_at_a_thousandth(rng):
    """Plain SGD with max_norm = 1e-3 on gradients of norm 4."""
    run = untrained(rng, environment={"optimizers": ["SGD"]}, config={"lr": 0.1})
    applied = run.series["grad/applied_norm"]
    thin = with_series(run, grad__applied_norm=replace(applied, value=np.full(len(applied), 1e-3)))
    return with_series(thin, lr__0=Series.of("", [0.1], step=[1]), **scaled(run, "update/ratio", 1e-3))


@faulty("OPT007")
def clipped_before_unscaling(rng):
    """max_norm = 1 on gradients that are still multiplied by 65536."""
    run = healthy.classification(rng)
    applied, every = run.series["grad/applied_norm"], np.arange(1, STEPS + 1)
    return with_series(
        run,
        grad__applied_norm=replace(applied, value=np.full(len(applied), 1.0 / 65536)),
        amp__scale=Series.of("", np.full(STEPS, 65536.0), step=every),
    )


@faulty("OPT014")
def average_longer_than_the_run(rng):
    """A decay of 0.9999 in a run of 400 steps; what is evaluated is the average."""
    run = healthy.classification(rng)
    at = sample_steps(STEPS)
    lag = 1 - at / 20_000 + 0.002 * rng.standard_normal(at.size)
    evaluations = tuple(classified(rng, PER * e, 0.0) for e in range(1, EPOCHS + 1))
    return with_series(replace(run, evaluations=evaluations), ema__behind=Series.of("", lag, step=at))


def states(rng, epochs, fixed):
    """Fingerprints of two forwards an epoch; those of the same state are equal."""
    first = rng.integers(1, 2**53, epochs).astype(float)
    second = rng.integers(1, 2**53, epochs).astype(float)
    if fixed:
        first[1:], second[1:] = first[1], second[1]
    at = np.array([PER * e + 1 for e in range(epochs)])
    values, steps = np.stack([first, second], 1).reshape(-1), np.stack([at, at + 1], 1).reshape(-1)
    return Series.of("", values, step=steps, epoch=(steps - 1) // PER + 1)


@faulty("EVL009")
def seeded_in_the_evaluation(rng):
    """From the second epoch on each epoch begins where the evaluation's seed left the state."""
    return with_series(healthy.classification(rng), rng__fingerprint__train=states(rng, EPOCHS, fixed=True))


@faulty("RUN005")
def waits_for_the_disk(rng):
    """Seven tenths of each step of 9 s are spent before its forward."""
    at = sample_steps(STEPS)
    step = 9 * np.exp(0.1 * rng.standard_normal(at.size))
    data = step * rng.uniform(0.55, 0.85, at.size)
    seconds = 9.0 * at
    return with_series(
        healthy.classification(rng),
        time__step_s=Series.of("", step, step=at, time=seconds),
        time__data_s=Series.of("", data, step=at, time=seconds),
    )


@faulty("RUN005")
def keeps_every_graph(rng):
    """The losses are appended with their graphs: 20 MiB a step."""
    at = sample_steps(STEPS)
    held = 2000 + 20.0 * at + 3 * rng.standard_normal(at.size)
    return with_series(healthy.classification(rng), memory__rss_mib=Series.of("", held, step=at))


@healthy.healthy
def probes_of_a_calm_run(rng):
    """Everything that these rules look at, as it should be: a fixed evaluation seed, a caught-up average, no waits."""
    run = healthy.classification(rng)
    at = sample_steps(STEPS)
    ends = PER * np.arange(1, EPOCHS + 1)
    caught = np.exp(-at / 30) + 0.03 + 0.01 * rng.standard_normal(at.size)
    made = with_series(
        run,
        ema__behind=Series.of("", caught, step=at),
        rng__fingerprint__train=states(rng, EPOCHS, fixed=False),
        rng__fingerprint__eval=Series.of("", np.full(EPOCHS, 7.0), step=ends, epoch=np.arange(1, EPOCHS + 1)),
        time__step_s=Series.of("", 0.2 + 0.02 * rng.random(at.size), step=at, time=0.2 * at),
        time__data_s=Series.of("", 0.02 * rng.random(at.size), step=at, time=0.2 * at),
        memory__rss_mib=Series.of("", 2000 + 900 * (1 - np.exp(-at / 40)) + rng.standard_normal(at.size), step=at),
    )
    return replace(made, environment={"optimizers": ["AdamW"]})


@healthy.healthy
def deep_network_that_learns(rng):
    """Gradients fall by 30 over nine layers and every layer moves; Adam clips always, as language models do."""
    run = healthy.classification(rng)
    made = probes(rng, STEPS, DEEP)
    for k, name in enumerate(DEEP):
        norm = made[f"grad/norm/{name}"]
        made[norm.name] = replace(norm, value=norm.value * 30 ** ((k - 8) / 8))
    made["grad/applied_norm"] = replace(made["grad/applied_norm"], value=np.full(len(made["grad/applied_norm"]), 0.05))
    keep = {k: s for k, s in run.series.items() if not k.startswith(("grad/", "update/", "param/changed"))}
    table = tuple(Parameter(name, size, True, True) for name, size in DEEP.items())
    return replace(run, series={**keep, **made}, parameters=table, environment={"optimizers": ["AdamW"]})
