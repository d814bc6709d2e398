"""Generic tables: what is a log and what is not, how it is written, what counts its rows."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

from readers.reading_files import knows, points, run, runs, write
from tocsin.readers.formats.table import READER

PLAIN = "step,train_loss,val_loss\n1,3.5,3.6\n2,3.25,nan\n3,inf,3.0\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", " "),
        PLAIN.replace(",", " | "),
        PLAIN.replace(",", ", "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\n\n"),
        PLAIN.replace("\n", ",\n"),
        "\ufeff" + PLAIN,
        "# run 7, started at noon\n" + PLAIN,
        "# " + PLAIN.replace(",", " "),
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"step","train_loss","val_loss"\n"1","3.5","3.6"\n"2","3.25","nan"\n"3","inf","3.0"\n',
        "  step   train loss   val loss\n  1    3.5   3.6\n  2   3.25   nan\n  3   inf   3.0\n",
        "| step | train loss | val loss |\n|---:|:--|---|\n| 1 | 3.5 | 3.6 |\n| 2 | 3.25 | nan |\n| 3 | inf | 3.0 |\n",
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace("step", "Step").replace("1,3.5", "1.0,3.5"),
        PLAIN.rstrip("\n"),
    ],
)
def test_one_table_in_many_hands(tmp_path: Path, text: str):
    found = run(READER, write(tmp_path / "t.csv", text))
    assert set(found.series) == {"train/loss", "val/loss"}
    assert points(found, "train/loss") == [(1, 3.5), (2, 3.25), (3, math.inf)]
    assert found.series["val/loss"].step.tolist() == [1, 2, 3]
    assert np.array_equal(found.series["val/loss"].value, [3.6, math.nan, 3.0], equal_nan=True)
    assert found.unread == ()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "gbk", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str):
    note = {"gbk": "备注", "latin-1": "événement"}.get(encoding, "note")
    text = f"step,train_loss,{note}\n1,3.5,\n2,3.25,\n"
    assert points(run(READER, write(tmp_path / "t.csv", text.encode(encoding))), "train/loss") == [(1, 3.5), (2, 3.25)]


def test_missing_is_not_nan(tmp_path: Path):
    text = "epoch,train_loss,val_loss,val_acc\n1,2.0,,NA\n2,nan,1.0,None\n3,1.5,NaN,50%\n"
    found = run(READER, write(tmp_path / "t.csv", text))
    assert [len(found.series[n]) for n in ("train/loss", "val/loss", "val/acc")] == [3, 2, 1]
    assert points(found, "val/acc") == [(3, 0.5)]


@pytest.mark.parametrize(
    "name",
    [
        "step",
        "steps",
        "Step",
        "global_step",
        "trainer/global_step",
        "_step",
        "iter",
        "Iteration",
        "num_updates",
        "batch",
        "current_steps",
        "timesteps",
        "total_timesteps",
        "generation",
        "round",
    ],
)
def test_spellings_of_steps(tmp_path: Path, name: str):
    found = run(READER, write(tmp_path / "t.csv", f"{name},loss\n10,3.5\n20,3.25\n30,3\n"))
    assert found.series["train/loss"].step.tolist() == [10, 20, 30]
    assert set(found.series) == {"train/loss"}


@pytest.mark.parametrize("name", ["epoch", "Epochs", "ep", "_epoch", "Epoch #", "current_epoch", "epoch_num"])
def test_spellings_of_epochs_and_a_count_from_0(tmp_path: Path, name: str):
    found = run(READER, write(tmp_path / "t.csv", f"{name},loss,lr\n0,3.5,1\n1,3.25,1\n2,3,1\n"))
    assert found.series["train/loss"].epoch.tolist() == [1, 2, 3]
    assert set(found.series) == {"train/loss", "lr/0"}


def test_fractions_of_epochs_are_kept(tmp_path: Path):
    found = run(READER, write(tmp_path / "t.csv", "epoch,step,loss\n0.25,10,3.5\n0.5,20,3.25\n"))
    assert found.series["train/loss"].epoch.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("name", "cells", "seconds"),
    [
        ("time", ("10.5", "22"), [10.5, 22]),
        ("Wall time", ("1654943296.5", "1654943298.5"), [0, 2]),
        ("timestamp", ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z"), [0, 60]),
        ("date", ("2024-01-01 00:00:00.5", "2024-01-01 00:00:02.5"), [0, 2]),
        ("elapsed_time", ("0:00:12", '"1 day, 0:00:01"'), [12, 86401]),
        ("epoch_time", ("30.0", "20.0"), [30, 50]),
    ],
)
def test_times(tmp_path: Path, name: str, cells: tuple[str, str], seconds: list[float]):
    found = run(READER, write(tmp_path / "t.csv", f"epoch,{name},loss\n1,{cells[0]},3\n2,{cells[1]},2\n"))
    assert found.series["train/loss"].time.tolist() == seconds
    assert set(found.series) == {"train/loss"}


def test_restarts_are_runs_of_their_own(tmp_path: Path):
    text = "epoch,train_loss\n1,3\n2,2\n3,1\n1,4\n2,3\nepoch,train_loss\n1,5\n2,4\n"
    found = runs(READER, write(tmp_path / "t.csv", text))
    assert [points(one, "train/loss") for one in found] == [
        [(1, 3), (2, 2), (3, 1)], [(1, 4), (2, 3)], [(1, 5), (2, 4)],
    ]  # fmt: skip


def test_a_run_that_goes_on_from_a_checkpoint_stays_one(tmp_path: Path):
    rows = [*range(100, 1100, 100), *range(700, 1500, 100)]
    found = run(READER, write(tmp_path / "t.csv", "step,loss\n" + "".join(f"{s},1.5\n" for s in rows)))
    assert len(found.series["train/loss"]) == len(rows)
    assert [(e.kind, e.step) for e in found.events] == [("resume", 700)]


def test_steps_that_start_again_with_each_epoch(tmp_path: Path):
    text = "epoch,batch,loss\n" + "".join(f"{e},{b},1.5\n" for e in range(1, 4) for b in range(10, 60, 10))
    found = run(READER, write(tmp_path / "t.csv", text))
    assert found.series["train/loss"].step.tolist() == list(range(10, 160, 10))
    assert found.environment["steps_per_epoch"] == 50


def test_runs_kept_apart_by_a_column(tmp_path: Path):
    text = "fold,epoch,train_loss\n" + "".join(f"{f},{e},{f + e}\n" for e in range(1, 4) for f in (1, 2))
    found = runs(READER, write(tmp_path / "t.csv", text))
    assert [(one.name, points(one, "train/loss")) for one in found] == [
        ("fold 1", [(1, 2), (2, 3), (3, 4)]), ("fold 2", [(1, 3), (2, 4), (3, 5)]),
    ]  # fmt: skip
    assert all(set(one.series) == {"train/loss"} for one in found)


def test_a_column_that_names_the_split(tmp_path: Path):
    text = "epoch,phase,loss,acc\n" + "".join(f"{e},{p},{e},0.5\n" for e in (1, 2) for p in ("TRAIN", "valid"))
    found = run(READER, write(tmp_path / "t.csv", text))
    assert set(found.series) == {"train/loss", "train/acc", "val/loss", "val/acc"}
    assert points(found, "val/loss") == [(1, 1), (2, 2)]


def test_a_long_table_of_names_and_values(tmp_path: Path):
    text = "step,metric,value\n" + "".join(f"{s},{m},{s}\n" for s in (1, 2) for m in ("train_loss", "val_acc"))
    found = run(READER, write(tmp_path / "t.csv", text))
    assert {n: points(found, n) for n in found.series} == {"train/loss": [(1, 1), (2, 2)], "val/acc": [(1, 1), (2, 2)]}


def test_history_of_pandas_with_its_index(tmp_path: Path):
    text = ",loss,accuracy,val_loss,val_accuracy\n0,2.0,0.5,2.1,0.4\n1,1.5,0.6,1.9,0.5\n"
    found = run(READER, write(tmp_path / "h.csv", text))
    assert set(found.series) == {"train/loss", "train/accuracy", "val/loss", "val/accuracy"}
    assert found.series["val/loss"].epoch.tolist() == [1, 2]


def test_duplicate_and_ragged_columns(tmp_path: Path):
    text = "step,loss,loss,lr\n1,3,4,0.1\n2,2\n3,1,2,0.1,9,9\n" + "".join(f"{step},1,2,0.1\n" for step in range(4, 20))
    found = run(READER, write(tmp_path / "t.csv", text))
    assert points(found, "train/loss") == [(1, 3), (2, 2), *((step, 1) for step in range(3, 20))]
    assert "1 rows have fewer cells than the header" in found.unread
    assert "1 rows have more cells than the header: those were left out" in found.unread
    assert sum(len(s) for s in found.series.values()) == 19 + 18 + 18


def test_a_torn_end_is_said(tmp_path: Path):
    found = run(READER, write(tmp_path / "t.csv", "step,train_loss,lr\n1,3,0.1\n2,2,0.1\n3,1,0.1\n4"))
    assert points(found, "train/loss") == [(1, 3), (2, 2), (3, 1)]
    assert any("torn" in sentence for sentence in found.unread)


def test_units_in_cells(tmp_path: Path):
    found = run(READER, write(tmp_path / "t.csv", "epoch,loss,val_acc,mem\n1,2.5,45%,3.5GB\n2,2.25,50 %,4 GB\n"))
    assert points(found, "val/acc") == [(1, 0.45), (2, 0.5)]
    assert points(found, "mem") == [(1, 3.5), (2, 4)]


def test_reinforcement_learning_counts_episodes(tmp_path: Path):
    text = "episode,steps,reward,epsilon\n1,30,-5,0.9\n2,12,4,0.8\n3,44,2,0.7\n"
    found = run(READER, write(tmp_path / "t.csv", text))
    assert points(found, "reward") == [(1, -5), (2, 4), (3, 2)]
    assert points(found, "steps") == [(1, 30), (2, 12), (3, 44)]


def test_lengths_of_episodes_do_not_count_the_rows(tmp_path: Path):
    lengths = np.random.default_rng(1).integers(35, 40, 200)
    rows = "".join(f"{i},{n},-9.5,0.25\n" for i, n in enumerate(lengths, 2001))
    found = run(READER, write(tmp_path / "t.csv", "episode,steps,reward,loss\n" + rows))
    assert found.series["train/loss"].step.tolist() == list(range(2001, 2201))
    assert found.series["steps"].value.tolist() == lengths.tolist()


NOT_LOGS = {
    "trials": "hidden_size,n_layers,batch_size,learning_rate,total_time\n100,1,100,0.01,13\n100,2,100,0.01,19\n",
    "results": "model,epochs,batch_size,accuracy,loss\na,10,32,0.9,0.1\nb,20,32,0.8,0.2\nc,30,64,0.7,0.3\n",
    "folds": "fold,epoch,val_loss\n1,12,0.5\n2,14,0.4\n3,20,0.45\n",
    "insurance": "id,cat1,cont1,loss\n1,A,0.3,2213\n2,B,0.4,1283\n5,A,0.4,3005\n",
    "predictions": "id,label,prediction,loss\n0,1,1,0.3\n1,0,1,0.5\n2,1,1,0.2\n",
    "flowers": "sepal_length,sepal_width,species\n5.1,3.5,setosa\n4.9,3.0,setosa\n",
    "prices": "date,open,high,low,close,return\n2020-01-01,1,2,3,4,0.1\n2020-01-02,1,2,3,4,0.2\n",
    "gym": "date,exercise,weight,repetitions\n2024-11-27 13:37:27,squat,15,10\n2024-11-28 00:02:41,press,15,15\n",
    "simulation": "step,temperature,pressure\n1,300,1.0\n2,301,1.1\n",
    "tracking": "frame,id,x,y,score\n1,1,3,4,0.9\n2,1,3,4,0.9\n",
    "sleep": "epoch,stage,heart_rate\n1,W,60\n2,N1,61\n",
    "stars": "epoch,ra,dec,mag\n2459000.5,1,2,3\n2459001.5,1,2,3\n",
    "numbers": "1,2,3\n4,5,6\n7,8,9\n",
    "prose": "The loss, as said, is large.\nEach step, we epoch.\nAnd so on, and on.\n",
    "report": "class,precision,recall,f1-score,support\ncat,0.9,0.8,0.85,100\ndog,0.7,0.9,0.8,90\n",
    "lfs": "version https://git-lfs.github.com/spec/v1\noid sha256:9fc79f631dd\nsize 45778\n",
    "code": "import numpy as np\nloss = 3\nfor step in range(10):\n    loss -= 1\n",
    "header alone": "step,train_loss\n",
    "header twice": "x,loss\nx,1\nx,2\n",
    "empty": "",
}


@pytest.mark.parametrize("kind", sorted(NOT_LOGS))
def test_what_is_no_training_log_is_left_alone(tmp_path: Path, kind: str):
    assert not knows(READER, write(tmp_path / "t.csv", NOT_LOGS[kind]))


def test_a_large_table_is_read_whole_and_soon(tmp_path: Path):
    values = np.random.default_rng(0).random((10_000, 9))
    head = "step," + ",".join(f"train_loss_{i}" for i in range(9))
    np.savetxt(tmp_path / "t.csv", np.column_stack([np.arange(10_000), values]), "%.17g", ",", header=head, comments="")
    begun = time.perf_counter()
    found = run(READER, tmp_path / "t.csv")
    took = time.perf_counter() - begun
    assert np.array_equal(found.series["train/loss/3"].value, values[:, 3])
    assert sum(len(s) for s in found.series.values()) == 90_000
    assert took < 2  # 0.07 s on two idle cores; the room is for busy ones
