"""The wrapper of a configuration that notes what is asked of it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from tocsin.prechecks import pydantic_models
from tocsin.prechecks.config_fields import fields_of, is_listed, is_nested, leaves_of_value, used_by


@dataclasses.dataclass
class Notes:
    """What was asked of a configuration, by dotted key.

    Attributes:
        read: Keys that are there.
        missed: Keys that are not, of ``get``, ``[]``, ``in`` and attributes.
    """

    read: set[str] = dataclasses.field(default_factory=set)
    missed: set[str] = dataclasses.field(default_factory=set)


_OF_MODELS = ("model_copy", "model_dump")


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
        if name in _OF_MODELS and pydantic_models.is_model(self._config):
            return getattr(self, f"_{name}")
        try:
            found = getattr(self._config, name)
        except AttributeError:
            self._notes.missed.add(f"{self._stem}{name}")
            raise
        if name in pydantic_models.TELLING and pydantic_models.is_model(self._config):
            return found
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
        return bool(self._config == bare(other))

    def __hash__(self) -> int:
        """Of a frozen configuration, but its own: a cache may not answer for another wrapper, which has read nothing.

        Raises:
            TypeError: The configuration may change.
        """
        return hash((self._config, id(self._notes)))

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

    def _model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Reading:
        changed = {key: bare(value) for key, value in (update or {}).items()}
        return Reading(self._config.model_copy(update=changed, deep=deep), self._stem, self._notes)

    def _model_dump(self, **how: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._config.model_dump(**how)
        if how.get("mode") != "json":
            for key in self._config.model_dump(**{**how, "by_alias": False}):
                self._notes.read.update(leaves_of_value(self._plain().get(key), f"{self._stem}{key}"))
        return found

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


def bare(config: Any) -> Any:
    """The configuration itself."""
    return config._config if isinstance(config, Reading) else config
