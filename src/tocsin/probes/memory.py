"""Memory of the process, from the operating system."""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "memory/rss_mib"
_MIB = 2.0**20


def resident_mib() -> dict[str, float]:
    """``memory/rss_mib``: resident memory; its peak where the system tells no more, nothing where it tells nothing."""
    try:
        import resource
    except ImportError:
        return {}
    try:
        with Path("/proc/self/statm").open("rb") as file:
            return {NAME: int(file.read(256).split()[1]) * resource.getpagesize() / _MIB}
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {NAME: peak / _MIB if sys.platform == "darwin" else peak / 1024}
