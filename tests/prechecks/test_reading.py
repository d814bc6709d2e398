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
from tocsin.prechecks.reading import missed, unread, unset, unwrapped


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


class Schedule(pydantic.BaseModel, frozen=True):
    peak: float
    cycles: int = 1


class Curriculum(pydantic.BaseModel, frozen=True):
    start: float = 0.25


class Frozen(pydantic.BaseModel, frozen=True, extra="allow"):
    depth: int = pydantic.Field(default=3, alias="layers")
    schedule: Schedule = Schedule(peak=0.1)
    curriculum: Curriculum | None = None
    betas: dict = {"a": 0.9}

    @property
    def budget(self):
        return self.schedule.peak


def test_copies_of_a_frozen_model_note_in_the_same_place():
    config = reading(Frozen(more=1))
    other = config.model_copy(update={"curriculum": Curriculum(), "schedule": config.schedule.model_copy(deep=True)})
    assert unread(other) == ["betas.a", "curriculum.start", "depth", "more", "schedule.cycles", "schedule.peak"]
    assert unwrapped(other) == Frozen(more=1, curriculum=Curriculum())
    assert other.curriculum.start == 0.25
    assert other.schedule.cycles == 1
    assert other.more == 1
    assert other.budget == 0.1
    assert unread(other) == ["betas.a", "depth"]
    assert unread(config) == ["betas.a", "curriculum", "depth"]
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        unwrapped(config).depth = 4


def test_writing_a_model_down_reads_nothing():
    config = reading(Frozen())
    assert config.model_dump(mode="json")["depth"] == 3
    assert config.model_dump_json().startswith("{")
    assert config.model_fields_set == set()
    assert len(unread(config)) == 5
    assert set(config.model_dump(by_alias=True, exclude={"schedule"})) == {"layers", "curriculum", "betas"}
    assert unread(config) == ["schedule.cycles", "schedule.peak"]


def test_a_frozen_model_can_be_hashed_and_caches_do_not_answer_for_another():
    one, two = reading(Schedule(peak=1.0)), reading(Schedule(peak=1.0))
    assert hash(one) == hash(one)
    assert one == two
    assert hash(one) != hash(two)
    assert unread(one) == ["cycles", "peak"]
    with pytest.raises(TypeError, match="unhashable"):
        hash(reading({"a": 1}))


def test_what_nobody_set_is_known_of_models_only():
    everything = {"betas.a", "curriculum", "depth", "schedule.cycles", "schedule.peak"}
    assert unset(reading(Frozen())) == everything
    assert unset(reading(Frozen(layers=3))) == everything - {"depth"}
    assert unset(reading(Frozen(schedule=Schedule(peak=1)))) == everything - {"schedule.peak"}
    assert unset(reading(Frozen(curriculum=Curriculum()))) == everything - {"curriculum"}
    assert unset(reading(Frozen(betas={"a": 1}))) == everything - {"betas.a"}
    assert unset(reading({"model": Frozen()})) == set()
    assert unset(reading(Outer())) == set()
    assert unset(Frozen()) == set()
