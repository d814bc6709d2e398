"""The callback of the entry point."""

from __future__ import annotations

from tocsin.integrations.lightning import TocsinCallback


class AutoCallback(TocsinCallback):
    """One of its own class, so that its state does not clash with that of a callback which the user added."""
