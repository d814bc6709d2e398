"""Lines that only say what follows: ``***** Eval results *****``, ``Validation:``, ``Evaluating...``."""

from __future__ import annotations

import re
from functools import lru_cache

from tocsin.readers.console import words
from tocsin.readers.naming import SPLITS

_VERBS = {"evaluating": "val", "validating": "val", "testing": "test", "evaluate": "val", "evaluated": "val"}
_SPLIT = re.compile(r"val|test|train|eval|dev|heldout|tst|trn|\btr\b|[^\x00-\x7f]", re.IGNORECASE)
_ORNAMENT = re.compile(r"^[\s*#=>\-~+|\[:]+|[\s*#=<\-~+|\]:.…]+$")
_REST = words.listed(
    "results result metrics set phase stage report performance model running the on summary stats scores data"
    " dataset mode "
    "of final epoch end start starting begin step for now and loop started dataloader subset overall per class error "
    "errors"
)


@lru_cache(maxsize=4096)
def section(message: str) -> str:
    """The split that a short line without numbers announces, "" if it announces none."""
    if len(message) > 80 or _SPLIT.search(message) is None:
        return ""
    ornaments = message.strip() != (bare := _ORNAMENT.sub("", message))
    parts = [re.sub(r"\W", "", word) for word in words.parts(bare)]
    if not parts or len(parts) > 6:
        return ""
    said = [SPLITS.get(word) or _VERBS.get(word, "") for word in parts]
    found = next((split for split in said if split), "")
    others = [word for word, split in zip(parts, said, strict=True) if word and not split and not word.isdigit()]
    return found if found and (ornaments or others) and all(word in _REST for word in others) else ""
