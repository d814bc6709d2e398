"""Methods of one instance are heard, and given back."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tocsin.integrations.overhearing import Overheard


class Owner:
    def __init__(self) -> None:
        self.calls = 0

    def twice(self, n: int) -> int:
        """Double."""
        self.calls += 1
        return 2 * n

    def breaks(self) -> None:
        raise ZeroDivisionError


def heard(owner: Owner) -> tuple[Overheard, list[Any]]:
    told: list[Any] = []
    return Overheard(
        owner, ["twice", "breaks", "absent"], lambda name, result: told.append((name, result)), told.append
    ), told


def test_results_and_exceptions_go_through_and_are_heard() -> None:
    owner = Owner()
    shadow, told = heard(owner)
    assert owner.twice(4) == 8
    assert owner.twice.__doc__ == "Double."
    with pytest.raises(ZeroDivisionError):
        owner.breaks()
    assert told[0] == ("twice", 8)
    assert isinstance(told[1], ZeroDivisionError)
    shadow.release()
    assert vars(owner) == {"calls": 1}


def test_what_was_there_before_comes_back_and_what_came_since_stays() -> None:
    owner = Owner()
    owner.twice = before = lambda n: n  # type: ignore[method-assign,assignment]
    shadow, _ = heard(owner)
    owner.breaks = since = lambda: None  # type: ignore[method-assign]
    shadow.release()
    assert owner.twice is before
    assert owner.breaks is since


def test_a_copy_and_a_pickle_of_the_owner_have_their_own_methods() -> None:
    owner = Owner()
    _, told = heard(owner)
    for twin in (copy.deepcopy(owner), pickle.loads(pickle.dumps(owner))):  # noqa: S301 (bytes made here)
        assert twin.twice(1) == 2
        assert twin.calls == 1
    assert owner.calls == 0
    assert told == []
