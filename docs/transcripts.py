"""The commands that guides and the README show, with what they really print.

A block fenced as ``console`` holds a line ``$ tocsin ...`` and its output. Where it ends with a line ``…``, only as
many paragraphs are shown as it has, or lines where no blank one stands before the ``…``. ``python docs/transcripts.py``
runs the commands and rewrites the blocks; the tests compare them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "docs/guides/check-a-run-you-have.md",
    "docs/guides/check-in-ci.md",
    "docs/guides/compare.md",
    "docs/guides/report-000.md",
    "docs/guides/transformers.md",
    "docs/guides/when-tocsin-is-wrong.md",
)
BLOCK = re.compile(r"^```console\n\$ tocsin (.*)\n((?:.*\n)*?)```$", re.MULTILINE)
MORE = "…"


def main() -> int:
    """Rewrite every page."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def refreshed(page: str) -> str:
    """The page with the output of each of its commands as it is now."""
    return BLOCK.sub(lambda found: f"```console\n$ tocsin {found[1]}\n{shown(*found.groups())}\n```", page)


def shown(arguments: str, before: str) -> str:
    """What a block that showed ``before`` shows now."""
    said, before = output(arguments).rstrip("\n"), before.rstrip("\n")
    if not before.endswith(MORE):
        return said
    kept = before.removesuffix(MORE)
    unit = "\n\n" if kept.endswith("\n\n") else "\n"
    return unit.join([*said.split(unit)[: kept.rstrip("\n").count(unit) + 1], MORE])


def output(arguments: str) -> str:
    """What ``tocsin`` with these arguments prints, 100 columns wide, seen from the root of the project."""
    from tocsin.cli import main as tocsin

    said = io.StringIO()
    plain = {"COLUMNS": "100", "NO_COLOR": "1"}
    with patch.dict(os.environ, plain), contextlib.chdir(ROOT), contextlib.redirect_stdout(said):
        tocsin(shlex.split(arguments))
    return "\n".join(line.rstrip() for line in said.getvalue().splitlines())


if __name__ == "__main__":
    sys.exit(main())
