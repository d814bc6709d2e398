"""OPT017 before the run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.prechecks import mixing
from tocsin.prechecks.answers import answer
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.portions import floating, portion, samples_in
from tocsin.prechecks.setup import Batch, SetupError
from tocsin.stats import Floats

_ORDER = Remedy("Look for a view or reshape that should be a transpose, and for batch_first=True that is missing")
_MASK = Remedy("Apply softmax, sums and attention along the features or positions, never along dimension 0")
_NORM = Remedy("Give BatchNorm running statistics (track_running_stats=True), or use GroupNorm or LayerNorm")


@rule("OPT017", needs=(), severity="error", scope="setup")
def batch_mixing(bench: Bench, *, samples: int = 7, tolerance: float = 1e-5) -> Iterator[Finding | NotChecked]:
    """In eval mode, the model's answer for one sample depends on that sample alone.

    ## What it does
    The model is put in eval mode and called as `losses` calls it, with the first `samples` samples of a batch. For each
    sample i it takes the gradient of a random projection of answer i in every input j, of norm g(i, j). Rings where
    g(i, j) > `tolerance` * max_j g(i, j) for any i != j; autograd gives exactly 0 there for a model that keeps samples
    apart. Where the inputs are integers (tokens), or no gradient leads back, sample j is replaced by its neighbour
    instead, and an answer i != j that moves by more than `tolerance` of the largest move, and by more than two equal
    calls differ, counts. The first module whose answers mix is named.

    A warning where that module is a BatchNorm without running statistics. A note where the mixing runs along dimension
    0 while dimension 1 is kept apart, the answer has both, and no `batch_size` of the loader says which is the batch:
    a sequence-first model looks so by design.

    ## Why is this bad?
    A `view` that should be a `transpose`, a recurrent or attention layer that takes the batch for time, a softmax or a
    mean along dimension 0: training goes on and the loss may even fall, by what leaks between samples of a batch. What
    is predicted then depends on the company a sample is in, and for a sample alone it is another model.

    ## Fix
    - **unsafe** Transpose instead of reshaping; `batch_first=True`; normalise over features.

    ## Options
    - `samples` (7): 42 pairs; a reshape mixes neighbours, so few are enough, and few layers have a width of 7.
    - `tolerance` (1e-5): 100 roundings of single precision; kept apart, the gradient is exactly 0.

    ## Known limits
    Dimension 0 only, and only where all tensors of the batch share it: graphs, lists of images and packed sequences are
    not checked. Mixing in the loss (contrastive losses) is no mixing in the model, and BatchNorm in train mode is
    not looked at. Retrieval over the batch and experts of limited capacity mix by design: ignore the rule there. The
    first call of the model in `losses` counts. Mixing without a gradient (a sort) is seen with integer inputs only.

    ## References
    Karpathy 2019, A Recipe for Training Neural Networks ("use backprop to chart dependencies").
    """
    n = samples_in(bench.train[0])
    if n is None or n < 2:
        yield NotChecked("the tensors of a batch share no first dimension of 2 or more samples")
        return
    bench.model.eval()
    batch, n = _few(bench, n, samples)
    seen = answer(bench, batch)
    if seen is None or not _rows(bench, seen.inputs, n) or not floating(seen.outputs, n):
        yield NotChecked("losses does not call the model with, and get from it, one row a sample along dimension 0")
        return
    sizes = mixing.by_gradient(bench, batch, n)
    differentiable = sizes is not None
    if sizes is None:
        sizes = mixing.by_exchange(bench, batch, n)
    if sizes is None:
        yield NotChecked("neither gradients nor exchanged samples show what an answer depends on")
        return
    scale = np.maximum(sizes.max(axis=int(differentiable)), 1e-300)
    mixed = sizes > tolerance * (scale[:, None] if differentiable else scale[None, :])
    np.fill_diagonal(mixed, False)
    if mixed.any():
        name = mixing.where(bench, batch, n, tolerance) if differentiable else None
        yield _finding(bench, sizes, mixed, name, tolerance, _unsure(bench, batch, n, differentiable))


def _few(bench: Bench, n: int, samples: int) -> tuple[Batch, int]:
    """The first samples; the whole batch for a model of one batch size."""
    few = min(n, max(2, samples))
    batch = portion(bench.train[0], slice(0, few))
    try:
        answer(bench, batch)
    except SetupError:
        return bench.train[0], n
    return batch, few


def _rows(bench: Bench, inputs: list[Tensor], n: int) -> bool:
    """Whether dimension 0 of all inputs is the samples: no adjacency matrix, no other size, no batch in dimension 1."""
    shapes = [tuple(t.shape) for t in inputs if t.dim()]
    told = getattr(bench.setup.train, "batch_size", None)
    whole = samples_in(bench.train[0])
    square = len(shapes) > 1 and (n, whole) in shapes
    second = isinstance(told, int) and told != whole and any(shape[1:2] == (told,) for shape in shapes)
    return bool(shapes) and all(shape[0] == n for shape in shapes) and not square and not second


def _unsure(bench: Bench, batch: Batch, n: int, differentiable: bool) -> bool:
    """Whether dimension 1 is kept apart and may be the batch as well as dimension 0."""
    told = getattr(bench.setup.train, "batch_size", None)
    known = told == samples_in(bench.train[0]) or bench.has("group") or bench.has("raw")
    return not known and differentiable and mixing.second_apart(bench, batch, n)


def _finding(bench: Bench, sizes: Floats, mixed: Floats, name: str | None, tolerance: float, unsure: bool) -> Finding:
    n = len(sizes)
    own = np.maximum(np.diag(sizes)[:, None], 1e-300)
    ratio = float(np.median((sizes / own)[mixed > 0]))
    modules: dict[str, nn.Module] = dict(bench.model.named_modules())
    kind = type(modules[name]).__name__ if name is not None else ""
    begins = f"; it begins in {name} ({kind})" if name is not None else ""
    size = f"{ratio:.2g} times its own effect" if ratio < 1e6 else "while its own has none"
    message = (
        f"in eval mode the model's answer for a sample depends on other samples of the batch: so in "
        f"{int(mixed.sum())} of {n * (n - 1)} pairs, {size} at the median{begins}"
    )
    stateless = name is not None and isinstance(modules[name], _BatchNorm)
    severity: Severity = "note" if unsure else "warning" if stateless else "error"
    if unsure:
        message += "; dimension 1 is kept apart: right if that is the batch (sequence first), else the two are confused"
    evidence = [Evidence("setup:model", ratio, 0, tolerance, text="effect of another sample over the own one, median")]
    return Finding(
        message, severity=severity, evidence=tuple(evidence), remedies=(_NORM,) if stateless else (_ORDER, _MASK)
    )
