"""CMP002 different-question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin import claims, declared, questions, siblings
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run

_FEW = 4
_REMEDIES = (
    Remedy("Score both runs on the classes and samples that they have in common", safe=True),
    Remedy("Report each score beside its chance level", safe=True),
)


@rule("CMP002", needs=(), severity="warning", scope="runs", when="end")
def different_question(runs: Sequence[Run], *, pairs: int = 3) -> Iterator[Finding | NotChecked]:
    """Scores are compared though the runs answer different questions: other classes, data or splits.

    ## What it does
    Where the note of one run compares it with another by name, holds their questions side by side: the number of
    classes k (of the recorded confusion, or `num_classes` and the like), and the settings that say which data, range,
    fold, split, target or metric. Rings a warning where one differs, and gives the scores corrected for chance,
    (a - 1/k) / (1 - 1/k), where k is known for both and the score is an accuracy.

    Without a comparing note, runs of one `sweep`, `study` or `group` whose label spaces or ranges differ are a note.

    ## Why is this bad?
    With fewer classes, or an easier range of the data, a score rises and nothing was learned better. The rise is then
    put down to whatever else was changed.

    ## Example
    ```python
    def run(name, score, **config):
        return Run.of(name, series={"val/accuracy": [score]}, config=config)
    runs = [
        run("bounded-2", 0.63, num_classes=16, notes="5.7x better than full-1"),
        run("full-1", 0.11, num_classes=26),
    ]
    ```
    Use instead:
    ```python
    def run(name, score, **config):
        return Run.of(name, series={"val/accuracy": [score]}, config=config)
    runs = [
        run("bounded-2", 0.63, num_classes=16, notes="1.1x better than bounded-1"),
        run("bounded-1", 0.56, num_classes=16),
    ]
    ```

    ## Fix
    - **safe** Score both runs on what they have in common: the classes and samples of both.
    - **safe** Report scores beside their chance level, never a ratio of raw ones.

    ## Options
    - `pairs` = 3: pairs that are told for each note.

    ## Known limits
    Chance as 1/k is right for balanced classes and for a guess that is uniform. What a range or a subset makes easier
    cannot be corrected from scores. A question that the records do not tell (another file under the same name) is not
    seen. Runs without notes and without a common study are never compared.

    ## References
    Cohen 1960, A coefficient of agreement for nominal scales (agreement beyond chance).
    """
    told = claims.comparisons(runs)
    together = siblings.studies(runs)
    if not told and not together:
        yield NotChecked("needs runs with one sweep, study or group in their configuration, or notes that compare them")
    for comparison in told:
        mine = runs[comparison.by]
        for other in [runs[k] for k in comparison.others][:pairs]:
            apart = questions.apart(mine, other)
            if apart:
                cited = comparison.said.cited("the comparison")
                yield _finding(mine, other, apart, f' ("{comparison.said.short}")', cited)
    for places in together:
        yield from _of_study([runs[k] for k in places])


def _of_study(runs: Sequence[Run]) -> Iterator[Finding]:
    """A note on the label spaces and ranges of a study, where there are several."""
    asked: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        for key, value in _questions(run).items():
            asked.setdefault(key, {}).setdefault(value, []).append(run)
    several = {key: values for key, values in asked.items() if len(values) > 1}
    if not several:
        return
    listed = "; ".join(f"{key.partition(':')[2]}: {_each(values)}" for key, values in list(several.items())[:_FEW])
    cited = [_cited(runs[0], key, "others") for key in several if key in _questions(runs[0])]
    yield Finding(
        f"{len(runs)} runs of one study answer different questions ({listed}): scores of one cannot be set beside "
        "those of another",
        subject=" / ".join(key.partition(":")[2] for key in list(several)[:_FEW]),
        severity="note",
        evidence=tuple(e for e in cited if e is not None),
        remedies=_REMEDIES,
    )


def _each(values: dict[str, list[Run]]) -> str:
    return ", ".join(f"{value} ({_who(runs)})" for value, runs in list(values.items())[:_FEW])


def _who(runs: Sequence[Run]) -> str:
    return runs[0].name if len(runs) == 1 else f"{len(runs)} runs"


def _questions(run: Run) -> dict[str, str]:
    """The label spaces and ranges that a run tells, by key."""
    found = {key: str(classes) for key, classes in siblings.label_spaces(run).items()}
    for setting in declared.of_config(run.config):
        if questions.bounds_data(setting.path):
            found[f"config:{setting.path}"] = siblings.text_of(setting)
    return found


def _finding(mine: Run, other: Run, apart: dict[str, tuple[str, str]], said: str, note: Evidence) -> Finding:
    listed = "; ".join(f"{key.partition(':')[2]}: {a} against {b}" for key, (a, b) in list(apart.items())[:_FEW])
    cited = [_cited(mine, key, other.name) for key in list(apart)[:_FEW]]
    corrected = list(questions.beyond_chance(mine, other, apart))
    return Finding(
        f"{mine.name} and {other.name} are compared{said}, but they answer different questions ({listed})"
        + (f"; corrected for chance: {'; '.join(corrected)}" if corrected else "")
        + ": their raw scores cannot be compared",
        subject=f"{mine.name} / {other.name}",
        evidence=(note, *(e for e in cited if e is not None)),
        remedies=_REMEDIES,
    )


def _cited(mine: Run, key: str, other: str) -> Evidence | None:
    if key.startswith("config:"):
        told = siblings.config_evidence(mine, [key.removeprefix("config:")], f"another value in {other}")
        return told[0] if told else None
    return Evidence(key, text=f"{siblings.label_spaces(mine)[key]} classes; another number in {other}")
