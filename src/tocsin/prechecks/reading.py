"""Which keys of a configuration were read: ``reading`` wraps it, and the wrapper notes what is asked of it."""

from __future__ import annotations

import dataclasses
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import SimpleNamespace
from typing import Any


def reading(config: Any) -> Any:
    """``config`` in a wrapper that acts like it, by key and by attribute, and notes which leaves were read.

    Args:
        config: A mapping, dataclass, pydantic model or namespace, nested or not. It is not changed.

    Returns:
        The wrapper; ``unread(wrapper)`` gives the dotted keys that nothing asked for. Iterating over values, ``**`` and
        ``dict()`` read all keys of that level; iterating over keys and ``in`` read none.
    """
    return Reading(config, "", set())


def unread(config: Any) -> list[str] | None:
    """Dotted keys that nothing has read, sorted; None where ``config`` is no wrapper."""
    if not isinstance(config, Reading):
        return None
    return sorted(set(_leaves(config._config)) - config._read)


def unwrapped(config: Any) -> Any:
    """The configuration itself."""
    return config._config if isinstance(config, Reading) else config


class Reading(Mapping[str, Any]):
    """A configuration that notes what is read; values that are configurations themselves come wrapped."""

    def __init__(self, config: Any, stem: str, read: set[str]) -> None:
        self._config = config
        self._stem = stem
        self._read = read

    def __getitem__(self, key: str) -> Any:
        try:
            return self._note(key, self._plain()[key])
        except KeyError:
            raise KeyError(key) from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        plain = self._plain()
        if name in plain and not callable(getattr(type(self._config), name, None)):
            return self._note(name, plain[name])
        return getattr(self._config, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain())

    def __len__(self) -> int:
        return len(self._plain())

    def __contains__(self, key: object) -> bool:
        return key in self._plain()

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
        if _nested(value):
            return Reading(value, f"{self._stem}{key}.", self._read)
        self._read.add(f"{self._stem}{key}")
        return value


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


def _leaves(config: Any, stem: str = "") -> Iterator[str]:
    for key, value in _fields(config).items():
        if _nested(value) and len(_fields(value)):
            yield from _leaves(value, f"{stem}{key}.")
        else:
            yield f"{stem}{key}"
