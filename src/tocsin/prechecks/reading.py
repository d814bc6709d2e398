"""Which keys of a configuration were read: ``reading`` wraps it, and the wrapper notes what is asked of it."""

from __future__ import annotations

from typing import Any

from tocsin.prechecks import pydantic_models
from tocsin.prechecks.config_fields import fields_of, leaves_of
from tocsin.prechecks.reading_wrapper import Notes, Reading, bare


def reading(config: Any) -> Any:
    """``config`` in a wrapper that acts like it, by key and by attribute, and notes which leaves were read.

    Args:
        config: A mapping, dataclass, pydantic model or namespace, nested or not. It is not changed.

    Returns:
        The wrapper; ``unread(wrapper)`` gives the dotted keys that nothing asked for. Iterating over values, ``**`` and
        ``dict()`` read all keys of that level; iterating over keys and ``in`` read none. Copies of the wrapper note in
        the same place, those in other processes cannot. Configurations in lists come wrapped too. A method or property
        reads what it mentions. Of a pydantic model, frozen or not, ``model_copy`` gives a wrapper that notes in the
        same place; ``model_dump`` reads what it gives, but for ``mode="json"``, which writes values down for somebody
        to read, as ``model_dump_json`` does. The wrapper is a ``Mapping``, no instance of the configuration's class; it
        can be hashed where the configuration can.

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


def unset(config: Any) -> set[str]:
    """Dotted keys that hold the default of a pydantic model because nobody set them."""
    return set(pydantic_models.unset(config._config, config._stem)) if isinstance(config, Reading) else set()


def missed(config: Any) -> list[str]:
    """Dotted keys that were asked for and are not there, sorted; none where ``config`` is no wrapper."""
    return sorted(config._notes.missed) if isinstance(config, Reading) else []


def unwrapped(config: Any) -> Any:
    """The configuration itself."""
    return bare(config)
