"""The keys of a configuration, whatever holds it, and those that a method of its class mentions."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any


def fields_of(config: Any) -> Mapping[str, Any]:
    """The values of one level by key.

    Raises:
        TypeError: It is no configuration.
    """
    if isinstance(config, Mapping):
        return config
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    if hasattr(type(config), "model_fields"):  # pydantic
        extra = getattr(config, "model_extra", None) or {}
        return {**{name: getattr(config, name) for name in type(config).model_fields}, **extra}
    if hasattr(config, "__dict__"):
        held: Mapping[str, Any] = vars(config)
        return held
    raise TypeError(
        f"a configuration is a mapping, dataclass, pydantic model or namespace, got {type(config).__name__}"
    )


def is_nested(value: Any) -> bool:
    """Whether a value is a configuration itself."""
    made = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return isinstance(value, Mapping | SimpleNamespace) or made or hasattr(type(value), "model_fields")


def is_listed(value: Any) -> bool:
    """Whether it is a list of configurations."""
    return type(value) in (list, tuple) and any(is_nested(one) and len(fields_of(one)) for one in value)


def leaves_of(config: Any, stem: str = "") -> Iterator[str]:
    """Dotted keys of all values that are no configurations."""
    for key, value in fields_of(config).items():
        yield from leaves_of_value(value, f"{stem}{key}")


def leaves_of_value(value: Any, key: str) -> Iterator[str]:
    """The same of the value under one key; the key itself where it is no configuration."""
    if is_nested(value) and len(fields_of(value)):
        yield from leaves_of(value, f"{key}.")
    elif is_listed(value):
        for k, one in enumerate(value):
            yield from leaves_of_value(one, f"{key}.{k}")
    else:
        yield key


class _All(set[str]):
    """Every name."""

    def __and__(self, other: Any) -> set[str]:
        return set(other)


_WHOLE = {"__dict__", "asdict", "vars", "getattr", "fields", "model_dump", "dict", "items", "values"}


def used_by(kind: type, name: str, seen: set[str]) -> set[str]:
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
            more = used_by(kind, other, seen)
            if isinstance(more, _All):
                return more
            found = found | more
    return found
