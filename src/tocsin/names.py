"""One table: every series that tocsin records, its unit and meaning, and the foreign spellings of it.

``<term>``, ``<group>``, ``<tensor>``, ``<module>``, ``<mode>`` stand for the run's own names. ``docs/series.md`` is
generated from this table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Name:
    """One canonical series name.

    Attributes:
        name: Canonical slash key; ``<...>`` parts vary.
        meaning: One sentence.
        unit: "" for 1.
        how: What records it.
        aliases: Foreign spellings that readers translate.
    """

    name: str
    meaning: str
    unit: str = ""
    how: str = "tocsin.watch"
    aliases: tuple[str, ...] = ()


LOSSES = "run.losses(total=..., term=...)"
METRICS = "run.metrics({...})"

NAMES: tuple[Name, ...] = (
    Name("train/loss", "Total training loss of one `run.losses` call.", how=LOSSES, aliases=("loss", "train_loss")),
    Name(
        "train/loss/<term>",
        "One named term of the training loss, as passed (unweighted unless you weight it).",
        how=LOSSES,
    ),
    Name("val/loss", "Loss of an evaluation, by the user's own code.", how=METRICS, aliases=("eval_loss", "val_loss")),
    Name(
        "lr/<group>", "Learning rate of one parameter group; recorded when it changes.", aliases=("lr", "learning_rate")
    ),
    Name("count/backward", "Backward passes so far."),
    Name("count/forward", "Forward passes of the model with gradients enabled so far; not under torch.compile."),
    Name("count/optimizer", "Completed optimizer steps so far (skipped AMP steps are not completed)."),
    Name("count/cleared", "Backward passes so far whose gradient was cleared before any optimizer step used it."),
    Name("count/carried", "Backward passes so far that added to a gradient which a completed step had already used."),
    Name("count/skipped", "Optimizer steps skipped by the GradScaler so far."),
    Name("amp/scale", "Loss scale of the GradScaler."),
    Name(
        "loss/path/<term>",
        "1: the term has a gradient path to a trainable parameter; 0: it is a tensor without one. Not for floats.",
    ),
    Name(
        "loss/trunk_norm/<term>",
        "L2 norm of this term's gradient at the trunk tensor: the last matrix that the most terms reach, in a large "
        "model the last one of at most 0.4 % of its parameters, or such a vector (terms passed before backward).",
    ),
    Name(
        "loss/trunk_cos/<pair>",
        "Cosine between two terms' gradients at the trunk tensor; the pair is written `a|b` (terms passed before "
        "backward).",
    ),
    Name("weight/<term>", "Weight of a term in the total, where the user logs it.", how=METRICS),
    Name(
        "reference/<loss>",
        "Value of that loss or metric for the best constant prediction, where the user gives it.",
        how=METRICS,
    ),
    Name(
        "grad/norm",
        "L2 norm of the raw gradient of all parameters: before clipping, unscaled, local to the rank.",
        aliases=("grad_norm",),
    ),
    Name("grad/norm/<tensor>", "L2 norm of one tensor's raw gradient."),
    Name("grad/nonfinite", "NaN or inf entries in the raw gradient."),
    Name("grad/count/<tensor>", "Times this tensor received a gradient since the last sample's step began; 0: none."),
    Name(
        "module/ran/<module>",
        "1: a module with a tensor that got no gradient in the previous sample ran in a training forward; 0: it did "
        "not.",
    ),
    Name("grad/applied_norm", "L2 norm of the gradient that the optimizer used: after unscaling, clipping, reduction."),
    Name("grad/applied_nonfinite", "NaN or inf entries in the gradient that the optimizer used."),
    Name(
        "grad/at_max_frac/<tensor>", "Share of the non-zero applied entries whose magnitude is exactly the largest one."
    ),
    Name("grad/zero_frac/<tensor>", "Share of (sampled) applied entries that are exactly 0; 1 only where all are."),
    Name("param/changed/<tensor>", "1: the tensor's bytes changed since the previous sample; 0: they did not."),
    Name(
        "param/bits/<tensor>",
        "Sum of the bits of the tensor's entries, an integer below 2^53: ranks that hold the same tensor have the same "
        "one. In process groups only, at steps 1, 2, 4, 8, 16, 32, 45, 64, 91, ...",
    ),
    Name(
        "param/projection/<k>",
        "Sum of the parameters' entries under one of eight fixed patterns of signs, on a strided sample, at the same "
        "steps: how far the parameters of two ranks are apart.",
    ),
    Name("param/nonfinite", "NaN or inf entries in the parameters."),
    Name("param/norm", "L2 norm of all trainable parameters."),
    Name(
        "update/ratio/<tensor>",
        "RMS of one optimizer step's update over RMS of the tensor, on a strided sample of its entries; "
        "inf or NaN for a tensor that was all 0.",
    ),
    Name("act/rms/<module>", "Root mean square of a module's output (of its first samples, where it is large)."),
    Name("act/zero_frac/<module>", "Share of a module's output that is exactly 0."),
    Name(
        "act/dead_frac/<module>",
        "Share of a module's units (last axis, or channels of an image) that are exactly 0 for the whole batch.",
    ),
    Name(
        "act/saturated_frac/<module>",
        "Share of a bounded activation's outputs (tanh, sigmoid) within 1 % of the range of one of its bounds.",
    ),
    Name(
        "norm/lag/<module>",
        "RMS over channels of the difference between a batch normalisation's output by running and by batch "
        "statistics, in standard deviations, on a training batch.",
    ),
    Name("norm/eval_lag/<module>", "The same on an evaluation batch, normalised by running statistics."),
    Name(
        "input/mean/<mode>",
        "Mean of the model's first floating input, on at most 65,536 evenly spread entries; mode is train or eval.",
    ),
    Name("input/sd/<mode>", "Standard deviation of that input."),
    Name("input/min/<mode>", "Minimum of that input."),
    Name("input/max/<mode>", "Maximum of that input."),
    Name("input/fingerprint/<mode>", "Order-sensitive fingerprint of that input, an integer below 2^53."),
    Name("input/nonfinite/<mode>", "NaN or inf entries in that input."),
    Name("input/constant_frac/<mode>", "Share of that input's features or channels that do not vary within the batch."),
    Name(
        "input/overlap_frac",
        "Share of the samples of an evaluation whose exact content was seen in a training forward.",
    ),
    Name(
        "input/likeness",
        "Share of the variance of the training inputs that lies between the first batches of an epoch (intraclass "
        "correlation); about 0 for batches drawn at random.",
    ),
    Name("input/compared", "Samples of an evaluation forward that were held against the training samples."),
    Name("input/rows", "Samples that went through the model between two steps, in an evaluation."),
    Name("input/repeat_frac", "Share of an evaluation forward's samples whose exact content another one of it has."),
    Name(
        "rng/fingerprint/<mode>",
        "Fingerprint of the random state before the first and the second forward of an epoch or evaluation.",
    ),
    Name(
        "time/step_s",
        "Time from one `run.losses` call to the next without tocsin's own; on CUDA that of the device's stream.",
        "s",
    ),
    Name("time/data_s", "Time between the end of a step and the next training forward, on the same clock.", "s"),
    Name("memory/rss_mib", "Resident memory of the process.", "MiB"),
    Name(
        "ema/behind",
        "How far the EMA weights stay behind the live ones: 1 - <e - t0, t - t0> / |t - t0|^2, on a strided sample; "
        "t0: the weights when the watch began.",
    ),
    Name("ema/distance", "RMS distance between the EMA weights and the live ones over the RMS of the live ones."),
    Name("watch/cost_frac", "Share of the run's wall time that tocsin used so far."),
    Name("watch/every", "Steps between two samples, as the governor set it."),
    Name("watch/dropped", "Points that the writer had to drop so far."),
)


def spec(name: str) -> Name | None:
    """The row of the table that describes the series ``name``, the most particular one."""
    best: Name | None = None
    for row in NAMES:
        stem, _, variable = row.name.partition("<")
        if name == row.name or (variable and name.startswith(stem) and len(name) > len(stem)):
            best = row if best is None or len(row.name) > len(best.name) else best
    return best


def canonical(foreign: str) -> str:
    """The canonical name of a foreign spelling, its first variable part "0" (``lr`` is ``lr/0``); others are kept."""
    for row in NAMES:
        if foreign in row.aliases:
            stem, variable, _ = row.name.partition("<")
            return stem + "0" if variable else row.name
    return foreign


def unit(name: str) -> str:
    """Unit of a series, "" when it is 1 or unknown."""
    row = spec(name)
    return row.unit if row else ""


def describe_need(need: str) -> str:
    """A rule's need in words, with what records it."""
    options = [option.strip() for option in need.split("|")]
    hows = dict.fromkeys(_how(option) for option in options)
    return f"{' or '.join(options)} ({' or '.join(hows)})"


def _how(need: str) -> str:
    if need.startswith("evaluations"):
        return "run.evaluate(split, target=, prediction=)"
    if need in ("config", "parameters", "events"):
        return {"config": "watch(..., config=)"}.get(need, "record it with tocsin.watch")
    row = spec(need.replace("/*", "/x"))
    how = row.how if row else METRICS
    return how if how != "tocsin.watch" else "record it with tocsin.watch"


_MAIN_SPLITS = ("val", "valid", "validation", "dev", "eval", "evaluation")


def eval_losses(recorded: Iterable[str]) -> list[str]:
    """The main losses of evaluations among these series names, the one to select models by first.

    A main loss is ``<split>/loss`` of any split but train; component losses (``val/loss/<term>``) are not.
    """
    found = [n for n in recorded if n.endswith("/loss") and n.count("/") == 1 and n != "train/loss"]
    ranks = {f"{split}/loss": rank for rank, split in enumerate(_MAIN_SPLITS)}
    return sorted(found, key=lambda n: (ranks.get(n, len(ranks)), n.startswith("test"), n))


_WORD = re.compile(r"[a-z0-9]+")
_BETTER_HIGH = frozenset(
    _WORD.findall(
        "acc accuracy ami ap ari auc auroc bleu corr dice f1 iou kappa map mcc miou nmi pearson precision psnr r2 "
        "recall rouge spearman ssim top1 top5"
    )
)
_BETTER_LOW = frozenset(
    _WORD.findall(
        "bpb bpc bpd cer deviance err error fid logloss loss lpips mae mape merror mlogloss mse nll nmse perplexity "
        "ppl rmse rmsle wer"
    )
)


@lru_cache(maxsize=4096)
def direction(metric: str) -> int:
    """1 if higher is better, -1 if lower is better, 0 if the metric's last part does not say."""
    words = set(_WORD.findall(metric.rpartition("/")[2].lower()))
    return bool(words & _BETTER_HIGH) - bool(words & _BETTER_LOW)


def split_of(name: str) -> str:
    """The split that a series belongs to (``val/f1`` is of ``val``), "" where its name does not say."""
    head, slash, _ = name.partition("/")
    return head if slash and (head in _SPLITS or head.startswith(_SPLIT_OF_SEVERAL)) else ""


_SPLITS = ("train", *_MAIN_SPLITS, "test")
_SPLIT_OF_SEVERAL = tuple(f"{split}_" for split in ("train", "val", "test"))


def eval_metrics(recorded: Iterable[str]) -> list[str]:
    """Evaluation metrics among these series names whose better end is known: not losses, not of training.

    A metric without split counts: whoever logs a bare ``accuracy`` beside the training loss has evaluated. Those of
    the split to select models by come first.
    """
    found = [
        n for n in recorded if direction(n) and split_of(n) != "train" and not _is_loss(n) and not n.startswith("best")
    ]
    ranks = {split: rank for rank, split in enumerate(_MAIN_SPLITS)}
    return sorted(found, key=lambda n: (ranks.get(split_of(n), len(ranks)), n.startswith("test"), n))


def _is_loss(name: str) -> bool:
    return "loss" in _WORD.findall(name.lower())
