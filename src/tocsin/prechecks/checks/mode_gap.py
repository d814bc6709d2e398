"""EVL007 before the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch.nn.modules.batchnorm import _BatchNorm

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks import modes
from tocsin.prechecks.batch_statistics import Layer, layers
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.over_batches import seen_interval
from tocsin.prechecks.portions import samples_in

_DROP = Remedy("Give functional dropout its mode: F.dropout(x, p, training=self.training), dropout_p=p * self.training")
_STUCK = Remedy("Let train() reach every module: an override must call super().train(mode), and return self")
_SMALL = Remedy("Use GroupNorm or LayerNorm, or more samples a batch: BatchNorm's two modes are two models here")
_MOMENTUM = Remedy("PyTorch's momentum is the weight of the newest batch: 0.99 of other libraries is 0.01 here")
_LOADED = Remedy("Load the running statistics with the weights, or recompute them (torch.optim.swa_utils.update_bn)")


@rule("EVL007", needs=(), scope="setup")
def train_eval_mode_gap(bench: Bench, *, lag: float = 0.5, factor: float = 10.0) -> Iterator[Finding | NotChecked]:
    """Eval mode is the model that is trained: nothing random in it, statistics that will be those of the batches.

    ## What it does
    On the first batches, the model called as `losses` calls it:

    - *dropout*: in eval mode, a dropout of p > 0 is computed (exact: each call is seen), and answers of two draws
      differ by a mean with its 95 % interval above 0, in units of their spread over samples.
    - *mode*: a dropout or BatchNorm stays in training mode after `eval()`; a note where one stays in eval mode after
      `train()` and its scale is trained (frozen BatchNorm is often meant).
    - *batch noise*: a BatchNorm with mean m and sd s of a batch, M and S of all others: the lower end of the 95 %
      interval over batches of g = sqrt(mean over channels of (s/S - 1)^2 + ((m - M)/S)^2) is above `lag`. Even perfect
      running statistics are then another model than the one that is trained.
    - *momentum*: 0, so that the running statistics never move; a note above 0.9, where they are the last batch's.
    - *loaded*: running statistics of an earlier training, with which the answers' spread over samples is more than
      `factor` times, or less than 1/`factor` of, that in train mode, the whole interval over batches. Fresh ones
      (`num_batches_tracked` 0) are left alone: they are wrong before any training.

    ## Known limits
    `lag` is that of the rule for runs: noise alone gives about sqrt(1.5 / n) for n independent values a channel, so
    fewer than 6. Monte Carlo dropout is meant to be on: ignore the rule there. Dropout in compiled code is not seen.
    """
    n = samples_in(bench.train[0])
    yield from _mode(bench)
    yield from _dropout(bench, n or 0)
    before = _spreads(bench, train=False)
    found = [layer for layer in layers(bench) if layer.module.training and layer.module.track_running_stats]
    yield from _noise(found, lag)
    yield from _momentum(found)
    if any(layer.loaded for layer in found):
        yield from _loaded([layer for layer in found if layer.loaded], before, _spreads(bench, train=True), factor)


def _mode(bench: Bench) -> Iterator[Finding]:
    stuck = list(modes.stuck(bench.model))
    on = [(name, m) for name, m, mode in stuck if not mode]
    off = [(name, m) for name, m, mode in stuck if mode and isinstance(m, _BatchNorm)]
    off = [(name, m) for name, m in off if any(p.requires_grad for p in m.parameters())]
    for found, severity, said in (
        (on, None, "stay in training mode after eval(): the evaluation is random, or depends on its batches"),
        (off, "note", "stay in eval mode after train(), while their scale and shift are trained"),
    ):
        if found:
            shown = ", ".join(f"{name} ({type(m).__name__})" for name, m in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            evidence = Evidence("setup:model", float(len(found)), 0, 0.0, text="modules whose mode does not switch")
            yield Finding(f"{shown}{more} {said}", "mode", 0, (evidence,), (_STUCK,), severity)  # type: ignore[arg-type]


def _dropout(bench: Bench, n: int) -> Iterator[Finding]:
    stuck = {name for name, _, mode in modes.stuck(bench.model) if not mode}
    drops = {name: p for name, p in modes.drops_in_eval(bench, bench.train[0]).items() if name not in stuck}
    if not drops or not n:
        return
    found = [modes.spread_of_draws(bench, batch, samples_in(batch) or 0) for batch in bench.train]
    seen = [x for x in found if x is not None]
    interval = seen_interval(seen)
    if seen and interval[0] > 0:
        name, p = next(iter(drops.items()))
        value = sum(seen) / len(seen)
        where = f"{name or 'the model'} ({type(bench.model.get_submodule(name)).__name__})"
        yield Finding(
            f"in eval mode {where} still drops {p:.0%}: answers of two draws differ by {value:.2g} [{interval[0]:.2g}, "
            f"{interval[1]:.2g}] of their spread over samples",
            subject="dropout",
            evidence=(Evidence("setup:model", value, 0, 0.0, interval, "difference of two draws in eval mode"),),
            remedies=(_DROP,),
        )


def _noise(found: list[Layer], lag: float) -> Iterator[Finding]:
    noisy = [(layer, seen_interval(layer.apart())) for layer in found if len(layer.means) > 3]
    noisy = [(layer, interval) for layer, interval in noisy if interval[0] > lag]
    if noisy:
        layer, interval = max(noisy, key=lambda one: one[1][0])
        value = sum(layer.apart()) / len(layer.means)
        yield Finding(
            f"{len(noisy)} of {len(found)} BatchNorm layers see other statistics in each batch, most of all "
            f"{layer.name}: {value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}] sd of its output, from {layer.values} "
            f"values a channel; eval mode cannot be the model that is trained",
            subject="batch noise",
            evidence=(Evidence("setup:model", value, 0, lag, interval, "sd of the output, batch against the others"),),
            remedies=(_SMALL,),
        )


def _momentum(found: list[Layer]) -> Iterator[Finding]:
    still = [layer for layer in found if layer.momentum == 0 and not layer.loaded]
    fast = [layer for layer in found if layer.momentum is not None and layer.momentum > 0.9]
    if still:
        yield Finding(
            f"{len(still)} BatchNorm layers ({still[0].name} first) have momentum 0: their running statistics stay "
            f"mean 0 and variance 1, so eval mode does not normalise",
            subject="momentum",
            evidence=(Evidence("setup:model", 0.0, 0, text="momentum"),),
            remedies=(_MOMENTUM,),
        )
    elif fast:
        layer = max(fast, key=lambda one: sum(one.apart()) / len(one.means))
        interval = seen_interval(layer.apart())
        yield Finding(
            f"{len(fast)} BatchNorm layers have momentum {layer.momentum:g}: their running statistics are the last "
            f"batch's, {sum(layer.apart()) / len(layer.means):.2f} [{interval[0]:.2f}, {interval[1]:.2f}] sd off in "
            f"{layer.name}",
            subject="momentum",
            severity="note",
            evidence=(Evidence("setup:model", float(layer.momentum or 0), 0, 0.9, interval, "momentum; sd it is off"),),
            remedies=(_MOMENTUM,),
        )


def _spreads(bench: Bench, *, train: bool) -> list[float]:
    bench.model.train(train)
    found = [modes.spread(bench, batch, samples_in(batch) or 0) for batch in bench.train]
    return [x for x in found if x is not None and x > 0]


def _loaded(found: list[Layer], held: list[float], trained: list[float], factor: float) -> Iterator[Finding]:
    logs = [math.log(h / t) for h, t in zip(held, trained, strict=False)]
    low, high = seen_interval(logs)
    if len(held) != len(trained) or not (low > math.log(factor) or high < -math.log(factor)):
        return
    worst: Callable[[Layer], float] = lambda one: max(one.behind(), default=0.0)  # noqa: E731
    layer = max(found, key=worst)
    ratio = math.exp(sum(logs) / len(logs))
    yield Finding(
        f"with the loaded running statistics, answers spread over samples {ratio:.3g} [{math.exp(low):.3g}, "
        f"{math.exp(high):.3g}] times as far as in train mode: {layer.name} is off by {worst(layer):.2g} sd",
        subject="loaded",
        evidence=(
            Evidence("setup:model", ratio, 0, factor, (math.exp(low), math.exp(high)), "spread, eval over train mode"),
        ),
        remedies=(_LOADED,),
    )
