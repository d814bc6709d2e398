"""From the thousand spellings of logged quantities to the canonical names of ``names.py``.

Exact spellings are aliases in ``names.py``; here is their grammar: where the split stands (``val_loss``,
``loss/val``, ``Validation Loss``), what is a loss, a term of it, a learning rate, a gradient norm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

SPLITS = {
    **dict.fromkeys(("train", "training", "tr", "trn", "trainer"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation", "vali", "heldout"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_PLAIN = frozenset({"train", "training", "val", "valid", "validation"})
_LONGEST = 160
_BREAK = re.compile(r"[/_.\s:|-]+")
_LR_LAST = re.compile(r"^lr\d*$|^lrs?$|^learningrate$")
_GRAD = re.compile(
    r"^(?:(?:train|optim|optimizer|global|total)[/_ ]?)?"
    r"(?:grad(?:ient)?s?[-_ /.]?(?:2[-_ ])?norm|gnorm)(?:[-_ ]?total)?$",
    re.IGNORECASE,
)
_OF_CLASS = re.compile(r"^(?:train|val|test)\w*/(?:f1|precision|recall|support)/.")  # canonical already
_SCALE = frozenset({"loss_scale", "grad_scale", "amp_scale", "scaler_scale", "loss_scaler", "grad_scaler", "scale"})
_TOTAL = frozenset(
    [
        "total",
        "avg",
        "ave",
        "avr",
        "average",
        "mean",
        "running",
        "batch",
        "overall",
        "sum",
        "all",
        "full",
        "smoothed",
        "main",
        "final",
        "curr",
        "current",
        "epoch",
        "step",
        "iter",
        "it",
        "tot",
        "global",
    ]
)
_BEST = frozenset({"best", "min", "max", "lowest", "highest", "minimum", "maximum", "prev", "previous", "old"})
_LOSS = frozenset({"loss", "losses", "cost", "objective"})
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GLUED = re.compile(
    r"(train|training|val|valid|validation|test|dev|eval)"
    r"(acc|accuracy|err|error|f1|auc|ppl|perplexity|mse|mae|rmse|dice|iou|miou|map|bleu|wer|cer)"
    r"|(\w+?)(?<!log)(loss|losses)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Spelling:
    """A canonical name, and whether the log gave it as a mean over the epoch (``train_loss_epoch``)."""

    name: str
    per_epoch: bool = False


@lru_cache(maxsize=65536)
def spelling(foreign: str, split: str = "") -> Spelling:
    """The canonical name of ``foreign``.

    Args:
        foreign: The name as the log writes it.
        split: ``train``, ``val``, ``test``, ... where the context says so (a line of an evaluation) and the name does
            not; a loss without any is ``train/loss``, another quantity without any keeps no split.
    """
    text = foreign.strip().strip("'\"")[:_LONGEST]
    if _OF_CLASS.match(text):
        return Spelling(text)
    said = [w[1:-1] if w[0] == "(" and w[-1] == ")" else w for w in _BREAK.split(text) if w not in ("", "()")]
    words = [part for word in said for part in _parts(word)]
    lower = [w.lower() for w in words]
    joined = "_".join(lower)
    if joined in _SCALE and joined != "scale":
        return Spelling("amp/scale")
    if _GRAD.match(text):
        return Spelling("grad/norm")
    if (group := _lr_group(lower)) is not None:
        return Spelling(f"lr/{group}")
    lower, words, found = _take_split(lower, words)
    split = found or split
    words, lower, per_epoch = _take_level(words, lower)
    rest = [_cased(w) for w in words]
    if lower[:1] and lower[0] in _BEST:
        return Spelling("_".join([*rest[:1], *([split] if split else []), *rest[1:]]), per_epoch)
    if any(w in _LOSS for w in lower) and not {"scale", "weight", "weights", "lr", "coef", "ratio"} & set(lower):
        term = "_".join(r for r, w in zip(rest, lower, strict=True) if w not in _LOSS and w not in _TOTAL)
        return Spelling(f"{split or 'train'}/loss" + (f"/{term}" if term else ""), per_epoch)
    if lower[:1] == ["metrics"] and len(lower) > 1:
        rest, split = rest[1:], split or "val"
    name = "_".join(rest) or joined or "value"
    if not found and "/" in text and lower[:1] != ["metrics"]:
        name = "/".join("_".join(_cased(w) for w in _BREAK.split(part) if w) for part in text.split("/")).strip("/")
    return Spelling(f"{split}/{name}" if split else name, per_epoch)


def _parts(word: str) -> list[str]:
    """The words that stand glued in one (``trainLoss``, ``valacc``), where they say a split or a loss."""
    humps = _HUMP.split(word)
    if len(humps) > 1 and any(part.lower() in SPLITS or part.lower() in _LOSS for part in humps):
        return humps
    glued = _GLUED.fullmatch(word)
    return [part for part in glued.groups() if part] if glued else [word]


def _lr_group(lower: list[str]) -> str | None:
    """The parameter group of a learning rate's name, "0" where it has none; None where it is no learning rate."""
    if not lower or "loss" in lower or "decay" in lower or "scale" in lower or "mult" in lower:
        return None
    at = next((i for i, w in enumerate(lower) if _LR_LAST.match(w)), None)
    if at is None:
        at = next((i for i, w in enumerate(lower) if i and w == "rate" and lower[i - 1] in ("learning", "learn")), None)
    if at is None:
        return None
    digits = lower[at].lstrip("lrs")
    after = [w for w in lower[at + 1 :] if w not in ("step", "epoch", "avg", "mean")]
    group = "_".join([*([digits] if digits.isdigit() else []), *after])
    return group.removeprefix("pg") or "0"


def _take_split(lower: list[str], words: list[str]) -> tuple[list[str], list[str], str]:
    """Names without the word of the split, and the split: first or last, in the middle only where it is spelled out."""
    last = len(lower) - 1
    if last > 1 and lower[1] in _PLAIN and SPLITS.get(lower[0]) == "train":  # train/val_loss: the trainer's section
        return _take_split(lower[1:], words[1:])
    after = lower[:1] and lower[0] in ("epoch", "batch", "avg", "average", "mean", "running", "final")
    for at in (0, last, *range(1, last)):
        if last > 0 and lower[at] in SPLITS and (at in (0, last) or (at == 1 and after) or lower[at] in _PLAIN):
            return lower[:at] + lower[at + 1 :], words[:at] + words[at + 1 :], SPLITS[lower[at]]
    return lower, words, ""


def _take_level(words: list[str], lower: list[str]) -> tuple[list[str], list[str], bool]:
    """Names without a leading ``epoch`` or a trailing ``step``/``epoch``, and whether it was the epoch's."""
    if len(lower) > 1 and lower[-1] in ("epoch", "step", "iter"):
        return words[:-1], lower[:-1], lower[-1] == "epoch"
    if len(lower) > 1 and lower[0] in ("epoch", "batch", "iter", "iteration", "step"):
        return words[1:], lower[1:], lower[0] == "epoch"
    return words, lower, False


def _cased(word: str) -> str:
    """Lower case, but for names like mAP50 and recall(B) whose case carries meaning."""
    return word if re.search(r"[a-z][A-Z]|\([A-Z]\)$", word) else word.lower()
