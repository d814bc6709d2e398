"""Names of runs and configurations as plain data."""

from __future__ import annotations

import argparse
import dataclasses
import random
from pathlib import Path

import numpy as np

from tocsin.surroundings import environment, plain_config, run_name


@dataclasses.dataclass
class Settings:
    lr: object = "5e-5"
    where: Path = Path("data")
    inner: object = None


def test_names_leave_the_users_random_state_alone() -> None:
    random.seed(0)
    before = random.getstate()
    name = run_name("constellation")
    assert name.startswith("constellation-")
    assert len(name.split("-")) == 4
    assert len(run_name().split("-")) == 3
    assert random.getstate() == before


def test_configurations_become_plain_data_with_their_types_kept() -> None:
    inner = argparse.Namespace(steps=np.int64(3), betas=(0.9, 0.999), hook=print)
    assert plain_config(Settings(inner=inner)) == {
        "lr": "5e-5",
        "where": "data",
        "inner": {"steps": 3, "betas": [0.9, 0.999], "hook": "<builtin_function_or_method>"},
    }
    assert plain_config(None) == {}
    assert plain_config([1, 2]) == {"config": [1, 2]}


def test_configurations_that_contain_themselves_or_never_end_are_cut() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert "..." in str(plain_config(loop))
    wide = plain_config({str(k): k for k in range(20_000)})
    assert wide["19999"] == "..."


def test_the_environment_is_plain_and_names_versions() -> None:
    facts = environment(model="Net")
    assert {"tocsin", "torch", "python", "model", "torch_seed"} <= set(facts)
    assert not any(str(Path.home()) in str(v) for v in facts.values())
