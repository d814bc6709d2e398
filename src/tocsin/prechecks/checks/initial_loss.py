"""OBJ011 before the run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.constant_loss import Constant, Floats, known_constant, searched_constant
from tocsin.prechecks.drawn_anew import drawn_anew
from tocsin.prechecks.loss_looks import FEWEST, Looks, Rows, looks_of
from tocsin.prechecks.loss_matches import Match, counts, is_constant, matches
from tocsin.prechecks.over_batches import batch_interval

_STARTED = re.compile(r"pretrain|checkpoint|ckpt|resume|finetun|fine_tun|init_from|weights_path|load_from")
_EXACT = 1e-3
LEAST_DRAWN = 0.5  # share of the entries that a new draw must reach to say anything
_SCALE = Remedy("Bring inputs and targets to unit scale, and initialise the last layer small or with the targets' mean")
_LEAK = Remedy("Look whether the target, or what it was made from, is among the inputs or is shifted by one", safe=True)


@rule("OBJ011", needs=("predict",), severity="warning", scope="setup")
def initial_loss(
    bench: Bench, *, times: float = 10.0, below: float = 0.9, confidence: float = 0.95
) -> Iterator[Finding | NotChecked]:
    """The first loss of the untrained model is not what an untrained model has.

    ## What it does
    L is the loss of a term on the first batches before any step, in training mode; C the loss of the best constant
    answer on the same batches. Which loss it is, is found by recomputing cross-entropy, binary cross-entropy, MSE and
    MAE from targets and predictions (to 1e-4 in each of at least 3 batches); then C is in closed form. Otherwise C is
    searched under the total itself, with the model's output replaced by one answer for all samples. With the
    `confidence` interval of the mean over batches (Student), rings where

    - **far above**: the lower end for L is above what standard initialisations give. Classes: 2 ln K and ln K + 2
      nats (logits of variance 2, the most that He's initialisation gives on inputs of unit scale, add 1 nat at most).
      MSE: `times` (C + 2), 2 being the variance of such outputs, so that small targets are no fault and a mean of up
      to about 3 standard deviations is none; MAE: the square root of `times`, with 2 sqrt(1 / pi). Another loss of
      values: `times` the larger of C and the loss of answers of +-sqrt(2).
    - **below**: the upper end for L - C is below 0, and L < `below` C. Then the input tells, or the weights were
      trained before: so it is looked again with weights drawn anew (`reset_parameters` of each module). A warning for
      classes where the loss is still below, or where such a draw reaches less than half of the entries; a note for
      values (an output that starts at the input is a fair start), where new weights do not know the answer, and where
      the configuration, counted batches or the optimizer's state hint at weights that were trained before.
    - **reduction**: the term is the recomputed mean loss times the number of samples of the batch in every batch, to
      1e-4 (a warning), or divided by the number of batches, or by `accumulate` (a note).

    ## Why is this bad?
    A loss many times that of a constant means that the first hundreds of steps only undo the initialisation: un-scaled
    inputs or targets, a last layer that is too large. A loss below a constant means that the answer is in the input. A
    sum over the batch makes the step size depend on the batch size.

    An output that shares its weights with an embedding of N(0, 1), torch's own, starts far above. In a small language
    model (48 tokens, AdamW at 3e-4) it stood at a loss of 4.3 to 4.5 after 456 steps, above that of a constant (3.8);
    drawn with a deviation of .02 it was there after 100. At 3e-3 it had caught up after 80 steps.

    ## Fix
    - **safe** Compare the first loss with ln K, or with the variance of the targets, by hand.
    - **unsafe** Standardise inputs and targets; initialise the last bias with the targets' mean or the classes' odds.
    - **unsafe** Average the loss over the samples of the batch.

    ## Options
    - `times` (10): squared error; 1 + 2 is what He's initialisation gives on standardised targets.
    - `below` (.9): a tenth of the constant's loss, what random weights do not find by luck in some hundred samples.
    - `confidence` (.95) of the intervals over batches.

    ## Known limits
    Silent on outputs that are no tensor of rows and no known loss, and where C is not above 0 (densities). The best
    constant of few batches is a little low: that only makes "below" rarer.

    ## References
    Karpathy 2019, A recipe for training neural networks ("verify loss @ init", "init well"). Glorot and Bengio 2010;
    He et al. 2015, eq. 10 (variance of the outputs).
    """
    looks = looks_of(bench)
    if isinstance(looks, str) or len(bench.train) < FEWEST:
        yield NotChecked(looks if isinstance(looks, str) else f"needs {FEWEST} batches")
        return
    first, odds = _first(bench, looks)
    judged: set[str] = set()
    for match in sorted(matches(looks), key=lambda m: m.term == "total"):
        if match.task not in judged:
            judged.add(match.task)
            rows = looks.tasks[match.task]
            yield from _reduced(bench, match, rows)
            constant = known_constant(match, rows, times)
            if constant is not None:
                yield from _compared(bench, match.term, first[match.term], constant, odds, below, confidence)
    if not judged and np.isfinite(first["total"]).all():
        with bench.restored():
            found = searched_constant(bench, times)
        if isinstance(found, str):
            yield NotChecked(found)
        else:
            yield from _compared(bench, "total", first["total"], found, odds, below, confidence)


def _first(bench: Bench, looks: Looks) -> tuple[Mapping[str, Floats], float]:
    """The terms of each batch in training mode, and the mean entropy of the answers of classes, nats."""
    rows = _terms(bench)
    logits = [r.prediction for r in looks.tasks.values() if r.kind == "classes" and r.form == "logits"]
    entropy = math.nan
    if len(logits) == 1:
        logs = torch.cat(logits[0]).log_softmax(1)
        entropy = float(-(logs.exp() * logs).sum(1).mean())
    return {n: np.array([row.get(n, math.nan) for row in rows]) for n in looks.terms}, entropy


def _terms(bench: Bench) -> list[dict[str, float]]:
    """The terms of each batch in training mode."""
    rows: list[dict[str, float]] = []
    for seed, batch in enumerate(bench.train):
        torch.manual_seed(seed)
        bench.model.train()
        rows.append({n: float(v.detach()) for n, v in bench.terms(batch).items()})
    return rows


def _reduced(bench: Bench, match: Match, rows: Rows) -> Iterator[Finding]:
    factor = match.factor
    samples, _ = counts(rows)
    severity: Severity
    if samples.min() > 1 and abs(factor / samples - 1).max() < _EXACT:
        said, severity = "the number of samples of the batch: it is summed, not averaged", "warning"
    elif (divided := _divisor(bench, factor)) is not None:
        said, severity = divided, "note"
    else:
        return
    yield Finding(
        f"the first {match.term} is {match.value[0]:.4g}, the mean {match.loss} of {match.recomputed[0]:.4g} times "
        f"{factor[0]:.4g}, {said}",
        subject=f"{match.term} reduction",
        severity=severity,
        evidence=(Evidence(_series(match.term), float(match.value[0]), 0, float(match.recomputed[0])),),
        remedies=(Remedy("Average the loss over the samples of the batch, once"),),
    )


def _divisor(bench: Bench, factor: Floats) -> str | None:
    """What a constant factor below 1 is one over."""
    try:
        batches = len(bench.setup.train)  # type: ignore[arg-type]  # many a loader has a length
    except TypeError:
        batches = 0
    named = {batches: "one over the number of batches", bench.setup.accumulate: "one over accumulate, once more"}
    for n, said in named.items():
        if n > 1 and is_constant(factor) and abs(float(factor.mean()) * n - 1) < _EXACT:
            return said
    return None


def _compared(
    bench: Bench, term: str, first: Floats, constant: Constant, odds: float, below: float, confidence: float
) -> Iterator[Finding]:
    if not (np.isfinite(first).all() and np.isfinite(constant.cost).all() and constant.cost.mean() > 0):
        return
    low, high = batch_interval(first, confidence)
    mean, best = float(first.mean()), float(constant.cost.mean())
    said = f"the first {term} is {mean:.4g} [{low:.4g}, {high:.4g}] over {len(first)} batches, "
    evidence = (
        Evidence(_series(term), mean, 0, best, (low, high), f"{constant.of}, beside the best constant{_sure(odds)}"),
    )
    if low > constant.usual:
        said += f"{mean / best:.3g} times that of the best constant answer ({best:.4g}"
        said += f", ln K = {math.log(constant.classes):.4g})" if constant.classes else ")"
        said += f"; a standard initialisation stays below {constant.usual:.4g}"
        yield Finding(said, subject=term, evidence=evidence, remedies=(_SCALE,))
    elif _below(first, constant, below, confidence):
        why = _trained_before(bench) or _forgotten(bench, term, constant, below, confidence)
        severity: Severity = "note" if why or not constant.classes else "warning"
        said += f"below that of the best constant answer ({best:.4g}) before any training: "
        said += f"trained before ({why})" if why else "the answer is in the input"
        yield Finding(said, subject=term, severity=severity, evidence=evidence, remedies=() if why else (_LEAK,))


def _below(first: Floats, constant: Constant, below: float, confidence: float) -> bool:
    return batch_interval(first - constant.cost, confidence)[1] < 0 and first.mean() < below * constant.cost.mean()


def _forgotten(bench: Bench, term: str, constant: Constant, below: float, confidence: float) -> str:
    """What the loss is once the weights are drawn anew, where it is no longer below: they had known it; else ""."""
    with drawn_anew(bench) as share:
        if share < LEAST_DRAWN:
            return ""
        again = np.array([row.get(term, math.nan) for row in _terms(bench)])
    if not np.isfinite(again).all() or _below(again, constant, below, confidence):
        return ""
    return f"weights drawn anew have {again.mean():.4g}"


def _sure(odds: float) -> str:
    return f"; the answers have an entropy of {odds:.3g} nats" if math.isfinite(odds) else ""


def _trained_before(bench: Bench) -> str:
    """What hints at weights that were trained before, or ""."""
    for key, value in bench.config.items():
        if _STARTED.search(str(key).lower()) and value not in (None, False, "", 0):
            return f"config {key}"
    if any(n.endswith("num_batches_tracked") and int(b) > 0 for n, b in bench.model.named_buffers()):
        return "batch statistics were counted"
    return "the optimizer has a state" if any(o.state for o in bench.setup.optimizers) else ""


def _series(term: str) -> str:
    return "train/loss" if term == "total" else f"train/loss/{term}"
