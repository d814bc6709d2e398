"""EVL001 before the run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.loss_looks import Floats
from tocsin.prechecks.metric_probes import Probe, probes_of, scores

_ROUNDING = 1e-6
_OF_PREDICTIONS = re.compile(
    r"bias|mean_|_mean|average_|entropy|rate|count|coverage|calib|ece|time|latency|confidence|spars|norm|predicted"
)
_HIGHER = re.compile(r"acc|f1|auc|auroc|precision|recall|(^|_)r2|corr|pearson|spearman|kappa|mcc|iou|dice|psnr|ssim")
_LOWER = re.compile(r"mse|mae|loss|err|nll|perplexity|(^|_)(wer|cer|eer)|dist|regret")
_REMEDIES = (
    Remedy("Call the metric by hand with targets as predictions; compare argument order, axis and form", safe=True),
    Remedy("Look for a default value: a missing key, a swallowed exception, an empty mask", safe=True),
)


@rule("EVL001", needs=("metrics", "predict"), severity="error", scope="setup")
def metric_disconnected(bench: Bench, *, orders: int = 19) -> Iterator[Finding | NotChecked]:
    """A metric does not tell perfect predictions from wrong ones, or scores others higher.

    ## What it does
    Each metric is called with the targets of the first batches (of the evaluation, if there is one) and with
    predictions made from them: perfect ones; `orders` sets of the same ones in a wrong order; one answer for all, for
    each of the first targets; and what the untrained model says. Predictions have the form of `predict` (logits,
    probabilities, values), then ids, then logits, whichever the metric takes. Rings when

    - all scores are one number: an **error**, the metric looks at nothing;
    - the perfect score equals those of all wrong orders though others differ: a **warning**, it looks at predictions
      without their targets. Silent where the name says so (`bias`, `rate`, `entropy`, ...);
    - the perfect score lies strictly between others, or is not a number: an **error**. A score is better above or
      below, but perfect predictions are at one end;
    - the name says which end (`acc`, `f1`, `auc`, `r2`; `mse`, `loss`, `err`), and it is the other: an **error**.

    With the perfect score drawn at random among 1 + `orders` others, it would be at neither end in 9 of 10 cases: one
    that is right is always.

    ## Options
    - `orders` (19): wrong orders.

    ## Known limits
    Silent where the targets are all alike. A metric that asks for something other than the task (a distance between
    two models' answers) may ring.
    """
    probes, unable = probes_of(bench)
    for why in unable:
        yield NotChecked(why)
    for probe in probes:
        if not probe.varied:
            yield NotChecked(f"{probe.name}: the targets of the first batches are all alike")
            continue
        finding = _judged(probe, orders)
        if finding is not None:
            yield finding


def _judged(probe: Probe, orders: int) -> Finding | None:
    perfect = probe.score(probe.target, probe.answer(probe.target))
    wrong = scores(probe.score(probe.target, probe.shuffled(seed)) for seed in range(orders))
    others = scores(probe.score(probe.target, p) for p in _others(probe))
    if not math.isfinite(perfect):
        numbers = wrong.size + others.size
        return _finding(probe, perfect, wrong, "perfect predictions get no number", "error") if numbers else None
    if not wrong.size:
        return None
    near = _ROUNDING * max(1.0, abs(perfect))
    if (abs(wrong - perfect) <= near).all():
        if not (abs(others - perfect) > near).any():
            return _finding(probe, perfect, wrong, "it gives the same for all of them", "error")
        if _OF_PREDICTIONS.search(probe.name.lower()):
            return None
        said = "it is the same in any order: predictions are not compared with their targets"
        return _finding(probe, perfect, wrong, said, "warning")
    all_others = [*wrong.tolist(), *others.tolist()]
    if min(all_others) < perfect - near and max(all_others) > perfect + near:
        said = f"others score from {min(all_others):.4g} to {max(all_others):.4g}, on both sides of it"
        return _finding(probe, perfect, wrong, said, "error")
    return _inverted(probe, perfect, wrong, near)


def _inverted(probe: Probe, perfect: float, wrong: Floats, near: float) -> Finding | None:
    """The perfect score is at the end that the name calls the worst."""
    name = probe.name.lower()
    higher, lower = _HIGHER.search(name) is not None, _LOWER.search(name) is not None
    if higher and not lower and perfect < wrong.min() - near:
        return _finding(
            probe, perfect, wrong, "by its name higher is better, and each wrong order scores higher", "error"
        )
    if lower and not higher and perfect > wrong.max() + near:
        return _finding(
            probe, perfect, wrong, "by its name lower is better, and each wrong order scores lower", "error"
        )
    return None


def _others(probe: Probe) -> Iterator[torch.Tensor]:
    """One answer for all samples, for each of a few targets, and the model's own."""
    perfect = probe.answer(probe.target)
    seen = torch.unique(probe.target.reshape(len(probe.target), -1)[:, 0], return_inverse=True)[1]
    for k in range(min(3, int(seen.max()) + 1)):
        first = int((seen == k).nonzero()[0])
        yield perfect[first : first + 1].expand_as(perfect).clone()
    if probe.real is not None:
        yield probe.real


def _finding(probe: Probe, perfect: float, wrong: Floats, said: str, severity: Severity) -> Finding:
    span = (float(wrong.min()), float(wrong.max())) if wrong.size else None
    spread = f", in {wrong.size} wrong orders from {span[0]:.4g} to {span[1]:.4g}" if span else ""
    return Finding(
        f"{probe.name} of {len(probe.target)} perfect predictions is {perfect:.4g}{spread}: {said}",
        subject=probe.name,
        severity=severity,
        evidence=(Evidence(f"setup:metrics/{probe.name}", perfect, 0, interval=span, text="perfect; wrong orders"),),
        remedies=_REMEDIES,
    )
