"""Folders as people have them: which runs are found, what is joined and what stays apart, what is no log."""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

import tocsin
from readers.formats.event_files import event, simple, written
from readers.formats.wandb_logs import config, exit_record, framed, history, item
from readers.no_logs import NO_LOGS
from readers.reading_files import write
from tocsin.run import Run

STEPS = 40


def curve(seed: int, n: int = STEPS) -> list[float]:
    rng = random.Random(seed)
    return [round(2 / (1 + k / 8) + rng.gauss(0, 0.02), 4) for k in range(n)]


def table(*columns: tuple[str, Iterable[object]]) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(name for name, _ in columns)
    rows.writerows(zip(*(values for _, values in columns), strict=True))
    return out.getvalue()


def events(tag: str, values: list[float], every: int = 1) -> bytes:
    return written(event(1.7e9 + k, k * every, simple(tag, value)) for k, value in enumerate(values, 1))


def console(values: list[float], name: str = "loss") -> str:
    return "".join(
        f"[2024-01-01 10:{k // 60:02d}:{k % 60:02d}] step {k} {name}: {v}\n" for k, v in enumerate(values, 1)
    )


def trainer_state(values: list[float], upto: int) -> str:
    rows = [{"step": k, "epoch": k / 10, "loss": v, "learning_rate": 1e-4} for k, v in enumerate(values[:upto], 1)]
    return json.dumps({"log_history": rows, "global_step": upto, "max_steps": STEPS, "best_metric": None})


def source_and_data(top: Path) -> None:
    """What surrounds logs in a project and is none."""
    for name, content in NO_LOGS.items():
        write(top / "misc" / name, content)
    rng = random.Random(0)
    for k in range(30):
        write(top / "src" / "model" / f"layer_{k}.py", "def loss(step):\n    return step  # loss: 0.5\n")
        write(top / "data" / "images" / f"{k}.png", b"\x89PNG\r\n\x1a\n" + rng.randbytes(300))
        write(top / ".git" / "objects" / f"{k:02x}" / ("a" * 38), rng.randbytes(100))
        write(top / "node_modules" / f"p{k}" / "metrics.csv", table(("step", range(9)), ("train_loss", curve(k, 9))))
        write(top / "data" / "clips" / f"{k}.txt", f"a sentence about step {k} and its loss\n")
    write(top / ".git" / "logs" / "HEAD", "0000 1111 A <a@b.org> 1700000000 +0000\tcommit: loss 0.5 at step 3\n")
    write(top / "venv" / "pyvenv.cfg", "home = /usr/bin\n")
    write(top / "venv" / "lib" / "train.log", console(curve(1)))
    write(
        top / "data" / "train.csv",
        table(("id", range(500)), ("age", (k % 90 for k in range(500))), ("target", (k % 2 for k in range(500)))),
    )
    write(
        top / "data" / "prices.csv",
        table(
            ("date", (f"2020-01-{1 + k % 28:02d}" for k in range(300))), ("close", (rng.random() for _ in range(300)))
        ),
    )
    write(
        top / "data" / "sensors.csv", table(("time", range(300)), *((f"x{k}", [rng.random()] * 300) for k in range(6)))
    )
    write(top / "data" / "labels.tsv", "id\tlabel\n" + "".join(f"{k}\t{k % 7}\n" for k in range(200)))
    write(
        top / "data" / "qa.jsonl",
        "".join(json.dumps({"question": f"q{k}", "answer": k, "score": 0.5}) + "\n" for k in range(200)),
    )
    write(top / "requirements.txt", "torch==2.1.0\nnumpy>=1.24\n")
    write(top / "checkpoints" / "epoch_3.pt", rng.randbytes(4000))
    write(top / "README.md", "# training\nepoch 1 loss 0.5\n")


def read(top: Path) -> list[Run]:
    return tocsin.read(top)


def told(runs: Iterable[Run]) -> dict[str, str]:
    """Source by name."""
    return {run.name: run.source for run in runs}


def test_a_project_without_logs_has_none(tmp_path: Path):
    source_and_data(tmp_path)
    begun = time.process_time()
    with pytest.raises(tocsin.ReadError, match="no run found among"):
        read(tmp_path)
    assert time.process_time() - begun < 3


def test_lightning_versions_are_siblings_and_their_files_twins(tmp_path: Path):
    source_and_data(tmp_path)
    for version in range(3):
        folder, values = tmp_path / "lightning_logs" / f"version_{version}", curve(version)
        write(
            folder / "metrics.csv",
            table(("epoch", [k // 10 for k in range(STEPS)]), ("step", range(1, STEPS + 1)), ("train_loss", values)),
        )
        write(folder / "events.out.tfevents.1700000000.host.1.0", events("train_loss", values))
        write(folder / "hparams.yaml", f"lr: {10.0**-version}\n")
    runs = read(tmp_path)
    assert [run.name for run in runs] == [f"lightning_logs/version_{v}" for v in range(3)]
    assert [run.config["lr"] for run in runs] == [1.0, 0.1, 0.01]
    assert {len(run.series["train/loss"]) for run in runs} == {STEPS}
    assert all(run.source.startswith("tensorboard + ") for run in runs)


def test_ultralytics_folders(tmp_path: Path):
    for k, name in enumerate(("exp", "exp2", "exp3")):
        folder = tmp_path / "runs" / "detect" / name
        columns = ["epoch", "train/box_loss", "metrics/mAP50(B)", "val/box_loss", "lr/pg0"]
        write(
            folder / "results.csv",
            table(*((c, range(1, 31) if c == "epoch" else curve(k + n, 30)) for n, c in enumerate(columns))),
        )
        write(folder / "args.yaml", f"task: detect\nlr0: {0.01 * (k + 1)}\nepochs: 30\n")
        write(folder / "events.out.tfevents.1700000000.host.1.0", events("train/box_loss", curve(k + 1, 30)))
        write(folder / "weights" / "best.pt", b"PK\x03\x04" + bytes(100))
        write(folder / "labels.jpg", b"\xff\xd8\xff\xe0" + bytes(50))
    runs = read(tmp_path / "runs")
    assert [run.name for run in runs] == ["detect/exp", "detect/exp2", "detect/exp3"]
    assert [run.config["lr0"] for run in runs] == [0.01, 0.02, 0.03]


def test_hydra_multirun(tmp_path: Path):
    top = tmp_path / "multirun" / "2024-01-01" / "10-00-00"
    for k in range(4):
        write(top / str(k) / ".hydra" / "config.yaml", f"lr: {0.1 / (k + 1)}\nmodel:\n  depth: {k}\n")
        write(top / str(k) / ".hydra" / "overrides.yaml", f"- lr={0.1 / (k + 1)}\n")
        write(top / str(k) / ".hydra" / "hydra.yaml", "hydra:\n  job: {num: 1}\n")
        write(top / str(k) / "train.log", console(curve(k)))
    write(top / "multirun.yaml", "hydra:\n  launcher: basic\n")
    runs = read(tmp_path)
    assert len(runs) == 4
    assert [run.config["model"]["depth"] for run in runs] == [0, 1, 2, 3]
    assert all(len(run.series["train/loss"]) == STEPS for run in runs)


def test_hydra_outputs_of_two_days(tmp_path: Path):
    for day in ("2024-01-01", "2024-01-02"):
        for hour in ("10-00-00", "12-30-00"):
            folder = tmp_path / "outputs" / day / hour
            write(folder / ".hydra" / "config.yaml", "lr: 0.1\n")
            write(folder / "main.log", console(curve(int(day[-1]) + int(hour[:2]))))
    assert len(read(tmp_path)) == 4


def test_a_transformers_output_folder_is_one_run(tmp_path: Path):
    values = curve(3)
    folder = tmp_path / "out"
    for step in (10, 20, 30):
        write(folder / f"checkpoint-{step}" / "trainer_state.json", trainer_state(values, step))
        write(folder / f"checkpoint-{step}" / "config.json", '{"hidden_size": 768, "model_type": "bert"}')
        write(folder / f"checkpoint-{step}" / "model.safetensors", bytes(100))
    write(folder / "trainer_state.json", trainer_state(values, STEPS))
    write(folder / "train_results.json", '{"epoch": 4.0, "train_loss": 0.5, "train_runtime": 12.0}')
    write(folder / "all_results.json", '{"epoch": 4.0, "train_loss": 0.5, "eval_loss": 0.6}')
    write(folder / "tokenizer.json", '{"version": "1.0", "model": {"vocab": {"a": 1}}}')
    write(
        folder / "runs" / "Jan05_10-00-00_host" / "events.out.tfevents.1704448800.host.1.0",
        events("train/loss", values),
    )
    (run,) = read(tmp_path)
    assert len(run.series["train/loss"]) == STEPS
    assert run.last_step == STEPS


def test_two_transformers_runs_beside_each_other(tmp_path: Path):
    for k, name in enumerate(("bert-a", "bert-b")):
        for step in (20, STEPS):
            write(
                tmp_path / "models" / name / f"checkpoint-{step}" / "trainer_state.json", trainer_state(curve(k), step)
            )
    runs = read(tmp_path)
    assert [run.name for run in runs] == ["bert-a", "bert-b"] or len(runs) == 2
    assert {run.last_step for run in runs} == {STEPS}


def test_wandb_folders(tmp_path: Path):
    for k in range(3):
        folder = tmp_path / "wandb" / f"run-2024010{k + 1}_100000-abc{k}"
        records = [
            config(lr=0.1 * (k + 1)),
            *(history(n, item("train/loss", v)) for n, v in enumerate(curve(k))),
            exit_record(0),
        ]
        write(folder / f"run-abc{k}.wandb", framed(records))
        write(folder / "files" / "wandb-summary.json", '{"_step": 39, "_runtime": 9, "train/loss": 0.3}')
        write(folder / "files" / "config.yaml", f"wandb_version: 1\nlr:\n  value: {0.1 * (k + 1)}\n")
        write(folder / "files" / "output.log", console(curve(k)))
        write(
            folder / "logs" / "debug.log",
            "2024-01-01 10:00:00,000 INFO MainThread:1 [wandb_setup.py:_flush():76] Loading\n" * 9,
        )
    (tmp_path / "wandb" / "latest-run").symlink_to(tmp_path / "wandb" / "run-20240103_100000-abc2")
    runs = read(tmp_path)
    assert len(runs) == 3
    assert {run.exit for run in runs} == {"finished"}
    assert [len(run.series["train/loss"]) for run in runs] == [STEPS] * 3


def test_mlflow_store(tmp_path: Path):
    for k in range(2):
        run = tmp_path / "mlruns" / "1" / f"{k:032x}"
        write(
            run / "meta.yaml",
            f"artifact_uri: file:///x\nlifecycle_stage: active\nrun_id: {k:032x}\nrun_name: fast-fox-{k}\nstatus: 3\n",
        )
        write(run / "metrics" / "train_loss", "".join(f"{1700000000000 + n} {v} {n}\n" for n, v in enumerate(curve(k))))
        write(run / "params" / "lr", "0.1")
        write(run / "artifacts" / "model" / "MLmodel", "flavors:\n  python_function: {}\n")
        write(run / "artifacts" / "table.csv", table(("id", range(50)), ("value", range(50))))
    write(tmp_path / "mlruns" / "1" / "meta.yaml", "artifact_location: x\nexperiment_id: '1'\nname: e\n")
    runs = read(tmp_path)
    assert len(runs) == 2
    assert all("fast-fox" in run.name for run in runs)


def test_logs_of_slurm_beside_each_other(tmp_path: Path):
    for job in (101, 102, 103):
        write(tmp_path / "logs" / f"slurm-{job}.out", console(curve(job)))
        write(
            tmp_path / "logs" / f"slurm-{job}.err",
            f"slurmstepd: error: *** JOB {job} ON n1 CANCELLED AT 2024-01-01T00:00:00 DUE TO TIME LIMIT ***\n",
        )
    runs = read(tmp_path)
    assert len(runs) == 3
    assert {run.exit for run in runs} == {"killed"}


def test_seeds_side_by_side_in_one_folder(tmp_path: Path):
    for seed in range(5):
        write(
            tmp_path / "results" / f"seed_{seed}.csv", table(("step", range(1, STEPS + 1)), ("train_loss", curve(seed)))
        )
    assert len(read(tmp_path)) == 5


def test_splits_of_one_run_in_folders_of_their_own(tmp_path: Path):
    for split in ("train", "validation"):
        write(
            tmp_path / "logs" / "fit" / split / "events.out.tfevents.1700000000.host.1.0",
            events("epoch_loss", curve(len(split), 20)),
        )
    (run,) = read(tmp_path)
    assert {"train/loss", "val/loss"} <= set(run.series)


def everything(top: Path) -> int:
    """One project with runs of all kinds; returns how many."""
    source_and_data(top)
    for k in range(4):
        write(top / "multirun" / "2024-01-01" / "10-00-00" / str(k) / ".hydra" / "config.yaml", f"lr: {k + 1}\n")
        write(top / "multirun" / "2024-01-01" / "10-00-00" / str(k) / "train.log", console(curve(k)))
        write(
            top / "lightning_logs" / f"version_{k}" / "metrics.csv",
            table(("epoch", [0] * STEPS), ("step", range(1, STEPS + 1)), ("train_loss", curve(k + 10))),
        )
        write(top / "runs" / f"exp{k}" / "events.out.tfevents.1700000000.host.1.0", events("train/loss", curve(k + 20)))
        write(top / "hf" / f"m{k}" / "checkpoint-40" / "trainer_state.json", trainer_state(curve(k + 30), STEPS))
    write(top / "notebooks" / "look.ipynb", NO_LOGS["empty.ipynb"])
    write(top / "slurm-7.out", console(curve(77)))
    return 17


def test_a_project_of_everything(tmp_path: Path, record_property):
    expected = everything(tmp_path)
    begun = time.process_time()
    runs = read(tmp_path)
    took = time.process_time() - begun
    files = sum(1 for path in tmp_path.rglob("*") if path.is_file())
    record_property("figure", f"a project of {len(runs)} runs among {files} files: {took:.2f} s CPU")
    assert len(runs) == expected, sorted(told(runs))
    assert len({run.name for run in runs}) == expected
    assert took < 6
    assert all(len(run.series["train/loss"]) == STEPS for run in runs)


def test_where_one_stands_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same runs from the project, from outside, by a relative path and through a link."""
    everything(tmp_path / "project")
    (tmp_path / "link").symlink_to(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    sizes = {
        len(read(path)) for path in (Path(), tmp_path, tmp_path / "project", tmp_path / "link", Path("../project"))
    }
    assert sizes == {17}
