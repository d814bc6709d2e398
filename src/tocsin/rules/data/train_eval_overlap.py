"""DAT002 train-eval-overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.names import split_of
from tocsin.run import Run
from tocsin.stats import wilson

LEAST = 20  # samples of one evaluation
STRAY = 0.2  # of the steps: more forwards without gradient outside evaluations belong to training
REMEDIES = (
    Remedy("Split by sample (or by group) once, before augmentation and oversampling, and keep the lists"),
    Remedy("Remove duplicates across the splits by a hash of each sample's content"),
)


@dataclass(frozen=True)
class Compared:
    """One evaluation's samples: how many were held against the training samples, and what came of it."""

    step: int
    n: float
    hits: float
    repeats: float
    last: float

    def bounds(self) -> tuple[float, float]:
        """Interval of the share that was trained on."""
        return wilson(min(self.hits, self.n), self.n)


@rule(
    "DAT002",
    needs=("input/overlap_frac", "input/compared"),
    explains=("EVL004", "GEN006"),
    live=True,
)
def train_eval_overlap(
    run: Run, *, share: float = 0.02, error: float = 0.3, repeats: float = 0.2
) -> Iterator[Finding | NotChecked]:
    """Samples of an evaluation were trained on.

    ## What it does
    Exact content is compared, by a 64-bit hash of all inputs of a sample: the training samples of the first 8 forwards
    after each epoch or evaluation against those of the first 8 forwards of each evaluation. Of n samples of one
    evaluation k had been seen in a training forward. Rings when the lower end of the 95 % Wilson interval of k / n
    exceeds `share`, with n >= 20; an error when it exceeds `error`. Only part of the training samples is hashed, so
    k / n is the least that overlaps. Samples whose entries are all equal (padding) do not count.

    What went through the model must be the evaluation's own: loops also put training samples through it without
    gradients, for a training score (`estimate_loss`), the gallery of a nearest-neighbour score, or class prototypes.
    So the predictions of the evaluation must be recorded (`run.evaluate`), one for each sample that went through the
    model since the last step, or the same number of them for each (pixels, tokens).

    Not looked at: evaluations of a split whose name begins with "train" (nor others at the same step); evaluations in
    which samples of a batch repeat each other more than `repeats` times as often as training ones (few possible
    inputs); loops
    that call the model without gradients in training, too. A note where training has one batch, the very one that is
    evaluated: a graph of which other nodes are scored, or a test whether the model can overfit.

    ## Why is this bad?
    The score of a sample that was trained on says how well it is remembered. Model selection, early stopping and the
    reported number are then all too good, most for the largest model.

    ## Example
    ```python
    step = 40 * np.arange(1, 6)
    evaluations = tuple(Evaluation("val", "main", s, "ids", 200) for s in step)
    shares = {"input/overlap_frac": 0.25, "input/compared": 200, "input/repeat_frac": 0}
    run = Run.of(series={k: Series.of(k, [v] * 5, step=step) for k, v in shares.items()}, evaluations=evaluations)
    ```
    Use instead:
    ```python
    step = 40 * np.arange(1, 6)
    evaluations = tuple(Evaluation("val", "main", s, "ids", 200) for s in step)
    shares = {"input/overlap_frac": 0, "input/compared": 200, "input/repeat_frac": 0}
    run = Run.of(series={k: Series.of(k, [v] * 5, step=step) for k, v in shares.items()}, evaluations=evaluations)
    ```

    ## Fix
    - **unsafe** Split before augmentation and oversampling; split by group where samples come in groups.
    - **unsafe** Remove what the splits share, and evaluate again.

    ## Options
    - `share` (0.02): public data sets share up to a few percent near-duplicates with their test split; exact ones are
      rarer.
    - `error` (0.3): above it the score is mostly memory.
    - `repeats` (0.2): repeats within a batch of the evaluation, in units of the overlap.

    ## Known limits
    Training samples are taken for those of an evaluation that calls the model on them in place of its own. Blind to
    near-duplicates, and to training samples that are augmented before the model sees them. A small overlap in a large
    data set is found only when the hashed batches happen to hold it. No content leaves the process; nothing but the
    share is recorded.

    ## References
    Barz and Denzler 2020, "Do we train on test data?", section 3. Wilson 1927.
    """
    steps = _evaluated(run)
    seen = _compared(run)
    if not seen:
        yield NotChecked("no evaluation had samples to compare")
        return
    if np.mean([one.step not in steps for one in seen]) > STRAY:
        yield NotChecked("the model is called without gradients outside evaluations, too")
        return
    judged = [one for one in seen if one.step in steps and one.n >= LEAST and not _on_training(run, one.step)]
    if not judged:
        yield NotChecked(f"no evaluation of {LEAST} samples of another split than train was compared")
        return
    judged = judged if _one_batch(run) else _own(run, judged)
    if not judged:
        yield NotChecked(
            "needs the predictions of the evaluation (run.evaluate), for each sample that went through the model and "
            "no other: the samples may be those of another score"
        )
        return
    bad = [one for one in judged if one.bounds()[0] > share and one.repeats <= repeats * one.hits / one.n]
    if bad:
        worst = max(bad, key=lambda one: one.bounds()[0])
        yield _finding(run, bad[0].step, worst, error)


def _evaluated(run: Run) -> set[int]:
    """Steps at which something of another split than train was recorded."""
    steps = {e.step for e in run.evaluations if not e.baseline}
    for name, series in run.series.items():
        if split_of(name) not in ("", "train"):
            steps |= {int(step) for step in series.step}
    return steps


def _own(run: Run, seen: list[Compared]) -> list[Compared]:
    """The evaluations whose recorded predictions account for all that went through the model."""
    recorded: dict[int, dict[str, int]] = {}
    for e in run.own_evaluations:
        splits = recorded.setdefault(e.step, {})
        splits[e.split] = max(e.n, splits.get(e.split, 0))
    rows = _rows(run)
    found = []
    for one in seen:
        predicted = sum(recorded.get(one.step, {}).values())
        through = rows.get(one.step, one.n)
        if through <= predicted and predicted % through == 0:
            found.append(one)
    return found


def _rows(run: Run) -> dict[int, float]:
    """Samples that went through the model in the evaluations of a step."""
    found: dict[int, float] = {}
    series = run.get("input/rows")
    for step, value in zip(series.step, series.value, strict=True) if series is not None else ():
        if 1 <= value < 2**31:
            found[int(step)] = max(float(value), found.get(int(step), 0.0))
    return found


def _on_training(run: Run, step: int) -> bool:
    return any(e.step == step and e.split.lower().startswith("train") for e in run.evaluations)


def _compared(run: Run) -> list[Compared]:
    """The evaluations in order, each pooled over its forwards."""
    overlap, compared, repeat = (run.get(f"input/{k}") for k in ("overlap_frac", "compared", "repeat_frac"))
    if overlap is None or compared is None or len(overlap) != len(compared):
        return []
    found = []
    for step in np.unique(overlap.step):
        here = np.flatnonzero(overlap.step == step)
        n, part = compared.value[here], overlap.value[here]
        fine = (n >= 1) & (n < 2**31) & (part >= 0) & (part <= 1)
        again = repeat.value[repeat.step == step] if repeat is not None else np.zeros(1)
        if fine.any() and again.size and np.isfinite(again).all():
            hits = float(n[fine] @ part[fine])
            found.append(Compared(int(step), float(n[fine].sum()), hits, float(again.mean()), float(part[fine][-1])))
    return found


def _one_batch(run: Run) -> bool:
    """Whether every training forward had one and the same input, which is evaluated, too."""
    trained, held = run.get("input/fingerprint/train"), run.get("input/fingerprint/eval")
    if trained is None or held is None:
        return False
    return np.unique(trained.value).size == 1 and bool(np.isin(trained.value[:1], held.value)[0])


def _finding(run: Run, begin: int, worst: Compared, error: float) -> Finding:
    low, high = worst.bounds()
    keys = sorted({e.split for e in run.evaluations if e.step == worst.step and not e.baseline}) or ["evaluated"]
    alone = _one_batch(run)
    message = (
        f"{worst.hits:.0f} of {worst.n:.0f} {' and '.join(keys)} samples compared at step {worst.step} had been "
        f"trained on ({worst.hits / worst.n:.0%}, at least {low:.0%}): the same content, entry for entry"
    )
    message += "; training has this one batch only" if alone else ""
    evidence = (
        Evidence("input/overlap_frac", worst.last, worst.step, interval=(low, high), text="share, last forward"),
    )
    severity: Severity = "note" if alone else "error" if low > error else "warning"
    return Finding(message, "", begin, evidence, REMEDIES, severity=severity)
