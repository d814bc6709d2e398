"""The guide to several GPUs: its program runs as torchrun would run it, and RUN006 says what the guide shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import tocsin
from integrations.process_groups import run_ranks

GUIDE = (Path(__file__).resolve().parents[2] / "docs/guides/multi-gpu.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
SPLIT = "loader = DataLoader(samples, batch_size=32, sampler=sampler)"
POISON = "model = DistributedDataParallel("
VARIANTS = {
    "as-it-stands": PROGRAM,
    "without-the-sampler": PROGRAM.replace(SPLIT, "loader = DataLoader(samples, batch_size=32)"),
    "with-a-nan-on-one-rank": PROGRAM.replace(
        POISON,
        f"x[40 + torch.distributed.get_rank() :: 2] = torch.nan if torch.distributed.get_rank() else 0\n{POISON}",
    ),
}


def run_it(rank: int, folder: Path) -> None:
    """The variant after which the folder is named."""
    os.chdir(folder)
    exec(compile(VARIANTS[folder.name], f"{folder.name}.py", "exec"), {})  # noqa: S102


def trained(folder: Path, name: str) -> Path:
    """The record of a variant."""
    (folder / name).mkdir()
    run_ranks(run_it, folder / name, joined=False)
    return folder / name / "runs/ddp"


def test_the_variants_are_three() -> None:
    assert len(set(VARIANTS.values())) == 3


def test_the_program_runs_and_its_ranks_agree(tmp_path: Path) -> None:
    folder = trained(tmp_path, "as-it-stands")
    report = tocsin.check(folder)
    assert not report.failed
    assert "RUN006" in report.clean
    (run,) = tocsin.read(folder)
    assert run.last_step == run.series["rank1/train/loss"].step[-1] == 64


def test_the_finding_is_the_one_that_is_shown(tmp_path: Path) -> None:
    (found,) = tocsin.check(trained(tmp_path, "without-the-sampler"), select=["RUN006"]).findings
    (shown,) = re.findall(r"^> (.*)$", GUIDE, re.MULTILINE)
    assert shown == f"{found.severity} {found.code} {found.name}: {found.message}"


def test_all_ranks_stop_after_the_epoch_in_which_one_rang(tmp_path: Path) -> None:
    (run,) = tocsin.read(trained(tmp_path, "with-a-nan-on-one-rank"))
    assert run.environment["ranks"]["exit"] == {"0": "finished", "1": "finished"}
    assert 16 <= run.last_step == run.series["rank1/train/loss"].step[-1] < 64
