"""What Lightning's entry point finds: our callback for every ``Trainer``, where the user's environment asks for it."""

from __future__ import annotations

import os
from typing import Any


def lightning_callbacks() -> list[Any]:
    """A callback with default options where ``TOCSIN_AUTO=1``, else none: an installed package must not speak up."""
    if os.environ.get("TOCSIN_AUTO") != "1":
        return []
    from tocsin.integrations.auto_lightning import AutoCallback

    return [AutoCallback()]
