"""The vocabulary of training logs: which words name positions, metrics, bookkeeping, splits."""

from __future__ import annotations

import re
from functools import lru_cache

from tocsin.readers.console.languages import translated
from tocsin.readers.naming import SPLITS


def listed(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_PARTS = re.compile(r"'s\b|[\s_/\-.@:'()%+²\[\]]+|(?<=[a-z])(?=[A-Z])")

EPOCH = frozenset({"epoch", "ep", "epo", "epoc"})
GLOBAL = frozenset({"up", "iteration", "updates", "update", "nupdates", "timesteps", "timestep", "frames", "kimg"})
STEP = frozenset({"step", "iter", "it", "iters", "itr", "iterations", "round", "episode", "episodes", "steps", "tick"})
BATCH = frozenset({"batch", "minibatch", "batches", "batchid"})
_ROOMS = listed("time train trainer val eval test global rollout charts progress diagnostics misc")
_PREPOSITIONS = frozenset({"at", "after", "for", "in", "on"})
_TOTALS = frozenset({"total", "max", "all"})
_TRAILERS = frozenset({"id", "idx", "index", "no", "num", "number", "i", "count"})
_NO_PLACE = listed(
    "best last start starting resume resumed warmup warm from max min total num number per every patience "
    "eval_every save checkpoint ckpt stop stopped early next until previous prev restored remaining each avg mean "
    "milestone accumulation inner seed size skipped nan"
)

METRICS = listed(
    "loss losses acc accuracy accuracies err error errors f1 fb1 f precision recall auc auroc auprc ap ar map "
    "miou iou dice bleu rouge rougel ppl perplexity bpb bpc bpd mse mae rmse rmsle mape smape nll elbo kl kld "
    "kldiv reward rewards rew return returns score psnr ssim lpips fid r2 corr pearson spearman wer cer lr gnorm "
    "logloss l1 l2 ndcg mrr mr hits kappa mcc jaccard sensitivity specificity top1 top5 prec1 prec5 acc1 acc5 "
    "entropy objective cost ce bce mlogloss merror learn recon reconstruction adv likelihood ll crossentropy hd95 "
    "ate rpe epe auprc eer binary_logloss multi_logloss hamming success winrate chrf meteor cider"
)
_CONFIG = listed(
    "weight weights smoothing type name threshold thresh coef coeff coefficient lambda alpha "
    "beta gamma decay scheduler schedule policy max min mult ratio factor mode metric metrics target interval "
    "clip clipping file path dir normalization initial init base end final_lr warmup patience margin reduction "
    "freq scaling criterion per log"
)
_BOOKKEEPING = listed(
    "time times eta elapsed sec secs seconds ms s memory mem gpu cpu ram speed throughput ips size samples sample "
    "seed rank world worker workers dataset images image tokens tok token params parameters param fps vram "
    "duration remaining eps_time wall wallclock datetime date shape dim total_time sps tflops tflop flops mfu "
    "data_time cost_s version port pid job node host device cuda id bs bsz batchsize consumed utilization util "
    "runtime hours minutes train_runtime allocated reserved cached examples num number counter patience vocab "
    "flos it/s wps ups wpb load latency overhead instances labels targets zeros bins isz tsz hrs thrpt tps "
    "data gb mb cost_time skipped nan"
)
_OF_CLASS = re.compile(r"(?:iou|acc|ap|f1|dice|precision|recall)[./]\w|rank[-@]?\d", re.IGNORECASE)
_STEM = re.compile(r"\d+$")


@lru_cache(maxsize=16384)
def parts(key: str) -> tuple[str, ...]:
    """The lower-case words of a key; East Asian ones are translated."""
    text = key if key.isascii() else translated(key)
    return tuple(word.lower() for word in _PARTS.split(text) if word)


@lru_cache(maxsize=16384)
def place(key: str) -> str:
    """What position a key names: ``epoch``, ``step``, ``global``, ``batch``, or "" for none."""
    if "/" in key and parts(key)[:1] and parts(key)[0] not in _ROOMS:  # tokens/iter, ms/batch
        head, _, rest = key.partition("/")
        return place(head) if _TOTALS & set(parts(rest)) else ""  # step/total_step
    words = list(parts(key))
    if words in (["num", "updates"], ["global", "step"], ["total", "timesteps"], ["cur", "nimg"], ["total", "steps"]):
        return "global"
    while len(words) > 1 and words[-1] in _TRAILERS:
        words.pop()
    words = _behind_preposition(words)
    if not words or len(words) > 4 or (_NO_PLACE | METRICS) & set(words):
        return ""
    last = words[-1]
    if words[:-1] == ["episode"] and last in STEP:  # how long it was
        return ""
    for kind, vocabulary in (("epoch", EPOCH), ("global", GLOBAL), ("step", STEP), ("batch", BATCH)):
        if last in vocabulary:
            return "global" if "global" in words else kind
    return "epoch" if last in ("e", "epochs") and len(words) == 1 else ""


def _behind_preposition(words: list[str]) -> list[str]:
    """``validation loss at iteration`` names an iteration."""
    at = max((i for i, word in enumerate(words) if word in _PREPOSITIONS), default=-1)
    return words[at + 1 :]


@lru_cache(maxsize=16384)
def metric(key: str) -> bool:
    """Whether a key surely names a quantity that tells of learning (a loss, a score, a learning rate, a norm)."""
    words = parts(key)
    if not words or (set(words) & _CONFIG and words[:2] != ("log", "loss")):
        return False
    if words[-2:] in (("learning", "rate"), ("grad", "norm"), ("loss", "scale"), ("gradient", "norm")):
        return True
    if words[-2:] == ("skipped", "iterations"):
        return True
    if bookkeeping(key):
        return False
    known = any(
        w in METRICS or _STEM.sub("", w) in METRICS or (len(w) > 5 and w.endswith(("loss", "acc"))) for w in words
    )
    return (
        known
        or words[0] == "map"
        or _OF_CLASS.match(key) is not None
        or (len(words) > 1 and words[0] in SPLITS and words[-1] in ("norm", "kl"))
    )


@lru_cache(maxsize=16384)
def losses(key: str) -> bool:
    """Whether a key names a loss."""
    return any(word.endswith(("loss", "losses")) or word in ("nll", "ppl", "perplexity", "elbo") for word in parts(key))


@lru_cache(maxsize=16384)
def bookkeeping(key: str) -> bool:
    """Whether a key names time, memory, speed, sizes: numbers that say nothing of learning."""
    words = parts(key)
    if not words or words == ("total", "loss"):
        return not words
    if words in (
        ("base", "lr"),
        ("v",),
        ("run",),
        ("fold",),
        ("trial",),
        ("gi", "b"),
        ("mi", "b"),
    ):  # mmengine's, beside lr
        return True
    if "cost" in words and {"batch", "reader", "time", "data", "avg"} & set(words):
        return True
    if _OF_CLASS.match(key):
        return False
    return any(w in _BOOKKEEPING for w in words) and words[-1] not in ("loss", "acc", "accuracy")


@lru_cache(maxsize=16384)
def split_word(text: str) -> str:
    """The split that a word or short phrase says (``Test set``, ``val``, ``valid on 'valid' subset``), "" for none."""
    words = parts(text)
    for word in words[:3]:
        if word in SPLITS:
            return SPLITS[word]
    return ""
