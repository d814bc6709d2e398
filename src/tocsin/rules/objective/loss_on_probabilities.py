"""OBJ010 loss-on-probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import loss_names, names, references
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Evaluation, Run

_REMEDIES = (
    Remedy("Take the softmax out of the network, or use the logarithm of its output with a likelihood loss (NLLLoss)"),
    Remedy("Apply softmax where probabilities are read, not where the loss is computed", safe=True),
)
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Squeezed:
    """One evaluation: its loss, and what certain answers of the same accuracy cost as logits between 0 and 1."""

    evaluation: Evaluation
    loss: float
    accuracy: float
    floor: float
    cost: float
    honest: float


@rule("OBJ010", needs=("evaluations:classes | evaluations:ids",), explains=("GEN004", "OBJ009", "OPT012", "PRD003"))
def loss_on_probabilities(
    run: Run, *, near: float = 0.1, apart: float = 0.1, fewest: int = 20
) -> Iterator[Finding | NotChecked]:
    """A cross-entropy is computed on probabilities as if they were logits: softmax is applied twice.

    ## What it does
    Cross-entropy takes logits. Given probabilities p over K classes, which lie in [0, 1], it cannot fall below

        F = ln(e + K - 1) - 1            (p = 1 on the right class; 1.461 for K = 10, .313 for K = 2)

    and answers that are certain cost one nat more where they are wrong: with accuracy A the loss is F + (1 - A), an
    identity between two numbers of the same samples. Calibrated logits cost at most
    H = -A ln A - (1 - A) ln((1 - A) / (K - 1)). Rings when, with settled predictions, in each of the last 3 evaluations

    - |L - (F + 1 - A)| <= `near` (F + 1 - A - H), and F + 1 - A - H >= `apart` nats;
    - of at least `fewest` training losses of the same term not one lies below F. A healthy training loss of that
      accuracy has batches below it; there is no sampling error in a bound.

    ## Why is this bad?
    Nothing crashes and the loss falls, a little. The gradient is that of a network that can never be sure: it is
    squeezed twice, training is slow, and the probabilities that come out are not calibrated.

    ## Example
    ```python
    table = Confusion.of(np.diag([95] * 10) + np.roll(np.diag([5] * 10), 1, axis=1))
    floor = np.log(np.e + 9) - 1
    made = [Evaluation("val", "main", 40 * k, "classes", 1000, confusion=table) for k in (1, 2, 3)]
    val = Series.of("", [floor + 0.06] * 3, step=[40, 80, 120])
    train = floor + 0.02 + 0.8 * np.exp(-np.arange(120) / 20)
    run = Run.of(series={"train/loss": train, "val/loss": val}, evaluations=tuple(made))
    ```
    Use instead:
    ```python
    table = Confusion.of(np.diag([95] * 10) + np.roll(np.diag([5] * 10), 1, axis=1))
    made = [Evaluation("val", "main", 40 * k, "classes", 1000, confusion=table) for k in (1, 2, 3)]
    val = Series.of("", [0.2] * 3, step=[40, 80, 120])
    train = 0.15 + 2.1 * np.exp(-np.arange(120) / 20)
    run = Run.of(series={"train/loss": train, "val/loss": val}, evaluations=tuple(made))
    ```

    ## Fix
    - **unsafe** Give the loss what it takes: logits to cross-entropy, log-probabilities to a likelihood.

    ## Options
    - `near` (.1): answers that are not quite certain cost a little more; measured on digits, cancer and text: 0 to 5 %.
    - `apart` (.1): nats between the faulty and an honest loss. Two classes at an accuracy below .85 are closer.
    - `fewest` (20): training losses that respect the bound.

    ## Known limits
    Silent early, while the answers are not certain, and where accuracy is so low that an honest loss is as high.
    Class weights, label smoothing and auxiliary terms in the logged loss hide it.

    ## References
    Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2.3 (softmax units and their saturation).
    """
    judged = False
    for name in [n for n in run.series if _is_loss(run, n)]:
        settled = run.settled(references.evaluations_of(run, name))
        looks = [found for e in settled if (found := _squeezed(run, name, e)) is not None]
        judged |= len(looks) >= 3
        if len(looks) == len(settled) >= 3 and all(_fits(look, near, apart) for look in looks):
            finding = _finding(run, name, looks, fewest)
            if finding is not None:
                yield finding
    if not judged:
        yield NotChecked(f"needs a loss of evaluations with recorded classes, and {SETTLED}")


def _is_loss(run: Run, name: str) -> bool:
    loss = loss_names.loss_of(run, name)
    told = loss is None or loss.family in ("cross-entropy", "NLL")
    return "loss" in name.split("/") and names.split_of(name) not in ("", "train") and told


def _squeezed(run: Run, name: str, e: Evaluation) -> Squeezed | None:
    loss = references.logged_at(run, name, e)
    if e.confusion is None or e.confusion.classes < 2 or not e.confusion.n or not math.isfinite(loss):
        return None
    k, right = e.confusion.classes, float(e.confusion.correct.sum() / e.confusion.n)
    floor = math.log(math.e + k - 1) - 1
    return Squeezed(e, loss, right, floor, floor + 1 - right, _calibrated(right, k))


def _calibrated(accuracy: float, classes: int) -> float:
    """Entropy of one confidence for every answer: calibrated answers cost no more."""
    wrong = 1 - accuracy
    sure = -accuracy * math.log(accuracy) if accuracy > 0 else 0.0
    return sure - (wrong * math.log(wrong / (classes - 1)) if wrong > 0 else 0.0)


def _fits(look: Squeezed, near: float, apart: float) -> bool:
    gap = look.cost - look.honest
    return gap >= apart and abs(look.loss - look.cost) <= near * gap


def _finding(run: Run, name: str, looks: Sequence[Squeezed], fewest: int) -> Finding | None:
    last = looks[-1]
    split = names.split_of(name)
    trained = run.get(f"train/{name.removeprefix(split + '/')}") or run.get("train/loss")
    if trained is None:
        return None
    seen = trained.finite
    if len(seen) < fewest or seen.value.min() < last.floor - _ROUNDING:
        return None
    lowest = int(np.argmin(seen.value))
    return Finding(
        f"{name} is {last.loss:.4g} at an accuracy of {last.accuracy:.3f}: what certain answers cost a cross-entropy "
        f"that takes their probabilities for logits ({last.cost:.4g}; honest ones at most {last.honest:.3g}). None of "
        f"{len(seen)} training losses is below the floor of such a loss, {last.floor:.4g}",
        subject=name,
        step=int(seen.step[0]),
        evidence=(
            Evidence(name, last.loss, last.evaluation.step, last.cost, text="loss, beside ln(e + K - 1) - A"),
            Evidence(
                trained.name, float(seen.value[lowest]), int(seen.step[lowest]), last.floor, text="least training loss"
            ),
            Evidence(f"evaluation:{last.evaluation.key}", last.accuracy, last.evaluation.step, text="accuracy A"),
        ),
        remedies=_REMEDIES,
    )
