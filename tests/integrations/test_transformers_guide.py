"""The guide to the Trainer: its demo runs and prints what is shown, its code runs as it stands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
import transformers

import tocsin
from integrations.small_trainers import Classifier, samples
from loops import batches, small_model

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/guides/transformers.md").read_text(encoding="utf-8")
SCHEDULE, TORN, CLOCK = r"'(learning_rate|epoch)': '[^']*'", r"(;.*| …)$", r"'train_\w+': '[^']*'"


def shape(line: str) -> str:
    """A line without what another machine or hour changes: digits of measured numbers, folders, times."""
    line = re.sub(TORN, "", line)
    line = re.sub(r"'(loss|grad_norm)': '(?!nan|0')[^']*'", r"'\1': '#'", re.sub(CLOCK, "", line))
    return re.sub(r" \(the last finite value is .*\)", "", line)


@pytest.fixture
def example() -> Any:
    spec = importlib.util.spec_from_file_location("hidden_nan", ROOT / "examples/transformers_hidden_nan.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def test_the_demo_prints_what_the_guide_shows(example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(tmp_path)
    said = [shape(line) for line in capsys.readouterr().out.splitlines()]
    (block,) = re.findall(r"^```text\n\$ python [^\n]*\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    block, _, status = block.partition("$ echo $?\n")
    assert status == "0\n", "the script ends by itself, as it did here"
    shown = [shape(line) for line in block.splitlines() if line not in ("…", "")]
    assert [line for line in said if line in set(shown)] == shown
    kept = tocsin.check(ROOT / "examples/hidden_nan")
    assert [f.code for f in kept.roots] == ["AMP004"]
    assert tocsin.check(tmp_path / "trainer_state.json").roots[0].step == kept.roots[0].step


def test_the_demo_is_healthy_without_the_empty_text(example: Any, tmp_path: Path, monkeypatch: Any) -> None:
    mended = [{**t, "attention_mask": torch.ones_like(t["attention_mask"])} for t in example.texts()]
    monkeypatch.setattr(example, "texts", lambda: mended)
    example.main(tmp_path)
    assert not tocsin.check(tmp_path / "tocsin").failed
    assert not tocsin.check(tmp_path / "trainer_state.json").failed


def test_the_code_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer, loop = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    args = transformers.TrainingArguments(output_dir="out", report_to=[], use_cpu=True, max_steps=4, disable_tqdm=True)
    args.dataloader_pin_memory = False
    exec(trainer, {"model": Classifier(), "args": args, "data": samples()})  # noqa: S102
    assert tocsin.read("out/tocsin")[0].last_step == 4
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    net = small_model()
    space = {
        "accelerator": accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2),
        "model": net,
        "optimizer": torch.optim.SGD(net.parameters(), 0.1),
        "loader": torch.utils.data.DataLoader(batches(8), batch_size=None),
        "criterion": torch.nn.CrossEntropyLoss(),
    }
    exec(loop, space)  # noqa: S102
    (run,) = tocsin.read("runs/accelerated")
    assert (run.last_step, run.series["count/optimizer"].value[-1]) == (8, 4)
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
