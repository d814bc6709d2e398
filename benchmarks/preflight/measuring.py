"""One preflight of the benchmark: what rang in it, and what each look cost, as plain data."""

from __future__ import annotations

import importlib
import pkgutil
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch

import preflight.kinds
import preflight.plants
from preflight.detection_setups import cells, setup_of
from preflight.kinds.registry import KINDS
from preflight.plants.registry import PLANTS
from tocsin.findings import Report
from tocsin.prechecks.flight import checked

for _package in (preflight.kinds, preflight.plants):
    for _module in pkgutil.iter_modules(_package.__path__, _package.__name__ + "."):
        importlib.import_module(_module.name)

STUDY_SEEDS = 2
Job = tuple[str, ...]


def jobs(seeds: int, detection_seeds: int) -> Iterator[Job]:
    """Every preflight that is measured, by name: plants, kinds, trainings of the detection benchmark, the study."""
    for k, plant in enumerate(PLANTS):
        for role in ("faults", "neighbours"):
            yield from (("plant", str(k), role, name, str(s)) for name in getattr(plant, role) for s in range(seeds))
    yield from (("kind", name, str(s)) for name in KINDS for s in range(seeds))
    yield from (("detection", task, variant, str(s)) for task, variant, s in cells(detection_seeds))
    yield from (("study", "constellation", str(s)) for s in range(min(seeds, STUDY_SEEDS)))


def measured(job: Job) -> dict[str, Any]:
    """What became of it; one that raised says so."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings(action="ignore"):
            found = _told(_report(job))
    except Exception as error:  # a refusal is a result, too
        found = {"error": f"{type(error).__name__}: {error}"}
    return {"job": list(job), "seconds": time.perf_counter() - started, **found}


def _report(job: Job) -> Report:
    what, *rest = job
    if what == "plant":
        plant = PLANTS[int(rest[0])]
        given = getattr(plant, rest[1])[rest[2]](int(rest[3]))
        return checked(given, select=[plant.code], options={plant.code: plant.options})
    if what == "kind":
        return checked(KINDS[rest[0]].build(int(rest[1])))
    if what == "detection":
        return checked(setup_of(rest[0], rest[1], int(rest[2])))
    from tocsin.studies import load
    from tocsin.studies.setups import setup_of as study_of

    return checked(study_of(load(rest[0]), seed=int(rest[1])))


def _told(report: Report) -> dict[str, Any]:
    return {
        "findings": [[f.code, f.severity, f.subject, f.message] for f in report.findings],
        "not_checked": [[n.code, n.name, n.reason] for n in report.not_checked],
        "costs": [[name, 1000 * seconds] for name, seconds in report.costs],
    }
