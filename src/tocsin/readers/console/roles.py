"""The role of each number in a line: position, total, running mean, quantity, or nothing."""

from __future__ import annotations

import re
from dataclasses import replace

from tocsin.readers.console import words
from tocsin.readers.console.numbers import whole
from tocsin.readers.console.plan import Pair, Place
from tocsin.readers.console.scanning import Number
from tocsin.readers.naming import SPLITS

_SLASH = re.compile(r"^\]?\s*(?:/|\bof\b|out of)\s*\[?$", re.IGNORECASE)
_LIST = re.compile(r"^[\s,)]*(?:(?:np|numpy|torch)\.)?(?:\w{1,10}\()?$")
_MEAN = re.compile(r"^\s*\((?:avg|mean|ave|average|μ)?[:=\s]*$", re.IGNORECASE)
_VERBS = words.listed(
    "from to than over below above for with since by in on improved improve did saving was at of the and after every "
    "top"
)
_TAGGED = re.compile(
    r"\[(\w{2,12})\]|^\W*(\w{2,12})(?:[ _]\w{2,10})?\s?[:|>\-]|(?:^|[|,;]|\s-|\*)\s*(\w{2,12})(?: (?:set|on"
    r"|phase|results?|metrics?|stats|epoch|data)\b[^|]{0,40})?\s*[:|\-]|[\"'](\w{2,12})[\"']\s*:\s*\{|\b(?:mode"
    r"|split|phase|stage|subset|set)\W{1,4}(\w{2,12})",
    re.IGNORECASE,
)
_COPULA = re.compile(r"'? (?:is|are|of|reached)$")
_OF_SPLIT = re.compile(r"^(?:val|valid|validation|test|eval|dev)[ _/]([A-Za-z]\w*)$", re.IGNORECASE)
_TWO_PLACES = re.compile(r"\bep(?:och)?/(?:iter\w*|step|batch|it)$", re.IGNORECASE)  # epoch/iter: 1/399
_WHOLE_RUN = re.compile(r"\s*(?:total )?steps\b", re.IGNORECASE)  # the name of a bar
_EVALUATED = re.compile(r"Saving dict for|\bcur(?:rent)? metrics?\b")
_BEST = frozenset({"best", "lowest", "highest", "previous", "prev"})
_MOST_LISTED = 16
_NOUNS = {"e": "epoch", "b": "batch", "轮": "epoch"}
_SAID_AFTER = {"rate": "lr", "avg": "avg loss"}  # darknet
_SHORT = {"p": "precision", "r": "recall", "f": "f1"}


class Roles:
    """What the numbers of one line are.

    Attributes:
        numbers: The numbers.
        places: Positions found.
        pairs: Candidates for quantities, each with its number.
        split: The split that the line says of itself before its first quantity.
    """

    def __init__(self, numbers: list[Number]) -> None:
        self.numbers = numbers
        self.places: list[Place] = []
        self.pairs: list[tuple[Pair, Number]] = []
        self.split = ""
        self._running = self._own = self._joined = ""
        self._head = ""
        self._listed = 0
        at = 0
        while at < len(numbers):
            at += self._take(at)
        self._settle()

    def _take(self, i: int) -> int:
        """Give the ``i``-th number its role; how many numbers were used up."""
        number = self.numbers[i]
        self._follow_split(number)
        if self._worked_out(i):
            return 3
        if self._ratio(i) or self._counted(i):
            return 2
        if self._detail(i) or self._place(i):
            return 1
        self._quantity(i)
        return 1

    def _follow_split(self, number: Number) -> None:
        """Which split the quantities from here on are of, by what stands before the number."""
        said = "val" if _EVALUATED.search(number.before) else ""
        for found in _TAGGED.finditer(number.context[-120:]):
            told = (SPLITS[word] for word in re.findall(r"\w+", found.group().lower()) if word in SPLITS)
            said = next(told, said)
        if said:
            self._running, self.split = said, self.split or said
        parts = words.parts(number.key)
        own = SPLITS.get(parts[0], SPLITS.get(parts[-1], "") if len(parts) > 1 else "") if parts else ""
        self._own = own
        if own and words.place(number.key):
            self._running, self.split = own, self.split or own
        elif own and "_" in number.key:
            self._joined = own
        elif own and not words.bookkeeping(number.key):
            self._running = own

    def _worked_out(self, i: int) -> bool:
        """``n/N=quotient``: the quotient is the quantity."""
        if i + 2 >= len(self.numbers):
            return False
        number, quotient = self.numbers[i], self.numbers[i + 2]
        if not _SLASH.match(number.after) or quotient.before.strip() != "=" or not words.metric(number.key):
            return False
        self._keep(replace(quotient, key=number.key, explicit=True))
        return True

    def _counted(self, i: int) -> bool:
        """``Train loss 7 0.52``: at 7 the loss is 0.52."""
        if i + 1 >= len(self.numbers):
            return False
        number, value = self.numbers[i], self.numbers[i + 1]
        counts = whole(number.text) is not None and not number.explicit and words.losses(number.key)
        if not counts or not value.decimal or value.key or value.before.strip() not in ("", ":"):
            return False
        self.places.append(Place("step", number.at))
        self._keep(replace(value, key=number.key))
        return True

    def _ratio(self, i: int) -> bool:
        """``n/N``: a position with its total, or a share of hits."""
        number = self.numbers[i]
        if i + 1 >= len(self.numbers) or not _SLASH.match(number.after) or number.decimal:
            return False
        total = self.numbers[i + 1]
        if total.decimal:
            return False
        if _TWO_PLACES.search(number.key):
            self.places += [Place("epoch", number.at), Place("step", total.at)]
            return True
        kind = self._kind_of_ratio(i)
        if kind:
            if self.places and number.before.strip() in ("][", "] [") and self.places[-1].kind in ("step", "batch"):
                self.places[-1] = replace(self.places[-1], kind="epoch")  # [0/25][50/1583]
            self.places.append(Place(kind, number.at, total.at))
            self.split = self.split or self._own
        elif words.metric(number.key):
            self._keep(number, over=total.at)
        return True

    def _kind_of_ratio(self, i: int) -> str:
        number, total = self.numbers[i], self.numbers[i + 1]
        if number.key and (kind := words.place(number.key)):
            return kind
        if number.key and number.before.rstrip(" [")[-1:] not in ("|", "]", "[") and not words.split_word(number.key):
            return ""
        if total.noun:
            return _NOUNS.get(total.noun[0], "step")
        before, after = number.before.rstrip(" "), total.after
        if _WHOLE_RUN.match(self.numbers[0].before):
            return "global"
        if before.endswith(("|", "~", "%", "~]")) or after.lstrip().startswith(("[~", "~", "[>", "[.", "[=")):
            return "bar"
        if before.endswith("[") or (
            after.startswith(("]", ")", " (")) and before.endswith(("[", "(")) and not self.pairs
        ):
            return "batch" if self.places or words.split_word(number.key or number.context) else "step"
        if not number.context.strip() and i == 0 and not number.key:
            return "bar" if re.match(r"\s*(?:-|\[|━|~|\d+s\b)", after) else "step"
        return ""

    def _detail(self, i: int) -> bool:
        """Running means in parentheses, percentages beside counts, further numbers of a list, units."""
        number = self.numbers[i]
        if i and _MEAN.match(number.before):
            self._mean(number)
            return True
        if i and self._listed and not number.key and "]" not in number.before and _LIST.match(number.before):
            if self.pairs and self._listed < _MOST_LISTED:
                head = self.pairs[-1][0].name.rpartition("/")[0]
                self.pairs.append((Pair(f"{head}/{self._listed}", number.at, self._running), number))
                self._listed += 1
            return True
        return number.after.startswith("%|") or (
            bool(number.unit)
            and not (words.metric(number.key) and number.after[:1] in (" ", ""))
            and not words.place(number.key)
        )

    def _mean(self, number: Number) -> None:
        """The running mean of the quantity before it."""
        if self.pairs and self.pairs[-1][1].at == number.at - 1:
            pair, owner = self.pairs[-1]
            self.pairs[-1] = (replace(pair, mean=number.at), owner)

    def _place(self, i: int) -> bool:
        number = self.numbers[i]
        kind = words.place(number.key) if number.key else ""
        if kind and not number.share and (whole(number.text) is not None or kind == "epoch"):
            self.places.append(Place(kind, number.at))
            return True
        if whole(number.text) is None or number.key:
            return self._numbered_split(i)
        if number.noun and (i == 0 or self.places) and not number.after.startswith(" "):
            self.places.append(Place(_NOUNS.get(number.noun[0], "batch"), number.at))
            return True
        opening = number.before.strip()
        if i == 0 and (
            (opening == "[" and number.after.startswith("]"))
            or (not opening and re.match(r"\s?[:|\t]\s", number.after))
        ):
            self.places.append(Place("step", number.at))
            return True
        if i == 0 and opening == "[" and number.after.strip() == "," and self._closes(1):
            self.places.append(Place("epoch", number.at))  # [1,  2000] loss: 2.2
            return True
        if i == 1 and opening == "," and self.places and number.after.startswith("]"):
            self.places.append(Place("batch", number.at))
            return True
        if i and opening in ("][", "] [", "[") and number.after.startswith("]") and self.places and not self.pairs:
            self.places.append(Place("batch", number.at))
            return True
        return False

    def _closes(self, i: int) -> bool:
        """Whether the ``i``-th number is a count that ends a bracket."""
        return self.numbers[i].after.startswith("]") and whole(self.numbers[i].text) is not None

    def _numbered_split(self, i: int) -> bool:
        """``Train: 0 [ 50/312``: the epoch of a split."""
        number = self.numbers[i]
        if i or number.decimal or number.key.lower() not in SPLITS or not number.after.startswith((" [", "][", "] [")):
            return False
        self.places.append(Place("epoch", number.at))
        self.split = self.split or self._own
        return True

    def _quantity(self, i: int) -> None:
        number = self.numbers[i]
        self._listed = 0
        if not number.key and number.decimal and number.said_after:
            name = _SAID_AFTER.get(number.said_after.lower(), number.said_after)
            self.pairs.append((Pair(name, number.at, self._running), number))
        if not number.key:
            return
        parts = words.parts(number.key)
        if not parts or words.place(number.key) or number.key.lower().split(" ")[-1] in _VERBS or _BEST & set(parts):
            return
        opened = number.before.rstrip().endswith("[") or "[np." in number.before or "[tensor" in number.before
        if opened and words.metric(number.key) and "," in number.after:
            self._listed = 1
        self._keep(number)

    def _keep(self, number: Number, over: int = -1) -> None:
        name = "lr" if number.key in ("L.r.", "L.r") else _COPULA.sub("", number.key)
        if not name.isascii():
            name = " ".join(words.parts(name))
        split = self._running
        if name == "learn" and number.explicit:  # CatBoost
            name, self._own = "loss", "train"
        elif name.lower() in SPLITS:
            if not number.decimal:
                return
            name, split = f"{name} {self._alone(number)}", SPLITS[name.lower()]
        if self._listed:
            name += "/0"
        head, _, last = name.rpartition(" ")
        if (
            head and "_" in last and words.metric(last) and not head.endswith("'s")
        ):  # final_roundtrip val_loss: a loss of its own
            name, self._head = f"{last} {head}", head
        elif self._head and "_" in name and not self.places:
            name = f"{name} {self._head}"
        split = self._own or split
        evaluated = _OF_SPLIT.match(name)
        if evaluated and self._own in ("val", "test"):
            name = evaluated.group(1)
        if any(pair.name == name and pair.split == split for pair, _ in self.pairs):
            split = self._joined or split
        name, split = _subset(name, split)
        if any(pair.name == name and pair.split == split for pair, _ in self.pairs):
            return  # icefall: loss[loss=1.1], tot_loss[loss=1.2]
        self.pairs.append((Pair(name, number.at, split, over, share=number.share and over < 0), number))

    def _is_whole(self, place: Place) -> bool:
        return any(number.at == place.at and not number.decimal for number in self.numbers)

    def _alone(self, number: Number) -> str:
        """What a number is that only a split names: a score where it is a share or a loss stands beside it."""
        share = number.share or any(words.losses(pair.name) and not pair.split for pair, _ in self.pairs)
        others = [n for n in self.numbers if n.key.lower() in SPLITS]
        tested = any(SPLITS[n.key.lower()] == "test" for n in others) and len(others) > 2
        return "acc" if share or (tested and all(n.text.startswith(("0.", "1.0")) for n in others)) else "loss"

    def _main_loss(self) -> None:
        """Megatron's ``lm loss`` is the loss where no other is."""
        if not any(pair.name.lower() == "loss" for pair, _ in self.pairs):
            self.pairs = [(replace(pair, name=_MEGATRON.get(pair.name, pair.name)), n) for pair, n in self.pairs]

    def _short_scores(self) -> None:
        """``p: 0.4, r: 0.2, f: 0.3`` are precision, recall and their mean."""
        if {pair.name.lower() for pair, _ in self.pairs} >= {"p", "r"}:
            self.pairs = [(replace(pair, name=_SHORT.get(pair.name.lower(), pair.name)), n) for pair, n in self.pairs]

    def _settle(self) -> None:
        """A bar beside a count that says the same is not needed; a single-number list is a value."""
        kinds = {place.kind for place in self.places}
        bars = [place.at for place in self.places if place.kind == "bar"]
        if bars and any(
            place.kind == "epoch" and place.at > bars[0] and self._is_whole(place) for place in self.places
        ):
            kinds.add("batch")  # a bar of epochs, behind which a line on the epoch was printed
        if "bar" in kinds and kinds & {"global", "step", "batch"}:
            self.places = [place for place in self.places if place.kind != "bar"]
        self._main_loss()
        self._short_scores()
        names = [pair.name for pair, _ in self.pairs]
        for at, (pair, number) in enumerate(self.pairs):
            if pair.name.endswith("/0") and pair.name[:-1] + "1" not in names:
                self.pairs[at] = (replace(pair, name=pair.name[:-2]), number)


_MEGATRON = {"lm loss": "loss", "lm_loss": "loss", "lm loss value": "loss", "lm loss PPL": "ppl"}


def _subset(name: str, split: str) -> tuple[str, str]:
    """LightGBM's ``valid_1's l2`` and XGBoost's ``validation_0-rmse``: a set among several."""
    name = re.sub(r"^cv_agg's (train|valid) ", r"\1-", name)
    found = re.match(r"(valid|validation|eval|training|train|test)(?:_(\d+))?(?:'s |-)(\S+)$", name)
    if found is None:
        return (name.removeprefix("cv_agg's "), "val") if name.startswith("cv_agg's ") else (name, split)
    word = SPLITS[found.group(1)]
    number = found.group(2) or "0"
    return found.group(3), word if number == "0" or word == "train" else f"{word}_{number}"
