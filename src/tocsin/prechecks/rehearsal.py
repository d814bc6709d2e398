"""A short training of the copy, watched at every step: what the rules say of its record."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tocsin.api import read
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.calls import Given, called
from tocsin.prechecks.own_copy import own_copy
from tocsin.prechecks.setup import Batch, SetupError
from tocsin.prechecks.term_sums import is_number
from tocsin.recorder import Recorder, watch
from tocsin.run import Run

STEPS = 48
SECONDS = 10.0
EVALUATIONS = 3
RULES = (
    "AMP001", "AMP002", "AMP003", "CFG001", "CFG002", "OBJ004", "OPT001", "OPT003", "OPT013", "OPT016",
)  # fmt: skip


def rehearse(bench: Bench) -> Run | str:
    """Train for a few steps and evaluate in between; the record, named ``preflight``, or why there is none.

    Raises:
        SetupError: A function of the setup raised.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "preflight"
        setup = bench.setup
        how = {"config": bench.config, "scaler": setup.scaler, "every": 1, "say": _silent}
        with watch(bench.model, setup.optimizers, run_dir=home, **how) as run:
            if run.folder is None:
                return "nothing is recorded while TOCSIN_DISABLED is set"
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
        ended = True
        for batch in Given(batches, "train"):
            ended = False
            yield own_copy(batch)  # a step may write into it
        if ended:
            raise SetupError("preflight: train gave no batch in another pass: it must be one that can be repeated")
        run.end_epoch()


def _step(bench: Bench, run: Recorder, batch: Batch, *, last: bool) -> None:
    """The user's own step, or the plain one: the optimizers step at the ``last`` batch of an accumulation."""
    setup = bench.setup
    if setup.step is not None:
        found = called("step", setup.step, bench.model, setup.optimizer, setup.scaler, batch)
        run.losses(**_losses_of_step(found))
        return
    terms = bench.terms(batch)
    run.losses(**terms)
    total = terms["total"] / setup.accumulate
    if total.requires_grad:  # otherwise there is nothing to step on; OPT002 says so
        called("the backward pass of the total", _backward, total, setup.scaler)
        if last:
            _optimize(bench, batch)


def _losses_of_step(found: Any) -> dict[str, Any]:
    """What the user's own step says of its losses: a number, some by name, or nothing."""
    named = found if isinstance(found, Mapping) else {} if found is None else {"total": found}
    if named is not found and not all(map(is_number, named.values())):
        raise SetupError(
            "preflight: step(model, optimizer, scaler, batch) must give its loss as one number, losses by name, or "
            f"None; got {type(found).__name__}"
        )
    return {str(name): value for name, value in named.items() if is_number(value)}


def _backward(total: Tensor, scaler: Any) -> None:
    torch.autograd.backward(total if scaler is None else scaler.scale(total))


def _optimize(bench: Bench, batch: Batch) -> None:
    scaler = bench.setup.scaler
    for optimizer in bench.setup.optimizers:
        if _asks_for_losses(optimizer):
            optimizer.step(partial(_closure, bench, optimizer, batch))
        elif scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
    if scaler is not None:
        scaler.update()
    for optimizer in bench.setup.optimizers:
        optimizer.zero_grad()


def _asks_for_losses(optimizer: Optimizer) -> bool:
    """Whether its step goes through the batch several times by itself, as LBFGS does."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _closure(bench: Bench, optimizer: Optimizer, batch: Batch) -> float:
    optimizer.zero_grad()
    with torch.enable_grad():
        total = bench.terms(batch)["total"]
        torch.autograd.backward(total)
    return float(total.detach())


def _evaluate(bench: Bench, run: Recorder) -> None:
    if not bench.val:
        return
    training = bench.model.training
    bench.model.eval()
    for batch in bench.val:
        for task, (target, prediction) in (bench.predictions(batch) if bench.has("predict") else {}).items():
            run.evaluate("val", target=target, prediction=prediction, task=task)
    losses = [bench.numbers(batch) for batch in bench.val]
    bench.model.train(training)
    means = {name: sum(one.get(name, float("nan")) for one in losses) / len(losses) for name in losses[0]}
    run.metrics({"val/loss" if name == "total" else f"val/loss/{name}": value for name, value in means.items()})
