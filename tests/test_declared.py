"""What a run declares: configuration, command line, names, and what the log says of its optimizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.declared import Setting, numbers_of, of_command, of_events, of_names, settings, words_of
from tocsin.run import Event, Run


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("adamBeta2", ("adam", "beta", "2")),
        ("learning-rate", ("learning", "rate")),
        ("lr0", ("lr", "0")),
        ("LR", ("lr",)),
    ],
)
def test_words(key, words):
    assert words_of(key) == words


def test_leaves_of_a_configuration_keep_their_parents():
    run = Run.of(config={"optimizer": {"lr": 1e-3, "betas": [0.9, 0.99]}, "groups": [{"lr": 1}, {"lr": 2}]})
    told = {s.path: s.value for s in settings(run)}
    assert told == {"optimizer.lr": 1e-3, "optimizer.betas": [0.9, 0.99], "groups.0.lr": 1, "groups.1.lr": 2}
    assert Setting("config", "groups.0.lr", 1).words == ("lr",)
    assert Setting("config", "optimizer.lr", 1).parents == {"optimizer"}


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --lr 1e-3 --name x -v",
        ["train.py", "--lr=1e-3", "--name=x"],
        "torchrun --nproc_per_node train.py lr=1e-3 +name=x",
        'python train.py --lr 1 --lr 1e-3 --name x --text "open',
    ],
)
def test_a_command_line(command):
    told = {s.path: s.value for s in settings(Run.of(environment={"command": command}))}
    assert (told["lr"], told["name"]) == ("1e-3", "x")


def test_negative_values_are_values_and_flags_are_not():
    told = {s.path: s.value for s in of_command(["t.py", "--beta", "-0.6", "--flag", "--seed", "3"])}
    assert told == {"beta": "-0.6", "seed": "3"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adamw-lr1e-5", {"lr1e-5": "1e-5"}),
        ("lr_0.001_bs32", {"lr_0.001": "0.001", "bs32": "32"}),
        ("run,lr=3e-4,epochs=100", {"lr=3e-4": "3e-4", "epochs=100": "100"}),
        ("resnet50-v2.1", {}),
        ("solr5", {}),
    ],
)
def test_parts_of_a_name(name, said):
    assert {s.path: s.value for s in of_names(Run.of(name))} == said
    assert {s.path: s.value for s in of_names(Run.of("x", path=Path("runs") / name / "log.csv"))} == said


def test_the_printed_form_of_an_optimizer():
    said = Event("message", "AdamW (\n    betas: (0.9, 0.98)\n    lr: 0.001\n)")
    assert [(s.path, numbers_of(s.value)) for s in of_events(Run.of(events=(said,)))] == [
        ("betas", [0.9, 0.98]),
        ("lr", [0.001]),
    ]


def test_numbers():
    assert numbers_of("1e-8") == [1e-8]
    assert numbers_of([0.9, "0.99", None, True]) == [0.9, 0.99]
    assert numbers_of("ten") == []
