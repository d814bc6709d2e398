"""``watch``: the flight recorder of a raw PyTorch loop.

    with tocsin.watch(model, optimizer, run_dir="runs/first") as run:
        ...                                            # forward
        run.losses(total=loss, signal=l_signal)        # before or after backward and step; which, is detected
        ...                                            # backward, optimizer.step()
        run.evaluate("val", target=y, prediction=p)    # a batch
        run.metrics({"val/f1_macro": f1})
        run.end_epoch()

A step is the n-th ``losses`` call. Nothing raised in here reaches the loop, but ``StopTraining`` when asked for.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from tocsin import record
from tocsin.columns import Columns
from tocsin.engine import Watchkeeper, gather, select_rules
from tocsin.findings import SEVERITIES, Finding, Report, Severity
from tocsin.governor import Governor
from tocsin.ledger import Ledger, Row
from tocsin.probes.hook import Meter
from tocsin.probes.instruments import Instruments
from tocsin.probes.limits import REFUSED
from tocsin.probes.memory import resident_mib
from tocsin.probes.predictions import OpenEvaluations
from tocsin.probes.processes import rank as own_rank
from tocsin.probes.processes import world
from tocsin.probes.randomness import fingerprint
from tocsin.probes.sharding import sharded
from tocsin.probes.transfer import to_host
from tocsin.probes.wrappers import inner_module, inner_optimizer
from tocsin.run import Exit, Kind, looks_at_count, looks_at_evaluation
from tocsin.surroundings import environment, plain_config, run_name
from tocsin.thinning import thinned

TERMS_APART = 4  # steps, with `every`: differentiating each term once more may cost more than all else
MOST_SAID = 500  # characters of a trouble: torch's own may list a hundred back ends

_watched: WeakSet[nn.Module] = WeakSet()


class StopTraining(Exception):  # noqa: N818 (a request, not an error of the program)
    """Raised from ``run.losses`` when a finding at or above ``stop_on`` has rung."""


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    run_dir: str | Path | None = None,
    config: Any = None,
    scaler: Any = None,
    ema: nn.Module | None = None,
    scheduler: Any = None,
    budget: float = 0.01,
    every: int | None = None,
    ignore: Iterable[str] = (),
    stop_on: Severity | None = None,
    enabled: bool = True,
    start_step: int = 0,
    say: Callable[[str], None] | None = None,
) -> Recorder:
    """Record a training loop and ring its findings; use as a context manager.

    Args:
        model: The module that is trained, before ``torch.compile`` where that is used.
        optimizer: One, or several (their records are keyed ``opt/0``, ``opt/1``, ...). Both may be wrapped by Fabric,
            Accelerate or ``DistributedDataParallel``.
        run_dir: Folder of the record; default ``runs/<adjective-noun-number>``, after the configuration's ``study``
            where it names one. An unfinished run there gets a new attempt, a finished one is left alone and a
            sibling is made. Under ``torch.distributed`` all ranks must name it alike, and each writes its part;
            unnamed, the first rank alone records.
        config: Mapping, dataclass, pydantic model or namespace; recorded with its types.
        scaler: The ``GradScaler``, if there is one.
        ema: Averaged copy of the model (``AveragedModel`` or a module with the same parameter names).
        scheduler: Learning-rate scheduler; its class and numbers are recorded.
        budget: Share of wall time that tocsin may use (with a floor of 15 us a step).
        every: Sample steps 1, 1 + every, ... instead of by budget: exact repeats. The terms' gradients at the trunk
            are taken at most every 4th step then.
        ignore: Rule codes, prefixes or names that must not ring.
        stop_on: Raise ``StopTraining`` from ``losses`` once a finding of at least this severity has rung; in a process
            alone. In a group it is refused and said so: one that stops would leave the others waiting for it.
        enabled: False (or ``TOCSIN_DISABLED=1``): every call is a no-op.
        start_step: Steps already done, when a checkpoint is resumed: the next call is step ``start_step + 1``.
        say: Where one-line messages go; default standard error.

    Raises:
        UnknownRule: ``ignore`` matches no rule.
        RecordError: ``run_dir`` holds something that is not a record.
        ValueError: ``budget``, ``every`` or ``stop_on`` outside its range.
    """
    if not 0 < budget < 1:
        raise ValueError(f"budget is a share of wall time in (0, 1), e.g. 0.01; got {budget!r}")
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ValueError(f"every is a number of steps, 1 or more; got {every!r}")
    if stop_on is not None and stop_on not in SEVERITIES:
        raise ValueError(f"stop_on is one of {', '.join(SEVERITIES)}; got {stop_on!r}")
    rank = own_rank()
    run = Recorder(say or (_nowhere if rank else _to_stderr), _ignored(ignore), stop_on)
    if not enabled or os.environ.get("TOCSIN_DISABLED", "") not in ("", "0"):
        return run
    if rank and run_dir is None:  # rank 0 draws a name, and nothing is sent between ranks
        return run
    if (kind := sharded(model)) in REFUSED:
        run.say(f"tocsin: {kind} is not supported: nothing is recorded")
        return run
    if stop_on is not None and world() > 1:
        run.say("tocsin: stop_on is refused with several processes: one that stops would leave the others waiting")
        run.stop_at(None)
    model = inner_module(model)
    if model in _watched:
        run.say("tocsin: this model is already being watched; the second watch records nothing")
        return run
    optimizers = [inner_optimizer(o) for o in ([optimizer] if isinstance(optimizer, Optimizer) else optimizer)]
    run._governor = Governor(budget, every, start_step)
    run._start(model, optimizers, run_dir, plain_config(config), scaler, ema, scheduler, start_step)
    return run


def _ignored(words: Iterable[str]) -> frozenset[str]:
    """Codes of the rules that these words name."""
    kept = {rule.code for rule in select_rules((), words)}
    return frozenset(rule.code for rule in select_rules() if rule.code not in kept)


def _nowhere(text: str) -> None:
    """What a rank would say beside the first, which says the same or nearly so."""


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Recorder:
    """The handle that ``watch`` gives. Inert until started, after exit, and in a forked child."""

    def __init__(self, say: Callable[[str], None], ignored: frozenset[str], stop_on: Severity | None) -> None:
        self._say = say
        self.folder: Path | None = None
        self.step = 0
        self._rules = select_rules()
        self._stop_on = stop_on
        self._stop: Finding | None = None
        self._keeper = Watchkeeper(self._rules, on_ring=self._rang, ignored=ignored)
        self._governor = Governor()
        self._meter = Meter(self._broke)
        self._pid = -1
        self._before: bool | None = None
        self._open = OpenEvaluations()
        self._evaluated, self._evaluated_at = 0, -1
        self._start_step = 0
        self._epochs = 0
        self._sampled_at = 0
        self._counted: dict[str, float] = {}
        self._loss_names: dict[str, str] = {}
        self._lrs: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._charged = 0.0
        self._noted = 0
        self._timed = self._scanned = False
        self._terms_at = -TERMS_APART

    # What the user calls

    def losses(self, /, **terms: Any) -> None:
        """One training step's losses: ``total`` and any named terms, scalar tensors or floats.

        Raises:
            StopTraining: A finding at or above ``stop_on`` has rung.
        """
        if self._live():
            self._meter.run("losses", self._losses, terms)
            self._charge()
            if self._timed:
                self._timed = False
                self._meter.run("pace", self._instruments.pace.open, bool(self._before))
            if self._stop is not None:
                raise StopTraining(f"{self._stop.code} {self._stop.name}: {self._stop.message}")

    def evaluate(
        self,
        split: str,
        *,
        target: Any,
        prediction: Any,
        task: str = "main",
        kind: Kind | None = None,
        labels: Sequence[str] | None = None,
        baseline: str = "",
    ) -> None:
        """One batch of an evaluation.

        Args:
            split: E.g. ``val``.
            target: Class ids [N] or [N, ...], values [N] or [N, D], or multilabel {0, 1} [N, K].
            prediction: Logits or probabilities [N, K] (or [N, K, ...]), ids [N], values like the target.
            task: Names the head where there are several.
            kind: Overrides what is read from dtypes and shapes.
            labels: Class names in class order; numeric ones ("28 dB") say that the classes are ordered.
            baseline: Name of the simple model (``ridge``, ``majority``) whose predictions these are. They are kept
                apart from the model's own of the same split and task; once, or at every evaluation.
        """
        if self._live():
            given = (split, task, target, prediction, kind, labels, baseline)
            self._meter.run(f"evaluate {split}/{task}", self._open.add, *given)
            self._charge()

    def metrics(self, values: Mapping[str, Any]) -> None:
        """The user's own numbers, e.g. ``{"val/f1_macro": f1}``; they join the open evaluation or the current step."""
        if self._live():
            self._meter.run("metrics", self._take_metrics, values)
            self._charge()

    def numbers(self, values: Mapping[str, Any]) -> None:
        """Numbers of the current step by their names in the record, which join no evaluation and stay on their device.

        For adapters of frameworks: ``{"train/loss/kl": kl}`` of a term that came detached.
        """
        if self._live():
            self._meter.run("numbers", self._take_numbers, values)
            self._charge()

    def inputs(self, batch: Any) -> None:
        """What goes into the model next, where the loop calls only its parts and never the model itself."""
        if self._live():
            self._instruments.inputs.given(batch)
            self._charge()

    @property
    def forwards(self) -> int:
        """Training forwards of the model so far in this process."""
        return self._instruments.inputs.trained if self._live() else 0

    def end_epoch(self) -> None:
        """The epoch is over."""
        if self._live():
            self._meter.run("end_epoch", self._end_epoch)
            self._charge()

    def kept(self, by: str = "") -> None:
        """The weights of now are kept as the best so far, by this metric: rules then know which checkpoint it is."""
        if self._live():
            self._meter.run("kept", self._ledger.event, "best", f"best {by}".strip(), {"metric": by} if by else {})
            self._charge()

    @property
    def findings(self) -> list[Finding]:
        """All that has rung so far, errors first."""
        return self._keeper.findings

    @property
    def report(self) -> Report:
        """The report as it stands."""
        if self.folder is None:
            return Report()
        return gather(
            [self._ledger.columns.run()], self._rules, self._keeper.rung.values(), self._keeper.not_checked.values()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.finish("finished")
        else:
            calm = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | StopTraining)
            self.finish("interrupted" if calm else "failed", error)

    def finish(self, exit: Exit, error: BaseException | None = None) -> None:  # noqa: A002 (the word of the record)
        """Close the record with this exit, look once more at all of it, and say the verdict; later calls do nothing."""
        if self._live():
            self._meter.run("last step", self._last_step)
            self._meter.run("exit", self._note_exit, error)
            self._meter.run("last look", self._last_look, exit)
            self._meter.run("close", self._ledger.writer.close, exit, _in_words(error))
            self._meter.run("verdict", self._say_verdict, exit)
            self._meter.run("detach", self._instruments.detach)
            _watched.discard(self._model)
            self._pid = -1

    def stop_at(self, severity: Severity | None) -> None:
        """``stop_on`` from now on, for a framework that then brings all processes of a group to a halt together."""
        self._stop_on = severity

    def say(self, text: str) -> None:
        """One line to where the watch speaks; that may be closed by now, and training goes on."""
        with contextlib.suppress(Exception):
            self._say(text)

    # Life

    def _live(self) -> bool:
        return self._pid == os.getpid()

    def _start(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        run_dir: str | Path | None,
        config: dict[str, Any],
        scaler: Any,
        ema: nn.Module | None,
        scheduler: Any,
        start_step: int,
    ) -> None:
        facts = environment(
            model=type(model).__name__,
            parameters=sum(p.numel() for p in model.parameters() if not is_lazy(p)),
            optimizers=[type(o).__name__ for o in optimizers],
            scheduler=_numbers_of(scheduler),
            watch={
                "ignore": sorted(self._keeper.ignored),
                "budget": self._governor.budget,
                "every": self._governor.every,
            },
            **({"ranks": {"world": world(), "sharded": sharded(model)}} if world() > 1 else {}),
        )
        where = Path(run_dir) if run_dir is not None else Path("runs") / run_name(str(config.get("study", "")))
        writer = record.open_record(where, config=config, environment=facts, after=start_step, rank=own_rank())
        self.folder = writer.folder
        self._ledger = Ledger(writer, Columns(self.folder.name, config, facts), self.say)
        if start_step:
            self._resume(start_step)
        if writer.renamed_from:
            self.say(f"tocsin: {writer.renamed_from} is finished or still running; recording into {self.folder}")
        self._instruments = Instruments(
            model, optimizers, self._meter, scaler=scaler, ema=ema, on_inputs=self._saw_inputs, on_step=self._stepped
        )
        self._model = model
        _watched.add(model)
        self._pid = os.getpid()
        for limit in self._instruments.limits:
            self._ledger.event("limit", limit.text)
            self.say(f"tocsin: {limit.text}")
        self._note_parameters()
        self._instruments.arm(scanned=True)  # a loop that calls `losses` last has its first step before the first call

    def _resume(self, start_step: int) -> None:
        """Take over what earlier attempts recorded up to the checkpoint's step."""
        self.step = self._ledger.step = self._start_step = self._sampled_at = start_step
        try:
            before = record.read(self._ledger.writer.folder).prefix(start_step)
        except record.RecordError:
            return
        self._ledger.columns.load(before)
        evaluated = {e.step for e in before.own_evaluations}
        self._evaluated, self._evaluated_at = len(evaluated), max(evaluated, default=-1)
        self._epochs = sum(e.kind == "end_epoch" for e in before.events)
        self._counted = {name: float(s.value[-1]) for name, s in before.family("count").items()}
        for step in before.looks():
            self._keeper.look(thinned(before.prefix(step)), step=step)

    def _last_step(self) -> None:
        self._close_evaluations()
        if self._instruments.armed or self._before:
            self._end_of_step()

    def _note_exit(self, error: BaseException | None) -> None:
        self._ledger.put({"watch/cost_frac": self._governor.spent_s / max(1e-9, self._ledger.now())})
        if isinstance(error, StopTraining):  # as was asked for: no failure to quote
            self._ledger.event("stop", "", {"on": self._stop.code if self._stop is not None else ""})
        elif error is not None:
            text = "".join(traceback.format_exception(error))[-20_000:]
            self._ledger.event("exception", text, {"type": type(error).__name__})
        self._ledger.settle()

    def _last_look(self, exit: Exit) -> None:  # noqa: A002 (the word of the record)
        self._keeper.look(self._ledger.columns.run(exit=exit), end=True)

    def _say_verdict(self, exit: Exit) -> None:  # noqa: A002 (the word of the record)
        self.say(f"tocsin: {exit} after {self.step} steps. {self.report.verdict} [{self.folder}]")

    # Steps

    def _losses(self, terms: Mapping[str, Any]) -> None:
        probes, self._scanned = self._instruments, False
        if self._before is None:
            self._before = probes.backward == 0 and not any(probes.steps)
            probes.unheard = False
        if probes.pace.running:
            self._end_of_interval()
        if self._open:
            self._close_evaluations()
        if probes.scale.on and self._before and _on_host(terms):
            probes.scale.update()
        if self._before:
            probes.called()
            self._end_of_step()
        self._look()
        self._next_step(terms)
        if not self._before:
            probes.called()
            if probes.scale.on:
                probes.scale.update()
            self._end_of_step()
        self._timed = not probes.armed and self._arms(self.step + (not self._before))
        if probes.armed:
            apart = 1 if self._governor.every is None else TERMS_APART
            due = bool(self._before) and self.step >= self._terms_at + apart
            self._terms_at = self.step if due else self._terms_at
            self._ledger.put(probes.term_values(terms, live=due))

    def _next_step(self, terms: Mapping[str, Any]) -> None:
        self.step += 1
        self._ledger.begin(self.step, self._epoch())
        if self._instruments.inputs.forwards["eval"]:
            self._instruments.inputs.restart("eval")
        row = self._ledger.row
        for name, value in terms.items():
            try:
                row[self._loss_names[name]] = _scalar(value)
            except KeyError:
                self._loss_names[name] = "train/loss" if name == "total" else f"train/loss/{name}"
                row[self._loss_names[name]] = _scalar(value)
            except Exception as error:  # whatever a value's own float() raises, the other terms are kept
                self._meter.report(f"losses {name}", error)
        if self._instruments.activations.armed:
            self._ledger.put(self._instruments.activation_values())

    def _end_of_interval(self) -> None:
        """The interval since the last call is timed; an evaluation in it, an end of an epoch too, makes it void."""
        pace = self._instruments.pace
        if self._open or self._instruments.inputs.forwards["eval"]:
            pace.drop()
        else:
            self._meter.run("pace", pace.close)

    def _end_of_step(self) -> None:
        """What backward and the optimizer did since the last call now belongs to ``self.step``."""
        if self.step == self._start_step:
            return
        probes, row = self._instruments, self._ledger.row
        if probes.inputs.trained:
            row["count/forward"] = probes.inputs.trained + self._counted.get("forward", 0)
        row["count/backward"] = probes.backward + self._counted.get("backward", 0)
        row["count/optimizer"] = probes.completed() + self._counted.get("optimizer", 0)
        for name, n in probes.life.counts().items():
            total = n + self._counted.get(name, 0)
            if probes.ready or self._told.get(name) != total:  # sampled points show how far it was looked at
                self._told[name] = row[f"count/{name}"] = total
        if probes.scale.on:
            row["count/skipped"] = probes.scale.skipped + self._counted.get("skipped", 0)
            row["amp/scale"] = probes.scale.value
        self._note_lrs()
        if probes.ready:
            self._collect()
        if replicas := probes.replica_values(self.step):
            self._ledger.put(replicas)

    def _collect(self) -> None:
        probes = self._instruments
        self._ledger.put(probes.collect())
        self._ledger.put(self._meter.run("pace", probes.pace.read, default={}))
        self._ledger.put(self._meter.run("memory", resident_mib, default={}))
        self._sampled_at = self.step
        if probes.scale.on:
            probes.scale.update()
        self._note_parameters()
        self._charge()
        self._governor.closed(self.step)
        self._ledger.put({"watch/cost_frac": self._governor.spent_s / max(1e-9, self._ledger.now())})

    def _stepped(self, optimizer: Optimizer) -> None:
        """A loop that never calls ``losses`` counts the steps of its first optimizer, from the second on."""
        probes, self._scanned = self._instruments, False
        if optimizer is not probes.optimizers[0] or probes.steps[0] < 2:
            return
        if self._open:
            self._close_evaluations()
        while self.step < probes.steps[0]:
            self._look()
            self.step += 1
            self._ledger.begin(self.step, self._epoch())
        self._end_of_step()
        if not probes.armed:
            self._arms(self.step + 1)

    def _arms(self, step: int) -> bool:
        """Whether ``step`` is sampled: if so, its window is open now."""
        granted = self._governor.grants(step, self._ledger.now())
        if granted:
            self._governor.opened()
            self._instruments.arm(scanned=self._scanned)
        else:
            self._instruments.rest()
        return granted

    def _note_lrs(self) -> None:
        several = len(self._instruments.optimizers) > 1
        for k, optimizer in enumerate(self._instruments.optimizers):
            for j, group in enumerate(optimizer.param_groups):
                lr = group.get("lr")  # an optimizer of the user's own may have none, or None
                if isinstance(lr, Tensor):
                    lr = float(lr)
                name = f"lr/opt/{k}/{j}" if several else f"lr/{j}"
                if lr is not None and self._lrs.get(name) != lr:
                    self._lrs[name] = self._ledger.row[name] = lr

    def _note_parameters(self) -> None:
        tensors, tables = self._instruments.tensors, self._ledger.columns.tables
        tensors.scan()
        self._scanned = True
        if tensors.version == self._noted:
            return
        self._noted, table = tensors.version, tuple(tensors.table())
        if not tables or table != tables[-1][1]:
            tables.append((self.step, table))
            self._ledger.writer.parameters(table, self.step)

    def _saw_inputs(self, mode: str, values: Row) -> None:
        """Training forwards precede the call of their step; evaluation forwards follow the last one."""
        if self._instruments.inputs.forwards[mode] <= 2:
            values[f"rng/fingerprint/{mode}"] = self._meter.run("random state", fingerprint, default=math.nan)
        if mode == "train":
            self._ledger.put_at(self.step + 1, self._epoch(), values)
        else:
            self._ledger.put_at(self.step, self._ledger.epoch, values)

    def _epoch(self) -> int | None:
        return self._epochs + 1 if self._epochs else None

    # Evaluations

    def _take_metrics(self, values: Mapping[str, Any]) -> None:
        host = to_host(self._scalars(values))
        self._open.metrics(host)
        self._ledger.put(host)

    def _take_numbers(self, values: Mapping[str, Any]) -> None:
        self._ledger.put(self._scalars(values))

    def _scalars(self, values: Mapping[str, Any]) -> Row:
        found: Row = {}
        for name, value in values.items():
            try:
                found[str(name)] = _scalar(value)
            except Exception as error:  # whatever a value's own float() raises, the other numbers are kept
                self._meter.report(f"metrics {name}", error)
        return found

    def _close_evaluations(self) -> None:
        self._meter.run("evaluations", self._take_evaluations)

    def _take_evaluations(self) -> None:
        epoch = float(self._ledger.epoch or math.nan)
        # One more sample of the parameters, once a step: it spans the epoch whatever the budget.
        if not self._instruments.armed and self._sampled_at != self.step:
            self._note_parameters()
            self._ledger.put(self._instruments.parameter_values())
            self._sampled_at = self.step
        if self._instruments.inputs.rows:
            self._ledger.row["input/rows"] = self._instruments.inputs.rows
        for closed in self._open.close(self.step, epoch, self._ledger.now()):
            self._ledger.evaluation(closed)
            if not closed.baseline and self._evaluated_at != self.step:
                self._evaluated, self._evaluated_at = self._evaluated + 1, self.step
        while self._open.troubles:
            key, error = self._open.troubles.pop()
            self._meter.report(f"evaluate {key}", error)

    def _end_epoch(self) -> None:
        self._close_evaluations()
        self._epochs += 1
        self._instruments.inputs.restart("train")
        self._instruments.pace.drop()
        self._ledger.event("end_epoch", "", {"epoch": self._epochs})

    # Looks

    def _look(self) -> None:
        """``self.step`` is over: let the rules look, if the record says that they do here."""
        evaluated = self._evaluated_at == self.step and looks_at_evaluation(self._evaluated)
        due = evaluated or looks_at_count(self.step)
        if not due:
            return
        self._ledger.settle(self.step)
        self._keeper.look(self._ledger.columns.run(exit="running").prefix(self.step), step=self.step)
        if self._stop_on is not None:
            bar = SEVERITIES.index(self._stop_on)
            self._stop = next((f for f in self.findings if SEVERITIES.index(f.severity or "note") <= bar), None)

    def _rang(self, finding: Finding) -> None:
        self._ledger.writer.finding(finding)
        if finding.severity != "note":
            self.say(f"tocsin: {finding.severity} {finding.code} {finding.name}: {finding.message}")

    # Cost and trouble

    def _charge(self) -> None:
        spent = self._meter.seconds
        self._governor.charge(spent - self._charged)
        self._charged = spent

    def _broke(self, probe: str, error: Exception) -> None:
        text = f"{probe} switched off: {_in_words(error)}".splitlines()[0][:MOST_SAID]
        if self.folder is not None:
            self._ledger.event("warning", text, {"probe": probe})
        self.say(f"tocsin: {text}")


def _scalar(value: Any) -> Tensor | float:
    """A loss as a float where that is free, else as a detached copy on its device."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"expected a scalar, got a tensor of shape {list(value.shape)}; reduce it first")
        if value.is_complex():
            raise ValueError("expected a real number, got a complex one; take its magnitude or its parts")
        return float(value.item()) if value.device.type == "cpu" else value.detach().reshape(()).clone()
    if value is None:
        return math.nan
    return float(value.item() if hasattr(value, "item") else value)


def _in_words(error: BaseException | None) -> str | None:
    """Type and message of an exception, whatever its own ``__str__`` does."""
    return None if error is None else traceback.format_exception_only(error)[0].strip()


def _on_host(terms: Mapping[str, Any]) -> bool:
    return not any(isinstance(v, Tensor) and v.device.type != "cpu" for v in terms.values())


def _numbers_of(scheduler: Any) -> dict[str, Any]:
    """Class and plain numbers of a scheduler, or of each of several."""
    if scheduler is None:
        return {}
    if isinstance(scheduler, list | tuple):
        return {str(k): _numbers_of(one) for k, one in enumerate(scheduler)}
    state = getattr(scheduler, "__dict__", {})
    found = {k: v for k, v in state.items() if isinstance(v, int | float | str) and not k.startswith("_")}
    return {"class": type(scheduler).__name__, **found}
