"""Hear what methods of an object return and raise: each is shadowed on that one instance until ``release``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

_ABSENT = object()
Returned = Callable[[str, Any], None]
Raised = Callable[[BaseException], None]


class Overheard:
    """Shadows the named methods of ``owner``; their results and exceptions go through untouched.

    Args:
        owner: Any object with a ``__dict__``.
        names: Its methods; those that it has not are passed over.
        returned: Called with a method's name and its result.
        raised: Called with an exception that leaves one of them.
    """

    def __init__(self, owner: Any, names: Iterable[str], returned: Returned, raised: Raised) -> None:
        self._owner = owner
        self._before: dict[str, tuple[_Shadow, Any]] = {}
        for name in names:
            if callable(getattr(owner, name, None)):
                shadow = _Shadow(owner, name, returned, raised)
                self._before[name] = (shadow, vars(owner).get(name, _ABSENT))
                setattr(owner, name, shadow)

    def release(self) -> None:
        """Give the methods back; one that somebody else has replaced since is left as it is."""
        for name, (shadow, before) in self._before.items():
            if vars(self._owner).get(name) is shadow:
                delattr(self._owner, name)
                if before is not _ABSENT:
                    setattr(self._owner, name, before)
        self._before = {}


class _Shadow:
    """Stands in for one method. A copy or a pickle of its owner gets the method itself."""

    def __init__(self, owner: Any, name: str, returned: Returned, raised: Raised) -> None:
        self._owner, self._name, self._returned, self._raised = owner, name, returned, raised
        self._method = getattr(owner, name)
        functools.update_wrapper(self, self._method)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = self._method(*args, **kwargs)
        except BaseException as error:
            self._raised(error)
            raise
        self._returned(self._name, result)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, self._name)
