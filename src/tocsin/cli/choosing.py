"""What to train: the study, preset, fault and settings that were asked for, or one line that says what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tocsin.cli.errors import UserError
from tocsin.cli.output import say, say_json

if TYPE_CHECKING:
    from tocsin.studies.study import Study


@contextmanager
def installed(what: str = "training needs") -> Iterator[None]:
    """Say how to install what an import inside misses.

    Raises:
        UserError: A package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{what} {error.name}: pip install 'tocsin[studies]'") from error


def chosen(name: str, preset: str, fault: str | None) -> Study:
    """The study ``name``, which has this preset and fault.

    Raises:
        UserError: There is no such study, preset or fault, or what training needs is not installed.
    """
    from tocsin.studies import load, names

    _among("no study", name, names())
    with installed():
        study = load(name)
    _among(f"study {name} has no preset", preset, study.presets)
    if fault is not None:
        _among(f"study {name} has no fault", fault, study.faults)
    return study


def _among(refusal: str, word: str, choices: Sequence[str] | Mapping[str, Any]) -> None:
    if word not in choices:
        expected = f"expected one of {', '.join(choices)}" if choices else "there is none"
        raise UserError(f"{refusal} {word!r}; {expected}")


def parsed(settings: Sequence[str]) -> dict[str, Any]:
    """Overrides from ``key=value`` texts: a value that is JSON (5e-4, true, null, [1, 2]) is that, else text.

    Raises:
        UserError: A text without ``=`` or without a key.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or not key.strip():
            raise UserError(f"--set expects key=value such as training.epochs=3, got {setting!r}")
        overrides[key.strip()] = value
        with suppress(ValueError, RecursionError):
            overrides[key.strip()] = json.loads(value)
    return overrides


def list_studies(as_json: bool) -> None:
    """Write the studies, their presets and their faults."""
    from tocsin.cli.table import table
    from tocsin.studies import load, names

    with installed():
        studies = [load(name) for name in names()]
    if as_json:
        say_json("tocsin.studies/1", {"studies": [_described(study) for study in studies]})
        return
    for study in studies:
        about = [("study", study.name), ("", study.summary), ("--preset", ", ".join(study.presets))]
        faults = [(f"--fault {fault}", what) for fault, what in study.faults.items()]
        say(table(("what", "about"), [*about, *faults], header=False))


def _described(study: Study) -> dict[str, Any]:
    return {
        "name": study.name,
        "summary": study.summary,
        "presets": list(study.presets),
        "faults": dict(study.faults),
    }
