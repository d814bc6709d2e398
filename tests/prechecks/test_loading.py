"""From ``module:function`` on the command line to a setup: odd modules, odd functions, processes that end."""

from __future__ import annotations

import sys
import textwrap

import pytest

from tocsin.cli import main

MODULE = """
import sys
from torch import nn, optim
from torch.nn import functional as F
import torch

def made(config=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    batches = [(torch.randn(8, 4), torch.randint(0, 3, (8,))) for _ in range(4)]
    return {"model": model, "optimizer": optim.SGD(model.parameters(), 0.1), "losses": loss, "train": batches}

def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])

def ends():
    sys.exit(0)

def keyword(*, config=None):
    return made()

def two(one, other):
    return made()

def late():
    import NEIGHBOUR
    return NEIGHBOUR.made()

def lazily():
    def later(model, batch):
        import NEIGHBOUR
        return loss(model, batch)
    return {**made(), "losses": later}

def predicts():
    return {**made(), "predict": lambda model, batch: sys.exit(0)}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working folder with ``statistics.py``, a module of this test alone and its neighbour."""
    name = f"given_{abs(hash(str(tmp_path)))}"
    (tmp_path / "pyproject.toml").write_text("")
    for stem in ("statistics", name, f"{name}_too"):
        (tmp_path / f"{stem}.py").write_text(textwrap.dedent(MODULE.replace("NEIGHBOUR", f"{name}_too")))
    (tmp_path / "settings.yaml").write_text("lr: 0.1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def flown(target, *more):
    return main(["preflight", target, "--select", "OPT002", *more])


@pytest.mark.parametrize("function", ["made", "late", "lazily"])
def test_a_module_and_what_it_imports_later_are_found(home, function):
    assert flown(f"{home}:{function}") == 0
    assert flown(f"{home}.py:{function}") == 0


def test_a_file_is_itself_and_no_module_of_its_name(home):
    before = sys.modules.get("statistics")
    assert flown("statistics.py:made") == 0
    assert sys.modules.get("statistics") is before


@pytest.mark.parametrize("function", ["made", "keyword"])
def test_a_configuration_goes_to_a_function_that_takes_one(home, function):
    assert flown(f"{home}:{function}", "--config", "settings.yaml") == 0


REFUSED = [
    ("{m}:ends", (), "{m}:ends raised SystemExit: 0"),
    ("{m}:two", (), "{m}:two raised TypeError: two() missing 2 required positional arguments: 'one' and 'other'"),
    ("nowhere.py:made", (), "cannot import nowhere.py: FileNotFoundError"),
    (":made", (), "expected a study or module:function, got ':made'"),
    ("{m}:made", ("--fault", "sum"), "--fault and --set: for a study only"),
    ("constellation", ("--config", "settings.yaml"), "--config: for module:function only"),
    ("{m}:predicts", ("--select", "OBJ010"), "{m}:predicts ended the process by sys.exit(0) while it was looked at"),
]


@pytest.mark.parametrize(("target", "more", "line"), REFUSED)
def test_what_cannot_be_used_exits_with_2(home, capsys, target, more, line):
    assert flown(target.format(m=home), *more) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"tocsin: {line.format(m=home)}")
    assert not shown.out
