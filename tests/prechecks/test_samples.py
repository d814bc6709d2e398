"""What is kept of loaders: parts of batches that are part of something larger, within rows, bytes and seconds."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from torch import nn

from tocsin.prechecks import bench, samples
from tocsin.prechecks.own_copy import own_copy, size_of
from tocsin.prechecks.setup import Setup


class Endless:
    """Batches of ``size`` samples without end; counts those that were asked for."""

    def __init__(self, size, pause=0.0, width=4):
        self.size, self.pause, self.width, self.asked = size, pause, width, 0

    def __iter__(self):
        for k in itertools.count():
            self.asked += 1
            time.sleep(self.pause)
            yield torch.full((self.size, self.width), float(k)), torch.arange(self.size)


def setup(train, **parts):
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    parts.setdefault("predict", lambda m, b: (b[1], m(b[0])))
    return Setup(model, torch.optim.SGD(model.parameters(), 0.1), lambda m, b: m(b[0]).sum(), train, **parts)


def test_a_copy_of_a_slice_holds_the_slice_alone():
    table = torch.randn(1000, 8)
    batch = {"x": table[:10], "more": [table[5:7], "name"], "whole": table}
    mine = own_copy(batch)
    assert torch.equal(mine["x"], batch["x"])
    assert torch.equal(mine["more"][0], batch["more"][0])
    assert mine["x"].untyped_storage().nbytes() == 10 * 8 * 4
    mine["x"].zero_()
    mine["whole"].zero_()
    assert table.abs().min() > 0
    assert size_of(batch) == 1012 * 8 * 4


def test_a_copy_keeps_what_requires_gradients():
    leaf = torch.randn(4, requires_grad=True)
    assert own_copy([leaf])[0].requires_grad
    assert not own_copy([torch.randn(4)[:2]])[0].requires_grad


@pytest.mark.parametrize("size", [7, 5000])
def test_rows_are_bounded_within_a_batch_too(size):
    given = Endless(size)
    found = samples.gather(setup(given), given)
    assert len(found) == samples.MOST
    assert found.targets["main"].shape == (samples.MOST,)
    assert not found.whole
    assert given.asked == -(-samples.MOST // size)


def test_bytes_are_bounded_by_all_that_is_kept(monkeypatch):
    monkeypatch.setattr(samples, "MOST_BYTES", 60_000)
    given = Endless(100)
    raw = samples.gather(setup(given, raw=lambda batch: np.ones((len(batch[0]), 500), np.float32)), given)
    assert len(raw) == 100
    assert raw.raw.dtype == np.float32
    plain = samples.gather(setup(given), given)
    assert 2400 < len(plain) < 2700


def test_seconds_are_bounded():
    given = Endless(4, pause=0.02)
    found = samples.gather(setup(given), given, seconds=0.1)
    assert 4 <= len(found) <= 24
    assert not found.whole


def test_a_loader_that_ends_is_whole():
    given = [(torch.randn(10, 4), torch.arange(10)) for _ in range(3)]
    assert samples.gather(setup(given), given).whole
    assert samples.gather(setup(given), given, most=30).whole
    assert not samples.gather(setup(given), given, most=29).whole


def test_the_first_batches_are_bounded(monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    slow = Endless(4, pause=0.02)
    assert len(bench.Bench(setup(slow)).train) == bench.FEWEST
    monkeypatch.setattr(bench, "MOST_BYTES", 100)
    assert len(bench.Bench(setup(Endless(4))).train) == bench.FEWEST
