"""The table of names."""

from __future__ import annotations

import re

import pytest

from tocsin import names


def test_names_are_unique_and_well_formed():
    listed = [row.name for row in names.NAMES]
    assert len(listed) == len(set(listed))
    for name in listed:
        assert re.fullmatch(r"[a-z_0-9]+(/[a-z_0-9]+)*(/<[a-z]+>)?", name), name


def test_an_alias_means_one_thing():
    aliases = [alias for row in names.NAMES for alias in row.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & {row.name for row in names.NAMES}


def test_every_meaning_is_a_sentence():
    for row in names.NAMES:
        assert row.meaning.endswith("."), row.name


@pytest.mark.parametrize(
    ("series", "row"),
    [
        ("train/loss", "train/loss"),
        ("train/loss/snr", "train/loss/<term>"),
        ("grad/norm/encoder.0.weight", "grad/norm/<tensor>"),
        ("lr/0", "lr/<group>"),
    ],
)
def test_spec_finds_the_most_particular_row(series, row):
    assert names.spec(series).name == row


@pytest.mark.parametrize("series", ["lr/", "lr", "val/f1_macro", "", "train"])
def test_spec_of_an_unknown_name_is_none(series):
    assert names.spec(series) is None


def test_canonical_is_a_real_series_name():
    assert names.canonical("eval_loss") == "val/loss"
    assert names.canonical("lr") == "lr/0"
    assert names.canonical("my_metric") == "my_metric"
    assert not any("<" in names.canonical(alias) for row in names.NAMES for alias in row.aliases)


@pytest.mark.parametrize(
    ("need", "text"),
    [
        ("grad/norm", "grad/norm (record it with tocsin.watch)"),
        ("train/loss/*", "train/loss/* (run.losses(total=..., term=...))"),
        ("evaluations:classes", "evaluations:classes (run.evaluate(split, target=, prediction=))"),
        ("config", "config (watch(..., config=))"),
        ("val/f1", "val/f1 (run.metrics({...}))"),
    ],
)
def test_a_need_says_how_to_meet_it(need, text):
    assert names.describe_need(need) == text


def test_a_need_with_a_choice_names_each_way_once():
    text = names.describe_need("grad/norm | grad/nonfinite | val/loss")
    assert text == "grad/norm or grad/nonfinite or val/loss (record it with tocsin.watch or run.metrics({...}))"
