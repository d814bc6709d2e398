"""The runs that somebody wants compared: read from where they lie, each once, and with names that tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tocsin import api
from tocsin.run import Run

Target = Run | str | Path


def runs_of(targets: Target | Sequence[Target]) -> list[Run]:
    """All runs of the targets in their order; one that lies below two of them is taken once, where it came first.

    Raises:
        ReadError: Nothing readable at a path.
    """
    each = [targets] if isinstance(targets, Run | str | Path) else list(targets)
    found: dict[object, Run] = {}
    for target in each:
        for run in [target] if isinstance(target, Run) else api.read(target):
            found.setdefault(_place(run), run)
    return told_apart([*found.values()])


def _place(run: Run) -> object:
    return (run.path.resolve(), run.name) if run.path is not None else id(run)


def told_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs; those of equal names get the last folders of their paths that differ, else a number."""
    often = Counter(run.name for run in runs)
    alike = {name: [run for run in runs if run.name == name] for name, times in often.items() if times > 1}
    names = {id(run): name for group in alike.values() for run, name in zip(group, _names(group), strict=True)}
    return [replace(run, name=names[id(run)]) if id(run) in names else run for run in runs]


def _names(runs: Sequence[Run]) -> list[str]:
    parts = [_parts(run) for run in runs]
    for k in range(2, max(map(len, parts))):  # never up to the root
        tails = ["/".join(part[-k:]) for part in parts]
        if len(set(tails)) == len(runs):
            return tails
    return [f"{run.name} ({k})" if k > 1 else run.name for k, run in enumerate(runs, 1)]


def _parts(run: Run) -> tuple[str, ...]:
    """Folders and name of the place of a run; a log that its run is not named after is left out."""
    parts = run.path.resolve().parts if run.path is not None else ()
    return parts[:-1] if parts and parts[-1] != run.name and run.name in parts else parts
