"""PRD009 chance-level."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tocsin import guessing, informed, metrics, names, references, stats, unskilled
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Evaluation, Run, Series

_MANY, _FEW = 200, 100  # predictions of an evaluation
_AT_ENTROPY = 0.15  # a first loss so near to it is that of an untrained classifier
_REMEDIES = (
    Remedy("Overfit one small batch: if that fails, the path from input to loss is broken", True),
    Remedy("Check that inputs and labels still belong together after shuffling, filtering and sorting", True),
    Remedy("Check the learning rate that was really applied, and the scale of the inputs", True),
)


@rule("PRD009", needs=(), severity="error", explains=("GEN002", "GEN004", "EVL002", "OBJ009", "RUN004"), when="end")
def chance_level(
    run: Run,
    *,
    evaluations: int = 5,
    steps: int = 40,
    window: float = 0.02,
    coincidence: float = 0.1,
    luck: float = 0.02,
) -> Iterator[Finding | NotChecked]:
    """After training, the model predicts no better than guessing.

    ## What it does
    Judged at the end, on the main evaluation loss, else on the training loss. With L the mean of the last half of at
    least `evaluations` values (`steps` of a training loss), h half the width of its 95 % interval (autocorrelation
    counted) plus the rounding error, rings when all of these hold:

    - flat: the trend interval of the last half contains 0, and the level of its first and last third differ by less
      than `window` L; the best tenth of all values is not below L - `window` L - 3 sd;
    - at chance: abs(L - ln k) <= h + .002 for a whole number k >= 2, with h <= `window` L / 2;
    - a second sign: k is the configured number of classes; or an accuracy of the split stands at 1/k (all values of
      the last half within .02 of it and less than a third above it); or, for k <= 10, the chance that a level anywhere
      between two neighbouring ln k falls so near to one is below `coincidence` and the loss stood there from its first
      tenth on, which gives a warning only.

    A loss that stands up to 15 % above ln k (a penalty is in it, or outputs are over-confident), or comes down to ln k,
    is a warning where an accuracy of at least 6 values says the same: after epoch 3 or step 1000, the 95 % interval of
    its mean contains 1/k, k the configured number or at most 10, and is no wider than a fifth of 1/k - 1/(k + 1) (of
    1/k, and .04, where the loss ends within `window` of ln k after 5 epochs); it does not rise, and no value lies above
    1/k by .05 or a third. So are both losses within 1 % of ln k (k <= 10, and within a twentieth of the way to the
    next) in all of 8 epochs and more, no score above 1/k by .08 or rising by .02; both losses within .005 of 1 in all
    of 4 epochs and more, no score that gets better (the variance of a standardised target; a hinge, Dice or cosine
    loss); and 20 epochs and more that leave accuracies below 1.6/k, training no more than 5 % below ln k, and the
    evaluation loss no more than 2.5 % below it and where it began. None of these in adversarial training and
    reinforcement learning.

    An accuracy that varies above 1/k + .05 (k >= 7: 4/(3k), at least 1/k + .02) contradicts it and silences the rule.
    Where predictions were recorded, instead: in each of the last 3 evaluations of n >= 200 the accuracy's 99 % Wilson
    interval contains the agreement expected from the margins, sum_c support_c predicted_c / n^2, and does not reach .05
    above it; a warning, of n >= 100 and without the last, where the split's loss began within 15 % of the entropy of
    the class frequencies, as a cross-entropy does, and stands above it in each. Not where a loss of that task is known
    to be 5 % below that of the best constant (OBJ009) in each of them: then only the decisions are at chance, not what
    was learned.

    A few values are enough where they are ln k to their digits: in the last 3 epochs or evaluations and more, or in the
    last 4 batch losses, the record's first left out, none is further from ln k than e <= .0005 with
    2 e / ln((k + 1) / k) <= `luck` (2.3026, 2.3027, 2.3026), and none but the very first by 1 %. Holds for the losses
    of single tasks whose accuracy is logged, too; not for k = 2 in the first 2 epochs. A warning, unless a second sign
    says the same.

    Speech and writing: word (else character, token) error rates of .99 and more in every value, what an empty
    transcript scores, with no rate and no evaluation loss 3 % below where it began: a warning after 5 values and more
    beyond epoch 5 or step 1000 (if these are all rates, the training loss must not have lost a fifth), or beyond epoch
    20.

    A main loss that came down to 1/4 and ends within .0001 of it, no accuracy beside it, is a warning: the squared
    error of one half for every input, where 0 and 1 are equally frequent.

    For a regression: R2 stays within .02 of 0 in the last half of at least `evaluations` evaluations, the loss is flat.

    Nothing of this rings for a task whose recorded baselines find nothing either (PRD005).

    ## Why is this bad?
    ln k is the cross-entropy of equal guesses among k classes (.6931 for 2, 2.3026 for 10). A curve pinned there,
    however long, has used nothing of its input.

    ## Example
    ```python
    wobble = 0.0004 * np.sin(np.arange(30) * 2.1)
    run = Run.of(
        config={"num_classes": 10},
        series={"val/loss": 2.3026 + wobble, "val/accuracy": 0.1 + wobble, "train/loss": 2.3027 + wobble},
    )
    ```
    Use instead:
    ```python
    falling = 2.3 * np.exp(-np.arange(30) / 10) + 0.4
    run = Run.of(
        config={"num_classes": 10},
        series={"val/loss": falling, "val/accuracy": 1 - falling / 3, "train/loss": falling},
    )
    ```

    ## Fix
    - **safe** Overfit one batch. If the loss stays at ln k, follow the gradient from the loss to the first layer.
    - **safe** Shuffle the labels on purpose: if nothing changes, inputs and labels had lost each other before.
    - **unsafe** Another learning rate, warm-up, normalised inputs.

    ## Options
    - `evaluations` (5), `steps` (40): a trend of five points spans all pairwise slopes; batch losses vary more.
    - `window` (.02): ln 10 and ln 11 differ by 4 %; half of it keeps one k apart from the next up to about 25.
    - `luck` (.02): the chance that a level anywhere between two neighbouring ln k lies so near to one. Half of it for
      values by epoch: means repeat more easily than batches.
    - `coincidence` (.1): between ln 2 and ln 3, a level known to .01 lies so near to either in 5 % of cases.

    ## Known limits
    Unequal classes have their chance level below ln k: then the constant is seen by its scores (PRD002). A contrastive
    loss that stays at ln(batch) is at chance, too, and is found only where that number is small. Cannot tell a task
    that cannot be learned from a model that does not learn.

    ## References
    Wilson 1927. Cohen 1960, A coefficient of agreement for nominal scales (expected agreement from the margins).
    """
    judged = False
    for key, recent in _recorded(run).items():
        judged = True
        finding = _by_decisions(run, key, recent)
        if finding is not None:
            yield finding
    for finding in _outright(run):
        judged = True
        yield finding
    loss = _main_loss(run, evaluations, steps)
    digits = None if judged else guessing.to_the_digits(run, luck)
    guesses = None if judged else _unlearned(run, window)
    if loss is None:
        if guesses is not None:
            yield guesses
        elif digits is not None:
            yield _pinned(digits)
        elif not judged:
            yield NotChecked(f"needs {evaluations} evaluation losses, or {steps} training losses")
        return
    chance = None if judged else guessing.at_chance(run, loss, window, coincidence)
    if chance is not None:
        yield _pinned(chance)
    elif guesses is not None:
        yield guesses
    elif digits is not None:
        yield _pinned(digits)
    elif not judged and (skill := _no_skill(run, loss, window, evaluations)) is not None:
        yield _unexplained(loss, skill)


def _outright(run: Run) -> Iterator[Finding]:
    """What needs no number of classes: empty transcripts, one half for every input."""
    if empty := guessing.empty_transcripts(run):
        yield _no_word(empty)
    half = guessing.at_a_half(run)
    if half is not None:
        yield _of_one_half(half)


def _main_loss(run: Run, evaluations: int, steps: int) -> Series | None:
    for name in [*names.eval_losses(run.series), "train/loss"]:
        series = run.get(name)
        if series is not None and len(series.finite) >= (steps if name == "train/loss" else evaluations):
            return series.finite
    return None


def _pinned(found: guessing.Chance) -> Finding:
    loss, sure = found.loss, found.known or found.accuracy
    extra = [e for e in (found.known, found.accuracy) if e is not None]
    beside = "".join(f"; {e.source} {e.value if e.value is not None else ''} {e.text}".rstrip() for e in extra)
    return Finding(
        f"{loss.name} is pinned at {found.level:.4g} = ln {found.classes} (within {found.error:.2g}) over its last "
        f"{len(loss)} values: equal guesses among {found.classes} classes{beside}",
        subject=loss.name,
        step=found.first,
        evidence=(
            Evidence(
                loss.name,
                float(loss.value[-1]),
                int(loss.step[-1]),
                limit=math.log(found.classes),
                interval=(found.level - found.error, found.level + found.error),
                text="mean level [interval] against ln k",
            ),
            *extra,
        ),
        remedies=_REMEDIES,
        severity=None if sure else "warning",
    )


def _no_word(rates: list[Series]) -> Finding:
    first = max(rates, key=len)
    listed = ", ".join(f"{r.name} {r.value[-1]:.3g}" for r in rates[:4])
    return Finding(
        f"error rates are those of an empty transcript, or worse, in all of {len(first)} values: {listed}",
        subject=first.name,
        step=int(first.step[0]),
        evidence=tuple(
            Evidence(r.name, float(r.value[-1]), int(r.step[-1]), 1.0, text=f"as a fraction, {len(r)} values")
            for r in rates[:5]
        ),
        remedies=_REMEDIES,
        severity="warning",
    )


def _of_one_half(loss: Series) -> Finding:
    return Finding(
        f"{loss.name} came down to {loss.value[-1]:.5g} and stays within .0001 of 1/4: the squared error of one half "
        "for every input, where the targets are 0 and 1 in equal numbers",
        subject=loss.name,
        step=int(loss.step[0]),
        evidence=(Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), 0.25, text="variance of the target"),),
        remedies=_REMEDIES,
        severity="warning",
    )


def _no_skill(run: Run, loss: Series, window: float, evaluations: int) -> Series | None:
    """An R2 of the loss's split that stays at 0 while the loss is flat."""
    blind = any(informed.nothing_to_learn(run, e) for e in run.of_kind("regression").values())
    if guessing.flat(loss, window) is None or blind:
        return None
    for metric in metrics.of_evaluations(run.series):
        seen = run.series[metric.name].finite
        if metric.measure == "r2" and metric.plain and metric.split in (names.split_of(loss.name), ""):
            tail = seen[len(seen) // 2 :]
            if len(seen) >= evaluations and np.all(np.abs(tail.value) <= 0.02):
                return tail
    return None


def _unexplained(loss: Series, skill: Series) -> Finding:
    return Finding(
        f"{skill.name} stays at 0 (last {skill.value[-1]:.3g}, within .02 over the last {len(skill)} values) and "
        f"{loss.name} is flat at {loss.value[-1]:.4g}: the mean of the target would do as well",
        subject=skill.name,
        step=int(skill.step[0]),
        evidence=(
            Evidence(skill.name, float(skill.value[-1]), int(skill.step[-1]), 0.0, text="share of variance explained"),
            Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), text="flat"),
        ),
        remedies=_REMEDIES,
    )


def _unlearned(run: Run, window: float) -> Finding | None:
    """What the whole log tells of guesses, by accuracies or by levels of losses."""
    told = (
        unskilled.guesses(run, window)
        or unskilled.never_left(run)
        or unskilled.at_one(run)
        or unskilled.hardly_better(run)
    )
    if told is None:
        return None
    return Finding(
        told.message,
        subject=told.subject,
        step=told.step,
        evidence=told.evidence,
        remedies=_REMEDIES,
        severity="warning",
    )


def _recorded(run: Run) -> dict[str, list[Any]]:
    """The last 3 evaluations of each task whose decisions were recorded, large enough to be judged."""
    found = {}
    for key, evaluations in run.of_kind("classes", "ids", "binary").items():
        recent = [e for e in run.settled(evaluations) if e.confusion is not None and e.n >= _FEW]
        if len(recent) == 3:
            found[key] = recent
    return found


def _by_decisions(run: Run, key: str, recent: list[Any]) -> Finding | None:
    """Decisions at chance; None where a loss was beaten all the same, or a baseline says that there is nothing."""
    known = [list(_losses_beside(run, e)) for e in recent]
    learned = all(any(_beaten(loss) for loss in losses) for losses in known)
    if learned or informed.nothing_to_learn(run, recent):
        return None
    worse = None if known[-1] else _above_frequencies(run, recent)
    return _no_agreement(key, recent, known[-1] or ([worse] if worse else []), worse is not None)


def _above_frequencies(run: Run, recent: list[Any]) -> Evidence | None:
    """The loss of a split with one task, where it began at the entropy of the class frequencies, and ends above it."""
    split = recent[-1].split
    loss = run.get(f"{split}/loss") if sum(e[0].split == split for e in run.of_kind().values()) == 1 else None
    shares = recent[-1].confusion.support / recent[-1].n
    entropy = -float(shares[shares > 0] @ np.log(shares[shares > 0]))
    if loss is None or not abs(float(loss.value[0]) - entropy) <= _AT_ENTROPY * entropy:
        return None
    last = [references.logged(run, loss.name, e) for e in recent]
    if not all(value > entropy for _, value in last):
        return None
    text = "if it is a cross-entropy, against that of the class frequencies"
    return Evidence(loss.name, last[-1][1], last[-1][0], entropy, text=text)


def _no_agreement(key: str, recent: list[Any], losses: list[Evidence], worse: bool) -> Finding | None:
    for evaluation in recent:
        counts, n = evaluation.confusion, evaluation.n
        expected = float(counts.support @ counts.predicted) / n**2
        low, high = stats.wilson(float(counts.correct.sum()), n, 0.99)
        sharp = n >= _MANY and high < expected + 0.05
        if np.count_nonzero(counts.support) < 2 or not low <= expected <= high or not (sharp or worse):
            return None
    share = float(counts.correct.sum()) / n
    loss = losses[0] if losses and not sharp else None
    beside = f", and {loss.source} is {loss.value:.4g}, above the {loss.limit:.4g} of a guess" if loss else ""
    return Finding(
        f"{key}: accuracy {share:.3g} is what the margins alone give ({expected:.3g}) in each of the last 3 "
        f"evaluations (n = {n}, 99 % interval {low:.3g} to {high:.3g}){beside}",
        subject=key,
        step=recent[0].step,
        evidence=(
            Evidence(f"evaluation:{key}", share, recent[-1].step, expected, (low, high), "accuracy against chance"),
            *losses,
        ),
        remedies=_REMEDIES,
        severity=None if sharp else "warning",
    )


def _losses_beside(run: Run, evaluation: Evaluation) -> Iterator[Evidence]:
    """The losses of this evaluation against what the best constant costs, where that is known."""
    for name in run.series:
        if "loss" not in name.split("/") or names.split_of(name) != evaluation.split:
            continue
        if evaluation not in references.evaluations_of(run, name):
            continue
        found, (step, value) = references.reference(run, name, evaluation), references.logged(run, name, evaluation)
        if found is not None and math.isfinite(value):
            yield Evidence(name, value, step, found.low, text=f"against the best constant ({found.of})")


def _beaten(loss: Evidence) -> bool:
    return isinstance(loss.value, float) and loss.limit is not None and loss.value < 0.95 * loss.limit
