"""GEN001 overfit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tocsin import early_rises, learning, names, rises, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.rises import FEW, LONG, SHORT_RISE, Rise, around, metrics_since
from tocsin.run import Run, Series

_SURE = 0.01  # p value of an order, times the places where the lowest evaluation might have been
_CLEAR, _WITH_METRIC = 0.2, 0.1  # relative rise of a warning, and where a metric gets worse with it
_ORDERED, _STEADY = 0.01, 0.05  # p values of a note, at a rise that matters and at a clear one
_NOISE, _FAR_ALONE = 1.5, 3.0  # factors of each later evaluation and of the last two, where training is not recorded
_HALVED = 0.5  # fall of the training loss as a share, where the order of the evaluations is not what tells
_LEAST_GAP = 0.15  # of a score: the lower end of the interval of a gap that is .3 and more
_UNKNOWN = "and no training loss is recorded to tell overfitting from divergence"
_SOLVED = 0.97  # of a metric out of 1: what is left to lose is less than seeds differ by


@rule("GEN001", needs=(), severity="warning", explains=("PRD008", "RUN004"))
def overfit(run: Run, *, rise: float = 0.05, confidence: float = 0.99) -> Iterator[Finding | NotChecked]:
    """The evaluation loss rises after its minimum while the training loss goes on falling.

    ## What it does
    With `e_1..e_n` the main evaluation loss (`val/loss`, else the first `<split>/loss`; never a component loss) and
    `t` the training loss, let `M` be the lowest running median of `e` over `1 + 2 [n / 20]` evaluations (one noisy
    evaluation is no minimum), `d` the standard error of such a median (0 for n < 20) and `m` the end of the first
    window whose median comes within `rise` or `2 d` of `M`. Rings at the step of the lowest evaluation in the window
    of `M` when for some `k >= 5` (6 while the run goes on)

    `slope(e_{m+1}..e_{m+k}) > 0` and `slope(t over the same steps) < 0`, each by its Theil-Sen interval (`t` also by
    a tenth from the first quarter to the last, since a bend widens that interval),

    the median of the last evaluations (as many as in the window, at least 3) lies above `M` by `3 d` and by
    `rise * abs(M)` (or `rise * 0.1 * (e_1 - M)` where that is more; three times it where `k < 10`), and the level of
    `t`, the median of as many values as an evaluation has (at most 32), has dropped since the minimum by twice that
    share of its own: a slope's sign alone is no fall.

    The slope starts after the first window near `M`, not after the lowest: the lowest of many noisy values is low by
    selection, and a flat bottom before the rise is no reason to forget it. `k` is tried at about four lengths in each
    doubling, and once the rise is proven it stays so until the loss comes back. When the run is over all that follows
    the lowest window is tried as well, if these are 10 evaluations or more, at a fifth of the level.

    Fewer evaluations say less. At the end of a run one of these rings, too; `p` is the chance of an order as much
    rising among the evaluations from the lowest on (Mann-Kendall, exact), and `t` has to have fallen by as large a
    share as the evaluation loss rose at least:

    - **an ordered rise**: `p * n < 0.01` (the lowest might have stood at any of `n` places) and a rise by a fifth.
      Where a metric of the split gets worse in order, too (`p < 0.05`), a tenth is enough, or `p < 0.01` with a fifth.
      A note with less than 10 evaluations after the lowest at `p < 0.01` and `rise`, or `p < 0.05` and `3 rise`;
    - **a large one**: by half and more (and by 4 times the scatter, from 5 evaluations on), while `t` halved. A
      warning where its order has `p < 0.05` or something else says the same: the loss of another evaluation set, a
      score that training alone reaches; else a note;
    - **a higher stand**, from 10 evaluations on: each of the last third (5 and more) lies above each of the lowest 5 in
      a row, by a factor of 1.3 and with the interval of that factor above 1 (Student's of the logarithms, at a level of
      0.01 over `n`, noise from one evaluation to the next), while `t` halved. No order is needed: a loss that steps up
      and then wanders counts;
    - **away**: to 4 times the lowest (the last two; the median of the last third to twice), `p * n < 0.05`, while `t`
      fell by a fifth;
    - **alone**, where nothing of training is recorded: from 4 evaluations on, each later one at 1.5 times the lowest
      and the last two at 3 times, `p < 0.05`; or the last two at 1.5 times and `p * n < 0.01`. Silent where a metric
      of the split improves, a term of the loss falls, and in reinforcement learning and adversarial training;
    - **memorised**: a score (accuracy, F1, ...) rose by 0.3 and more in training and by less than a tenth of that in
      the evaluation, the 99 % interval of their gap lies above 0.15, the evaluation loss is past its best by `rise`,
      and `t` halved.

    A note where a metric of the same split (accuracy, F1, R2, error, ...) still improves over those evaluations and
    none gets worse, or stands at 0.97 and more.

    Where nothing is called a loss a metric that both splits have stands for it (logloss, RMSE, perplexity, ...);
    where two evaluation sets have one and the first ends below half of the second, the first is taken for training.
    Where both splits have terms of a loss and no total, their sums are judged.

    ## Why is this bad?
    What is learned after the minimum does not hold outside the training set, by this loss: the later weights are the
    worse ones, and the time after it is spent. Where accuracy still improves, the model is getting overconfident
    rather than worse, which is another question (calibration).

    ## Example
    ```python
    epoch = np.arange(1, 31)
    train = 1.5 * np.exp(-epoch / 5)
    val = 1.0 + np.exp(-epoch) + 0.05 * epoch
    run = Run.of(series={"train/loss": train, "val/loss": val})
    ```
    Use instead:
    ```python
    epoch = np.arange(1, 31)
    train = 0.9 + 0.6 * np.exp(-epoch / 5)
    val = 1.0 + np.exp(-epoch / 5)
    run = Run.of(series={"train/loss": train, "val/loss": val})
    ```

    ## Fix
    - **safe** Use the weights of the minimum; stop early.
    - **unsafe** More data or augmentation, weight decay, dropout, a smaller model, fewer epochs.
    - **unsafe** Where only the loss rises and the metric improves: label smoothing, or a temperature fitted afterwards.

    ## Options
    - `rise` = 0.05: relative rise above the minimum that matters. A choice: seeds and evaluation subsets move a loss by
      a few percent. The training loss has to fall by twice as much: medians of 32 batch losses with 20 % noise differ
      by 6 % (one sd) on their own.
    - `confidence` = 0.99 of each evaluation slope's interval (of one side of it for `k >= 10`), because several lengths
      are tried, about 4 in each doubling of the number of evaluations. The training slope is judged at 0.95.

    ## Known limits
    Needs 2 evaluations, and 5 after the minimum for the main test. Silent where the training loss is flat, too (nothing
    more to memorise). Where it is not recorded divergence looks the same. A second descent heals it. A rise as small as
    the noise of the evaluations needs many of them. Of 100 synthetic runs each, rang: 55 of 8 evaluations with 2 %
    noise and a rise of 0.3 (44 more as a note), 59 of 12 with 5 % and 0.4 (40), 82 of 20 with 10 % and 0.5 (2), 82 of
    42 with 18 % and 0.5, 74 of 60 with 20 % and 0.5, all of 60 with 20 % and 1. Of 400 synthetic plateaus of 6-80
    evaluations with 2-20 % noise while the training loss falls, rang at the end 0 with independent noise, 9 at a lag-1
    correlation of 0.5, 31 at 0.8; of 400 of 5-12 evaluations 1, 2 and 0. The order of evaluations is no chance where
    their noise lasts (a set that changes slowly, weights that drift). The noise of 2 to 4 evaluations cannot be
    measured: a factor of 1.5 is a convention. Of several evaluation sets only the first is judged.

    ## References
    Prechelt 1998, Early stopping - but when? (generalisation loss). Sen 1968 (interval of the slope). Mann 1945
    (a test of order against trend). Guo et al. 2017, On calibration of
    modern neural networks, section 3 (loss rises while accuracy improves).
    """
    train, loss = learning.curves(run)
    if train is None and loss is None:
        train, loss = learning.summed(run, "train"), learning.summed(run, "val")
    if loss is None or train is None or not len(train):
        alone: list[Finding | NotChecked] = [*_alone(run, loss)] if loss is not None and train is None else []
        need = NotChecked(f"needs {names.describe_need('train/loss')}, and {names.describe_need('val/loss')}")
        yield from alone or [need]
        return
    if len(loss) < 2:
        yield NotChecked(f"needs 2 values of {loss.name}, it has {len(loss)}")
        return
    risen = rises.find(run, loss, train, rise, confidence) if len(loss) >= FEW else None
    found = [_finding(run, risen, train)] if risen is not None else []
    if risen is None and run.exit != "running":
        ways = itertools.chain(_early_sign(run, loss, train, rise), _memorised(run, loss, train, rise))
        found = list(itertools.islice(ways, 1))
    yield from (f if loss.name in run.series else _of_terms(run, f) for f in found)


def _of_terms(run: Run, finding: Finding) -> Finding:
    """The finding on a sum of terms: what is recorded, and so can be cited, are the terms."""
    terms = {name: run.series[name].finite for name in sorted(run.series) if name.startswith("val/loss/")}
    last = tuple(
        Evidence(
            name, float(s.value[-1]), int(s.step[-1]), text=f"a term of the sum; the lowest was {s.value.min():.4g}"
        )
        for name, s in terms.items()
        if len(s)
    )
    shared = [e for e in finding.evidence if e.source in run.series]
    message = finding.message.replace("val/loss", "val/loss (the sum of its terms)", 1)
    return replace(finding, message=message, evidence=(*last, *shared))


def _early_sign(run: Run, loss: Series, train: Series, rise: float) -> Iterator[Finding]:
    """Too few evaluations after the lowest for a trend: an ordered or a large rise."""
    early = early_rises.early(run, loss, train)
    better, worse = metrics_since(run, early.risen)
    steady = early.rises(SHORT_RISE * rise, _STEADY)
    likely, sure = (early.rises(_CLEAR, p) for p in (_ORDERED, _SURE / len(loss)))
    seconded = bool(worse) and (likely or early.rises(_WITH_METRIC, _SURE / len(loss)))
    stand = early_rises.stand(loss) if early.fall >= _HALVED else None
    stands, away = stand is not None and stand.proven, early.away and early.fall >= _CLEAR
    loud = sure or seconded or stands or away or (early.far and bool(early.agree or steady))
    some = early.after < LONG and (steady or (early.rises(rise, _ORDERED) and early.fall >= 2 * rise))
    if loud or early.far or some:
        calm = not loud or (bool(better) and not worse and not learning.memorised(run))
        finding = _early_finding(early, train, better if calm else [], "note" if calm else None)
        yield _with_stand(finding, stand) if stand is not None and stand.proven else finding


def _with_stand(finding: Finding, stand: early_rises.Stand) -> Finding:
    *others, last = finding.evidence
    text = f"the last {stand.count} stand at {stand.factor:.3g} times the lowest 5 in a row"
    cited = replace(last, interval=(stand.low, stand.high), text=f"the last evaluation; {text} [interval]")
    return replace(finding, message=f"{finding.message}; {text}", evidence=(*others, cited))


def _alone(run: Run, loss: Series) -> Iterator[Finding]:
    """An evaluation loss that only rises after its lowest, where nothing of training is recorded."""
    if run.exit == "running" or len(loss) < 4 or run.family("train/loss") or learning.unlike_progress(run):
        return
    risen = early_rises.lowest_of(loss)
    lowest, since, last = risen.minimum, loss.value[risen.lowest :], float(loss.value[-2:].min())
    order = stats.order_p(since)
    far = order < _STEADY and since[1:].min(initial=np.inf) >= _NOISE * lowest and last >= _FAR_ALONE * lowest
    steady = order * len(loss) < _SURE and last >= early_rises.FAR * lowest
    better, worse = metrics_since(run, risen)
    if not lowest > 0 or not (far or steady) or (better and not worse) or _falls_in_part(run, risen):
        return
    yield _early_finding(early_rises.early(run, loss, loss[:0]), None, [], None)


def _falls_in_part(run: Run, risen: Rise) -> bool:
    """Whether a term of the evaluation loss fell since: another may have been weighted up."""
    parts = [s.finite for s in run.family("val/loss").values()]
    return any(len(p) == len(risen.loss) and p.value[-1] < 0.9 * p.value[risen.lowest] for p in parts)


def _early_finding(
    early: early_rises.Early, train: Series | None, better: list[str], severity: Severity | None
) -> Finding:
    risen = early.risen
    before, after = around(train, risen) if train is not None else (0.0, 0.0)
    beside = f"while {train.name} went from {before:.3g} to {after:.3g}" if train is not None else _UNKNOWN
    loss = risen.loss
    each = f"in each of the {early.after} evaluations after step {risen.step}"
    where = f"after evaluation {risen.lowest + 1} of {len(loss)} (step {risen.step})"
    message = (
        f"{loss.name} rose {each if early.steady else where}, from {risen.minimum:.3g} to "
        f"{loss.value[-1]:.3g} ({100 * (loss.value[-1] / risen.minimum - 1):+.0f} %), {beside}"
    )
    if early.after >= 3 and early.order < 0.05:
        message += f"; chance orders them so with p = {early.order:.2g}"
    message += "".join(f"; {sign}" for sign in early.agree)
    message += f"; {', '.join(better)} still improves: the loss, not the decisions, gets worse" if better else ""
    if severity and not better:
        message += ": likely overfitting; too few evaluations to tell it from noise"
    return Finding(
        message,
        subject=loss.name,
        step=risen.step,
        severity=severity,
        evidence=(
            Evidence(loss.name, risen.minimum, risen.step, text="the lowest evaluation"),
            Evidence(
                loss.name,
                float(loss.value[-1]),
                int(loss.step[-1]),
                limit=risen.minimum,
                text="the last evaluation",
            ),
        ),
        remedies=(Remedy(f"Use the weights of step {risen.step}", safe=True),),
    )


def _memorised(run: Run, loss: Series, train: Series, rise: float) -> Iterator[Finding]:
    """A score that training reaches and the evaluation never came near, beside an evaluation loss past its best."""
    gap = learning.memorised(run)
    past = float(loss.value[-1]) > float(loss.value.min()) + rise * abs(float(loss.value.min()))
    if gap is None or not past or not gap.low >= _LEAST_GAP or not _halved(train):
        return
    yield Finding(
        f"{gap.train} rose from {gap.before:.3g} to {gap.after:.3g} while {gap.held} went from {gap.was:.3g} to "
        f"{gap.now:.3g}: a gap of {gap.size:.2g} (at least {gap.low:.2g}), and {loss.name} is past its best: the "
        "training set is memorised, or the evaluation is prepared in another way",
        subject=gap.held,
        step=gap.step,
        evidence=(
            Evidence(gap.train, float(run.series[gap.train].value[-1]), int(run.series[gap.train].step[-1])),
            Evidence(
                gap.held,
                float(run.series[gap.held].value[-1]),
                int(run.series[gap.held].step[-1]),
                interval=(gap.low, 2 * gap.size - gap.low),
                text="the last value [gap to training, as fractions]",
            ),
        ),
        remedies=(
            Remedy("Evaluate on the training set with the same code: it has to reach the training score", safe=True),
            Remedy("More data or augmentation, weight decay, dropout, or a smaller model"),
        ),
    )


def _halved(train: Series) -> bool:
    first, last = learning.ends(train)
    return bool(0 < 2 * last.value <= first.value)


def _finding(run: Run, risen: Rise, train: Series) -> Finding:
    n, main = len(risen.loss), risen.loss.name
    better, worse = metrics_since(run, risen)
    solved = "" if better else _solved(run, main)
    calm = bool(better or solved) and not worse
    before, after = around(train, risen)
    least = float(risen.loss.value[risen.lowest])
    share = 100 * (risen.now - least) / abs(least) if least else float("inf")
    message = (
        f"{main} rose from its minimum {least:.3g} (step {risen.step}, evaluation {risen.lowest + 1} of {n}) "
        f"to {risen.now:.3g} ({share:+.0f} %) while {train.name} went from {before:.3g} to {after:.3g}; "
        f"beyond noise since step {risen.proven_at}"
    )
    if calm and better:
        message += f"; {', '.join(better)} still improves: the loss, not the decisions, gets worse"
    elif calm:
        message += f"; {solved} stands at {_SOLVED} and more: the loss, not the decisions, gets worse"
    return Finding(
        message,
        subject=main,
        step=risen.step,
        severity="note" if calm else None,
        evidence=tuple(_evidence(run, risen, train, [*better, *worse])),
        remedies=(
            Remedy(f"Use the weights of step {risen.step}, or stop there", safe=True),
            Remedy("More data or augmentation, weight decay, dropout, or a smaller model"),
        ),
    )


def _solved(run: Run, main: str) -> str:
    """A metric out of 1 of the same split that ends at 0.97 and more, "" where there is none."""
    for name, series, sign in learning.eval_series(run):
        fraction = (
            learning.share(name, series) if sign > 0 and name.partition("/")[0] == main.partition("/")[0] else None
        )
        if fraction is not None and float(np.median(fraction.value[-3:])) >= _SOLVED:
            return name
    return ""


def _evidence(run: Run, risen: Rise, train: Series, metrics: list[str]) -> Iterator[Evidence]:
    loss, last, main = risen.loss, len(risen.loss) - 1, risen.loss.name
    lowest = float(loss.value[risen.lowest])
    yield Evidence(main, lowest, risen.step, text=f"lowest about the minimum (median there {risen.minimum:.3g})")
    yield Evidence(
        main,
        float(loss.value[last]),
        int(loss.step[last]),
        limit=risen.minimum,
        interval=(risen.low, risen.high),
        text=f"rise over the {risen.length} evaluations up to step {risen.proven_at} [interval]",
    )
    split, size = stats.change_point(loss.value[risen.lowest :])
    if size > 0:
        at = risen.lowest + split
        yield Evidence(main, float(loss.value[at]), int(loss.step[at]), text="change point")
    yield Evidence(train.name, float(train.value[-1]), int(train.step[-1]), text="still falling after the minimum")
    for name in metrics:
        series = run.series[name].finite
        yield Evidence(name, float(series.value[-1]), int(series.step[-1]), text="last value")
