"""Puts the package's parent on the path, so that ``python benchmarks/detection`` works from anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:] = [str(here.parent), *(p for p in sys.path if Path(p).resolve() != here)]

if __name__ == "__main__":
    from detection.command import main

    sys.exit(main())
