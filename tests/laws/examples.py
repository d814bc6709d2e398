"""The two Example blocks of a rule's page, executed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import tocsin
from tocsin.engine import all_rules
from tocsin.findings import Rule
from tocsin.run import Run

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks(rule: Rule) -> tuple[str, str]:
    """The code that makes the fault and the code that cures it.

    Raises:
        ValueError: The section is not two Python blocks with "Use instead:" between them.
    """
    section = rule.doc.partition("## Example")[2].partition("\n## ")[0]
    found = BLOCK.findall(section)
    between = BLOCK.sub("\0", section).split("\0")
    if len(found) != 2 or "Use instead:" not in between[1]:
        raise ValueError(f"{rule.code}: expected two python blocks with 'Use instead:' between them")
    return found[0], found[1]


def execute(code: str, live: bool) -> Run | list[Run]:
    """The ``run`` that a block leaves, read from its folder where it is a path; or its ``runs``."""
    space: dict[str, Any] = {"np": np, "tocsin": tocsin}
    space |= {
        n: getattr(tocsin, n) for n in ("Run", "Series", "Evaluation", "Confusion", "Moments", "Event", "Parameter")
    }
    if live:
        import torch

        torch.manual_seed(0)
        space |= {"torch": torch, "nn": torch.nn}
    with TemporaryDirectory() as folder:
        space["run_dir"] = Path(folder) / "run"
        exec(compile(code, "<example>", "exec"), space)  # noqa: S102
        if "runs" in space:
            return space["runs"]
        run = space["run"]
        return run if isinstance(run, Run) else tocsin.read(run)[0]


@cache
def examples(code: str) -> tuple[Any, Any]:
    """The faulty and the cured run of this rule; lists of runs where it looks at several."""
    rule = all_rules()[code]
    bad, good = blocks(rule)
    return execute(bad, rule.live), execute(good, rule.live)
