"""What methods of a pydantic model read of it, and which of its values somebody set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.prechecks.config_fields import fields_of, leaves_of_value

# They tell of the class, or write the values down for somebody to read: no value takes effect by that.
TELLING = frozenset(
    {
        *(
            "model_fields",
            "model_computed_fields",
            "model_config",
            "model_extra",
            "model_fields_set",
            "model_construct",
        ),
        *("model_dump_json", "model_json_schema", "model_parametrized_name", "model_rebuild", "model_validate"),
        *("model_validate_json", "model_validate_strings", "json", "schema", "schema_json"),
    }
)


def is_model(config: Any) -> bool:
    """Whether it is a pydantic model (of version 2)."""
    return hasattr(type(config), "model_fields") and hasattr(type(config), "model_copy")


def unset(config: Any, stem: str = "") -> Iterator[str]:
    """Dotted keys of values that nobody set: pydantic models know which of their fields hold a default.

    A section that is None unless somebody asks for it is set as a whole. Other kinds of configurations do not know who
    set a value: all of theirs are.
    """
    if not is_model(config):
        return
    for key, value in fields_of(config).items():
        default = _default(config, key)
        if key not in config.model_fields_set and (default is None or default == value):
            yield from leaves_of_value(value, f"{stem}{key}")
        elif default is not None or _required(config, key):
            yield from unset(value, f"{stem}{key}.")


def _default(config: Any, key: str) -> Any:
    """The default of a field as its class holds it; None where there is none or a function makes it."""
    known = type(config).model_fields.get(key)
    return None if known is None or known.is_required() else known.default


def _required(config: Any, key: str) -> bool:
    known = type(config).model_fields.get(key)
    return known is not None and (known.is_required() or known.default_factory is not None)
