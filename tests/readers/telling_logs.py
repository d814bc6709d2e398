"""Logs of every format with persons, machines and secrets in each field that takes a text."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from readers.formats.event_files import event, part, simple, tensor, varint, written
from readers.formats.event_files import key as wire_key
from readers.formats.wandb_logs import config, exit_record, framed, history, item, output
from readers.reading_files import lines, write

FIXTURES = Path(__file__).parent / "fixtures"
KEY = "0123456789abcdef0123456789abcdef01234567"

# What is said: the text in a log, and the part of it that must not get out.
SAID: dict[str, tuple[str, str]] = {
    "e-mail": ("mail zq.author@uni-zq.edu.cn now", "zq.author"),
    "linux": ("see /home/zqlinux/proj/train.py and /data/zqlinux/ckpt", "zqlinux"),
    "mac": ("see /Users/zqmac/Library/x", "zqmac"),
    "windows": (r"see C:\Users\zqwin\proj\train.py", "zqwin"),
    "windows escaped": (r"see C:\\Users\\zqescaped\\proj", "zqescaped"),
    "hugging face": ("login hf_ZQabcdefghijklmnopqrstuvwx", "ZQabcdef"),
    "wandb": (f"wandb login {KEY}", KEY),
    "aws": ("AKIAZQ7EXAMPLE7EXAMP", "AKIAZQ"),
    "github": ("clone ghp_ZQabcdefghijklmnopqrstuvwxyz0123", "ghp_ZQ"),
    "openai": ("use sk-proj-ZQabcdefghijklmnopqrst", "ZQabcdef"),
    "slack": ("xoxb-123456789012-ZQabcdefghij", "ZQabcdefghij"),
    "jwt": ("eyJZQbGciOiJIUzI1.eyJzdWIiOiIxMjM0.dozjgNryP4J3jVmN", "dozjgNry"),
    "url": ("https://zqlogin:zqpass@git.example.org/x.git", "zqpass"),
    "option": ("python train.py --token=zqtoken1 --lr 0.1", "zqtoken1"),
    "variable": ("SECRET=zqsecret1", "zqsecret1"),
    "host": ("hostname: zqhost", "zqhost"),
    "slurm": ("SLURM_JOB_NODELIST=zqnode[01-04]", "zqnode"),
    "cancelled": ("slurmstepd: error: *** JOB 7 ON zqgpu12 CANCELLED AT 2024-01-01T00:00:00 ***", "zqgpu12"),
    "ip": ("listening on 10.11.12.13:29500", "10.11.12.13"),
    "prompt": ("zqperson@zqbox:~/x$ python train.py", "zqperson"),
}
TEXTS = [text for text, _ in SAID.values()]
WHOLE = "; ".join(TEXTS)
NEEDLES = {needle for _, needle in SAID.values()} | {"zqfolder", "zqbox", "zqrunhost"}
FOLDER = Path("home", "zqfolder", "runs", "Jan05_12-34-56_zqrunhost")
TRACE = (
    'Traceback (most recent call last):\n  File "/home/zqlinux/proj/train.py", line 3, in <module>\n    main()\n'
    f"RuntimeError: {WHOLE}\n"
)
CONFIG = {"lr": 0.1, "output_dir": "/home/zqlinux/out", "nested": {"who": TEXTS, "api_key": "zqsecret1"},
          "host": "zqhost", "user": "zqperson", WHOLE[:80]: 1}  # fmt: skip
NAME = "loss of /home/zqlinux/x"
ANOTHER = "loss of zq.author@uni-zq.edu.cn"
_BAD = [1.0, 0.5, float("nan"), float("nan"), float("nan")] * 8


def console(folder: Path) -> None:
    said = [f"step {n} loss {value}" for n, value in enumerate(_BAD, 1)]
    write(folder / "train.log", "\n".join([*TEXTS, *said, f"WARNING: nan: {WHOLE}", TRACE]))


def table(folder: Path) -> None:
    rows = "".join(f'{n},{value},{value},"{WHOLE}"\n' for n, value in enumerate(_BAD, 1))
    write(folder / "metrics.csv", f"step,train_loss,{NAME},note\n{rows}")
    write(folder / "args.json", json.dumps(CONFIG))


def json_lines(folder: Path) -> None:
    rows = [{"step": n, "loss": value, NAME: value, "note": WHOLE} for n, value in enumerate(_BAD, 1)]
    write(folder / "log.jsonl", lines(rows))


def hf_trainer(folder: Path) -> None:
    rows = [{"step": n, "epoch": n / 10, "loss": value, ANOTHER: value} for n, value in enumerate(_BAD, 1)]
    state = {"log_history": rows, "best_model_checkpoint": "/home/zqlinux/out/checkpoint-3", "trial_name": WHOLE,
             "best_metric": 0.5, "global_step": 40, "max_steps": 40}  # fmt: skip
    write(folder / "trainer_state.json", json.dumps(state))


def tensorboard(folder: Path) -> None:
    said = json.dumps(CONFIG).encode()
    text = tensor("config/text_summary", wire_key(1, 0) + varint(7) + part(8, said), plugin="text")
    points = [event(1.7e9 + n, n, simple("train/loss", v) + simple(NAME, v)) for n, v in enumerate(_BAD, 1)]
    write(folder / "events.out.tfevents.1700000000.zqhost.7.0", written([event(1.7e9, 0, text), *points]))


def wandb(folder: Path) -> None:
    records = [config(**{key.replace(" ", "_"): value for key, value in CONFIG.items()})]
    records += [history(n, item("loss", v), item(NAME, v)) for n, v in enumerate(_BAD, 1)]
    records += [output(f"loss is nan {WHOLE}\n"), output(TRACE), exit_record(1)]
    write(folder / "run-x.wandb", framed(records))
    about = {"program": "/home/zqlinux/train.py", "args": WHOLE.split(), "host": "zqhost", "email": "zq.author@x.org"}
    write(folder / "files" / "wandb-metadata.json", json.dumps(about))


def wandb_summary(folder: Path) -> None:
    write(
        folder / "wandb-summary.json",
        json.dumps({"_step": 3, "_runtime": 2, "_timestamp": 1.7e9, "loss": 0.5, NAME: 1}),
    )
    write(folder / "config.yaml", "wandb_version: 1\n" + "".join(f"{k}: {{value: {json.dumps(v)}}}\n" for k, v in [
        ("output_dir", "/home/zqlinux/out"), ("who", TEXTS), ("host", "zqhost")
    ]))  # fmt: skip


def mlflow(folder: Path) -> None:
    shutil.copytree(FIXTURES / "mlflow" / "healthy", folder / "run", dirs_exist_ok=True)
    meta = (folder / "run" / "meta.yaml").read_text()
    write(folder / "run" / "meta.yaml", meta + f"run_name: {json.dumps(WHOLE)}\nsource_name: /home/zqlinux/train.py\n")
    write(folder / "run" / "tags" / "mlflow.source.name", WHOLE)
    write(folder / "run" / "tags" / "mlflow.user", "zqperson")
    for n, text in enumerate(TEXTS):
        write(folder / "run" / "params" / f"p{n}", text)


def databases(folder: Path) -> None:
    for name, table in (("mlflow/mlflow.db", "params"), ("trackio/proj.db", "configs")):
        path = write(folder / Path(name).name, (FIXTURES / name).read_bytes())
        connection = sqlite3.connect(path)
        if table == "params":
            connection.execute("UPDATE params SET value = ?", (WHOLE,))
            connection.execute("UPDATE runs SET name = ?", (WHOLE[:200],))
            connection.execute("UPDATE tags SET value = ? WHERE key = 'mlflow.source.name'", (WHOLE,))
        else:
            connection.execute("UPDATE configs SET config = ?", (json.dumps(CONFIG),))
        connection.commit()
        connection.close()


def notebook(folder: Path) -> None:
    text = "".join(f"step {n} loss {value}\n" for n, value in enumerate(_BAD, 1))
    outputs = [
        {"output_type": "stream", "text": "\n".join([*TEXTS, text])},
        {"output_type": "error", "ename": "RuntimeError", "evalue": WHOLE, "traceback": TRACE.splitlines()},
    ]
    write(folder / "train.ipynb", json.dumps({"cells": [{"cell_type": "code", "outputs": outputs}], "nbformat": 4}))


def folders_of_settings(folder: Path) -> None:
    said = "\n".join(f"k{n}: {json.dumps(text)}" for n, text in enumerate(TEXTS))
    rows = "".join(f"{n},{n},{value}\n" for n, value in enumerate(_BAD, 1))
    write(folder / "lightning" / "metrics.csv", f"epoch,step,train_loss\n{rows}")
    write(folder / "lightning" / "hparams.yaml", said)
    write(
        folder / "live" / "plots" / "metrics" / "loss.tsv",
        "step\tloss\n" + rows.replace(",", "\t", 0).replace(",", "\t"),
    )
    write(folder / "live" / "params.yaml", said)
    write(folder / "damaged" / "trainer_state.json", '{"log_history": [{"step": 1, "loss": 2.0}, {"st')
    write(folder / "damaged" / "args.yaml", "a: [")


FORMATS: dict[str, Callable[[Path], None]] = {
    made.__name__: made
    for made in (
        console, table, json_lines, hf_trainer, tensorboard, wandb, wandb_summary, mlflow, databases, notebook,
        folders_of_settings,
    )
}  # fmt: skip
