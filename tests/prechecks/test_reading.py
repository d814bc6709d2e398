"""A configuration that notes what is read acts like the configuration, and notes right."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import pydantic
import pytest

from tocsin import reading
from tocsin.prechecks.reading import missed, unread, unwrapped


@dataclass
class Inner:
    lr: float = 0.1
    decay: float = 0.0


@dataclass
class Outer:
    depth: int = 3
    width: int = 4
    inner: Inner = field(default_factory=Inner)

    @property
    def area(self):
        return self.depth * 2

    def rate(self):
        return self.inner.lr + self.area


class Model(pydantic.BaseModel):
    depth: int = 3
    width: int = 4
    inner: dict = {"lr": 0.1, "decay": 0.0}


KINDS = {
    "mapping": lambda: {"depth": 3, "width": 4, "inner": {"lr": 0.1, "decay": 0.0}},
    "dataclass": Outer,
    "namespace": lambda: SimpleNamespace(depth=3, width=4, inner=SimpleNamespace(lr=0.1, decay=0.0)),
    "pydantic": Model,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_by_key_and_by_attribute(kind):
    config = reading(KINDS[kind]())
    assert unread(config) == ["depth", "inner.decay", "inner.lr", "width"]
    assert config.depth == 3
    assert config["inner"].lr == 0.1
    assert unread(config) == ["inner.decay", "width"]
    assert config.get("width", 9) == 4
    assert config.inner["decay"] == 0
    assert unread(config) == []
    assert missed(config) == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_mapping(kind):
    config = reading(KINDS[kind]())
    assert isinstance(config, Mapping)
    assert list(config) == ["depth", "width", "inner"]
    assert list(config.keys()) == ["depth", "width", "inner"]
    assert len(config) == 3
    assert "depth" in config
    assert config == KINDS[kind]()
    assert config != {}
    assert config == reading(KINDS[kind]())
    assert unread(config) == ["depth", "inner.decay", "inner.lr", "width"]


@pytest.mark.parametrize("read", [dict, lambda c: dict(**c), lambda c: list(c.values()), lambda c: list(c.items())])
def test_unpacking_reads_the_level(read):
    config = reading(KINDS["mapping"]())
    read(config)
    assert unread(config) == ["inner.decay", "inner.lr"]
    read(config.inner)
    assert unread(config) == []


def test_what_is_not_there_is_noted():
    config = reading(KINDS["mapping"]())
    assert config.get("lr") is None
    assert "momentum" not in config
    with pytest.raises(KeyError, match="'betas'"):
        config.inner["betas"]
    with pytest.raises(AttributeError, match="warmup"):
        config.warmup  # noqa: B018
    assert getattr(config, "eps", 1) == 1
    assert missed(config) == ["eps", "inner.betas", "lr", "momentum", "warmup"]
    assert len(unread(config)) == 4


def test_methods_and_properties_read_what_they_mention():
    config = reading(Outer())
    assert config.area == 6
    assert unread(config) == ["inner.decay", "inner.lr", "width"]
    assert config.rate() == 6.1
    assert unread(config) == ["width"]


def test_methods_of_the_library_read_everything():
    config = reading(Model())
    assert config.model_dump()["depth"] == 3
    assert unread(config) == []
    config = reading({"a": 1})
    assert config.copy() == {"a": 1}
    assert unread(config) == []


def test_lists_of_configurations():
    config = reading({"layers": [{"size": 1, "drop": 0.5}, {"size": 2, "drop": 0.1}], "betas": [0.9, 0.99]})
    assert [layer["size"] for layer in config.layers] == [1, 2]
    assert unread(config) == ["betas", "layers.0.drop", "layers.1.drop"]
    assert config.betas == [0.9, 0.99]


def test_copies_note_in_the_same_place_and_pickles_work():
    config = reading(Outer())
    assert copy.deepcopy(config).depth == 3
    assert copy.copy(config).inner.lr == 0.1
    assert unread(config) == ["inner.decay", "width"]
    again = pickle.loads(pickle.dumps(config))  # noqa: S301 (bytes made here)
    assert again.width == 4
    assert unread(again) == ["inner.decay"]
    assert unread(config) == ["inner.decay", "width"]


def test_odd_configurations():
    assert unread(reading({})) == []
    assert unread({"a": 1}) is None
    assert missed({"a": 1}) == []
    config = reading({"none": None, "empty": {}, "a.b": 1})
    assert unread(config) == ["a.b", "empty", "none"]
    assert config.empty == {}
    assert config["a.b"] == 1
    assert reading(config) is config
    assert unread(config) == ["none"]
    assert unwrapped(config) == {"none": None, "empty": {}, "a.b": 1}
    assert repr(reading({"a": 1})) == "reading({'a': 1})"
    with pytest.raises(TypeError, match="a configuration is a mapping"):
        len(reading(3))


def test_nothing_of_it_changes():
    config = KINDS["mapping"]()
    reading(config).inner.get("lr")
    assert config == KINDS["mapping"]()
