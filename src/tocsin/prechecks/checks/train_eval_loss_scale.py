"""OBJ006 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.loss_looks import FEWEST, Floats, looks_of
from tocsin.prechecks.loss_matches import counts
from tocsin.prechecks.over_batches import batch_interval
from tocsin.prechecks.planned import length
from tocsin.prechecks.setup import Batch, SetupError
from tocsin.prechecks.term_sums import is_number

_EXACT = 1e-4  # relative: a factor of code, in single precision
_REMEDIES = (
    Remedy("Log the mean over samples in both places, before any division for accumulation", safe=True),
    Remedy("Compute both with one function, so that they can be compared", safe=True),
)


@rule("OBJ006", needs=("val_losses",), severity="warning", scope="setup")
def train_eval_loss_scale(
    bench: Bench, *, factor: float = 1.05, scatter: float = 0.05, confidence: float = 0.95
) -> Iterator[Finding | NotChecked]:
    """On the same batches the loss of the evaluation is the training loss times a constant.

    ## What it does
    Both `losses` and `val_losses` of the first training batches, the model in evaluation mode, with the same random
    numbers: r = val / train of the total and of each term that both name. Rings where the `confidence` interval of
    mean ln r over at least 3 batches excludes +-ln `factor` and

    - r is one number in every batch to 1e-4, or the size of the batch times such a number, or one over it: a
      **warning**, with the factor named where it is the batch size, the rows (tokens), the number of batches of either
      loader, the number of classes, or `accumulate`;
    - else r has a coefficient of variation below `scatter`: a **note**, since two losses that differ on purpose
      (focal in training, cross-entropy in evaluation; terms of training only) can be near proportional before training.

    Silent where the evaluation's total is a term of the training loss.

    ## Options
    - `factor` (1.05): what rounding, and a last batch of another size, never make.
    - `scatter` (.05) and `confidence` (.95): as in the rule.

    ## Known limits
    Sees what both functions return, not how the loop sums them over an epoch.
    """
    try:
        pairs = _pairs(bench)
    except SetupError as error:
        yield NotChecked(f"the losses cannot be computed in evaluation mode: {error}")
        return
    if len(pairs) < FEWEST:
        yield NotChecked(f"needs {FEWEST} batches")
        return
    for name in pairs[0][0]:
        if all(name in a and name in b for a, b in pairs):
            train, val = (np.array([pair[k][name] for pair in pairs]) for k in (0, 1))
            if not (np.isfinite(train).all() and np.isfinite(val).all() and (train * val > 0).all()):
                continue
            if name == "total" and _is_a_term(pairs, val):
                continue
            finding = _judged(bench, name, train, val, factor, scatter, confidence)
            if finding is not None:
                yield finding
                return  # the terms of a total that is off are off alike


Pair = tuple[Mapping[str, float], Mapping[str, float]]


def _pairs(bench: Bench) -> list[Pair]:
    bench.model.eval()
    return [(_numbers(bench, batch, "losses"), _numbers(bench, batch, "val_losses")) for batch in bench.train]


def _numbers(bench: Bench, batch: Batch, of: str) -> dict[str, float]:
    torch.manual_seed(0)
    given = {n: v.detach() if isinstance(v, Tensor) else v for n, v in bench.values(batch, of).items()}
    return {n: float(v) for n, v in given.items() if is_number(v)}


def _is_a_term(pairs: list[Pair], val: Floats) -> bool:
    names = [n for n in pairs[0][0] if n != "total" and all(n in a for a, _ in pairs)]
    return any(np.allclose([a[n] for a, _ in pairs], val, rtol=_EXACT, atol=0) for n in names)


def _judged(
    bench: Bench, name: str, train: Floats, val: Floats, factor: float, scatter: float, confidence: float
) -> Finding | None:
    ratio = val / train
    low, high = (math.exp(v) for v in batch_interval(np.log(ratio), confidence))
    if not (low > factor or high < 1 / factor):
        return None
    said = _named(bench, ratio)
    cv = float(ratio.std() / ratio.mean())
    if said is None and cv >= scatter:
        return None
    times = float(np.exp(np.log(ratio).mean()))
    what = "loss" if name == "total" else name
    why = said if said is not None else f"nearly constant (scatter {cv:.2%}): another reduction, or other terms"
    return Finding(
        f"on the same {len(ratio)} training batches the evaluation's {what} is {times:.4g} [{low:.4g}, {high:.4g}] "
        f"times that of training ({val[0]:.4g} against {train[0]:.4g}), {why}",
        subject=name,
        severity="warning" if said is not None else "note",
        evidence=(
            Evidence(
                "train/loss" if name == "total" else f"train/loss/{name}",
                float(train[0]),
                0,
                float(val[0]),
                (low, high),
                "first batch, beside val_losses; interval of their ratio",
            ),
        ),
        remedies=_REMEDIES,
    )


def _named(bench: Bench, ratio: Floats) -> str | None:
    """What an exact factor is; None where it is none."""
    sizes = _sizes(bench)
    for power, said in ((1, "times"), (-1, "divided by")):
        fits = [w for w, e in sizes.items() if e.max() > 1 and np.abs(ratio / e**power - 1).max() < _EXACT]
        if fits:
            return f"{said} {' or '.join(fits)}"
    for each in (np.ones(1), *sizes.values()):
        for made in (ratio / each, ratio * each):
            if np.abs(made / np.median(made) - 1).max() < _EXACT:
                return "exactly so in each"
    return None


def _sizes(bench: Bench) -> dict[str, Floats]:
    """Numbers that a reduction may leave, by batch or one for all."""
    looks = looks_of(bench)
    found: dict[str, Floats] = {}
    for rows in () if isinstance(looks, str) else looks.tasks.values():
        samples, tokens = counts(rows)
        found.setdefault("the batch size", samples)
        if not np.array_equal(tokens, found["the batch size"]):
            found.setdefault("the rows of the batch (tokens)", tokens)
        if rows.kind == "classes":
            found.setdefault("the number of classes", np.array([float(rows.prediction[0].shape[1])]))
    found["accumulate"] = np.array([float(bench.setup.accumulate)])
    for split in ("train", "val"):
        if (batches := length(getattr(bench.setup, split))) is not None:
            found[f"the number of batches of {split}"] = np.array([float(batches)])
    return {what: each for what, each in found.items() if (each > 0).all()}
