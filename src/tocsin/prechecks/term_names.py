"""What the name of a loss term says: terms that are small, or pull against others, by design."""

from __future__ import annotations

import re

_SMALL = (
    r"reg\w*|l1|l2|wd|decay|penalty|gp|kl\w*|entropy|commit\w*|aux\w*|balanc\w*|load|moe|router|z|tv|smooth\w*|ortho\w*"
    r"|spars\w*|norm|prior"
)
_REGULARISERS = re.compile(rf"(^|[_.\-/ ])({_SMALL})($|[_.\-/ ])")
_AGAINST = re.compile(rf"(^|[_.\-/ ])({_SMALL}|adv\w*|gan|gen\w*|dis\w*|critic|actor|g|d)($|[_.\-/ ])")


def is_regulariser(name: str) -> bool:
    """Whether the term is named as one that is small on purpose, as OBJ001 reads names."""
    return _REGULARISERS.search(name.lower()) is not None


def is_opponent(name: str) -> bool:
    """Whether the term is named as one that pulls against others on purpose, as OBJ005 reads names."""
    return _AGAINST.search(name.lower()) is not None
