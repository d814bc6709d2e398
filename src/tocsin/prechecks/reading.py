"""Which keys of a configuration were read: ``reading`` wraps it, and the wrapper notes what is asked of it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import SimpleNamespace
from typing import Any


@dataclasses.dataclass
class Notes:
    """What was asked of a configuration, by dotted key.

    Attributes:
        read: Keys that are there.
        missed: Keys that are not, of ``get``, ``[]``, ``in`` and attributes.
    """

    read: set[str] = dataclasses.field(default_factory=set)
    missed: set[str] = dataclasses.field(default_factory=set)


def reading(config: Any) -> Any:
    """``config`` in a wrapper that acts like it, by key and by attribute, and notes which leaves were read.

    Args:
        config: A mapping, dataclass, pydantic model or namespace, nested or not. It is not changed.

    Returns:
        The wrapper; ``unread(wrapper)`` gives the dotted keys that nothing asked for. Iterating over values, ``**`` and
        ``dict()`` read all keys of that level; iterating over keys and ``in`` read none. Copies of the wrapper note in
        the same place, those in other processes cannot. Configurations in lists come wrapped too. A method or property
        reads what it mentions. The wrapper is a ``Mapping``, no instance of the configuration's class.
    """
    return config if isinstance(config, Reading) else Reading(config, "", Notes())


def unread(config: Any) -> list[str] | None:
    """Dotted keys that nothing has read, sorted; None where ``config`` is no wrapper."""
    if not isinstance(config, Reading):
        return None
    return sorted(set(_leaves(config._config, config._stem)) - config._notes.read)


def missed(config: Any) -> list[str]:
    """Dotted keys that were asked for and are not there, sorted; none where ``config`` is no wrapper."""
    return sorted(config._notes.missed) if isinstance(config, Reading) else []


def unwrapped(config: Any) -> Any:
    """The configuration itself."""
    return config._config if isinstance(config, Reading) else config


class Reading(Mapping[str, Any]):
    """A configuration that notes what is read; values that are configurations themselves come wrapped."""

    def __init__(self, config: Any, stem: str, notes: Notes) -> None:
        self._config = config
        self._stem = stem
        self._notes = notes

    def __getitem__(self, key: str) -> Any:
        try:
            return self._note(key, self._plain()[key])
        except KeyError:
            self._notes.missed.add(f"{self._stem}{key}")
            raise KeyError(key) from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        plain = self._plain()
        if name in plain and not callable(getattr(type(self._config), name, None)):
            return self._note(name, plain[name])
        try:
            found = getattr(self._config, name)
        except AttributeError:
            self._notes.missed.add(f"{self._stem}{name}")
            raise
        for key in _used_by(type(self._config), name, set()) & set(plain):
            self._notes.read.update(_leaves_of(plain[key], f"{self._stem}{key}"))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain())

    def __len__(self) -> int:
        return len(self._plain())

    def __contains__(self, key: object) -> bool:
        there = key in self._plain()
        if not there:
            self._notes.missed.add(f"{self._stem}{key}")
        return there

    def __eq__(self, other: object) -> bool:
        """Reads nothing."""
        return bool(self._config == unwrapped(other))

    __hash__ = None  # type: ignore[assignment]  # as any mapping that may change

    def __deepcopy__(self, memo: dict[int, Any]) -> Reading:
        return Reading(copy.deepcopy(self._config, memo), self._stem, self._notes)

    def __copy__(self) -> Reading:
        return Reading(copy.copy(self._config), self._stem, self._notes)

    def keys(self) -> KeysView[str]:
        """Reads nothing."""
        return self._plain().keys()

    def values(self) -> ValuesView[Any]:
        """Reads every key of this level."""
        return {key: self[key] for key in self._plain()}.values()

    def items(self) -> ItemsView[str, Any]:
        """Reads every key of this level."""
        return {key: self[key] for key in self._plain()}.items()

    def __repr__(self) -> str:
        return f"reading({self._config!r})"

    def _plain(self) -> Mapping[str, Any]:
        return _fields(self._config)

    def _note(self, key: str, value: Any) -> Any:
        return self._wrapped(f"{self._stem}{key}", value)

    def _wrapped(self, key: str, value: Any) -> Any:
        if _nested(value) and len(_fields(value)):
            return Reading(value, f"{key}.", self._notes)
        if _listed(value):
            return type(value)(self._wrapped(f"{key}.{k}", one) for k, one in enumerate(value))
        self._notes.read.add(key)
        return value


class _All(set[str]):
    """Every name."""

    def __and__(self, other: Any) -> set[str]:
        return set(other)


_WHOLE = {"__dict__", "asdict", "vars", "getattr", "fields", "model_dump", "dict", "items", "values"}


def _used_by(kind: type, name: str, seen: set[str]) -> set[str]:
    """Names that a method or property of the user's class mentions, and those it calls; all where that is not known."""
    raw = inspect.getattr_static(kind, name, None)
    raw = raw.fget if isinstance(raw, property) else getattr(raw, "func", getattr(raw, "__func__", raw))
    code = getattr(raw, "__code__", None)
    if code is None or _WHOLE & set(code.co_names) or kind.__module__ != getattr(raw, "__module__", None):
        return _All()
    seen.add(name)
    found = set(code.co_names)
    for other in found - seen:
        if hasattr(kind, other) and other not in getattr(kind, "__dataclass_fields__", ()):
            more = _used_by(kind, other, seen)
            if isinstance(more, _All):
                return more
            found = found | more
    return found


def _fields(config: Any) -> Mapping[str, Any]:
    if isinstance(config, Mapping):
        return config
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    if hasattr(type(config), "model_fields"):  # pydantic
        return {name: getattr(config, name) for name in type(config).model_fields}
    if hasattr(config, "__dict__"):
        held: Mapping[str, Any] = vars(config)
        return held
    raise TypeError(
        f"a configuration is a mapping, dataclass, pydantic model or namespace, got {type(config).__name__}"
    )


def _nested(value: Any) -> bool:
    made = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return isinstance(value, Mapping | SimpleNamespace) or made or hasattr(type(value), "model_fields")


def _listed(value: Any) -> bool:
    """Whether it is a list of configurations."""
    return type(value) in (list, tuple) and any(_nested(one) and len(_fields(one)) for one in value)


def _leaves(config: Any, stem: str = "") -> Iterator[str]:
    for key, value in _fields(config).items():
        yield from _leaves_of(value, f"{stem}{key}")


def _leaves_of(value: Any, key: str) -> Iterator[str]:
    if _nested(value) and len(_fields(value)):
        yield from _leaves(value, f"{key}.")
    elif _listed(value):
        for k, one in enumerate(value):
            yield from _leaves_of(one, f"{key}.{k}")
    else:
        yield key
