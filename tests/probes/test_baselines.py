"""Recorded baselines: kept apart from the model's own predictions, and no reason to look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import tocsin
from loops import quiet, small_model
from tocsin.reports.html import render as page
from tocsin.run import Confusion, Evaluation, Run


def watched(folder: Path, *, baselines: bool) -> Run:
    net = small_model(dropout=0.0)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    width = next(net.parameters()).shape[1]
    x, y = torch.randn(16, width), torch.arange(16) % 2
    with tocsin.watch(net, optimizer, run_dir=folder, every=1, say=quiet) as run:
        for step in range(6):
            loss = net(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.losses(total=loss)
            if step in (1, 3):
                run.evaluate("val", target=y, prediction=torch.randn(16, 2))
                run.metrics({"val/accuracy": 0.5})
            if baselines and step in (1, 2):
                run.evaluate("val", target=y, prediction=torch.zeros(16).long(), baseline="majority")
    return tocsin.read(folder)[0]


def test_a_baseline_is_recorded_beside_the_model(tmp_path: Path) -> None:
    run = watched(tmp_path / "r", baselines=True)
    assert [(e.step, e.baseline) for e in run.evaluations] == [(2, ""), (2, "majority"), (3, "majority"), (4, "")]
    assert [e.step for e in run.of_kind()["val/main"]] == [2, 4]
    assert [e.step for e in run.baselines("val/main")["majority"]] == [2, 3]
    own, other = run.evaluations[:2]
    assert dict(own.metrics) == {"val/accuracy": 0.5}
    assert dict(other.metrics) == {}


def test_a_baseline_adds_no_look(tmp_path: Path) -> None:
    with_one, without = watched(tmp_path / "a", baselines=True), watched(tmp_path / "b", baselines=False)
    assert with_one.looks() == without.looks() == [2, 4]


def test_no_rule_takes_a_baseline_for_the_model() -> None:
    """What rings on a run rings on it with the predictions of a hopeless baseline recorded, too, and nothing else."""
    good, constant = Confusion.of(np.eye(4) * 60 + 10), Confusion.of(np.eye(4)[[0] * 4].T[::-1].T * 100)
    n, split = good.n, {"val/loss": [1.0, 0.7, 0.5, 0.45, 0.44], "val/accuracy": [0.7] * 5}
    own = tuple(Evaluation("val", "main", s, "classes", n, confusion=good) for s in range(1, 6))
    run = Run.of("r", series=split, evaluations=own, exit="finished")
    bad = tuple(Evaluation("val", "main", e.step, "ids", n, confusion=constant, baseline="majority") for e in own)
    both = replace(run, evaluations=tuple(e for pair in zip(own, bad, strict=True) for e in pair))
    told = [[(f.code, f.subject, f.step, f.severity) for f in tocsin.check(r).findings] for r in (run, both)]
    assert told[0] == told[1]
    assert page(tocsin.check(run), [run]).count("<table") == page(tocsin.check(both), [both]).count("<table")
