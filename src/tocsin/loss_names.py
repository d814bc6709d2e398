"""Which loss a logged series is: told by the words of its name, or by the configuration; never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tocsin.run import Run

_FAMILIES = {
    **dict.fromkeys(("bce", "bcewithlogits"), "binary cross-entropy"),
    **dict.fromkeys(("ce", "xent", "crossentropy", "xentropy"), "cross-entropy"),
    **dict.fromkeys(("focal",), "focal loss"),
    **dict.fromkeys(("mse", "l2"), "MSE"),
    **dict.fromkeys(("rmse",), "RMSE"),
    **dict.fromkeys(("mae", "l1"), "MAE"),
    **dict.fromkeys(("huber",), "Huber loss"),
    **dict.fromkeys(("smoothl1",), "smooth L1"),
    **dict.fromkeys(("nll",), "NLL"),
    **dict.fromkeys(("gnll", "gaussiannll", "gaussian"), "Gaussian NLL"),
    **dict.fromkeys(("perplexity", "ppl"), "perplexity"),
}
_JOINED = (
    (re.compile(r"(?:binary[_\- ]?cross[_\- ]?entropy|bce)(?:[_\- ]?with[_\- ]?logits)?", re.I), "bce"),
    (re.compile(r"(?:sparse[_\- ]|categorical[_\- ]|soft)*cross[_\- ]?entropy", re.I), "ce"),
    (re.compile(r"gaussian[_\- ]?(?:nll|likelihood|log[_\- ]?likelihood)", re.I), "gnll"),
    (re.compile(r"smooth[_\- ]?l1", re.I), "smoothl1"),
    (re.compile(r"root[_\- ]?mean[_\- ]?squared?[_\- ]?error", re.I), "rmse"),
    (re.compile(r"mean[_\- ]?squared?[_\- ]?error", re.I), "mse"),
    (re.compile(r"mean[_\- ]?absolute[_\- ]?error", re.I), "mae"),
)  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+[0-9]*|[0-9]+")
_OTHER = frozenset(  # words by which a loss of that name is another quantity
    re.findall(
        r"\w+",
        "log relative rel norm normalized normalised nmse rmsle scaled masked contrastive triplet distill distillation "
        "kl vq commit cycle adv gan dice iou jaccard tversky ctc ratio std grad weight best gap",
    )
)
_PLAIN = frozenset(re.findall(r"\w+", "loss losses fn function criterion with logits nn torch functional f mean avg"))
_KEYS = frozenset(re.findall(r"\w+", "loss losses criterion loss_fn loss_function loss_type loss_name objective"))
_TYPES = ("name", "type", "kind", "_target_", "class", "fn", "loss")


@dataclass(frozen=True)
class Loss:
    """A loss function and its parameters as far as the configuration states them.

    Attributes:
        family: ``cross-entropy``, ``binary cross-entropy``, ``focal loss``, ``MSE``, ``RMSE``, ``MAE``,
            ``Huber loss``, ``smooth L1``, ``NLL``, ``Gaussian NLL`` or ``perplexity``.
        parameters: As configured: ``gamma``, ``alpha``, ``label_smoothing``, ``delta``, ``beta``, ``weight``,
            ``pos_weight``, ``full``, ...
    """

    family: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[str, ...]:
    """The lower-case words of a name, spelled-out losses as their abbreviation."""
    for pattern, short in _JOINED:
        text = pattern.sub(f" {short} ", text[:400])
    return tuple(_WORD.findall(_CAMEL.sub(" ", text).lower()))


def family_in(text: str) -> str:
    """The one loss that these words say; "" for none, for several, and for a quantity derived from one."""
    said = words(text)
    found = {_FAMILIES[word] for word in said if word in _FAMILIES}
    if "Gaussian NLL" in found:
        found.discard("NLL")
    return found.pop() if len(found) == 1 and not _OTHER & set(said) else ""


def subject_words(text: str) -> frozenset[str]:
    """The words of a name that say neither a loss nor that it is one: the task or term that is meant."""
    return frozenset(word for word in words(text) if word not in _FAMILIES and word not in _PLAIN)


def loss_of(run: Run, name: str) -> Loss | None:
    """The loss that the series ``<split>/loss``, ``<split>/loss/<term>`` or ``<split>/<term>_<loss>`` is."""
    path = name.partition("/")[2] or name
    term = path.removeprefix("loss").strip("/")
    family = family_in(term)
    known = _OTHER & set(words(term))
    if known:
        return None
    for entry in _entries(run.config, term, family):
        told = _told(entry)
        if told is not None and family in ("", told.family):
            return Loss(told.family, {**_general(run.config), **told.parameters})
    return Loss(family, _general(run.config)) if family else None


def _entries(config: Mapping[str, Any], term: str, family: str) -> Iterator[Any]:
    """What the configuration says of the loss of this term; of the only loss where there is no term."""
    for value in _under(config, _KEYS):
        if isinstance(value, Mapping) and not any(isinstance(value.get(key), str) for key in _TYPES):
            wanted = subject_words(term)
            yield from (v for key, v in value.items() if key == term or (wanted and subject_words(str(key)) == wanted))
        elif not term or family:
            yield value


def _told(entry: Any) -> Loss | None:
    if isinstance(entry, str):
        family = family_in(entry)
        return Loss(family) if family else None
    if isinstance(entry, Mapping):
        said = next((entry[key] for key in _TYPES if isinstance(entry.get(key), str)), "")
        family = family_in(said.rpartition(".")[2])
        nested: Mapping[str, Any] = next(
            (entry[k] for k in ("params", "kwargs", "args") if isinstance(entry.get(k), Mapping)), {}
        )
        return Loss(family, {**entry, **nested}) if family else None
    return None


_GENERAL = frozenset(
    re.findall(
        r"\w+",
        "label_smoothing class_weights class_weight pos_weight focal_gamma focal_alpha huber_delta smooth_l1_beta",
    )
)
_SHORT = {
    "class_weights": "weight",
    "class_weight": "weight",
    "focal_gamma": "gamma",
    "focal_alpha": "alpha",
    "huber_delta": "delta",
    "smooth_l1_beta": "beta",
}


def _general(config: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters whose keys say by themselves what they are of."""
    return {_SHORT.get(key, key): value for key, value in _leaves(config) if key in _GENERAL}


def _under(config: Any, keys: frozenset[str], depth: int = 4) -> Iterator[Any]:
    for key, value in list(config.items())[:500] if isinstance(config, Mapping) and depth else ():
        if str(key).lower() in keys:
            yield value
        else:
            yield from _under(value, keys, depth - 1)


def _leaves(config: Any, depth: int = 5) -> Iterator[tuple[str, Any]]:
    for key, value in list(config.items())[:500] if isinstance(config, Mapping) and depth else ():
        yield str(key).lower(), value
        yield from _leaves(value, depth - 1)
