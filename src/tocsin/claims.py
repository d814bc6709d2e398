"""What people wrote beside runs: which runs a note compares, whether it names a cause, and what it calls best.

Only texts that a run carries itself count: notes, tags, descriptions and the like in its configuration or environment,
and events of the kind ``note``. A folder of several runs alone is no comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tocsin import declared
from tocsin.declared import Setting
from tocsin.findings import Evidence
from tocsin.run import Run

TOLD_IN = frozenset(
    {
        *("notes", "note", "description", "comment", "comments", "claim", "claims", "conclusion", "summary", "tags"),
        *("tag", "finding", "findings", "insight", "remark", "remarks", "verdict"),
    }
)
_COMPARES = re.compile(
    r"(?i)\b(better|worse|best|beats?|beat(?:en|ing)|outperform\w*|improv\w+|gains?|gained|optimal|superior|breakthrough"
    r"|versus|vs|than|compared|against|\d(?:\.\d+)?x)\b|[+-]\d+(?:\.\d+)?\s?%|→|->"
)
_CAUSAL = re.compile(
    r"(?i)\b(because|due to|thanks to|caus\w+|prov(?:es|ed|en)|impact|effects?|breakthrough|superior|fundamental\w*"
    r"|critical|improv\w+|gains?|optimal|destroy\w*|no (?:performance )?benefit|confirm\w*)\b"
)
_BEST = re.compile(  # a mark of its own, the best run or setting, or "this was the best": not the best epoch or value
    r"(?i)(?:^|[^\w\s])\s*(?:the )?best\s*(?:$|[^\w\s])"
    r"|\bbest[ -](?:performing|run|config\w*|settings?|trial|variant|of all|overall|one)\b"
    r"|\b(?:is|was|remains|still) (?:\w+ ){0,2}best\b(?! *(?:\w*acc|\w*loss|epoch|f1|score|val|checkpoint))"
)
_DENIED = re.compile(r"(?i)\b(?:not|never|no longer|isn't|was)\b[^.;]{0,12}\bbest\b|second[ -]best|next[ -]best")
_LONGEST = 20_000
_SHORTEST_NAME = 3


@dataclass(frozen=True)
class Said:
    """One text that a run carries and where it stands: the source of an ``Evidence``."""

    source: str
    text: str

    @property
    def causal(self) -> bool:
        """Whether it names a cause."""
        return bool(_CAUSAL.search(self.text))

    @property
    def compares(self) -> bool:
        """Whether it sets one thing above another."""
        return bool(_COMPARES.search(self.text))

    @property
    def best(self) -> bool:
        """Whether it calls the run best."""
        return bool(_BEST.search(self.text)) and not _DENIED.search(self.text)

    def cited(self, what: str) -> Evidence:
        """The evidence that it was said; an event is cited by its text."""
        if self.source.startswith("event:"):
            return Evidence(self.source, text=f"{what}: {self.short}")
        return Evidence(self.source, self.text, text=what)

    @property
    def short(self) -> str:
        """Its first 120 characters on one line."""
        line = " ".join(self.text.split())
        return line if len(line) <= 120 else f"{line[:117]}..."


@dataclass(frozen=True)
class Comparison:
    """A text of run ``by`` that compares it with the runs ``others``, which it names; places in a list of runs."""

    by: int
    others: tuple[int, ...]
    said: Said


def texts(run: Run) -> Iterator[Said]:
    """The notes that a run carries, in their order."""
    for room, held in (("config", run.config), ("environment", run.environment)):
        for setting in declared.of_config(held):
            if set(setting.words) & TOLD_IN:
                yield from (Said(f"{room}:{path}", text[:_LONGEST]) for path, text in _strings(setting))
    for event in run.events:
        if event.kind == "note":
            yield Said("event:note", event.text[:_LONGEST])


def _strings(setting: Setting) -> Iterator[tuple[str, str]]:
    """The text of a setting, or those of its list, each with its key."""
    value = setting.value
    told = [(f"{setting.path}.{k}", v) for k, v in enumerate(value[:64])] if isinstance(value, list | tuple) else []
    yield from ((path, text) for path, text in told or [(setting.path, value)] if isinstance(text, str))


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """The texts that compare a run with others of the list by their names."""
    told = [(k, said) for k, run in enumerate(runs) for said in texts(run) if said.compares or said.causal]
    if not told:
        return []
    patterns = {k: _named(run.name) for k, run in enumerate(runs) if len(run.name) >= _SHORTEST_NAME}
    found = []
    for k, said in told:
        near = [j for j in patterns if j != k and runs[j].name in said.text]
        others = tuple(j for j in near if patterns[j].search(said.text))
        if others:
            found.append(Comparison(k, others, said))
    return found


def called_best(run: Run) -> Said | None:
    """The text that calls a run best; None where there is none."""
    return next((said for said in texts(run) if said.best), None)


def _named(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
