"""The commands that guides and the README show, with what they really print.

A block fenced as ``console`` holds a line ``$ tocsin ...`` and its output. Where the block ends with a line ``…``, only
as many paragraphs are shown as it has. ``python docs/transcripts.py`` runs the commands and rewrites the blocks; the
tests compare them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/guides/check-a-run-you-have.md")
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
    return BLOCK.sub(lambda found: f"```console\n$ tocsin {found[1]}\n{_shown(*found.groups())}\n```", page)


def commands(page: str) -> Iterator[tuple[str, str, str]]:
    """Of each block the arguments of the command, what the page shows, and what it should show."""
    for found in BLOCK.finditer(page):
        yield found[1], found[2].rstrip("\n"), _shown(*found.groups())


def _shown(arguments: str, before: str) -> str:
    said = output(arguments).rstrip("\n")
    if not before.rstrip("\n").endswith(MORE):
        return said
    count = before.rstrip("\n").removesuffix(MORE).strip("\n").count("\n\n") + 1
    return "\n\n".join(said.split("\n\n")[:count]) + f"\n\n{MORE}"


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
