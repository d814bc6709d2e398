"""Runs with one clear fault each, made from healthy ones: seeded builders without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from corpus import healthy
from corpus.healthy import EPOCHS, PER, STEPS, losses, skills
from corpus.ingredients import (
    CONFIG,
    assemble,
    at_epochs,
    classified,
    curve,
    metric_series,
    parameters,
    probes,
    regressed,
    sample_steps,
)
from tocsin.run import Run, Series

CODES: dict[str, str] = {}
_BUILDERS: dict[str, Callable[[Any], Run]] = {}


def faulty(code: str) -> Callable[[Callable[[Any], Run]], Callable[[Any], Run]]:
    """Enter a builder under its own name, with the code that must ring as a root."""

    def enter(builder: Callable[[Any], Run]) -> Callable[[Any], Run]:
        name = builder.__name__.replace("_", "-")
        CODES[name], _BUILDERS[name] = code, builder
        return builder

    return enter


def build(name: str, seed: int) -> Run:
    """The run ``name`` of this seed."""
    order = list(CODES).index(name)
    return replace(_BUILDERS[name](np.random.default_rng([seed, 1000 + order])), name=f"{name}-{seed}")


def with_series(run: Run, **changed: Any) -> Run:
    """The run with some series replaced; names are given with ``__`` for ``/``."""
    named = {k.replace("__", "/"): v for k, v in changed.items()}
    return replace(run, series={**run.series, **{k: replace(v, name=k) for k, v in named.items()}})


@faulty("CFG001")
def eps_as_text(rng):
    """YAML 1.1 keeps ``1e-8`` as text."""
    optimizer = {**CONFIG["optimizer"], "eps": "1e-8"}
    return replace(healthy.classification(rng), config={**CONFIG, "optimizer": optimizer})


@faulty("OBJ001")
def giant_term(rng):
    """One term is 99.99 % of the loss; the other's task stays at chance."""
    kind, peaks = np.full(STEPS, 1.61) + 0.02 * rng.standard_normal(STEPS), curve(rng, STEPS, 3.2e4, 1.6e4, 0.6)
    series = {"train/loss": kind + peaks, "train/loss/kind": kind, "train/loss/peaks": peaks, **probes(rng, STEPS)}
    evaluations = []
    for e in range(1, EPOCHS + 1):
        evaluations += [
            classified(rng, PER * e, 0.0, task="kind"),
            regressed(rng, PER * e, min(0.9, e / 6), task="peaks"),
        ]
    return assemble("", series, evaluations, parameters=parameters())


@faulty("OBJ006")
def summed_in_training(rng):
    """The validation loss is 9 times the training loss from the first epoch on."""
    run, train = healthy.classification(rng), curve(rng, STEPS, tau=0.4)
    val = 9 * curve(rng, STEPS, tau=0.4, noise=0.02)[PER - 1 :: PER]
    return with_series(run, train__loss=Series.of("", train), val__loss=at_epochs("", val, PER))


@faulty("OBJ007")
def argmax_term(rng):
    """``total = kind + 0.5 distance``, but the distance is taken from an argmax and has no path."""
    kind, distance, at = curve(rng, STEPS, 1.6, 0.3), 4 * np.exp(0.3 * rng.standard_normal(STEPS)), sample_steps(STEPS)
    series = {"train/loss": kind + 0.5 * distance, "train/loss/kind": kind, "train/loss/distance": distance}
    for term, path in {"total": 1.0, "kind": 1.0, "distance": 0.0}.items():
        series[f"loss/path/{term}"] = Series.of("", np.full(at.size, path), step=at)
    evaluations = [classified(rng, PER * e, skill, task="kind") for e, skill in enumerate(skills(), 1)]
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("OPT001")
def frozen_encoder(rng):
    """The encoder asks for gradients and is in no optimizer; its bytes never change."""
    run = healthy.classification(rng)
    series = dict(run.series)
    for tensor in ("encoder.0.weight", "encoder.0.bias"):
        changed = series[f"param/changed/{tensor}"]
        series[changed.name] = replace(changed, value=np.zeros(len(changed)))
        for family in ("update/ratio", "grad/at_max_frac", "grad/zero_frac"):
            del series[f"{family}/{tensor}"]
    table = tuple(replace(p, in_optimizer=not p.name.startswith("encoder")) for p in run.parameters)
    return replace(run, series=series, parameters=table)


@faulty("OPT003")
def clamped_gradients(rng):
    """A clamp leaves a fifth of the applied entries of two tensors at the same largest magnitude."""
    run = healthy.classification(rng)
    series = dict(run.series)
    for tensor in ("encoder.0.weight", "head.weight"):
        s = series[f"grad/at_max_frac/{tensor}"]
        series[s.name] = replace(s, value=rng.uniform(0.15, 0.25, len(s)))
    return replace(run, series=series)


@faulty("AMP002")
def masked_overflow(rng):
    """Raw gradients are non-finite at every sample, the applied ones never, and the scale does not move."""
    run = healthy.classification(rng)
    raw, applied = run.series["grad/nonfinite"], run.series["grad/applied_nonfinite"]
    every = np.arange(1, STEPS + 1)
    return with_series(
        run,
        grad__nonfinite=replace(raw, value=rng.integers(500, 900, len(raw)).astype(float)),
        grad__norm=replace(run.series["grad/norm"], value=np.full(len(raw), np.inf)),
        grad__applied_nonfinite=replace(applied, value=np.zeros(len(applied))),
        amp__scale=Series.of("", np.full(STEPS, 2.0**24), step=every),
        count__skipped=Series.of("", np.zeros(STEPS), step=every),
    )


@faulty("AMP003")
def dead_from_the_middle(rng):
    """Loss, gradients and parameters are NaN from step 201 on."""
    run = healthy.classification(rng)
    series = {}
    for name, s in run.series.items():
        late = s.step > STEPS // 2
        if name.startswith(("train/loss", "val/loss", "grad/norm", "grad/applied_norm", "update/", "param/norm")):
            s = replace(s, value=np.where(late, np.nan, s.value))
        elif name in ("grad/nonfinite", "grad/applied_nonfinite", "param/nonfinite"):
            s = replace(s, value=np.where(late, 5322.0, 0.0))
        series[name] = s
    return replace(run, series=series, evaluations=tuple(e for e in run.evaluations if e.step <= STEPS // 2))


@faulty("PRD001")
def attractor(rng):
    """One class takes what belongs to all the others, to the end."""
    evaluations = [classified(rng, PER * e, skill, bias=[0, 0, 2.5, 0, 0]) for e, skill in enumerate(skills(1.5), 1)]
    return assemble(
        "", {**losses(rng, floor=0.9, tau=0.05), **probes(rng, STEPS)}, evaluations, parameters=parameters()
    )


@faulty("PRD002")
def one_class_for_all(rng):
    evaluations = [classified(rng, PER * e, 0.0, bias=[0, 99, 0, 0, 0]) for e in range(1, EPOCHS + 1)]
    return assemble(
        "", {**losses(rng, start=1.7, floor=1.6), **probes(rng, STEPS)}, evaluations, parameters=parameters()
    )


@faulty("PRD004")
def collapsed_scale(rng):
    """r = 0.8 with a fifth of the spread: an affine refit would repair it."""
    evaluations = [regressed(rng, PER * e, 0.8, s=0.16) for e in range(1, EPOCHS + 1)]
    return assemble(
        "", {**losses(rng, floor=0.8, tau=0.05), **probes(rng, STEPS)}, evaluations, parameters=parameters()
    )


@faulty("PRD007")
def shifted_mean(rng):
    evaluations = [regressed(rng, PER * e, 0.9, b=1.2) for e in range(1, EPOCHS + 1)]
    return assemble(
        "", {**losses(rng, floor=0.8, tau=0.05), **probes(rng, STEPS)}, evaluations, parameters=parameters()
    )


@faulty("EVL001")
def metric_never_computed(rng):
    """F1 is logged as exactly 0 although the confusion says otherwise."""
    run = healthy.classification(rng)
    evaluations = tuple(replace(e, metrics={**e.metrics, "val/main/f1_macro": 0.0}) for e in run.evaluations)
    return replace(run, evaluations=evaluations, series={**run.series, **metric_series(evaluations)})


@faulty("GEN001")
def overfitted(rng):
    """The validation loss turns after a third of the run and doubles, its metrics fall, and training goes on."""
    epochs = 24
    train = curve(rng, PER * epochs, 2.3, 0.05, 0.3)
    e = np.arange(epochs)
    val = (0.9 + 1.4 * np.exp(-e / 2) + 0.06 * np.maximum(0, e - 8)) * np.exp(0.02 * rng.standard_normal(epochs))
    series = {"train/loss": train, "val/loss": at_epochs("val/loss", val, PER), **probes(rng, PER * epochs)}
    late = 0.05 * np.maximum(0, e - 8)
    evaluations = [classified(rng, PER * k, s) for k, s in enumerate(skills(2.0, epochs) - late, 1)]
    return assemble("", series, evaluations, parameters=parameters())


# Faults as foreign logs show them, by the subject of their rules; importing them enters them above.
from corpus import log_faults_ending, log_faults_learning, log_faults_scores  # noqa: E402, F401

# isort: split
from corpus import faults_optimisation  # noqa: E402, F401

# isort: split
from corpus import faults_gradients  # noqa: E402, F401

# isort: split
from corpus import faults_scores  # noqa: E402, F401

# isort: split
from corpus import faults_objective  # noqa: E402, F401

# isort: split
from corpus import faults_forward  # noqa: E402, F401

# isort: split
from corpus import faults_ranks  # noqa: E402, F401
