"""What synthetic runs are made of: loss curves, predictions of a given skill, and the probes' series. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tocsin.run import Confusion, Evaluation, Moments, Parameter, Run, Series

Rng = np.random.Generator
TENSORS = {"encoder.0.weight": 4608, "encoder.0.bias": 64, "head.weight": 640, "head.bias": 10}
CONFIG = {
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01, "betas": [0.9, 0.999], "eps": 1e-8},
    "data": {"version": "1.0", "seed": "42", "split_date": "2026-01-31", "run_id": "1e5"},
    "epochs": 10,
    "batch_size": 64,
}


def curve(rng: Rng, n: int, start: float = 2.3, floor: float = 0.3, tau: float = 0.15, noise: float = 0.08) -> Any:
    """Exponential fall from ``start`` to ``floor`` in ``tau`` of the run, with multiplicative batch noise."""
    level = floor + (start - floor) * np.exp(-np.arange(n) / (tau * n))
    return level * np.exp(noise * rng.standard_normal(n))


def at_epochs(name: str, values: Any, per_epoch: int) -> Series:
    """One point at the last step of each epoch."""
    n = len(values)
    return Series.of(name, values, step=per_epoch * np.arange(1, n + 1), epoch=np.arange(1, n + 1))


def sample_steps(steps: int, first: int = 1) -> np.ndarray:
    """Steps that the recorder sampled: densely at first, then every 16th."""
    every = np.arange(1, steps + 1)
    return every[(every >= first) & ((every <= 24) | (every % 16 == 0))]


def probes(
    rng: Rng, steps: int, tensors: Mapping[str, int] = TENSORS, *, first: int = 1, skipped: Sequence[int] = ()
) -> dict[str, Series]:
    """Series of a healthy watched run: gradients, updates, counters; ``skipped`` steps overflowed and were skipped."""
    at = sample_steps(steps, first)
    skip = np.isin(at, skipped)
    done = at[~skip]
    made: dict[str, Series] = {}

    def put(name: str, value: Any, step: Any) -> None:
        made[name] = Series.of(name, value, step=step)

    raw = np.zeros(at.size)
    for tensor, size in tensors.items():
        norm = 0.05 * np.sqrt(size) * np.exp(0.3 * rng.standard_normal(at.size)) * (1 + 20 / at)
        raw += norm**2
        put(f"grad/norm/{tensor}", np.where(skip, np.inf, norm), at)
        put(f"grad/count/{tensor}", np.ones(at.size), at)
        put(f"grad/at_max_frac/{tensor}", rng.integers(1, 3, done.size) / size, done)
        put(f"grad/zero_frac/{tensor}", rng.uniform(0, 0.05, done.size), done)
        put(f"update/ratio/{tensor}", 1e-3 * np.exp(0.2 * rng.standard_normal(done.size)), done)
        put(f"param/changed/{tensor}", (~skip[1:]).astype(float), at[1:])
    norm = np.where(skip, np.inf, np.sqrt(raw))
    put("grad/norm", norm, at)
    put("grad/nonfinite", np.where(skip, rng.integers(1, 900, at.size), 0), at)
    put("grad/applied_norm", np.minimum(norm[~skip], 1.0), done)
    put("grad/applied_nonfinite", np.zeros(done.size), done)
    put("param/norm", 30 + 0.001 * at, at)
    put("param/nonfinite", np.zeros(at.size), at)
    every = np.arange(1, steps + 1)
    falls = np.cumsum(np.isin(every, skipped))
    put("count/backward", every, every)
    put("count/optimizer", every - falls, every)
    put("lr/0", [1e-3], [1])
    if len(skipped):
        put("count/skipped", falls, every)
        put("amp/scale", 2.0**16 * 0.5**falls, every)
    return made


def parameters(tensors: Mapping[str, int] = TENSORS, **fields: Any) -> tuple[Parameter, ...]:
    """The table of parameters, all trained unless said otherwise."""
    facts = {"requires_grad": True, "in_optimizer": True, **fields}
    return tuple(Parameter(name, size, module=name.rsplit(".", 1)[0], **facts) for name, size in tensors.items())


def f1_macro(counts: Confusion) -> float:
    """Macro F1 as scikit-learn defines it (0 where a class has neither support nor predictions left out)."""
    with np.errstate(invalid="ignore"):
        f1 = 2 * counts.correct / (counts.support + counts.predicted)
    return float(np.nanmean(f1))


def classified(
    rng: Rng,
    step: int,
    skill: float,
    *,
    priors: Sequence[float] = (0.2,) * 5,
    n: int = 1500,
    bias: Sequence[float] | None = None,
    task: str = "main",
    labels: tuple[str, ...] = (),
    epoch: float = np.nan,
) -> Evaluation:
    """Predictions of an argmax over noisy scores: ``skill`` is the separation in noise sds, ``bias`` is added."""
    k = len(priors)
    target = rng.choice(k, n, p=np.asarray(priors) / np.sum(priors))
    scores = skill * np.eye(k)[target] + rng.standard_normal((n, k)) + np.log(np.asarray(priors) * k) / max(skill, 0.5)
    prediction = (scores + (0 if bias is None else np.asarray(bias))).argmax(axis=1)
    dense = np.zeros((k, k), dtype=int)
    np.add.at(dense, (target, prediction), 1)
    counts = Confusion.of(dense, labels)
    metrics = {
        f"val/{task}/accuracy": float(counts.correct.sum() / n),
        f"val/{task}/f1_macro": f1_macro(counts),
    }
    return Evaluation("val", task, step, "classes", n, epoch=epoch, confusion=counts, metrics=metrics)


def regressed(
    rng: Rng,
    step: int,
    r: float,
    *,
    s: float | None = None,
    b: float = 0.0,
    n: int = 600,
    task: str = "depth",
    epoch: float = np.nan,
) -> Evaluation:
    """Predictions with correlation ``r``, spread ``s`` (default r, as least squares has it), shift ``b`` (in sd)."""
    truth, noise = rng.standard_normal((2, n))
    skilled = r * truth + np.sqrt(1 - r * r) * noise
    moments = Moments.of(250 + 40 * truth, 250 + 40 * ((r if s is None else s) * skilled + b))
    metrics = {f"val/{task}/r2": moments.r2}
    return Evaluation("val", task, step, "regression", n, epoch=epoch, moments=(moments,), metrics=metrics)


def metric_series(evaluations: Sequence[Evaluation]) -> dict[str, Series]:
    """The series that ``run.metrics`` leaves beside the evaluations."""
    points: dict[str, list[tuple[int, float]]] = {}
    for e in evaluations:
        for name, value in e.metrics.items():
            points.setdefault(name, []).append((e.step, value))
    return {name: Series.of(name, [v for _, v in p], step=[s for s, _ in p]) for name, p in points.items()}


def assemble(name: str, series: Mapping[str, Any], evaluations: Sequence[Evaluation] = (), **fields: Any) -> Run:
    """A finished run of these parts."""
    given = {key: replace(v, name=key) if isinstance(v, Series) else v for key, v in series.items()}
    made = {**metric_series(evaluations), **given}
    facts = {"config": CONFIG, "exit": "finished", "source": "tocsin", **fields}
    return Run.of(name, series=made, evaluations=tuple(evaluations), **facts)
