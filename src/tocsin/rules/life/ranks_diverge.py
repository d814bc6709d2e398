"""RUN006 ranks-diverge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.ranks import BATCHES, BITS, Apart, Fingerprints, Part, Shared, apart, counted, named, parts, shared
from tocsin.run import Run
from tocsin.stats import wilson

LEAST = 8  # batches
UNLIKE = 4  # of rank 0's batches: fewer, and a single batch is trained on, or a grid that never changes
NAMED = 3  # tensors in a message
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
WRAP = (
    Remedy("Wrap the model in DistributedDataParallel, and call the wrapped model, not the module inside it"),
    Remedy("Average by hand what is not in it: gradients of parts that are called apart, parameters made later"),
    Remedy("Take no optimizer step inside no_sync()"),
)
SPLIT = (
    Remedy("Give the loader a DistributedSampler, and call its set_epoch at each epoch"),
    Remedy("Seed what draws the batches by the rank, where no sampler does"),
)
EVEN = (
    Remedy("Give each rank as many batches: drop_last=True, or a sampler that fills up the last ones"),
    Remedy("Where that cannot be, wrap the loop in torch.distributed.algorithms.join.Join"),
)


@rule("RUN006", needs=("param/bits/* | input/fingerprint/train",), severity="error", when="end", live=True)
def ranks_diverge(run: Run, *, share: float = 0.5) -> Iterator[Finding | NotChecked]:
    """The processes of one training have different parameters, the same batches, or unlike numbers of steps.

    ## What it does
    Every process of a group records its part of the run; nothing is sent between them. Each is held against rank 0:

    **Parameters.** At steps 1, 2, 4, 8, 16, 32, 45, 64, 91, ... each rank records a sum of the bits of every trainable
    tensor, in which any one change shows. It fires where a tensor's sums differ between two ranks at the last
    compared step, and says since when. How far apart they are comes from eight projections of the parameters: the
    distance over the norm, with its 95 % interval (F distribution, 8 and 8 degrees of freedom). An error where the
    lower end is above `eps * sqrt(n)`, what n steps of independent rounding can do; a note where half of the tensors
    or more differ by no more than that; else a warning.

    **Batches.** Fingerprints of the model's training inputs at the same steps. A warning where the lower end of the
    95 % Wilson interval of the share of equal ones is above `share`, with at least 8 compared batches, 4 of
    them different ones on rank 0.

    **Steps.** One rank finished and another went on to more steps: it waits in a collective for the first until a
    time-out. A note where all of them finished.

    ## Why is this bad?
    Gradients that are averaged over different models are the gradients of neither, and the checkpoint holds rank 0's
    alone. Ranks with the same batches pay for n devices and learn what one would. Neither shows in the loss of rank 0.

    ## Example
    ```python
    at = [1, 2, 4, 8, 16, 32]
    bits = {"param/bits/0.weight": [11, 12, 13, 14, 15, 16], "rank1/param/bits/0.weight": [11, 22, 23, 24, 25, 26]}
    run = Run.of(series={name: Series.of(name, value, step=at) for name, value in bits.items()}, exit="finished")
    ```
    Use instead:
    ```python
    at = [1, 2, 4, 8, 16, 32]
    bits = {"param/bits/0.weight": [11, 12, 13, 14, 15, 16], "rank1/param/bits/0.weight": [11, 12, 13, 14, 15, 16]}
    batches = {"input/fingerprint/train": np.arange(6), "rank1/input/fingerprint/train": np.arange(6) + 6}
    batches = {name: Series.of(name, np.r_[v, v + 12], step=np.arange(1, 13)) for name, v in batches.items()}
    run = Run.of(series={**{k: Series.of(k, v, step=at) for k, v in bits.items()}, **batches}, exit="finished")
    ```

    ## Fix
    - **unsafe** Wrap the model in `DistributedDataParallel` and call the wrapped one; step outside `no_sync()`.
    - **unsafe** Use a `DistributedSampler` and `set_epoch`.
    - **unsafe** Give each rank as many batches.

    ## Options
    - `share` (0.5): of the compared batches; two shuffles of the same data agree by chance in far fewer.

    ## Known limits
    A rank's own watch sees its own part only: this rings when the folder is checked, at any time, also while the run
    goes on. Not for sharded parameters (FSDP, tensor parallelism), nor local SGD, whose parameters differ by design;
    of periodic averaging done by hand it knows only that the parameters agree again in the end. Buffers are not
    compared: batch statistics differ by design. Experts are left out. Ranks that work on one batch together (context
    or pipeline parallelism) have the same inputs by design: ignore it there. Devices of unlike makes may round
    differently. Batches are compared where the model itself is called, not under `torch.compile`.

    ## References
    Li et al. 2020, PyTorch Distributed: experiences on accelerating data parallel training, VLDB, section 3.
    """
    ranks = parts(run)
    described = _described(run)
    if len(ranks) < 2:
        missing = f", of {described['world']}" if described.get("world") else ""
        yield NotChecked(
            f"one process recorded this{missing}; parts of several are compared once the folder is checked"
        )
        return
    if kind := described.get("sharded"):
        yield NotChecked(f"parameters are sharded ({kind}): they and the batches of ranks differ, or not, by design")
        return
    if "PostLocalSGDOptimizer" in _optimizers(run):
        yield NotChecked("PostLocalSGDOptimizer: between two averages parameters differ by design")
        return
    yield from _missing(ranks, described)
    yield from _parameters(run, ranks)
    yield from _batches(ranks, share)
    yield from _steps(ranks, described)


def _described(run: Run) -> Mapping[str, Any]:
    """What the record says about the group."""
    told = run.environment.get("ranks")
    return told if isinstance(told, Mapping) else {}


def _optimizers(run: Run) -> list[Any]:
    told = run.environment.get("optimizers")
    return told if isinstance(told, list) else []


def _missing(ranks: Mapping[int, Part], described: Mapping[str, Any]) -> Iterator[NotChecked]:
    world = described.get("world")
    if isinstance(world, int) and world > len(ranks):
        yield NotChecked(f"{len(ranks)} of {world} ranks left a part that could be read")


def _parameters(run: Run, ranks: Mapping[int, Part]) -> Iterator[Finding | NotChecked]:
    prints = {rank: Fingerprints(part) for rank, part in ranks.items()}
    outcomes = [apart(prints[0], prints[rank], rank) for rank in ranks if rank]
    differing = [one for one in outcomes if isinstance(one, Apart)]
    reasons = [one for one in outcomes if isinstance(one, str)]
    if differing:
        yield _diverged(run, max(differing, key=lambda one: _known(one.distance[1])), differing)
    elif reasons:
        yield NotChecked(reasons[0])


def _known(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def _diverged(run: Run, worst: Apart, all_: list[Apart]) -> Finding:
    severity = _severity(run, worst)
    tensors = ", ".join(worst.tensors[:NAMED]) + (", ..." if len(worst.tensors) > NAMED else "")
    since = min(one.since for one in all_)
    begun = "from the first compared step on" if since == worst.first else "which they did not before"
    message = (
        f"parameters of {_ranks([one.rank for one in all_])} differ from rank 0's since step {since}, {begun}: "
        f"{len(worst.tensors)} of {worst.of} tensors at step {worst.last} ({tensors}){_far(worst)}"
    )
    name = f"{BITS}{worst.tensors[0]}"
    evidence = [
        Evidence(named(rank, name), _at(run, named(rank, name), worst.last), worst.last, text=f"bits on rank {rank}")
        for rank in (0, worst.rank)
    ]
    estimate, low, high = worst.distance
    if not math.isnan(estimate):
        text = f"distance over norm {estimate:.2g}; beyond {_rounding(run, worst):.1g} it is no rounding"
        evidence.append(Evidence(named(worst.rank, name), None, None, interval=(low, high), text=text))
    return Finding(message, "parameters", since, tuple(evidence), WRAP, severity)


def _severity(run: Run, one: Apart) -> Severity:
    estimate, low, _ = one.distance
    if low > _rounding(run, one):
        return "error"
    if math.isnan(estimate) or estimate == 0 or 2 * len(one.tensors) < one.of:
        return "warning"
    return "note"


def _rounding(run: Run, one: Apart) -> float:
    """What as many steps as these of independent rounding can do to the coarsest of the tensors, over its norm."""
    dtypes = {p.name: p.dtype for p in run.parameters}
    eps = max(EPS.get(dtypes.get(name, "float32"), EPS["float32"]) for name in one.tensors)
    return float(eps * max(1, one.last) ** 0.5)


def _far(one: Apart) -> str:
    estimate, low, high = one.distance
    if math.isnan(estimate):
        return ""
    if estimate == 0:
        return ", in entries that were not sampled"
    return f", {100 * estimate:.2g} % [{100 * low:.2g}, {100 * high:.2g}] of their norm apart"


def _at(run: Run, name: str, step: int) -> float:
    series = run.series[name]
    return float(series.value[series.step == step][-1])


def _batches(ranks: Mapping[int, Part], share: float) -> Iterator[Finding | NotChecked]:
    looked = [shared(ranks[0], part, rank) for rank, part in ranks.items() if rank]
    judged = [one for one in looked if one.of >= LEAST]
    if not judged:
        yield NotChecked(f"needs the inputs of {LEAST} training batches at common steps, the model itself being called")
        return
    told = [one for one in judged if one.distinct >= UNLIKE]
    equal = [one for one in told if wilson(one.same, one.of)[0] > share]
    if equal:
        yield _repeated(ranks, max(equal, key=lambda one: one.same), equal)
    elif not told:
        yield NotChecked(f"fewer than {UNLIKE} of rank 0's training batches are different ones")


def _repeated(ranks: Mapping[int, Part], worst: Shared, all_: list[Shared]) -> Finding:
    low, high = wilson(worst.same, worst.of)
    message = (
        f"{_ranks([one.rank for one in all_])} trained on the same batches as rank 0: {worst.same} of {worst.of} "
        f"compared ones are equal (share at least {low:.0%})"
    )
    series = ranks[0][BATCHES]
    value = float(series.value[series.step == worst.step][0])
    evidence = (
        Evidence(BATCHES, value, worst.step, None, (low, high), "fingerprint on rank 0; interval: share of equal ones"),
    )
    return Finding(message, "batches", worst.step, evidence, SPLIT, "warning")


def _steps(ranks: Mapping[int, Part], described: Mapping[str, Any]) -> Iterator[Finding]:
    name, exits = counted(ranks), described.get("exit")
    if name is None or not isinstance(exits, Mapping):
        return
    last = {rank: int(part[name].step[-1]) for rank, part in ranks.items()}
    done = [rank for rank in ranks if exits.get(str(rank)) == "finished"]
    most = max(last, key=lambda rank: last[rank])
    least = min(done, key=lambda rank: last[rank], default=most)
    if last[least] == last[most]:
        return
    waits = "" if most in done else ": it waits for the others in the next collective"
    message = f"rank {least} finished after {last[least]} steps, rank {most} went on to step {last[most]}{waits}"
    evidence = tuple(
        Evidence(named(rank, name), float(ranks[rank][name].value[-1]), last[rank], text=f"last step of rank {rank}")
        for rank in (least, most)
    )
    yield Finding(message, "steps", last[least] + 1, evidence, EVEN, "note" if most in done else "warning")


def _ranks(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"rank {numbers[0]}"
    return f"ranks {', '.join(map(str, numbers[:6]))}{', ...' if len(numbers) > 6 else ''}"
