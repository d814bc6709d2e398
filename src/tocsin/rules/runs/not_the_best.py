"""CMP005 not-the-best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin import claims, siblings
from tocsin.claims import Comparison, Said
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run
from tocsin.siblings import Score

_FEW = 4


@rule("CMP005", needs=(), severity="warning", scope="runs", when="end")
def not_the_best(runs: Sequence[Run], *, shared: int = 1) -> Iterator[Finding | NotChecked]:
    """The run that is called best is not the best by the records.

    ## What it does
    Finds the run whose notes or tags call it best. Its rivals are the runs with the same `sweep`, `study` or `group`,
    those that its notes name, and those whose notes name it; a rival must have the same classes. Rings a warning where
    one rival is better in each of the scores that both recorded (at least `shared`): then no reading of "best" fits
    the numbers.

    The message says whether the lead is larger than the noise of one evaluation, where the number of samples is known:
    records may be in order and the lead mean nothing, yet the name "best" is wrong either way.

    ## Why is this bad?
    The best run is the one that is built on, resumed, and written up. Its settings become the default.

    ## Example
    ```python
    runs = [
        Run.of("first", series={"val/r2": [-0.0457]}, config={"study": "three", "tags": ["best"]}),
        Run.of("second", series={"val/r2": [-0.0226]}, config={"study": "three"}),
    ]
    ```
    Use instead:
    ```python
    runs = [
        Run.of("first", series={"val/r2": [-0.0457]}, config={"study": "three"}),
        Run.of("second", series={"val/r2": [-0.0226]}, config={"study": "three", "tags": ["best"]}),
    ]
    ```

    ## Fix
    - **safe** Give the mark to the run that the records name, or say by which score the marked one is best.

    ## Options
    - `shared` = 1: scores that both must have recorded.

    ## Known limits
    "Best" by what was never recorded (speed, size, another test set) cannot be known. A mark that was right when it was
    made may be old. A run is known as marked by notes and tags only, not by the name of its folder.

    ## References
    Dodge et al. 2019, Show your work: improved reporting of experimental results.
    """
    judged, told, studies = False, claims.comparisons(runs), siblings.studies(runs)
    for k, run in enumerate(runs):
        said = claims.called_best(run)
        if said is None:
            continue
        rivals = _rivals(runs, k, told, studies)
        against = [(rival, scores) for rival in rivals if len(scores := _shared_scores(run, rival)) >= shared]
        judged |= bool(against)
        ahead = [(rival, scores) for rival, scores in against if all(a < b for a, b in map(_way_up, scores))]
        if ahead:
            yield _finding(run, said, *max(ahead, key=lambda pair: _way_up(pair[1][0])[1]), len(ahead))
    if not judged:
        yield NotChecked("needs a run that its notes or tags call best, and others of its study with the same score")


def _rivals(runs: Sequence[Run], k: int, told: Sequence[Comparison], studies: Sequence[Sequence[int]]) -> list[Run]:
    near = {other for places in studies if k in places for other in places}
    near |= {other for c in told if c.by == k for other in c.others} | {c.by for c in told if k in c.others}
    mine = siblings.label_spaces(runs[k])
    return [runs[j] for j in sorted(near - {k}) if _same_classes(mine, siblings.label_spaces(runs[j]))]


def _same_classes(mine: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(other.get(key, classes) == classes for key, classes in mine.items())


@dataclass(frozen=True)
class _Pair:
    mine: Score
    other: Score


def _shared_scores(run: Run, rival: Run) -> list[_Pair]:
    found = []
    for metric in siblings.shared_metrics([run, rival]):
        a, b = siblings.score(run, metric), siblings.score(rival, metric)
        if a is not None and b is not None:
            found.append(_Pair(a, b))
    return found


def _way_up(pair: _Pair) -> tuple[float, float]:
    """Both values so that more is better."""
    sign = siblings.way(pair.mine.metric)
    return sign * pair.mine.fraction, sign * pair.other.fraction


def _finding(run: Run, said: Said, rival: Run, pairs: list[_Pair], ahead: int) -> Finding:
    listed = "; ".join(f"{p.mine.metric} {p.mine.value:.4g} against {p.other.value:.4g}" for p in pairs[:_FEW])
    more = f" ({ahead} runs are)" if ahead > 1 else ""
    return Finding(
        f'{run.name} is called best ("{said.short}"), but {rival.name} is better{more}: {listed}{_noise(pairs[0])}',
        subject=run.name,
        evidence=(said.cited("called best"), *(_cited(p, rival) for p in pairs[:_FEW])),
        remedies=(Remedy(f"Mark {rival.name}, or say by which score {run.name} is best", safe=True),),
    )


def _cited(pair: _Pair, rival: Run) -> Evidence:
    return Evidence(pair.mine.metric, pair.mine.value, pair.mine.step, pair.other.value, text=f"limit: {rival.name}")


def _noise(pair: _Pair) -> str:
    interval = siblings.interval_of_difference(pair.other, pair.mine)
    if interval is None:
        return ""
    low, high = interval
    if low <= 0 <= high:
        return f"; with {pair.mine.n} samples even that lead is within noise, so none of them is known to be best"
    return f"; a lead beyond the noise of {pair.mine.n} samples"
