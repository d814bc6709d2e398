"""DVCLive and AllenNLP: several files, one run."""

from __future__ import annotations

import json
from pathlib import Path

from readers.reading_files import knows, points, run, write
from tocsin.readers.file import File
from tocsin.readers.formats import allennlp, dvclive


def dvc_folder(tmp_path: Path) -> Path:
    root = tmp_path / "dvclive"
    write(root / "plots/metrics/train/loss.tsv", "step\tloss\n0\t2.5\n1\tnan\n2\t1.5\n")
    write(
        root / "plots/metrics/eval/metrics/acc.tsv",
        "timestamp\tstep\tacc\n1700000000000\t0\t0.5\n1700000002000\t2\t0.6\n",
    )
    write(root / "plots/sklearn/cf.json", "[]")
    write(root / "params.yaml", "lr: 0.1\nmodel:\n  depth: 3\n")
    write(root / "metrics.json", json.dumps({"train": {"loss": 1.5}, "best": {"f1": 0.75}, "step": 2}))
    return root


def test_dvclive_joins_its_files(tmp_path: Path):
    root = dvc_folder(tmp_path)
    for first in (root / "metrics.json", root / "plots/metrics/train/loss.tsv"):
        found = run(dvclive.READER, first)
        assert found.series["train/loss"].step.tolist() == [0, 1, 2]
        assert sum(len(s) for s in found.series.values()) == 3 + 2 + 1  # of the last values only what has no curve
        assert found.config == {"lr": 0.1, "model": {"depth": 3}}
        (log,) = dvclive.READER.read(File(first))
        assert len(log.claims) == 2
        assert first not in log.claims


def test_dvclive_keeps_only_the_last_values(tmp_path: Path):
    path = write(tmp_path / "dvclive/metrics.json", json.dumps({"train": {"loss": 1.5, "accuracy": 0.5}, "step": 4}))
    found = run(dvclive.READER, path)
    assert points(found, "train/loss") == [(4, 1.5)]


def test_dvclive_leaves_other_files_alone(tmp_path: Path):
    assert not knows(dvclive.READER, write(tmp_path / "metrics.json", '{"accuracy": 0.9}'))
    assert not knows(dvclive.READER, write(tmp_path / "metrics.json", '{"step": 3, "rows": 5}'))
    assert not knows(dvclive.READER, write(tmp_path / "words.tsv", "word\tcount\na\t3\nb\t4\n"))


def test_dvclive_says_which_file_is_damaged(tmp_path: Path):
    root = dvc_folder(tmp_path)
    write(root / "plots/metrics/val/loss.tsv", b"\0\1\2\3")
    write(root / "params.yaml", "a: [")
    found = run(dvclive.READER, root / "metrics.json")
    said = {sentence.partition(" (")[0] for sentence in found.unread}
    assert said == {"val/loss.tsv holds no steps", "params.yaml cannot be read"}


def test_allennlp_joins_its_epochs(tmp_path: Path):
    for epoch in range(3):
        said = {"best_epoch": 1, "training_duration": f"0:00:{epoch + 1}0", "training_start_epoch": 0, "epoch": epoch,
                "training_accuracy": 0.5, "training_loss": 2.5 - epoch, "validation_loss": 2.25,
                "best_validation_loss": 2.25}  # fmt: skip
        write(tmp_path / f"metrics_epoch_{epoch}.json", json.dumps(said))
    found = run(allennlp.READER, tmp_path / "metrics_epoch_1.json")
    assert points(found, "train/loss") == [(1, 2.5), (2, 1.5), (3, 0.5)]
    assert set(found.series) == {"train/loss", "train/accuracy", "val/loss"}
    assert found.series["val/loss"].time.tolist() == [10, 20, 30]
    assert [(e.kind, e.data["epoch"]) for e in found.events] == [("best", 2)]


def test_allennlp_passes_over_a_torn_epoch(tmp_path: Path):
    write(tmp_path / "metrics_epoch_0.json", json.dumps({"epoch": 0, "training_loss": 2.5}))
    write(tmp_path / "metrics_epoch_1.json", '{"epoch": 1, "training_lo')
    found = run(allennlp.READER, tmp_path / "metrics_epoch_0.json")
    assert found.unread == ("metrics_epoch_1.json cannot be read",)
