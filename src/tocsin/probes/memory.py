"""Memory of the process, from the operating system."""

from __future__ import annotations

import os
import sys

NAME = "memory/rss_mib"
_MIB = 2.0**20


def resident_mib() -> dict[str, float]:
    """``memory/rss_mib``: resident memory; its peak where the system tells no more, nothing where it tells nothing."""
    try:
        import resource
    except ImportError:
        return {}
    try:
        file = os.open("/proc/self/statm", os.O_RDONLY)  # a file object costs ten times the reading
        try:
            return {NAME: int(os.read(file, 256).split()[1]) * resource.getpagesize() / _MIB}
        finally:
            os.close(file)
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {NAME: peak / _MIB if sys.platform == "darwin" else peak / 1024}
