"""PRD002 constant-prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from tocsin import identities, informed, repetition, stats, tallies
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Confusion, Evaluation, Moments, Run, in_each, in_last

_REMEDIES = (
    Remedy("Compare the logits of two different inputs; where they are equal, find the layer that made them so", True),
    Remedy("Look at what evaluation does to the logits: masks, thresholds, temperature", True),
)
_FITTED = Remedy(
    "Record a fitted baseline (ridge, logistic regression): it tells whether there is something to learn", True
)

_FEWEST_OTHERS = 10  # of which a model that finds a quarter would miss all in 6 of 100 evaluations
_FEWEST_TARGETS = 35


@dataclass(frozen=True)
class Output:
    """What one output mostly gave over one evaluation.

    Attributes:
        constant: Whether it gave nothing else.
        value: The class or value.
        share: Its share of the predictions (regression: range over the target's sd).
        prior: Its share of the targets; NaN for regression.
    """

    constant: bool
    value: str
    share: float
    prior: float


@rule(
    "PRD002",
    needs=(),
    severity="error",
    explains=(
        *("PRD001", "PRD003", "PRD004", "PRD007", "PRD009", "PRD010", "PRD011"),
        *("EVL001", "EVL002", "GEN002", "GEN004", "OBJ009", "PRD006", "RUN004"),
    ),
)
def constant_prediction(
    run: Run, *, strays: float = 0.001, recall: float = 0.1, spread: float = 0.001, dominant: float = 0.9
) -> Iterator[Finding | NotChecked]:
    """The model gives one class or one value for every input, whatever the target is.

    ## What it does
    Judges settled predictions only: the last 3 evaluations of a task once the evaluation loss no longer falls (its
    95 % trend interval contains 0) or the run is over. Rings when in each of them, for the same output,

    - classes, ids, binary, multilabel: at most `strays` of the n predictions leave the most predicted class c, *and*
      of the m samples whose target is another class the 95 % Wilson upper bound of the share that is ever given
      another class than c lies below `recall` (at the default, none of m >= 35);
    - regression, n >= 20: max(p) - min(p) <= `spread` sd(t).

    The samples of several evaluations are not added up: the same set may have been scored each time, and the record
    does not tell. Once proven, the finding stands while at most `strays` leave the class, however small the later
    evaluations. Outputs whose targets hold a single class or value are not judged. A warning instead of an error where
    other outputs of the task still vary, or where c holds more than `dominant` of the targets. A note where baselines
    were recorded on the same samples and none of them finds anything either (as PRD005 judges it): where the input
    does not tell, a constant is the right answer. A constant as the only baseline cannot show that there was something
    to find.

    Where only scores were logged, and at the end of the run, identities between them tell, to their printed digits and
    in at least the last 3 evaluations, accuracy p unchanged: recall 1 and precision p (always positive); F1 or recall 0
    (always negative; the two may alternate, p and 1 - p); macro recall 1/k with precision p/k or F1 2p/((1 + p) k);
    weighted precision p^2, F1 2p^2/(1 + p). The same accuracy p in every one of >= 4 evaluations is an error where
    another number says what it is: a loss of c (1 - p), c what an error costs whose probability is clamped (16.1 in
    Keras, 100 in PyTorch); or, over >= 8 evaluations of >= 100 samples, a loss that moves, yet stays within 2 % below
    and 5 % above the entropy of p and 1 - p (p <= .6, or the record begins by epoch 5: a calibrated model that has
    converged may cost as much).

    Repetition, over >= 4 evaluations while a loss shifts by 5 % and 3 times its scatter, is a warning, where no other
    score of the split varies or rules a constant out (MCC beyond 0, an F1 that no averaging gives): an accuracy, F1,
    precision, recall, IoU or Dice that stays the same (by its digits of n > 30 samples, n min(p, 1 - p) times the
    evaluations >= 100), an accuracy only if the training accuracy moves meanwhile by .05, or the loss ends as that of a
    constant: not 3 % below the entropy of p and 1 - p, nor 5 % above it unless it has settled; an accuracy that sank to
    its lowest value and has stayed there for >= 8 evaluations while the loss of that split fell to such an end; 1/k, k
    <= 10, in >= 5 of them (then another split at 1/k will do instead of the loss); p and 1 - p in turn, or, in >= 8, 2
    or 3 values that are far apart (.05 and 10 samples) or add up to 1, in 4 of 5 evaluations; the same in >= 20 (8,
    with such a loss) of a set however small, where training varies, does not rise and scores no better; AUC exactly
    1/2, MCC or kappa exactly 0; R2 about 0 with one and the same error; the same accuracy in nine of ten, of 10 and
    more, with such a loss; always negative in half of 6 evaluations and more, and in the last 2, with nearly all called
    positive in another. Scores of the training count where no others were logged; scores that name one of several tasks
    are held against the loss of that name.

    A report by class tells in one evaluation (in the last 3, if there are so many): recall 1 of one class and 0 of
    all others, of m targets. An error if the Wilson bound of 0 of m is below `recall`, a warning from m = 10 on, a note
    if the class holds more than `dominant`. Counts that are 0 of predictions of 35 targets and more in every evaluation
    are a warning, a note where they are fewer than 3 and none is of the training.

    ## Why is this bad?
    The input no longer reaches the output. Accuracy hides it: always "normal" scores .80 where 80 % are normal. The
    losses of such a run still fall (the other tasks learn, the constant drifts to the prior), so it looks like slow
    training.

    ## Example
    ```python
    collapsed = Confusion.of([[0, 0, 40], [0, 0, 40], [0, 0, 40]], labels=("noise", "echo", "calm"))
    evaluations = [Evaluation("val", "main", step, "classes", 120, confusion=collapsed) for step in (100, 200, 300)]
    run = Run.of(evaluations=tuple(evaluations), exit="finished")
    ```
    Use instead:
    ```python
    learning = Confusion.of([[28, 5, 7], [4, 30, 6], [3, 4, 33]], labels=("noise", "echo", "calm"))
    evaluations = [Evaluation("val", "main", step, "classes", 120, confusion=learning) for step in (100, 200, 300)]
    run = Run.of(evaluations=tuple(evaluations), exit="finished")
    ```

    ## Fix
    - **safe** Feed two different inputs and compare the logits: if they are equal, follow the activations back to the
      layer where they became equal (dead layer, mask, wrong tensor, input overwritten).
    - **safe** If the logits differ but their argmax does not, look at what is done to them at evaluation (mask,
      threshold, temperature) and at the prior: a threshold of .5 is never crossed by a rare class.
    - **unsafe** Restart the head with a standard initialisation; lower the learning rate.

    ## Options
    - `strays` (.001): share of predictions that may leave the constant; room for a few samples in thousands, none
      below 1000.
    - `recall` (.1): what "never" means for the samples of other classes; fixes the smallest set that can prove it (35).
    - `spread` (.001): collapsed heads of public runs gave 7e-5 and 0 of the target's sd; shrunken heads that still
      held the answer, or noise, gave .03 and more.
    - `dominant` (.9): above it a calibrated but weak model gives the majority class by right of its prior.

    ## Known limits
    Sees decisions, not scores: a rare class never chosen by argmax looks the same whether or not its score ranks well.
    A constant within `strays` of a huge set, on a task with very rare events, may be right. Says nothing about sets
    with fewer than 35 samples outside the constant class. From scores alone, always negative can also mean that the
    evaluated data hold nothing positive (EVL006). A score that repeats after it rose may be that of a model that has
    converged, so only one that sank is judged from there on. Sets of 30 samples and fewer repeat their scores by right,
    and so do logits that only grow, as those of a linear model from zero.

    ## References
    Wilson 1927 (interval). A published evaluation with 5,358 of 5,358 predictions in class 0: accuracy .798, macro-F1
    .1774 = 2 p / (1 + p) / 5.
    """
    look = cache(partial(_outputs, strays=strays, recall=recall, spread=spread))
    told = cache(partial(_outputs, strays=strays, recall=math.inf, spread=spread))
    proven, held = partial(_constant, look=look), partial(_constant, look=told)
    judged = False
    for key, evaluations in run.of_kind().items():
        judged |= any(look(evaluation) for evaluation in run.settled(evaluations))
        stuck, stretch = run.persisting(evaluations, in_each(proven), in_last(held))
        if stuck:
            beside = informed.nothing_found(run, stretch[-1])
            finding = _finding(key, stretch, told(stretch[-1]), stuck, dominant)
            yield finding if beside is None else _beside(finding, [name for name in beside if name])
    told_by_class = set[str]()
    for finding in _by_class(run, recall, dominant) if run.exit != "running" else ():
        judged = True
        told_by_class.add(finding.subject)
        yield finding
    for group in _logged(run):
        judged |= group.step.size >= 3
        found = identities.constant(group) or repetition.repeated(group, run)
        if found is not None and group.name not in told_by_class:
            yield _from_scores(found, _began(run, group, found), dominant)
    if not judged:
        yield NotChecked(f"needs {SETTLED} on targets that vary, enough of them to tell constant from chance")


def _logged(run: Run) -> list[identities.Group]:
    """Groups of logged scores where no predictions were recorded, else of training; none while the run goes on."""
    if run.exit == "running":
        return []
    recorded = {evaluation.split for evaluation in run.own_evaluations}
    found = [*identities.groups(run.series)] or [*identities.groups(run.series, training=True)]
    return [g for g in found if not (g.split in recorded or (recorded and not g.split))]


def _by_class(run: Run, recall: float, dominant: float) -> Iterator[Finding]:
    """Reports of scores by class in which every prediction is one class, and counts of predictions that are all 0."""
    for report in tallies.reports(run):
        told = tallies.one_class(report)
        if told is not None and told.others >= _FEWEST_OTHERS and told.count >= min(3, len(report.step)):
            yield _of_one_class(told, recall, dominant)
    nothing = tallies.nothing_predicted(run, _FEWEST_TARGETS)
    if nothing is not None:
        yield _of_nothing(nothing)


def _of_one_class(told: tallies.OneClass, recall: float, dominant: float) -> Finding:
    report, name = told.report, told.report.classes[told.index]
    share, bound = float(report.share[told.index]), stats.wilson(0, told.others)[1]
    sure, step = bound < recall and share <= dominant, int(report.step[-1])
    times = "in the only evaluation" if len(report.step) == 1 else f"in each of the last {told.count} evaluations"
    return Finding(
        f"{report.split}: every prediction is {name} ({100 * share:.3g} % of the targets) {times}: its recall is 1, "
        f"and none of {told.others} targets of {len(report.classes) - 1} other classes was found",
        subject=report.split,
        step=int(report.step[len(report.step) - told.count]),
        evidence=(
            Evidence(f"{report.split}/recall/{name}", float(report.recall[-1, told.index]), step, text="all found"),
            *(
                Evidence(f"{report.split}/recall/{c}", 0.0, step, interval=stats.wilson(0, float(m)), text="none found")
                for c, m in [(c, m) for c, (m, _) in tallies.unseen(report).items()][:4]
            ),
        ),
        remedies=_REMEDIES,
        severity=None if sure else "warning" if share <= dominant else "note",
    )


def _of_nothing(nothing: tallies.Nothing) -> Finding:
    count, targets = nothing.predicted, nothing.support
    trained = any(split.startswith("train") for split in (nothing.split, *nothing.also))
    also = f", and so of {', '.join(nothing.also)}" if nothing.also else ""
    return Finding(
        f"{nothing.split}: nothing is predicted in any of {len(count)} evaluations (0 predictions, "
        f"{targets.value[-1]:.0f} targets){also}",
        subject=nothing.split,
        step=int(count.step[0]),
        evidence=(
            Evidence(count.name, 0.0, int(count.step[-1]), text="predictions"),
            Evidence(targets.name, float(targets.value[-1]), int(targets.step[-1]), text="targets"),
        ),
        remedies=_REMEDIES,
        severity="warning" if len(count) >= 3 or trained else "note",
    )


def _began(run: Run, group: identities.Group, found: identities.Constant) -> int:
    """Step of the first evaluation that shows it; of the first record, where it is the first and no loss ever fell."""
    train = run.get("train/loss")
    known = train.finite if train is not None else None
    if known is None or len(known) < 3 or found.first > group.step[0]:
        return found.first
    third = len(known) // 3
    before, after = float(np.median(known.value[:third])), float(np.median(known.value[-third:]))
    return min(found.first, int(known.step[0])) if abs(after - before) <= 0.05 * abs(before) else found.first


def _from_scores(found: identities.Constant, began: int, dominant: float) -> Finding:
    where = found.group or "evaluation"
    said = ", ".join(f"{name.rpartition('/')[2]} {value:.4g}" for name, _, value in found.points[:5])
    times = "the only evaluation" if found.count == 1 else f"each of the {found.count} evaluations"
    how = "the scores are those of a constant" if found.proven or found.count < 4 else "a score never varies"
    sure = found.proven and not found.share > dominant
    return Finding(
        f"{where}: {how} ({found.what}): {said}; so in {times} since step {found.first}",
        subject=where,
        step=began,
        evidence=tuple(Evidence(name, value, step, text=found.what) for name, step, value in found.points[:5]),
        remedies=_REMEDIES,
        severity=None if sure else "warning",
    )


def _constant(evaluation: Evaluation, *, look: Callable[[Evaluation], dict[str, Output]]) -> dict[str, Output]:
    return {name: output for name, output in look(evaluation).items() if output.constant}


def _outputs(evaluation: Evaluation, *, strays: float, recall: float, spread: float) -> dict[str, Output]:
    """The outputs of an evaluation that can be judged, by name ("" for the only one)."""
    found: dict[str, Output | None] = {}
    if evaluation.confusion is not None:
        found[""] = _class(evaluation.confusion, strays, recall)
    elif evaluation.labels_confusion is not None:
        for index, row in enumerate(np.asarray(evaluation.labels_confusion)):
            found[f"label {index}"] = _class(_two_by_two(*map(int, row)), strays, recall)
    for index, moments in enumerate(evaluation.moments):
        found[f"output {index}" if len(evaluation.moments) > 1 else ""] = _value(moments, spread)
    return {name: output for name, output in found.items() if output is not None}


def _two_by_two(tp: int, fp: int, fn: int, tn: int) -> Confusion:
    return Confusion.of([[tn, fp], [fn, tp]], ("0", "1"))


def _class(confusion: Confusion, strays: float, recall: float) -> Output | None:
    n = confusion.n
    if n == 0 or np.count_nonzero(confusion.support) < 2:
        return None
    top = int(np.argmax(confusion.predicted))
    others = n - int(confusion.support[top])
    moved = int(confusion.count[(confusion.target != top) & (confusion.prediction != top)].sum())
    constant = n - confusion.predicted[top] <= strays * n
    if constant and not stats.wilson(moved, others)[1] < recall:
        return None  # too few samples of other classes to tell
    share, prior = confusion.predicted[top] / n, confusion.support[top] / n
    return Output(bool(constant), confusion.label(top), float(share), float(prior))


def _value(moments: Moments, spread: float) -> Output | None:
    sd = float(np.sqrt(moments.var_target))
    if moments.n < 20 or not 0 < sd < np.inf:
        return None
    width = (moments.max_prediction - moments.min_prediction) / sd
    return Output(width <= spread, f"{moments.mean_prediction:.4g}", width, float("nan"))


def _finding(
    key: str, stretch: list[Evaluation], view: dict[str, Output], names: list[str], dominant: float
) -> Finding:
    first, last = stretch[0], stretch[-1]
    partly = len(names) < len(view) or all(view[name].prior > dominant for name in names)
    evidence = tuple(
        Evidence(
            f"evaluation:{key}",
            view[name].share,
            last.step,
            text=f"{name or key}: {_said(view[name])}",
        )
        for name in names[:5]
    )
    return Finding(
        f"{_subject(key, names, view, last.n)}; {since(stretch)}",
        subject=key,
        step=first.step,
        evidence=evidence,
        remedies=_REMEDIES,
        severity="warning" if partly else None,
    )


def _beside(finding: Finding, baselines: list[str]) -> Finding:
    """The finding as a note, where no recorded baseline does better."""
    listed = ", ".join(baselines[:3])
    message = f"{finding.message}; no recorded baseline ({listed}) finds anything either, so it may be right"
    return replace(finding, message=message, severity="note", remedies=(_FITTED, *finding.remedies))


def _subject(key: str, names: list[str], view: dict[str, Output], n: int) -> str:
    if len(view) == 1:
        output = view[names[0]]
        part = "all" if np.isnan(output.prior) or output.share == 1 else f"{100 * output.share:.4g} % of the"
        return f"{key}: {part} {n} predictions are {_said(output)}"
    listed = ", ".join(f"{name} is always {_said(view[name])}" for name in names[:3])
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{key}: {len(names)} of {len(view)} outputs never vary over {n} inputs: {listed}{more}"


def _said(output: Output) -> str:
    if np.isnan(output.prior):
        return f"{output.value} (range {output.share:.1g} of the target's sd)"
    return f"{output.value} ({100 * output.prior:.2g} % of the targets)"
