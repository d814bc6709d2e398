"""Which keys of a configuration were read: ``reading`` wraps it, and the wrapper notes what is asked of it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from tocsin.prechecks.config_fields import fields_of, is_listed, is_nested, leaves_of, leaves_of_value, used_by


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

    Raises:
        TypeError: It is no configuration.
    """
    if isinstance(config, Reading):
        return config
    fields_of(config)
    return Reading(config, "", Notes())


def unread(config: Any) -> list[str] | None:
    """Dotted keys that nothing has read, sorted; None where ``config`` is no wrapper."""
    if not isinstance(config, Reading):
        return None
    return sorted(set(leaves_of(config._config, config._stem)) - config._notes.read)


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
        for key in used_by(type(self._config), name, set()) & set(plain):
            self._notes.read.update(leaves_of_value(plain[key], f"{self._stem}{key}"))
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
        return fields_of(self._config)

    def _note(self, key: str, value: Any) -> Any:
        return self._wrapped(f"{self._stem}{key}", value)

    def _wrapped(self, key: str, value: Any) -> Any:
        if is_nested(value) and len(fields_of(value)):
            return Reading(value, f"{key}.", self._notes)
        if is_listed(value):
            return type(value)(self._wrapped(f"{key}.{k}", one) for k, one in enumerate(value))
        self._notes.read.add(key)
        return value
