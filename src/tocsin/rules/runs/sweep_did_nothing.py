"""CMP004 sweep-did-nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tocsin import declared, names, siblings
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run

_FEW = 4


@rule("CMP004", needs=(), severity="warning", scope="runs", when="end")
def sweep_did_nothing(runs: Sequence[Run], *, distinct: int = 5) -> Iterator[Finding | NotChecked]:
    """Runs that declare different settings have the same curves to the last bit.

    ## What it does
    Groups the runs whose training losses are equal in every step and every value (by a digest of all points), and of
    which every other training series that they share is equal, too; a series counts if it has at least `distinct`
    different values. Rings a warning for each group whose members differ in a declared setting (configuration, command
    line, `lr1e-3` or the like in a name): those settings did nothing. Runs that differ only in their seed are told,
    too: it reached neither the initial weights nor the order of the data.

    Settings that need not change a curve are left out: paths, names, dates, logging, saving, workers, devices, lengths,
    evaluation. Where nothing else differs the group is a note: copies of one log, or a repetition.

    Curves that are merely close are never claimed to be the same.

    ## Why is this bad?
    The sweep has measured one point several times. Its table shows that the parameter "does not matter", and the
    noise between repetitions looks like 0.

    ## Example
    ```python
    loss = 1 / np.arange(1, 41)
    rates = (1e-2, 1e-3, 1e-4)
    runs = [Run.of(f"lr{rate}", series={"train/loss": loss}, config={"lr": rate}) for rate in rates]
    ```
    Use instead:
    ```python
    steps = np.arange(1, 41)
    rates = (1e-2, 1e-3, 1e-4)
    runs = [Run.of(f"lr{r}", series={"train/loss": steps ** (-30 * r)}, config={"lr": r}) for r in rates]
    ```

    ## Fix
    - **safe** Log the value from where it is used (the optimizer, the loss), not from where it is declared.
    - **unsafe** Pass the setting on: look for a key that nothing reads, an override that comes too early, a default
      that wins, a checkpoint that every run resumed from.

    ## Options
    - `distinct` = 5: different values that a series needs. Two deterministic curves of fewer may agree by chance (a
      metric of a few samples, a loss rounded to two digits).

    ## Known limits
    Logs that round to few digits may hide a small effect: two decimals and five values are then easily equal. A setting
    that works only later than the runs went (a second stage) rightly did nothing so far. Settings are known only as
    far as the logs hold them; words in names without a number (`adam`, `sgd`) are not compared.

    ## References
    Bouthillier et al. 2019, Unreproducible research is reproducible (seeds and what they reach).
    """
    telling = {k: _telling(run, distinct) for k, run in enumerate(runs)}
    if sum(bool(found) for found in telling.values()) < 2:
        yield NotChecked(f"needs two runs with a training series of at least {distinct} different values")
        return
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, found in telling.items():
        if found:
            groups[next(iter(found.items()))].append(k)
    for members in groups.values():
        for same in _alike(members, telling):
            if len(same) > 1:
                yield _finding([runs[k] for k in same], list(telling[same[0]]))


def _telling(run: Run, distinct: int) -> dict[str, str]:
    """Digests of the training series with enough different values, the total loss first; evaluations where none is."""
    mine = [n for n in run.series if n.startswith("train/") or (not names.split_of(n) and not _is_bookkeeping(n))]
    mine = mine or names.eval_losses(run.series)
    order = sorted(mine, key=lambda n: (n != "train/loss", not n.startswith("train/loss"), n))
    return {n: run.digest(n) for n in order if np.unique(run.series[n].finite.value).size >= distinct}


def _is_bookkeeping(name: str) -> bool:
    return name.startswith(("lr/", "count/", "watch/", "input/", "amp/")) or names.direction(name) == 0


def _alike(members: list[int], telling: dict[int, dict[str, str]]) -> list[list[int]]:
    """Parts of a group that agree in every series which all of its members have."""
    shared = set.intersection(*(set(telling[k]) for k in members))
    parts: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for k in members:
        parts[tuple(telling[k][n] for n in sorted(shared))].append(k)
    return list(parts.values())


def _finding(runs: list[Run], series: list[str]) -> Finding:
    different = siblings.differences(runs)
    idle = [key for key in different if siblings.is_idle(key)]
    seeds = [key for key in different if siblings.is_seed(key)]
    keys = [key for key in different if key not in idle and key not in seeds]
    who = f"{len(runs)} runs ({_some([r.name for r in runs])})"
    curves = series[0] + (f" and {len(series) - 1} other series" if len(series) > 1 else "")
    if keys or seeds:
        said = "; ".join(f"{key}: {_some(different[key])}" for key in (keys or seeds)[:_FEW])
        what = "declare different settings" if keys else "differ in their seed"
        message = f"{who} {what} ({said}), yet they have the same {curves} to the last bit"
    else:
        message = f"{who} have the same {curves} to the last bit, and no setting to tell them apart: copies of one run"
    return Finding(
        message,
        subject=runs[0].name,
        severity=None if keys or seeds else "note",
        evidence=tuple(_evidence(runs, series, keys or seeds)),
        remedies=(
            Remedy("Look for where the setting should arrive: log it from the object that uses it", safe=True)
            if keys or seeds
            else Remedy("Count the run once", safe=True),
        ),
    )


def _some(items: list[str]) -> str:
    shown = list(dict.fromkeys(items))
    return ", ".join(shown[:_FEW]) + (", ..." if len(shown) > _FEW else "")


def _evidence(runs: list[Run], series: list[str], keys: list[str]) -> Iterator[Evidence]:
    for name in series[:_FEW]:
        last = runs[0].series[name]
        text = f"the same points in {_some([r.name for r in runs])}"
        yield Evidence(name, float(last.value[-1]), int(last.step[-1]), text=text)
    told = {s.path: s for s in declared.of_config(runs[0].config)}
    for key in [k for k in keys if k in told][:_FEW]:
        yield declared.cited(runs[0], told[key], f"in {runs[0].name}; another value in the others")
