"""YAML as hostile input: plain data only, as ``yaml.safe_load`` gives it, and no more of it than was asked for."""

from __future__ import annotations

import re
from typing import Any

import yaml

_LONGEST_NUMBER = 400  # characters; whole numbers to base 60 take time that grows with the square of their length


def parsed(text: str, most: int, *, exponents: bool = False) -> Any:
    """The one document in ``text``, of at most ``most`` keys and values.

    Args:
        text: YAML 1.1.
        most: Keys and values that it may have.
        exponents: Whether an unquoted ``1e-8`` is a number, as YAML 1.2 has it; text in YAML 1.1.

    Raises:
        ValueError: It is malformed, or larger: as written, or once its merge keys (``<<``) are carried out.
        RecursionError: It is nested too deeply.
    """
    try:
        loader = _LaterLoader(text) if exponents else _Loader(text)
        loader.left = most
        return loader.get_single_data()
    except (RecursionError, ValueError):
        raise
    except Exception as error:  # YAMLError, and whatever PyYAML meets in a malformed `!!bool`, `!!int`, `!!timestamp`
        raise ValueError(str(error) if isinstance(error, yaml.YAMLError) else "a value does not fit its tag") from error


class _Loader(yaml.SafeLoader):
    left = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._take(1)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: Any) -> None:
        before = len(node.value)
        super().flatten_mapping(node)
        self._take(max(len(node.value) - before, 0))

    def construct_yaml_int(self, node: Any) -> Any:
        if len(node.value) > _LONGEST_NUMBER:
            raise ValueError(f"a whole number of {len(node.value)} characters")
        return super().construct_yaml_int(node)

    def _take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ValueError("more keys and values than a configuration has")


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _LaterLoader(_Loader):
    """Takes a number with an exponent for one, whether or not its mantissa has a dot and its exponent a sign."""


_LaterLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)
