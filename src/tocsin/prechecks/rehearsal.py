"""A short training of the copy, watched at every step: what the rules say of its record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tocsin.api import read
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.own_copy import own_copy
from tocsin.prechecks.setup import Batch, SetupError
from tocsin.recorder import Recorder, watch
from tocsin.run import Run

STEPS = 48
SECONDS = 10.0
EVALUATIONS = 3
RULES = (
    "AMP001", "AMP002", "AMP003", "CFG001", "CFG002", "OBJ004", "OPT001", "OPT003", "OPT013", "OPT016",
)  # fmt: skip


def rehearse(bench: Bench) -> Run:
    """Train for a few steps and evaluate in between; the record, named ``preflight``.

    Raises:
        SetupError: A function of the setup raised.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "preflight"
        setup = bench.setup
        how = {"config": bench.config, "scaler": setup.scaler, "every": 1, "say": _silent}
        with watch(bench.model, setup.optimizers, run_dir=home, **how) as run:
            _train(bench, run)
        return read(home)[0]


def _silent(_: str) -> None: ...


def _train(bench: Bench, run: Recorder) -> None:
    started = time.perf_counter()
    bench.model.train()
    for k, batch in enumerate(_endless(bench.setup.train, run), start=1):
        _step(bench, run, batch, last=k % bench.setup.accumulate == 0)
        over = k >= STEPS or time.perf_counter() - started > SECONDS
        if over or k % (STEPS // EVALUATIONS) == 0:
            _evaluate(bench, run)
        if over:
            return


def _endless(batches: Any, run: Recorder) -> Iterator[Batch]:
    while True:
        for batch in batches:
            yield own_copy(batch)  # a step may write into it
        run.end_epoch()


def _step(bench: Bench, run: Recorder, batch: Batch, *, last: bool) -> None:
    """The user's own step, or the plain one: the optimizers step at the ``last`` batch of an accumulation."""
    setup = bench.setup
    if setup.step is not None:
        found = called("step", setup.step, bench.model, setup.optimizer, setup.scaler, batch)
        run.losses(**(dict(found) if isinstance(found, dict) else {"total": found}))
        return
    terms, scaler = bench.terms(batch), setup.scaler
    run.losses(**terms)
    total = terms["total"] / setup.accumulate
    if not total.requires_grad:  # nothing to step on; OPT002 says so
        return
    (total if scaler is None else scaler.scale(total)).backward()
    if not last:
        return
    for optimizer in setup.optimizers:
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
    if scaler is not None:
        scaler.update()
    for optimizer in setup.optimizers:
        optimizer.zero_grad()


def _evaluate(bench: Bench, run: Recorder) -> None:
    if not bench.val:
        return
    training = bench.model.training
    bench.model.eval()
    with torch.no_grad():
        for batch in bench.val:
            for task, (target, prediction) in (bench.predictions(batch) if bench.has("predict") else {}).items():
                run.evaluate("val", target=target, prediction=prediction, task=task)
        losses = [{name: float(term) for name, term in bench.terms(batch).items()} for batch in bench.val]
    bench.model.train(training)
    means = {name: sum(one.get(name, float("nan")) for one in losses) / len(losses) for name in losses[0]}
    run.metrics({"val/loss" if name == "total" else f"val/loss/{name}": value for name, value in means.items()})


def called(name: str, function: Callable[..., Any], *given: Any) -> Any:
    """What a function of the setup returns; what it raises is the user's mistake, said as such."""
    try:
        return function(*given)
    except Exception as error:
        raise SetupError(f"preflight: {name} raised {type(error).__name__}: {error}") from error
