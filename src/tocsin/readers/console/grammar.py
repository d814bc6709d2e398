"""The second half of the grammar: which numbers of a line are positions and quantities, and of which split."""

from __future__ import annotations

import re
from dataclasses import replace

from tocsin.readers.console import words
from tocsin.readers.console.plan import Pair, Plan
from tocsin.readers.console.prefixes import Prefix, prefix
from tocsin.readers.console.roles import Roles
from tocsin.readers.console.scanning import Number, in_paths, scan, without_paths

MAYBE = re.compile(
    r"\w\)?[\"'\]]?\s*(?:[:=|：＝]|->|\[[\d.n-])|epoch|iter|step|loss|acc|\d/\d+ |lr|rate |\[\d+[\],]|轮|步"
    r"|\b(?:dice|m?iou|psnr|ssim|ppl|auc|map|f1|reward|return|bleu|score|error|mse|mae|rmse|r2)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"^\s*(?:def |class |import |from \S+ import |return\b|elif |raise |with |assert |print\(|#include|@\w|//|/\*|"
    r"(?:if|for|while|else|try|except)\b.*:$|(?:const|let|var|public|static|void|int|float) \w)"
    r"|\bself\.\w|\bprint\(|\{:?[.,]?\d*[fdegs]?\}|\{\w+(?:\.\w+\(?\)?)?:[.\d]*[fdeg]?\}|\bf[\"']|[\w)\]'\"]\s?==\s?[\w('\"]"
    r"| \+= |\bshape\s?=|\blambda\b|</?\w+>"
    r"|^\s*>>> |^[\w.]+\([A-Za-z_]\w*\s*,|(?:^|\s)--[a-z][\w\-]*[ =]\S"
    r"|\w\s?= ?(?!tensor|np\.|torch\.tensor|tf\.Tensor|float|array|int|dict)[A-Za-z_][\w.]*\((?!tensor)"
)
_SETTINGS = words.listed(
    "batch_size hidden_size dropout num_layers optimizer seed epochs num_epochs momentum weight_decay betas beta1 "
    "beta2 n_layers n_heads hidden_dim num_workers max_steps num_train_epochs warmup_steps embed_dim d_model "
    "nesterov eps lr0 lrf batch max_epochs batchsize adam_beta1 n_layer n_head n_embd vocab_size block_size "
    "learning_rate_decay in_features out_features kernel_size stride padding"
)
_KEYS = re.compile(r"[\"']?([A-Za-z_]\w{2,30})[\"']?\s?[=:]")
_ASIDE = re.compile(
    r"\b(?:best|improv\w*|sav(?:ed|ing)|load(?:ed|ing)?|early|restor\w*|resum\w*|patience|checkpoint|writ\w+"
    r"|download\w*|"
    r"finished|completed?|took|elapsed|time|start(?:ing)? from|learning rate decay\w*|generat\w+|process\w+"
    r"|reduc\w+)\b",
    re.IGNORECASE,
)
_OUTCOME = re.compile(
    r"^\W*(accuracy|acc|f1|precision|recall)\b.{0,60}?(?:\b(train|val|valid|validation|test)\w*\b.{0,40})?[:=]",
    re.IGNORECASE,
)
_OF_ONE_SCALE = re.compile(r"\bRegion \d+ Avg\b")  # darknet, of a mini-batch; without objects all of it is -nan
_RUNNING = re.compile(r"\bETA\b|\d(?:[mun]?s)/(?:step|sample)")
_RATE_SET = re.compile(
    r"(?:learning[ _-]?rate|\blr)(?: of group (?:0|(\d+)))?(?: (?:is|was|has been|now|being|set|reduced|changed"
    r"|decayed|updated|adjusted|dropped))*(?: from \S+)? (?:to|as)[\s:=]*$",
    re.IGNORECASE,
)
_BOXED = re.compile(r"^\s*[|│][^|│]{1,80}[|│][^|│]{1,80}[|│]\s*$")
_MOST_WORDS = 15
_WORDS = re.compile(r"[^\W\d_]{2,}")


def study(line: str, pieces: list[str]) -> Plan | None:
    """The plan for all lines of the shape of ``line``; None where it holds nothing to read.

    Args:
        line: A cleaned line.
        pieces: What ``numbers.split`` makes of it.
    """
    if len(pieces) < 3:
        return None
    start = prefix(line)
    plan = _after(start, line, pieces)
    if start.fallback >= 0 and (plan is None or not plan.places):
        plan = _after(Prefix(start.fallback, -1, start.dated), line, pieces)
    return plan


def _after(start: Prefix, line: str, pieces: list[str]) -> Plan | None:
    message = line[start.end :]
    if _CODE.search(message) is not None or _OF_ONE_SCALE.search(message) is not None:
        return None
    first, cut = _first(pieces, start.end)
    inside = in_paths(pieces)
    numbers = [number for number in scan(cut, first) if number.at not in inside]
    if not numbers:
        return None
    roles = Roles(numbers)
    pairs = _accepted(roles, message)
    if not pairs and (rate := _rate(numbers)) is not None:
        return Plan(pairs=(rate,), dated=start.dated, rank=start.rank, weak=True, aside=True)
    if roles.places and not pairs and not _heads(message, numbers, roles):
        return None
    if not pairs and not roles.places:
        return None
    pairs = pairs or []
    return Plan(
        places=tuple(roles.places),
        pairs=tuple(pairs),
        split=roles.split,
        header=not pairs,
        rank=start.rank,
        dated=start.dated,
        tag=_tag(numbers, roles),
        brief=not roles.places and len(numbers) <= 2 and len(pairs) == 1,
        weak=not roles.places and all(_setting(pair.name) for pair in pairs),
        sure=_sure(message, numbers, roles, pairs),
        bar=any(place.kind == "bar" for place in roles.places),
        running=_RUNNING.search(message) is not None,
        summary=not roles.places and message.lstrip().startswith("* "),
    )


def _sure(message: str, numbers: list[Number], roles: Roles, pairs: list[Pair]) -> bool:
    """Whether hardly anything but a training log prints such a line: a position, quantities, and no other words."""
    known = {pair.at for pair in pairs if words.metric(pair.name) and not _setting(pair.name)}
    stated = [number for number in numbers if number.at in known and number.decimal]
    of_a_run = any(words.losses(pair.name) for pair in pairs) or any(place.kind == "global" for place in roles.places)
    if not of_a_run or not stated:
        return False
    named = sum(
        len(_WORDS.findall(number.key)) + bool(number.unit) + bool(_WORDS.match(number.text)) for number in numbers
    )
    loose = len(_WORDS.findall(without_paths(message))) - named
    return loose <= (4 if roles.places else 3) and (bool(roles.places) or len(stated) >= 2)


def _rate(numbers: list[Number]) -> Pair | None:
    """``Adjusting learning rate of group 0 to 1e-3``; the epoch beside it is the scheduler's own count."""
    said = ""
    for number in numbers:
        said = (said + number.before)[-160:]
        found = _RATE_SET.search(said)
        if found is not None:
            return Pair(f"lr group {found.group(1)}" if found.group(1) else "lr", number.at)
        said += number.text
    return None


def _first(pieces: list[str], end: int) -> tuple[int, list[str]]:
    """The first number at or behind a place in the line, and the pieces with the text before that place blanked."""
    at, offset = 0, len(pieces[0])
    while at < len(pieces) // 2 and offset < end:
        offset += len(pieces[2 * at + 1]) + len(pieces[2 * at + 2])
        at += 1
    cut = list(pieces)
    if at < len(pieces) // 2:
        kept = offset - end
        cut[2 * at] = pieces[2 * at][len(pieces[2 * at]) - kept :] if kept else ""
    return at, cut


def _accepted(roles: Roles, message: str) -> list[Pair]:
    """The candidates that a line of this kind is believed."""
    placed = bool(roles.places)
    if _BOXED.match(message):
        return [pair for pair, _ in roles.pairs if not words.bookkeeping(pair.name)]
    sure = [pair for pair, _ in roles.pairs if words.metric(pair.name)]
    settings = _SETTINGS.intersection(_KEYS.findall(message))
    if len(settings) >= 2 and (not placed or "epochs" in settings):
        return []
    if not placed:
        if not any(not _setting(pair.name) for pair in sure):
            return [replace(pair) for pair in sure] if len(roles.pairs) == 1 and sure else _outcome(message, roles)
        if not any(n.decimal or n.share or pair.over >= 0 or pair.split for pair, n in roles.pairs):
            return []
        loose = len(_WORDS.findall(message)) - sum(len(words.parts(n.key)) for _, n in roles.pairs)
        if loose > (12 if any(number.explicit for _, number in roles.pairs) else 5):
            return []
    elif _wordy(message, roles) or not (sure or any(_measures(*pair) for pair in roles.pairs)):
        return []
    return [pair for pair, number in roles.pairs if _believed(pair, number, placed)]


def _measures(pair: Pair, number: Number) -> bool:
    return number.decimal and not words.bookkeeping(pair.name)


def _wordy(message: str, roles: Roles) -> bool:
    """Whether a line is a sentence, in which no sign sets a number to a name."""
    if any(number.explicit for _, number in roles.pairs) or any(place.kind == "global" for place in roles.places):
        return False
    named = sum(len(words.parts(number.key)) for _, number in roles.pairs)
    return len(_WORDS.findall(without_paths(message))) - named > _MOST_WORDS


def _believed(pair: Pair, number: Number, placed: bool) -> bool:
    if words.metric(pair.name):
        return True
    if words.bookkeeping(pair.name) or words.place(pair.name) or pair.name in _SETTINGS:
        return False
    if not number.text[-1].isdigit() and number.text[-1] != ".":  # nan, of what tells of no learning
        return False
    if number.explicit:
        return placed or number.decimal
    return placed and number.decimal and len(words.parts(pair.name)) <= 2


def _outcome(message: str, roles: Roles) -> list[Pair]:
    """``Accuracy of the network on the 10000 test images: 55 %``."""
    found = _OUTCOME.match(message)
    last = roles.numbers[-1]
    if found is None or not (last.share or last.decimal) or not last.explicit:
        return []
    if len(_WORDS.findall(message)) > 12 or re.search(r"\bof (?!the\b)", message):
        return []
    return [Pair(found.group(1).lower(), last.at, words.split_word(found.group(2) or ""), share=last.share)]


def _setting(name: str) -> bool:
    """Whether a quantity may as well be a setting: a learning rate, a loss scale."""
    parts = words.parts(name)
    return bool({"lr", "rate", "scale"} & set(parts))


def _heads(message: str, numbers: list[Number], roles: Roles) -> bool:
    """Whether a line with a position and nothing else is a header (``Epoch 3/10``, ``===== epoch 0``)."""
    place = roles.places[0]
    if _BOXED.match(message):
        return True
    counted = next(number for number in numbers if number.at == place.at)
    if place.kind == "batch" or (place.total < 0 and counted.key.lower().endswith("s")):
        return False
    if place.kind == "bar" or _ASIDE.search(message):
        return place.kind == "bar"
    return len(_WORDS.findall(counted.context)) <= 2 and len(_WORDS.findall(message)) <= 8


def _tag(numbers: list[Number], roles: Roles) -> str:
    """What names a model before the epoch, as ``LSTM_e1`` in ``LSTM_e1 Epoch 1: Loss = 2``."""
    epochs = [place for place in roles.places if place.kind == "epoch"]
    if not epochs or epochs[0].at != numbers[0].at:
        return ""
    key = numbers[0].key.split(" ")
    text = (numbers[0].context + " ".join(key[:-1])).strip(" -|:=>[]#*\t")
    known = words.split_word(text) or not re.fullmatch(r"[A-Za-z][\w.+\-]*(?: [\w.+\-]+){0,2}", text)
    return "" if known or _ASIDE.search(text) or len(text) > 40 else text
