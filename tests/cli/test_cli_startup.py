"""What starting the command costs, and that judging a run needs no torch."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

BLOCK = "import sys; sys.modules.update(dict.fromkeys(('torch', 'lightning_fabric')));"
RUN = "from tocsin.cli import main; code = main(sys.argv[1:]);"
HEAVY = "{'torch', 'duckdb', 'jinja2', 'lightning_fabric', 'rich.console'}"


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"})


def cpu_s(code: str, *words: str) -> float:
    """CPU seconds of one call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert python(code, *words).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_loads_nothing_heavy():
    outcome = python(f"import sys; {RUN} print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)", "--help")
    assert outcome.stdout.startswith("Usage: tocsin")
    assert outcome.stderr == "[]\n"


def test_help_loads_neither_rules_nor_readers_nor_renderers(record_property):
    bare = min(cpu_s("pass") for _ in range(3))
    with_us = min(cpu_s(f"import sys; {RUN}", "--help") for _ in range(3))
    record_property("figure", f"tocsin --help: {with_us - bare:.3f} s CPU above python itself ({bare:.3f} s)")
    late = ("tocsin.rules.", "tocsin.readers.formats.", "jinja2", "duckdb", "yaml", "sqlite3", "scipy")
    outcome = python(
        f"import sys; {RUN} print([m for m in sys.modules if m.startswith({late})], file=sys.stderr)", "--help"
    )
    assert outcome.stderr == "[]\n"


def test_check_works_where_torch_cannot_be_imported(recorded):
    folder = recorded("calm", 3.0, 2.0, 1.0)
    outcome = python(f"{BLOCK} {RUN} sys.exit(code)", "check", str(folder))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("Clean: ")


def test_a_closed_pipe_is_quiet(recorded):
    folder = recorded("calm", 3.0, 2.0, 1.0)
    script = f'set -o pipefail; {sys.executable} -c "import sys; {RUN} sys.exit(code)" check {folder} --json | true'
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert (outcome.returncode, outcome.stderr) == (0, "")
