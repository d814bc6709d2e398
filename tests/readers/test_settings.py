"""Files of configuration: plain data, whatever they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.readers.errors import ReadError
from tocsin.readers.settings import filled, read_settings, settings_of
from tocsin.readers.surveying import SETTINGS


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("args.yaml", "lr: 1e-4\nwhen: 2024-01-02\n3: x\n", {"lr": "1e-4", "when": "2024-01-02", "3": "x"}),
        ("hparams.yaml", "a: !!python/tuple [1]\nb: !!python/object:my.Thing {c: 3}\n", {"a": [1], "b": {"c": 3}}),
        ("params.json", '{"lr": 0.1, "nan": NaN}', None),
        ("config.toml", "[optimizer]\nlr = 0.1\n", {"optimizer": {"lr": 0.1}}),
        ("config.yaml", "wandb_version: 1\nlr:\n  desc: null\n  value: 3\n", {"lr": 3}),
        ("args.json", "\ufeff{}", {}),
    ],
)  # fmt: skip
def test_forms(tmp_path: Path, name: str, text: str, told: dict | None):
    (tmp_path / name).write_text(text, encoding="utf-8")
    read = read_settings(tmp_path / name)
    assert told is None or read == told
    assert SETTINGS.fullmatch(name)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("args.yaml", "- 1\n", "expected a mapping of settings, got list"),
        ("args.yaml", "a: [1", "malformed"),
        ("args.yaml", "a: !!python/object/apply:os.system ['true']\nb: !other 1\n", "malformed"),
        ("args.yaml", "x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"x{k}: &x{k} [{','.join([f'*x{k - 1}'] * 10)}]\n" for k in range(1, 12)), "more than 10000 values"),
        ("args.yaml", "when: 2024-13-45\n", "malformed"),
        ("args.json", "[" * 100_000, "nested too deeply"),
        ("args.json", "{", "malformed"),
        ("config.toml", "a = ", "malformed"),
        ("args.json", "x" * 1_000_001, "up to 1000000 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_said(tmp_path: Path, name: str, text: str, said: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(ReadError, match=said):
        read_settings(tmp_path / name)


def test_nested_mappings_are_joined_and_the_first_word_counts():
    assert filled({"a": {"b": 1}, "c": 2}, {"a": {"b": 9, "d": 3}, "c": {"e": 4}, "f": 5}) == {
        "a": {"b": 1, "d": 3}, "c": 2, "f": 5,
    }  # fmt: skip


def test_what_was_given_to_the_run_comes_before_its_models_config(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"lr": 1, "hidden": 8}')
    (tmp_path / "training_args.json").write_text('{"lr": 2}')
    (tmp_path / "hyp.yaml").write_text("a: [")
    config, unread = settings_of([tmp_path / "config.json", tmp_path / "hyp.yaml", tmp_path / "training_args.json"])
    assert config == {"lr": 2, "hidden": 8}
    assert len(unread) == 1
