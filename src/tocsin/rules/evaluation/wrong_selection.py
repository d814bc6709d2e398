"""EVL003 wrong-selection."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin import kept, metrics, names
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Run

_MONITORS = frozenset(
    ("metric_for_best_model", "monitor", "monitor_metric", "early_stopping_metric", "save_best_metric")
)
_WAYS = frozenset(("greater_is_better", "mode", "monitor_mode", "rule"))
_MEANS_MORE = {"max": 1, "greater": 1, "true": 1, "min": -1, "less": -1, "false": -1}
_SHOWN = 4
_REMEDIES = (
    Remedy("Select by the metric that the work is judged by, on a split that is not the test set", True),
    Remedy("Keep the checkpoints of both choices, and compare them on the same samples", True),
)


@dataclass(frozen=True)
class Choice:
    """The evaluations of one split: the score, and which of them was, or would be, kept."""

    score_name: str
    step: Ints
    score: Floats
    quality: Floats
    kept: int
    best: int
    noise: float
    scale: float
    how: str
    known: Evidence | None

    @property
    def gap(self) -> float:
        """How much better the best score is than that of the kept evaluation."""
        return float(self.quality[self.best] - self.quality[self.kept])

    @property
    def limit(self) -> float:
        """What the luck of the best of n evaluations explains: noise sqrt(2) (sqrt(2 ln n) + 1)."""
        return self.noise * math.sqrt(2) * (math.sqrt(2 * math.log(self.score.size)) + 1)


@rule("EVL003", needs=(), when="end")
def wrong_selection(run: Run, *, evaluations: int = 4, gain: float = 0.02) -> Iterator[Finding | NotChecked]:
    """The checkpoint that is kept is not the best one by the metric.

    ## What it does
    Judged at the end, on the first summary score of the split (accuracy, F1, AUC, IoU, mAP, R2, BLEU, error rates, ...)
    over at least `evaluations` evaluations.

    - A configuration that monitors a quantity in its worse direction (`metric_for_best_model: accuracy` with
      `greater_is_better: false`, `monitor: val_loss` with `mode: max`) rings: the worst checkpoint is kept.
    - Where the log says which evaluation is kept (its last "best" event), or the configuration that the training loss
      is monitored, the score there is compared with the best score; else, as a note, the score at the lowest evaluation
      loss. It rings when the difference is at least `gain` (of 1; or of the largest size of an unbounded score) and
      above sd sqrt(2) (sqrt(2 ln n) + 1): the best of n noisy values lies sqrt(2 ln n) sd too high. sd is the larger
      of the scatter of successive differences in the last half, those of 0 left out, and the binomial sd where the
      sample count is known. Of several lowest losses, as printed, the one that scores best counts.
    - Where every score is of a part (`joint_accuracy`, `snr_accuracy`), nothing says which of them counts: it rings
      where the log says which evaluation is kept, and another one is better than that by one score, by as much as
      above, and no worse by any.
    - Where a loss is what the log says it is kept by, and its terms (`<split>/loss/<term>`) are recorded: another
      evaluation at which that loss is higher, but every term lower, by `gain` of it and by more than luck (sd from
      second differences, which a trend leaves alone). A sum of these with fixed weights cannot do that: they were
      learned, say.

    ## Why is this bad?
    All that training gained after (or before) the kept checkpoint is thrown away, and what is reported is not what
    was learned.

    ## Example
    ```python
    run = Run.of(
        config={"metric_for_best_model": "accuracy", "greater_is_better": False},
        series={"val/loss": [0.7, 0.5, 0.45, 0.44, 0.44], "val/accuracy": [0.55, 0.71, 0.80, 0.83, 0.83]},
    )
    ```
    Use instead:
    ```python
    run = Run.of(
        config={"metric_for_best_model": "accuracy", "greater_is_better": True},
        series={"val/loss": [0.7, 0.5, 0.45, 0.44, 0.44], "val/accuracy": [0.55, 0.71, 0.80, 0.83, 0.83]},
    )
    ```

    ## Fix
    - **safe** State the monitored metric and its direction; say both in the log.
    - **safe** Average the last checkpoints, or evaluate on more samples, where the choice is within noise.

    ## Options
    - `evaluations` (4): with fewer there is hardly a choice.
    - `gain` (.02): smaller differences seldom change a conclusion.

    ## Known limits
    Does not know which metric matters to you. A total with a term that is not recorded may rise with right where those
    that are recorded fall. Without a word in the log about the selection it can only be a note.

    ## References
    Gumbel 1958, Statistics of extremes (the largest of n normal values lies near sqrt(2 ln n) sd).
    """
    wrong_way, outdone = _wrong_way(run), kept.outdone(run, evaluations, gain)
    choice = next(itertools.chain(_choices(run, evaluations), _choices_of_parts(run, evaluations)), None)
    if wrong_way is not None:
        yield wrong_way
    elif outdone is not None and (
        choice is None or choice.known is None or choice.step[choice.kept] != outdone.step[0]
    ):
        yield _of_moving_weights(outdone)
    elif choice is not None and choice.gap > max(choice.limit, gain * choice.scale):
        yield _finding(choice, _told_of(outdone))
    elif outdone is not None:
        yield _of_moving_weights(outdone)
    elif choice is None:
        yield NotChecked(f"needs {evaluations} evaluations with a score, and their loss or what was kept")


def _wrong_way(run: Run) -> Finding | None:
    """A monitored quantity whose declared direction is not its own."""
    for where, keys in _sections(run.config):
        named = next((k for k in keys if k.lower() in _MONITORS and isinstance(keys[k], str)), None)
        way = next((k for k in keys if k.lower() in _WAYS and str(keys[k]).lower() in _MEANS_MORE), None)
        if named is None or way is None:
            continue
        own, declared = (
            names.direction(keys[named].replace("_", "/").replace("-", "/")),
            _MEANS_MORE[str(keys[way]).lower()],
        )
        own = own or names.direction(keys[named])
        if own and own != declared:
            word = "smallest" if declared < 0 else "largest"
            return Finding(
                f"checkpoints are selected by the {word} {keys[named]} ({way}: {keys[way]}): the worst one is kept"
                f"{_worst(run, keys[named], declared)}",
                subject=keys[named],
                step=0,
                evidence=(
                    Evidence(f"config:{where}{named}", keys[named], text="monitored"),
                    Evidence(f"config:{where}{way}", str(keys[way]), text="its direction"),
                ),
                remedies=(Remedy(f"Set {way} to {_opposite(keys[way])!r}", True), *_REMEDIES),
                severity="warning",
            )
    return None


def _worst(run: Run, monitored: str, declared: int) -> str:
    """What the recorded values say about it, in words."""
    last = re.sub(r"^(?:eval|val|valid|validation)[_/-]", "", monitored)
    series = run.get(f"val/{last}") or run.get(monitored)
    if series is None or not len(series.finite):
        return ", 1 choice against all others"
    values = series.finite.value
    worst, best = (values.min(), values.max()) if declared < 0 else (values.max(), values.min())
    return f", {worst:.4g} instead of {best:.4g}"


def _opposite(value: Any) -> Any:
    turned = {"max": "min", "min": "max", "greater": "less", "less": "greater", "true": "false", "false": "true"}
    return (not value) if isinstance(value, bool) else turned[str(value).lower()]


def _sections(config: Any, head: str = "", depth: int = 5) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The mappings of a configuration, the dotted key before each."""
    if isinstance(config, Mapping) and depth:
        yield head, {str(k): v for k, v in list(config.items())[:500]}
        for key, value in list(config.items())[:500]:
            yield from _sections(value, f"{head}{key}.", depth - 1)


def _choices(run: Run, evaluations: int) -> Iterator[Choice]:
    """The split's first summary score with what is kept by it, by the log, by training loss or by evaluation loss."""
    for metric in metrics.of_evaluations(run.series):
        series, sign = run.series[metric.name].finite, names.direction(metric.name)
        if metric.measure not in metrics.SUMMARY or not metric.plain or not sign or len(series) < evaluations:
            continue
        noise, scale = _noise(run, metric, series.value), _scale(metric, series.value)
        quality = sign * series.value
        told = _told(run, metric, series.step, series.epoch, evaluations)
        if told is not None:
            step, chosen, how, known = told
            at = np.searchsorted(series.step, step)
            at = at[at < len(series)]
            if chosen < at.size:
                best = int(at[np.argmax(quality[at])])
                yield Choice(
                    metric.name, series.step, series.value, quality, int(at[chosen]), best, noise, scale, how, known
                )


def _scale(metric: metrics.Metric, values: Floats) -> float:
    """1 of a score within [0, 1], 100 of one in percent, else the largest size that it had."""
    if metric.measure not in metrics.BOUNDED | metrics.SIGNED | {"r2"}:
        return float(np.max(np.abs(values)))
    return 100.0 if metrics.is_percent(values) and metric.measure != "r2" else 1.0


def _choices_of_parts(run: Run, evaluations: int) -> Iterator[Choice]:
    """Of each split whose scores are all of parts: the kept evaluation against one that no score finds worse."""
    parts: dict[str, list[metrics.Metric]] = {}
    for metric in metrics.of_evaluations(run.series):
        if metric.measure in metrics.SUMMARY and names.direction(metric.name):
            parts.setdefault(metric.group, []).append(metric)
    for group in parts.values():
        if not any(metric.plain for metric in group):
            yield from _choice_of_parts(run, group, evaluations)


def _choice_of_parts(run: Run, group: list[metrics.Metric], evaluations: int) -> Iterator[Choice]:
    """The score by which another evaluation is most clearly better than the kept one, if the log says which that is."""
    step, scores = metrics.aligned(*(run.series[metric.name].finite for metric in group))
    first = run.series[group[0].name].finite
    epochs = dict(zip(first.step.tolist(), first.epoch.tolist(), strict=True))
    told = kept.said(run, step, np.array([epochs.get(s, math.nan) for s in step.tolist()]))
    if told is None or step.size < evaluations:
        return
    at, how, known = told
    better = np.array([names.direction(m.name) * score for m, score in zip(group, scores, strict=True)])
    no_worse = np.all(better >= better[:, at : at + 1], axis=0)
    choices = []
    for metric, score, quality in zip(group, scores, better, strict=True):
        best = int(np.argmax(np.where(no_worse, quality, -np.inf)))
        noise, scale = _noise(run, metric, score), _scale(metric, score)
        choices.append(Choice(metric.name, step, score, quality, at, best, noise, scale, how, known))
    yield max(choices, key=lambda choice: choice.gap - choice.limit)


def _told(
    run: Run, metric: metrics.Metric, step: Ints, epoch: Floats, evaluations: int
) -> tuple[Ints, int, str, Evidence | None] | None:
    """Steps to choose among, the index of the kept one, how it is chosen, and what says so."""
    said = kept.said(run, step, epoch)
    if said is not None:
        return step, *said
    loss_name, how, known = f"{metric.group}/loss", "the lowest evaluation loss", None
    monitored = _monitors_training(run)
    if monitored is not None:
        loss_name, how, known = "train/loss", "the lowest training loss, which is monitored", monitored
    loss = run.get(loss_name)
    if loss is None:
        return None
    shared, (values, score) = metrics.aligned(loss.finite, run.series[metric.name].finite)
    if shared.size < evaluations:
        return None
    lowest = np.flatnonzero(values == values.min())  # of equal losses, as printed, the one that scores best
    sign = names.direction(metric.name)
    return shared, int(lowest[np.argmax(sign * score[lowest])]), how, known


def _monitors_training(run: Run) -> Evidence | None:
    """The configuration's word that the training loss is monitored although there are evaluations."""
    for where, keys in _sections(run.config):
        for key, value in keys.items():
            if key.lower() in _MONITORS and isinstance(value, str):
                keras = key.lower() == "monitor" and value.lower() == "loss"
                if keras or value.lower() in ("train_loss", "train/loss", "training_loss", "train_loss_epoch"):
                    return Evidence(f"config:{where}{key}", value, text="monitored")
    return None


def _noise(run: Run, metric: metrics.Metric, values: Floats) -> float:
    """Scatter of one evaluation: of successive differences in the last half, or binomial if that is larger."""
    tail = values[len(values) // 2 - 1 :] if len(values) >= 6 else values
    steps = np.abs(np.diff(tail))
    steps = steps[steps > 0]  # a value that repeats (a small set, an evaluation now and then) is no sign of precision
    scatter = float(np.median(steps)) / (0.6745 * math.sqrt(2)) if steps.size else 0.0
    n = max((e.n for e in run.own_evaluations if e.split == metric.split and e.confusion is not None), default=0)
    percent = metrics.is_percent(values)
    p = float(np.clip(np.median(values) / (100 if percent else 1), 0, 1))
    binomial = math.sqrt(p * (1 - p) / n) * (100 if percent else 1) if n and metric.measure in metrics.BOUNDED else 0.0
    return max(scatter, binomial, metrics.half_unit([values]))


def _same(choice: Choice, found: kept.Outdone) -> bool:
    """Whether both are about what the log says is kept."""
    return choice.known is not None and int(choice.step[choice.kept]) == found.step[0]


def _of_moving_weights(found: kept.Outdone) -> Finding:
    (first, other), split = found.step, found.metric.partition("/")[0]
    terms = [*found.terms.items()][:_SHOWN]
    return Finding(
        f"kept at step {first}{_told_of(found)}",
        subject=found.metric,
        step=first,
        evidence=(
            Evidence(found.metric, found.total[0], first, text="kept"),
            *(
                Evidence(f"{split}/loss/{name}", after, other, limit=before - found.limits[name], text="the other")
                for name, (before, after) in terms
            ),
        ),
        remedies=(Remedy("Select by the sum of the terms with fixed weights, or by a score", True), *_REMEDIES),
        severity="warning",
    )


def _told_of(found: kept.Outdone | None) -> str:
    """The weights that moved, in words; nothing where none did."""
    if found is None:
        return ""
    terms = [f"{name} {before:.3g} to {after:.3g}" for name, (before, after) in [*found.terms.items()][:_SHOWN]]
    return (
        f"; {found.metric} is {found.total[0]:.4g}, and {found.total[1]:.4g} at step {found.step[1]}, although every "
        f"term of the loss is lower at that one ({', '.join(terms)}): its weights moved, or a term that is not "
        "recorded rose"
    )


def _finding(choice: Choice, moved: str) -> Finding:
    at, best = choice.kept, choice.best
    return Finding(
        f"{choice.score_name} is {choice.score[at]:.4g} at step {choice.step[at]} ({choice.how}) and "
        f"{choice.score[best]:.4g} at step {choice.step[best]}: {choice.gap:.3g} apart, of which luck explains "
        f"{choice.limit:.2g}{moved}",
        subject=choice.score_name,
        step=int(choice.step[at]),
        evidence=(
            Evidence(choice.score_name, float(choice.score[at]), int(choice.step[at]), text=choice.how),
            Evidence(
                choice.score_name,
                float(choice.score[best]),
                int(choice.step[best]),
                limit=choice.limit,
                interval=(choice.gap - choice.limit, choice.gap + choice.limit),
                text="the best; difference [interval]",
            ),
            *([choice.known] if choice.known else []),
        ),
        remedies=_REMEDIES,
        severity="warning" if choice.known else "note",
    )
