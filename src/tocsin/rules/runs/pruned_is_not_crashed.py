"""CMP007 pruned-is-not-crashed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tocsin import declared, siblings, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run

_PRUNED = re.compile(
    r"(?i)\b(?:trial[ _]?pruned|pruned by|was pruned|early[ -]?terminated by|stopped by (?:hyperband|asha|the pruner)"
    r"|killed by (?:hyperband|asha|the pruner))\b"
)
_STATES = frozenset(("pruned", "early_terminated", "preempted_by_pruner"))
_STATE_KEYS = frozenset(("state", "status", "trial_state"))
_CRASHED = frozenset(("failed", "killed", "interrupted"))


@rule("CMP007", needs=(), severity="warning", scope="runs", when="end")
def pruned_is_not_crashed(runs: Sequence[Run], *, least: int = 2) -> Iterator[Finding | NotChecked]:
    """Runs that a pruner ended are recorded as crashed.

    ## What it does
    Finds the runs that say that a pruner (a search's early termination) ended them: a state `pruned` in the
    configuration or environment, or the search's own words ("TrialPruned", "stopped by hyperband") in an event. Rings
    a warning where at least `least` of these are recorded as failed, killed or interrupted, and gives the share of
    crashes with and without them, each with its 95 % interval.

    ## Why is this bad?
    A crash says that settings cannot be trained; a pruned trial says that others were ahead. Counted together, the best
    architecture looks unstable because the search spent most trials near it.

    ## Example
    ```python
    said = Event("exception", "optuna.exceptions.TrialPruned: Trial was pruned at epoch 3.")
    runs = [Run.of(f"t{k}", events=(said,), config={"study": "s"}, exit="failed") for k in range(4)]
    runs += [Run.of("t4", config={"study": "s"}, exit="finished")]
    ```
    Use instead:
    ```python
    said = Event("note", "Trial was pruned at epoch 3.")
    runs = [Run.of(f"t{k}", events=(said,), config={"study": "s"}, exit="finished") for k in range(4)]
    runs += [Run.of("t4", config={"study": "s"}, exit="finished")]
    ```

    ## Fix
    - **safe** Count pruned runs apart from failed ones; compare settings by what they had reached at the same step.
    - **safe** Catch the pruner's exception where the run is recorded, and end it as finished.

    ## Options
    - `least` = 2: one run is no share.

    ## Known limits
    A pruner that leaves no word (a signal from the search's server) is not recognised: such runs look killed.

    ## References
    Akiba et al. 2019, Optuna; Li et al. 2018, Hyperband (most trials are stopped early by design).
    """
    pruned = [(run, evidence) for run in runs if (evidence := _mark(run)) is not None]
    if not pruned:
        yield NotChecked("needs runs that say that a pruner ended them (a state, or the search's words in the log)")
        return
    for members in _together(runs, [run for run, _ in pruned]):
        marks = {run.name: evidence for run, evidence in pruned if run in members}
        counted = [run for run in members if run.name in marks and run.exit in _CRASHED]
        if len(counted) >= least:
            yield _finding(members, counted, marks[counted[0].name])


def _mark(run: Run) -> Evidence | None:
    """What says that a pruner ended the run."""
    for event in reversed(run.events):
        if _PRUNED.search(event.text[:20_000]) or str(event.data.get("type", "")).endswith("TrialPruned"):
            return Evidence(f"event:{event.kind}", text=" ".join(event.text.split())[-120:])
    rooms: tuple[tuple[str, Mapping[str, object]], ...] = (("config", run.config), ("environment", run.environment))
    for room, held in rooms:
        for setting in declared.of_config(held):
            if setting.path.rpartition(".")[2].lower() in _STATE_KEYS and str(setting.value).lower() in _STATES:
                source = (
                    f"config:{setting.path}" if room == "config" else f"environment:{setting.path.partition('.')[0]}"
                )
                return Evidence(source, str(setting.value) if room == "config" else None, text="ended by a pruner")
    return None


def _together(runs: Sequence[Run], pruned: Sequence[Run]) -> list[list[Run]]:
    """The studies that pruned runs are of; those without one are counted by themselves."""
    studies = [[runs[k] for k in places] for places in siblings.studies(runs)]
    found = [members for members in studies if any(run in members for run in pruned)]
    alone = [run for run in pruned if not any(run in members for members in found)]
    return [*found, alone] if alone else found


def _finding(members: Sequence[Run], counted: Sequence[Run], mark: Evidence) -> Finding:
    crashed = sum(run.exit in _CRASHED for run in members)
    real = crashed - len(counted)
    low, high = stats.wilson(real, len(members))
    return Finding(
        f"{len(counted)} of {len(members)} runs ({', '.join(run.name for run in counted[:4])}"
        f"{', ...' if len(counted) > 4 else ''}) were ended by a pruner and are recorded as "
        f"{' or '.join(sorted({run.exit for run in counted}))}: {real} of {len(members)} crashed "
        f"({real / len(members):.0%} [{low:.0%}, {high:.0%}]), not {crashed}",
        subject=counted[0].name,
        evidence=(mark,),
        remedies=(
            Remedy("Count pruned runs apart from failed ones", safe=True),
            Remedy("Catch the pruner's exception where the run is recorded, and end it as finished", safe=True),
        ),
    )
