"""What common programs write by default is no fault: CFG001, CFG002 and CFG003 have nothing to say about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tocsin
from corpus.default_configs import DEFAULT_CONFIGS, LOGGED
from tocsin.findings import Finding
from tocsin.rules.config.declared_not_applied import declared_not_applied
from tocsin.rules.config.impossible_hyperparameter import impossible_hyperparameter
from tocsin.rules.config.number_as_string import number_as_string
from tocsin.run import Run, Series

RULES = (number_as_string, impossible_hyperparameter, declared_not_applied)


def run_of(name: str) -> Run:
    steps = np.arange(1, 31) * 1000
    series = {"train/loss": Series.of("train/loss", 2 + 1 / np.arange(1, 31), step=steps)}
    if name in LOGGED:
        rate = LOGGED[name]
        series["lr/0"] = Series.of("lr/0", rate, step=np.arange(1, rate.size + 1) * 1000)
    return Run.of(name, series=series, config=DEFAULT_CONFIGS[name], source="csv")


def ring(run: Run) -> list[str]:
    return [f"{r.code} {f.message}" for r in RULES for f in r.check(run) if isinstance(f, Finding)]


@pytest.mark.parametrize("name", DEFAULT_CONFIGS)
def test_defaults_are_silent(name):
    assert ring(run_of(name)) == []
    assert ring(replace(run_of(name), series={})) == []


@pytest.mark.parametrize(
    "name", sorted(set(LOGGED) - {"ultralytics", "nemo", "speechbrain", "timm", "latent-diffusion"})
)
def test_another_rate_than_the_default_still_rings(name):
    run = run_of(name)
    other = replace(run.series["lr/0"], value=run.series["lr/0"].value * 300)
    assert "CFG003" in {said[:6] for said in ring(replace(run, series={**run.series, "lr/0": other}))}


def test_numbers_as_the_newer_writer_of_wandb_spells_them(tmp_path: Path):
    settings = {"lr": "5e-07", "adam_epsilon": "1e-08", "wd": "1e-05", "max_grad_norm": "1", "warmup_steps": '"3e2"'}
    lines = ["_wandb:", "    value:", "        cli_version: 0.18.5"]
    lines += [line for key, value in settings.items() for line in (f"{key}:", f"    value: {value}")]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    (tmp_path / "wandb-summary.json").write_text('{"_step": 9, "_runtime": 5, "_timestamp": 1.0, "train/loss": 0.5}')
    (run,) = tocsin.read(tmp_path)
    assert run.config["lr"] == 5e-07
    assert [f.subject for f in number_as_string.check(run) if isinstance(f, Finding)] == ["warmup_steps"], "quoted"
