"""Files of known findings: what a project accepts, so that only news rings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tocsin.cli.errors import UserError
from tocsin.findings import Finding, dumps

SCHEMA = "tocsin.baseline/1"
LARGEST = 16 * 1024 * 1024
KEYS = ("run", "code", "subject")


def read_baseline(file: Path) -> list[dict[str, Any]]:
    """The known findings in ``file``, each with ``code`` and, where it matters, ``subject`` and ``run``.

    Raises:
        UserError: The file cannot be read or is no baseline.
    """
    how = "write one with `tocsin check PATH --write-baseline FILE`"
    try:
        if file.stat().st_size > LARGEST:
            raise UserError(f"{file}: larger than {LARGEST // 1024**2} MB, no baseline; {how}")
        data = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot read the baseline: {error.strerror}; {how}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: expected a JSON baseline: {error}; {how}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("findings"), list):
        raise UserError(f"{file}: expected a baseline of schema {SCHEMA!r}; {how}")
    if not all(_entry(known) for known in data["findings"]):
        raise UserError(f"{file}: each finding must have a text `code`, and text `subject` and `run` if any; {how}")
    return [{key: known[key] for key in KEYS if key in known} for known in data["findings"]]


def _entry(known: Any) -> bool:
    return isinstance(known, dict) and "code" in known and all(isinstance(known.get(k, ""), str) for k in KEYS)


def write_baseline(file: Path, findings: Iterable[Finding], *, any_run: bool = False) -> int:
    """Write the findings as known ones, one for each run, code and subject, and return how many those are.

    With ``any_run`` no run is named: one for each code and subject, known in runs to come as well.

    Raises:
        UserError: The file cannot be written.
    """
    known = {}
    for f in findings:
        run = {} if any_run else {"run": f.run}
        known[(*run.values(), f.code, f.subject)] = {**run, "code": f.code, "subject": f.subject, "message": f.message}
    text = dumps({"schema": SCHEMA, "findings": [known[identity] for identity in sorted(known)]}, indent=2)
    try:
        file.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot write the baseline: {error.strerror}") from error
    return len(known)
