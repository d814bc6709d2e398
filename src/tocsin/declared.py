"""What a run says that it was to be: settings of its configuration, its command line, and the names of its folders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from tocsin.findings import Evidence
from tocsin.run import Run

DEEPEST = 32
MOST_LEAVES = 20_000
_LONGEST_COMMAND = 20_000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_IN_NAME = re.compile(
    r"(?<![A-Za-z0-9])(?P<key>lr|learning[_-]?rate|bs|batch[_-]?size|epochs?|ep|wd|weight[_-]?decay|dropout|seed|steps|"
    r"warmup|momentum|hidden|layers|alpha|beta|gamma|tau|temp(?:erature)?)[_=-]?"
    r"(?P<value>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)(?=$|[_,;\-/ ]|\.(?!\d))",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?P<key>[A-Za-z_][\w.]{0,60}?(?: rate)?)['\"]?\s*[=:]\s*"
    r"(?P<value>\([^()]{1,60}\)|\[[^\[\]]{1,60}\]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|-?inf\b|nan\b)"
)
_MOST_SAID = 2_000
Where = Literal["config", "command", "name", "event"]


@dataclass(frozen=True)
class Setting:
    """One declared value.

    Attributes:
        where: The source that declares it; ``kind`` is that of the event where it is one.
        path: Dotted key, command-line key without dashes, or the part of a name that says it.
        value: As declared (text stays text).
    """

    where: Where
    path: str
    value: Any
    kind: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the last part of its key, lower case: ``optimizer.adamBeta2`` gives adam, beta, 2."""
        return words_of(_last_key(self.path))

    @property
    def parents(self) -> frozenset[str]:
        """The words of what stands above the key."""
        head = self.path[: len(self.path) - len(_last_key(self.path))]
        return frozenset(words_of(head))

    @property
    def number(self) -> float | None:
        """The value as a number where it is one or reads as one; booleans are none."""
        return number_of(self.value)

    @property
    def said(self) -> str:
        """``lr = 0.001 (config)``, for messages."""
        source = {"config": "config", "command": "command line", "name": "name", "event": "said in the log"}[self.where]
        return f"{self.path} = {self.value} ({source})"


def cited(run: Run, setting: Setting, text: str = "") -> Evidence:
    """The evidence that this setting was declared; a name is cited by its text, beside the command or configuration."""
    if setting.where == "config":
        number = setting.value if isinstance(setting.value, int | float) else None
        value = str(setting.value) if number is None or isinstance(setting.value, bool) else float(number)
        return Evidence(f"config:{setting.path}", value, text=text or "as declared")
    said = f"{text}: {setting.said}" if text else setting.said
    launched = setting.where == "event" or "command" not in run.environment
    kind = setting.kind if setting.where == "event" else "launch"
    return Evidence(f"event:{kind}" if launched else "environment:command", text=said)


def settings(run: Run) -> list[Setting]:
    """All that configuration, command line and names declare, in this order."""
    found = list(of_config(run.config))
    found += of_command(command_of(run))
    return found + list(of_names(run))


def of_config(config: Mapping[str, Any]) -> Iterator[Setting]:
    """The leaves of a configuration; a list of numbers is one leaf; bounded in depth and number."""
    stack: list[tuple[str, Any, int]] = [("", config, 0)]
    given = 0
    while stack and given < MOST_LEAVES:
        path, value, depth = stack.pop()
        if isinstance(value, Mapping):
            if depth < DEEPEST:
                inner = [(f"{path}.{key}" if path else str(key), v, depth + 1) for key, v in value.items()]
                stack.extend(reversed(inner))
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping | list | tuple) for v in value):
            if depth < DEEPEST:
                stack.extend(reversed([(f"{path}.{i}", v, depth + 1) for i, v in enumerate(value)]))
        else:
            given += 1
            yield Setting("config", path, value)


def command_of(run: Run) -> list[str]:
    """The words of the command that started it, from its environment or its last ``launch`` event; else none."""
    said = run.environment.get("command")
    if not said:
        said = next((e.text for e in reversed(run.events) if e.kind == "launch" and e.text.strip()), "")
    if isinstance(said, list | tuple):
        return [str(word) for word in said]
    text = str(said)[:_LONGEST_COMMAND]
    try:
        return shlex.split(text)
    except ValueError:  # an open quote
        return text.split()


def of_command(words: list[str]) -> Iterator[Setting]:
    """``--key value``, ``--key=value``, ``-k value`` and Hydra's ``key=value``; a later one overrides an earlier."""
    found: dict[str, Setting] = {}
    for at, word in enumerate(words):
        key, equals, value = word.partition("=")
        bare = key.lstrip("-+~")
        if not re.fullmatch(r"[A-Za-z_][\w.\-/@]*", bare) or len(bare) > 100 or (not at and not equals):
            continue
        if equals:
            found[bare] = Setting("command", bare, value)
        elif word.startswith("-") and at + 1 < len(words) and _is_value(words[at + 1]):
            found[bare] = Setting("command", bare, words[at + 1])
    yield from found.values()


def of_names(run: Run) -> Iterator[Setting]:
    """``lr1e-5``, ``bs_32``, ``epochs=100`` in the run's name and in the last four parts of its path."""
    parts = [*(run.path.parts[-4:] if run.path is not None else ()), run.name]
    seen: set[str] = set()
    for part in reversed(parts):
        for match in _IN_NAME.finditer(part[:300]):
            key = match["key"].lower()
            if key not in seen:
                seen.add(key)
                yield Setting("name", match[0], match["value"])


def of_events(run: Run) -> Iterator[Setting]:
    """``key = number`` and ``key: (a, b)`` in what was said (the printed form of an optimizer), failures left out."""
    given = 0
    for event in run.events:
        if event.kind in ("exception", "exit", "best", "launch"):
            continue
        for match in _SAID.finditer(event.text[:20_000]):
            given += 1
            if given > _MOST_SAID:
                return
            yield Setting("event", match["key"].replace(" ", "_"), match["value"], event.kind)


def key_of_name(setting: Setting) -> tuple[str, ...]:
    """The words of the key that a part of a name sets: ``lr1e-5`` sets lr."""
    match = _IN_NAME.search(setting.path)
    return words_of(match["key"]) if match else ()


def number_of(value: Any) -> float | None:
    """The number that a value is or, where it is text, reads as (``-0.6``, ``1e-8``, ``nan``, ``-inf``)."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 or value != value or isinstance(value, float) else None
    text = str(value).strip() if isinstance(value, str) and len(value) <= 64 else ""
    if _NUMBER.fullmatch(text) or text.lower().lstrip("+-") in ("nan", "inf", ".nan", ".inf"):
        return float(text.replace(".nan", "nan").replace(".inf", "inf"))
    return None


def numbers_of(value: Any) -> list[float]:
    """The numbers of a value or of a list of at most 16: ``(0.9, 0.999)``, also as text."""
    if isinstance(value, str) and len(value) <= 200 and value.strip()[:1] in "([":
        value = [part for part in re.split(r"[\s,()\[\]]+", value) if part]
    items: Iterable[Any] = value[:16] if isinstance(value, list | tuple) else [value]
    return [n for n in map(number_of, items) if n is not None]


@lru_cache(maxsize=16384)
def words_of(key: str) -> tuple[str, ...]:
    """The words of a key in lower case; digits at the end of a word are a word: ``beta2`` gives beta, 2."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    return tuple(re.findall(r"[a-z]+|\d+", apart.lower()))


def _last_key(path: str) -> str:
    parts = [part for part in re.split(r"[./]", path) if part]
    return next((part for part in reversed(parts) if not part.isdigit()), path)


def _is_value(word: str) -> bool:
    return not word.startswith("-") or number_of(word) is not None
