"""What people wrote beside runs: which runs a note compares, whether it names a cause, and what it calls best.

Only texts that a run carries itself count: notes, tags, descriptions and the like in its configuration or environment,
and events of the kind ``note``. A folder of several runs alone is no comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tocsin import declared, metrics, siblings
from tocsin.declared import Setting
from tocsin.findings import Evidence
from tocsin.run import Run

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
_DENIED = re.compile(r"(?i)\b(?:not|never|no longer|isn't)\b[^.;]{0,12}\bbest\b|second[ -]best|next[ -]best")
_OWN = re.compile(r"[A-Za-z][\w.]*-\w|[A-Za-z]\w*_?\d")  # not a room such as ``logs`` or ``best``
_SCORE = re.compile(r"(?<![\w.-])\d{1,3}\.\d{2,4}(?![\w.])")
_SET_TO = re.compile(r"([A-Za-z_]\w{0,40}|[α-ω])\s?=\s?(\d+(?:\.\d+)?(?:e-?\d+)?)(?![\w.])")
_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda", "τ": "tau", "σ": "sigma"}
_LONGEST = 20_000
_MOST_MATES = 1000
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
            if set(setting.words) & siblings.TOLD_IN:
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
    """The texts that compare a run with others of the list: by their name, or, within a study, by what only they have.

    A text of a study's run also means another run of it where it cites a score that only that one recorded
    ("from 27.58 % to 45.45 %"), or a setting that only that one has ("worse than alpha=0.5").
    """
    told = [(k, said) for k, run in enumerate(runs) for said in texts(run) if said.compares or said.causal]
    if not told:
        return []
    named = _names(runs)
    mates: dict[int, set[int]] = {}
    for places in siblings.studies(runs):
        for k in places:
            mates.setdefault(k, set()).update(places)
    scores = cache(lambda j: _scores(runs[j]))
    settings = cache(lambda j: _settings(runs[j]))
    found = []
    for k, said in told:
        others = {j for j, name in named if j != k and name in said.text and _whole(name).search(said.text)}
        others |= _meant(k, sorted(mates.get(k, ())), said.text, scores, settings)
        if others:
            found.append(Comparison(k, tuple(sorted(others)), said))
    return found


def _names(runs: Sequence[Run]) -> list[tuple[int, str]]:
    """What names each run: its name; the last part of it where that is a run's own, as ``keen-reef-7`` is."""
    told: dict[str, list[int]] = {}
    for k, run in enumerate(runs):
        last = run.name.rpartition("/")[2]
        for name in {run.name, last if _OWN.search(last) else run.name}:
            if len(name) >= _SHORTEST_NAME:
                told.setdefault(name, []).append(k)
    return [(places[0], name) for name, places in told.items() if len(places) == 1]


def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def _meant(
    by: int,
    places: Sequence[int],
    text: str,
    scores: Callable[[int], set[float]],
    settings: Callable[[int], set[tuple[str, float]]],
) -> set[int]:
    """The other runs of the study whose score or setting a text cites, and which nobody else of the study has."""
    if len(places) < 2 or len(places) > _MOST_MATES:
        return set()
    cited = {float(number) for number in _SCORE.findall(text)}
    set_to = {(_GREEK.get(key, key.lower()), float(value)) for key, value in _SET_TO.findall(text)}
    found = set()
    holders = [[j for j in places if score in scores(j)] for score in cited]
    holders += [[j for j in places if setting in settings(j)] for setting in set_to]
    for who in holders:
        found |= {who[0]} - {by} if len(who) == 1 else set()
    return found


def _scores(run: Run) -> set[float]:
    """The values of its evaluation scores, as recorded and in percent, to the decimals that notes have."""
    values = [value for metric in metrics.of_evaluations(run.series) for value in run.series[metric.name].finite.value]
    return {round(float(value) * scale, digits) for value in values for scale in (1, 100) for digits in (2, 3, 4)}


def _settings(run: Run) -> set[tuple[str, float]]:
    told = ((s.path.rpartition(".")[2].lower(), s.number) for s in declared.of_config(run.config))
    return {(key, number) for key, number in told if number is not None}


def called_best(run: Run) -> Said | None:
    """The text that calls a run best; None where there is none."""
    return next((said for said in texts(run) if said.best), None)
