"""OBJ010 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.loss_looks import FEWEST, Looks, Rows, looks_of
from tocsin.prechecks.loss_matches import Match, matches
from tocsin.prechecks.term_sums import matrices

_WIDER = 100.0
_FAULTS: dict[str, tuple[Severity, str, str]] = {
    "cross-entropy of probabilities": (
        "warning",
        "a cross-entropy that takes probabilities for logits: softmax is applied twice, and it cannot fall below "
        "{floor:.4g}",
        "Give cross-entropy the logits: take the softmax out of the network",
    ),
    "NLLLoss of probabilities": (
        "warning",
        "NLLLoss of probabilities, the negative mean probability of the right class: no logarithm is taken",
        "Give NLLLoss log-probabilities (log_softmax), or cross-entropy the logits",
    ),
    "NLLLoss of raw logits": (
        "error",
        "NLLLoss of raw logits: nothing normalises them, so it falls without bound and teaches no probabilities",
        "Give NLLLoss log-probabilities (log_softmax), or cross-entropy the logits",
    ),
    "BCEWithLogits of probabilities": (
        "warning",
        "BCEWithLogitsLoss of probabilities: the sigmoid is applied twice, and no answer is below .5 or above .731",
        "Give BCEWithLogitsLoss the logits: take the sigmoid out of the network",
    ),
}


@rule("OBJ010", needs=("predict",), severity="warning", scope="setup")
def loss_on_probabilities(bench: Bench) -> Iterator[Finding | NotChecked]:
    """A loss that takes logits or log-probabilities is given something else.

    ## What it does
    Recomputes, in double precision, from targets and predictions of the first batches in evaluation mode, what the
    honest loss would be (cross-entropy of what the predictions are: logits, log-probabilities, or probabilities whose
    rows lie in [0, 1] and sum to 1) and what the mistakes would be:

    - cross-entropy of softmax(z) as logits (warning; it cannot fall below ln(e + K - 1) - 1 for K classes), NLLLoss of
      softmax(z) (warning), NLLLoss of raw z (error);
    - BCEWithLogitsLoss of sigmoid(z) (warning).

    Rings where a term equals a mistake and not the honest loss in each of at least 3 batches, to 1e-4 of its value
    (losses are in single precision) or times one constant factor or the batch size. Two losses that agree to 4 digits
    in 3 batches are one: there is no sampling error in an identity.

    Predictions of two classes that merely lie in [0, 1] may be small logits: they count as probabilities only if they
    stay there with the weight matrices 100 times as large.

    ## Known limits
    Silent under label smoothing, class weights and focal losses: then no loss is recomputed. `-p` of the right class is
    the mean absolute error of Ghosh et al. (2017) but for a constant, and may be meant.
    """
    looks = looks_of(bench)
    if isinstance(looks, str):
        yield NotChecked(looks)
        return
    if len(bench.train) < FEWEST or not looks.tasks:
        yield NotChecked(f"needs targets and predictions of a known kind in {FEWEST} batches")
        return
    found = {m.task: m for m in [*matches(looks)][::-1] if m.loss in _FAULTS}
    known = {m.task for m in matches(looks)}
    for task in looks.tasks:
        if task in found and _are_probabilities(bench, looks, found[task]):
            yield _finding(found[task], looks.tasks[task])
        elif task not in known:
            yield NotChecked(f"no term is a known loss of the predictions of {task}")


def _are_probabilities(bench: Bench, looks: Looks, match: Match) -> bool:
    """Whether what the loss was given are probabilities; of two classes, small logits lie within [0, 1] as well."""
    rows: Rows = looks.tasks[match.task]
    if rows.kind == "classes" or rows.form == "logits":
        return True
    with torch.no_grad(), bench.restored():
        bench.model.eval()
        for p in matrices(bench).values():
            p.mul_(_WIDER)
        given = [bench.predictions(batch)[match.task][1] for batch in bench.train]
    return all(bool(((p >= 0) & (p <= 1)).all()) for p in given)


def _finding(match: Match, rows: Rows) -> Finding:
    severity, said, cure = _FAULTS[match.loss]
    said = said.format(floor=math.log(math.e + rows.prediction[0].shape[-1] - 1) - 1)
    off = float(abs(match.factor / match.factor.mean() - 1).max())
    times = float(match.factor.mean())
    scaled = "" if abs(times - 1) < 1e-3 else f" {times:.4g} times"
    return Finding(
        f"{match.term} is{scaled} {said} ({match.value[0]:.6g} and {match.recomputed[0]:.6g} recomputed from the "
        f"predictions; so in {len(match.value)} batches, to {max(off, 1e-8):.0e})",
        subject=match.term,
        severity=severity,
        evidence=(
            Evidence(
                "train/loss" if match.term == "total" else f"train/loss/{match.term}",
                float(match.value[0]),
                0,
                float(match.recomputed[0]),
                text=f"beside {match.loss}, recomputed",
            ),
        ),
        remedies=(Remedy(cure),),
    )
