"""CMP001 confounded-comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from tocsin import claims, siblings
from tocsin.claims import Comparison
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run

_FEW = 4
_REMEDIES = (
    Remedy("Say only that the runs differ; name no cause", safe=True),
    Remedy("Repeat one of the runs with the other's settings for all factors but one"),
)


@rule("CMP001", needs=(), severity="warning", scope="runs", when="end")
def confounded_comparison(runs: Sequence[Run], *, pairs: int = 3) -> Iterator[Finding | NotChecked]:
    """A difference between runs is put down to one cause though the runs differ in several settings.

    ## What it does
    Reads the notes that runs carry (`notes`, `description`, `tags`, ... of the configuration, events of the kind
    `note`). Where the note of one run names another run and a cause or a comparison ("improved", "+1.8 %", "due to"),
    lists the declared settings in which the two differ: configuration, command line, `lr1e-3` in a name. Rings a
    warning for more than one such setting. A setting that one of the two does not tell counts only where it is a switch
    that is on, or the checkpoint that a run starts from. Seeds are no factor (CMP003), nor are paths, names, logging,
    lengths, workers. In a study, a note means a run also by a score or a setting that only that run has.

    Without any note, runs that share a `sweep`, `study` or `group` are looked at: a note where two factors of them were
    never varied apart, each with several runs a value. A random search, where all values differ, is none.

    ## Why is this bad?
    Each of the settings may have made the difference, or two of them against each other. No number of seeds helps: the
    effect of one is not in the data.

    ## Example
    ```python
    def run(name, score, **config):
        return Run.of(name, series={"val/accuracy": [score]}, config=config)
    runs = [
        run("swin-2", 0.45, model="swin", lr=1e-4, notes="swin improved on resnet-1 by 18 %"),
        run("resnet-1", 0.27, model="resnet", lr=1e-3),
    ]
    ```
    Use instead:
    ```python
    def run(name, score, **config):
        return Run.of(name, series={"val/accuracy": [score]}, config=config)
    runs = [
        run("swin-2", 0.45, model="swin", lr=1e-4, notes="swin improved on resnet-3 by 9 %"),
        run("resnet-3", 0.36, model="resnet", lr=1e-4),
    ]
    ```

    ## Fix
    - **safe** Report the runs side by side with all settings that differ, and no cause.
    - **unsafe** Train the missing corners: one setting changed at a time, or a grid.

    ## Options
    - `pairs` = 3: pairs that are told for each note; a note that names ten runs is one statement.

    ## Known limits
    Knows only settings that the records hold: another version of the data or of the code under the same settings is
    not seen. Two keys that say one thing (`lr` and `optimizer.lr`) count twice. A setting that nothing reads counts
    too (CFG005 tells it). A note is understood by its words: irony and negation are not.

    ## References
    Fisher 1935, The design of experiments (factors are told apart by varying them apart); Bouthillier et al. 2021,
    Accounting for variance in machine learning benchmarks.
    """
    told = [c for c in claims.comparisons(runs) if c.said.causal or c.said.compares]
    together = siblings.studies(runs)
    if not told and not together:
        yield NotChecked("needs runs with one sweep, study or group in their configuration, or notes that compare them")
    for comparison in told:
        yield from _of_note(runs, comparison, pairs)
    for places in together:
        yield from _never_apart([runs[k] for k in places])


def _of_note(runs: Sequence[Run], comparison: Comparison, pairs: int) -> Iterator[Finding]:
    mine = runs[comparison.by]
    for other in [runs[k] for k in comparison.others][:pairs]:
        differ = siblings.factors([mine, other])
        if len(differ) < 2:
            continue
        listed = "; ".join(f"{key}: {a} against {b}" for key, (a, b) in list(differ.items())[: 2 * _FEW])
        more = f" and {len(differ) - 2 * _FEW} more" if len(differ) > 2 * _FEW else ""
        yield Finding(
            f'{mine.name} is compared with {other.name} ("{comparison.said.short}"), yet they differ in '
            f"{len(differ)} settings: {listed}{more}{_scores(mine, other)}: no one of them can be named as the cause",
            subject=f"{mine.name} / {other.name}",
            evidence=(
                comparison.said.cited("the comparison"),
                *siblings.config_evidence(mine, list(differ)[:_FEW], f"in {mine.name}; another value in {other.name}"),
                *_best(mine, other),
            ),
            remedies=_REMEDIES,
        )


def _scores(mine: Run, other: Run) -> str:
    for metric in siblings.shared_metrics([mine, other]):
        a, b = siblings.score(mine, metric), siblings.score(other, metric)
        if a is not None and b is not None:
            return f" ({metric} {a.value:.4g} against {b.value:.4g})"
    return ""


def _best(mine: Run, other: Run) -> Iterator[Evidence]:
    for metric in siblings.shared_metrics([mine, other])[:1]:
        found = siblings.score(mine, metric)
        if found is not None:
            yield found.cited(f"the best of {mine.name}")


def _never_apart(runs: Sequence[Run]) -> Iterator[Finding]:
    """Factors of a study whose levels always change together, with repetitions or in two runs only."""
    differ = siblings.factors(runs)
    levels = {key: _partition(values) for key, values in differ.items()}
    told = [(a, b) for a, b in combinations(differ, 2) if levels[a] == levels[b] and _repeats(levels[a], len(runs))]
    if not told:
        return
    one, two = told[0]
    yield Finding(
        f"{len(runs)} runs of one study never vary {one} and {two} apart ({_levels(differ[one], differ[two])}): what "
        f"one of them does cannot be told from what the other does",
        subject=f"{one} / {two}",
        severity="note",
        evidence=tuple(siblings.config_evidence(runs[0], [one, two], f"in {runs[0].name}")),
        remedies=_REMEDIES,
    )


def _partition(values: Sequence[str]) -> tuple[int, ...]:
    first = {value: k for k, value in reversed([*enumerate(values)])}
    return tuple(first[value] for value in values)


def _repeats(partition: tuple[int, ...], runs: int) -> bool:
    return runs == 2 or len(set(partition)) <= runs / 2


def _levels(one: Sequence[str], two: Sequence[str]) -> str:
    seen = list(dict.fromkeys(zip(one, two, strict=True)))
    return ", ".join(f"{a} with {b}" for a, b in seen[:_FEW]) + (", ..." if len(seen) > _FEW else "")
