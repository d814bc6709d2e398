"""Puts the packages beside this one on the path, so that ``python benchmarks/preflight`` works from anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
tests = here.parents[1] / "tests"  # the plants of the tests are planted here, too
sys.path[:] = [str(here.parent), str(tests), *(p for p in sys.path if Path(p).resolve() != here)]

if __name__ == "__main__":
    from preflight.command import main

    sys.exit(main())
