"""EVL005 selected-on-test."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from tocsin import declared, metrics, names
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Confusion, Evaluation, Run

_MONITORS = re.compile(r"(?:^|[._])(?:monitor|monitor_metric|metric_for_best_model|early_stopping_metric|save_best_metric|early_stop_on|best_metric|select_by)$", re.I)  # fmt: skip  # noqa: E501
_OF_TEST = re.compile(r"(?<![a-z])test(?:ing)?(?![a-z])", re.I)
_FILES = re.compile(r"(?:^|[._/])(val|valid|validation|dev|eval|test)[_-]?(?:set_)?(?:path|file|data|dir|split|csv|json|set)(?:_path|_file|_dir)?$", re.I)  # fmt: skip  # noqa: E501
_CHANCE = 1e-4
_VALUES = 20
_REMEDIES = (
    Remedy("Cut a validation set from the training data; touch the test set once, at the end", True),
    Remedy("Report the present figure as a validation score", True),
)


@rule("EVL005", needs=())
def selected_on_test(run: Run, *, evaluations: int = 3) -> Iterator[Finding | NotChecked]:
    """The test set served for validation: its score was selected, not tested.

    ## What it does
    Rings on any of

    - recorded predictions: the splits `val...` and `test...` of one task have the same n and the same confusion, cell
      by cell (or the same moments), in all of at least `evaluations` evaluations at the same steps, with 5 errors and
      more in each, and at least 2 different confusions among them: equal sizes and a perfect or a constant model are no
      proof. One such evaluation is enough where chance would hardly repeat it. Another sample with as many targets of
      each class has the same table with a probability of at most prod_i (n_i! / prod_j C_ij!) prod_j (C_ij / n_i)^C_ij,
      its largest likelihood; times the chance that the logged losses agree to their last digit (unit / value, at least
      1e-4) where they do, it must be below 1e-4. Of regressions, the 20 and more different predictions are the same,
      value by value;
    - from logs: each series of the two splits that has a namesake is identical to the last digit in all of at least
      `evaluations` shared evaluations, and the chance that values rounded so coincide, (unit / range) for each
      different value, is below 1e-4;
    - the configuration: what early stopping or checkpoints monitor names the test split (`monitor: test_acc`), or the
      files of validation and test are the same.

    ## Why is this bad?
    The best of n evaluations on the test set is its maximum, not an estimate: with 100 evaluations and a standard
    error of .01 it lies .025 too high. Nothing is left to test on.

    ## Example
    ```python
    run = Run.of(
        series={
            "val/accuracy": [0.5123, 0.6214, 0.6871, 0.7019], "val/loss": [1.3127, 1.0211, 0.9004, 0.8713],
            "test/accuracy": [0.5123, 0.6214, 0.6871, 0.7019], "test/loss": [1.3127, 1.0211, 0.9004, 0.8713],
        },
    )
    ```
    Use instead:
    ```python
    run = Run.of(
        series={
            "val/accuracy": [0.5123, 0.6214, 0.6871, 0.7019], "val/loss": [1.3127, 1.0211, 0.9004, 0.8713],
            "test/accuracy": [0.5087, 0.6190, 0.6902, 0.6988], "test/loss": [1.3201, 1.0324, 0.8961, 0.8790],
        },
    )
    ```

    ## Fix
    - **safe** Cut a validation set from the training data, by group where samples hang together.
    - **safe** Call the present figure a validation score.

    ## Options
    - `evaluations` (3): fewer may agree by an accident of rounding.

    ## Known limits
    Sees copies, not overlaps. A log that merely prints the same number under two names looks the same, and is as
    misleading.

    ## References
    Gumbel 1958 (the largest of n normal values lies near sqrt(2 ln n) sd). Cawley and Talbot 2010 (selection bias).
    """
    judged, said = False, False
    for finding in _configured(run):
        judged = said = True
        yield finding
    for val, test in _pairs(run):
        shared = _shared(val, test)
        judged |= bool(shared)
        if not said and _same(run, shared, evaluations):
            said = True
            yield _of_predictions(shared)
    logged = _logged(run)
    judged |= any(step >= evaluations for _, _, step in logged)
    copied = None if said else _from_log(run, logged, evaluations)
    if copied is not None:
        yield copied
    if not judged:
        yield NotChecked(
            f"needs predictions of a val and a test split at one step, {evaluations} evaluations of both in a log, "
            "or a configuration that monitors"
        )


def _configured(run: Run) -> Iterator[Finding]:
    files: dict[str, list[declared.Setting]] = {"val": [], "test": []}
    for setting in declared.of_config(run.config):
        if not isinstance(setting.value, str) or len(setting.value) > 1000:
            continue
        if _MONITORS.search(setting.path) and _OF_TEST.search(setting.value.replace("_", " ")):
            yield _told(f"{setting.path} is {setting.value}: 1 test set for both uses", setting.path, (setting,))
            return
        if (match := _FILES.search(setting.path)) and len(setting.value.strip()) > 2:
            files["test" if match[1].lower() == "test" else "val"].append(setting)
    for one in files["val"]:
        for other in files["test"]:
            if one.value.strip() == other.value.strip() and _places(one.path) == _places(other.path):
                yield _told(
                    f"{one.path} and {other.path} are the same: {one.value}, 1 set for both uses",
                    one.path,
                    (one, other),
                )
                return


def _places(path: str) -> str:
    """A key without the word of its split, so that like is compared with like."""
    return re.sub(r"(?i)(?<![a-z])(val|valid|validation|dev|eval|test)(?![a-z])", "*", path.replace("_", "."))


def _told(message: str, subject: str, settings: tuple[declared.Setting, ...]) -> Finding:
    evidence = tuple(Evidence(f"config:{s.path}", s.value, text="as declared") for s in settings)
    return Finding(message, subject=subject, step=0, evidence=evidence, remedies=_REMEDIES)


def _is(split: str, word: str) -> bool:
    return split == word or split.startswith(f"{word}_") or (word == "val" and split in ("valid", "validation", "dev"))


def _pairs(run: Run) -> Iterator[tuple[list[Evaluation], list[Evaluation]]]:
    groups = list(run.of_kind().values())
    tests: dict[str, list[list[Evaluation]]] = {}
    for group in groups:
        if _is(group[0].split, "test"):
            tests.setdefault(group[0].task, []).append(group)
    for val in groups:
        if _is(val[0].split, "val"):
            yield from ((val, test) for test in tests.get(val[0].task, ()))


def _shared(val: list[Evaluation], test: list[Evaluation]) -> list[tuple[Evaluation, Evaluation]]:
    by_step = {e.step: e for e in test}
    return [(e, by_step[e.step]) for e in val if e.step in by_step and e.step > 0]


def _same(run: Run, shared: list[tuple[Evaluation, Evaluation]], evaluations: int) -> bool:
    """Whether all pairs are equal, none by being perfect, and one of them proves it, or that many of several kinds."""
    if not shared or not all(_print(a) == _print(b) and _errs(a) for a, b in shared):
        return False
    several = len(shared) >= evaluations and len({_print(a) for a, _ in shared}) >= 2
    return several or any(_alone(run, *pair) for pair in shared)


def _alone(run: Run, val: Evaluation, test: Evaluation) -> bool:
    """Whether equality in this one evaluation is proof enough."""
    if val.confusion is not None:
        return _coincidence(val.confusion) + _of_losses(run, val, test) < math.log10(_CHANCE)
    for a, b in zip(val.moments, test.moments, strict=True):
        same = np.array_equal(a.sample_prediction, b.sample_prediction)
        if same and np.array_equal(a.sample_target, b.sample_target) and np.unique(a.sample_prediction).size >= _VALUES:
            return True
    return False


def _coincidence(counts: Confusion) -> float:
    """Log10 of the largest probability with which any predictor repeats a table, given its targets."""
    of = counts.support[counts.target].astype(float)
    cells = sum(float(c) * math.log(c / n) - math.lgamma(c + 1) for c, n in zip(counts.count, of, strict=True))
    rows = sum(math.lgamma(float(n) + 1) for n in counts.support)
    return min(0.0, (rows + cells) / math.log(10))


def _of_losses(run: Run, val: Evaluation, test: Evaluation) -> float:
    """Log10 of the chance that the losses of two splits agree as they do at this step; 0 where they are not known."""
    known = [(run.get(f"{e.split}/loss/{e.task}") or run.get(f"{e.split}/loss"), e.step) for e in (val, test)]
    value = [s.value[s.step == step] for s, step in known if s is not None]
    if len(value) < 2 or not (value[0].size and value[1].size) or value[0][-1] != value[1][-1] or not value[0][-1]:
        return 0.0
    unit = 2 * metrics.half_unit([value[0][-1:]]) / abs(float(value[0][-1]))
    return math.log10(min(1.0, max(unit, _CHANCE)))


def _print(evaluation: Evaluation) -> bytes:
    """What an evaluation counted, byte by byte."""
    if evaluation.confusion is not None:
        dense = [evaluation.confusion.target, evaluation.confusion.prediction, evaluation.confusion.count]
    elif evaluation.labels_confusion is not None:
        dense = [np.asarray(evaluation.labels_confusion)]
    else:
        dense = [np.array([m.n, m.mean_target, m.mean_prediction, m.var_prediction, m.cov]) for m in evaluation.moments]
    return f"{evaluation.kind} {evaluation.n} ".encode() + b"".join(np.ascontiguousarray(d).tobytes() for d in dense)


def _errs(evaluation: Evaluation) -> bool:
    if evaluation.confusion is not None:
        c = evaluation.confusion
        return c.n - int(c.correct.sum()) >= 5 and int(np.count_nonzero(c.predicted)) > 1
    if evaluation.labels_confusion is not None:
        return int(np.asarray(evaluation.labels_confusion)[:, 1:3].sum()) >= 5
    return bool(evaluation.moments) and all(m.var_prediction > 0 and m.n >= 5 for m in evaluation.moments)


def _of_predictions(shared: list[tuple[Evaluation, Evaluation]]) -> Finding:
    (val, test), (first, _) = shared[-1], shared[0]
    what = "moments" if val.moments else "confusion"
    return Finding(
        f"{val.key} and {test.key} are the same {val.n} samples: n and {what} are equal "
        f"{_times(len(shared))} since step {first.step}",
        subject=val.task,
        step=first.step,
        evidence=(
            Evidence(f"evaluation:{val.key}", float(val.n), val.step, text="samples"),
            Evidence(f"evaluation:{test.key}", float(test.n), test.step, text="samples, counted alike in every cell"),
        ),
        remedies=_REMEDIES,
    )


def _times(shared: int) -> str:
    return "in the only shared evaluation" if shared == 1 else f"in all of {shared} evaluations"


def _logged(run: Run) -> list[tuple[str, str, int]]:
    """Series of validation with a namesake of test, and how many evaluations they share."""
    found = []
    for name in run.series:
        split, _, rest = name.partition("/")
        other = f"test/{rest}"
        if not rest or not _is(split, "val") or run.get(other) is None or run.get(name) is None:
            continue
        if rest.partition("/")[0] == "loss" or names.direction(name) or metrics.read(name) is not None:
            step, _ = metrics.aligned(run.series[name].finite, run.series[other].finite)
            found.append((name, other, int(step.size)))
    return found


def _from_log(run: Run, logged: list[tuple[str, str, int]], evaluations: int) -> Finding | None:
    same, chance = [], 0.0
    for name, other, size in logged:
        step, (val, test) = metrics.aligned(run.series[name].finite, run.series[other].finite)
        if size < evaluations:
            continue
        if not np.array_equal(val, test):
            return None
        kinds, unit = np.unique(val).size, 2 * metrics.half_unit([val])
        if np.ptp(val) > unit:
            same.append((name, other, step, val))
            chance += (kinds - 1) * math.log10(unit / float(np.ptp(val)))
    if not same or chance > math.log10(_CHANCE):
        return None
    name, other, step, val = same[0]
    told = ", ".join(n.partition("/")[2] for n, *_ in same[:4])
    ends = [run.series[n].finite for n in (name, other)]
    return Finding(
        f"{name.partition('/')[0]} and {other.partition('/')[0]} are the same set: {told} agree to the last digit in "
        f"all of {step.size} evaluations (chance 1e{max(chance, -99):.0f})",
        subject="test",
        step=int(step[0]),
        evidence=tuple(
            Evidence(n, float(s.value[-1]), int(s.step[-1]), limit=float(val[-1]), text="equal at every evaluation")
            for n, s in zip((name, other), ends, strict=True)
        ),
        remedies=_REMEDIES,
    )
