"""Faults of the configuration and the life of the run, as foreign logs show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus.faulty import faulty
from corpus.healthy import STEPS, classification, foreign_log
from corpus.ingredients import at_epochs, curve
from tocsin.run import Event, Run, Series

MISSING = """Traceback (most recent call last):
  File "/data/net/train.py", line 61, in <module>
    main()
  File "/data/net/data.py", line 18, in load
    table = pandas.read_csv(path)
  File "/opt/lib/python3.11/site-packages/pandas/io/common.py", line 873, in get_handle
    handle = open(handle, ioargs.mode)
FileNotFoundError: [Errno 2] No such file or directory: 'data/train.csv'
"""
REMOVED = """Traceback (most recent call last):
  File "/data/net/train.py", line 3, in <module>
    from torch._six import container_abcs
ModuleNotFoundError: No module named 'torch._six'
"""
OUT_OF_MEMORY = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB (GPU 0; 23.69 GiB total)"


@faulty("RUN001")
def data_file_missing(rng):
    """The data file is not where the configuration says."""
    said = Event("exception", MISSING, data={"type": "FileNotFoundError"})
    return Run.of(events=(said,), config={"lr": 1e-3, "data": "data/train.csv"}, exit="failed", source="console")


@faulty("RUN002")
def header_only(rng):
    """Finished, and nothing but the configuration was logged."""
    return Run.of(config={"optimizer": {"lr": 0.02}, "total_epochs": 12}, exit="finished", source="mmdet-json")


@faulty("RUN003")
def out_of_memory_half_way(rng):
    run = foreign_log(rng).prefix(STEPS // 2)
    said = Event("exception", OUT_OF_MEMORY, STEPS // 2)
    return replace(run, events=(said,), environment={"planned": {"steps": STEPS}}, exit="failed")


def rising_for_most_of_the_run(rng):
    """The evaluation loss is best in the fifth of 40 epochs and 70 % higher at the end; an hour an epoch.

    Entered under no code: RUN004 is the cost of a fault, so it is never a root (here GEN001 explains it).
    """
    epochs, per = 40, 20
    e = np.arange(epochs)
    val = (1 + 0.3 * np.exp(-e) + 0.05 * np.maximum(0, np.minimum(e, 20) - 4)) * np.exp(0.01 * rng.standard_normal(40))
    train = curve(rng, epochs * per, 1.5, 0.05, 0.3)
    hours = 3600.0 * np.arange(1, epochs + 1)
    losses = replace(at_epochs("val/loss", val, per), time=hours)
    return Run.of(series={"train/loss": train, "val/loss": losses}, exit="finished", source="keras-csv")


@faulty("CFG004")
def module_that_moved(rng):
    said = Event("exception", REMOVED, data={"type": "ModuleNotFoundError"})
    return Run.of(events=(said,), config={"lr": 1e-3}, exit="failed", source="console")


@faulty("CFG002")
def negative_beta(rng):
    """The second beta of Adam lost its leading 0.9 and gained a sign."""
    return replace(classification(rng), config={"optimizer": {"type": "AdamW", "lr": 1e-3, "betas": [0.9, -0.6]}})


@faulty("CFG003")
def another_rate_than_the_folder_says(rng):
    """The folder is named lr1e-5; the log has a warm-up to 5e-5 and a decay."""
    at = np.arange(10, STEPS + 1, 10)
    rate = 5e-5 * np.minimum(at / 60, (STEPS - at) / (STEPS - 60))
    run, path = foreign_log(rng), Path("runs/adamw-lr1e-5/train.jsonl")
    lr = Series.of("lr/0", rate, step=at)
    return replace(run, path=path, source="memory", series={**run.series, "lr/0": lr})
