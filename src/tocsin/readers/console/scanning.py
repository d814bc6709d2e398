"""The first half of the grammar: each number of a line with its key, what separates them and what follows it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEPARATOR = re.compile(r"[\s:=>~≈\[\({\"'|│┃<*`→：＝-]*")  # of a text read backwards
_WRAPPED = re.compile(
    r"(?:(?:np|numpy|torch|tf|jnp)\.)?(?:float\d*|tensor|array|int\d*|Tensor)\($|\[array\($|tf\.Tensor\($",
    re.IGNORECASE,
)
_PARENTHESES = re.compile(r"(?: ?\([^()]{0,24}\)){1,2}$")
_BORDER = re.compile(r"[,;|│┃{}\[\]()\t&:=<>*!?·•→~：，；。（）]|\s[-–—]{1,9}\s|\s{2,}|\.\s")
_MOST_WORDS = 6
_TAIL = 90
_UNIT = re.compile(
    r"\s?(?:%|(?P<unit>(?:s|sec|secs|seconds?|ms|us|µs|ns|min|mins|minutes?|h|hrs?|hours?|days?)\b(?!\.)"
    r"|[a-z]{1,12}/(?:s|sec|second|it|step|iter|batch|epoch|gpu|image|sample|token)\b"
    r"|(?:[kmgt]i?b|mb|gb|[kmgt]|b|x|px|fps|hz|tflops?|gflops?|flops|it/s|秒)\b))",
    re.IGNORECASE,
)
_ATTACHED = re.compile(
    r"^(?:[A-Za-z]{1,10}(?:/[a-z]{1,8})?(?=[\s,;|\])}]|$)|[轮次步代])|^\s[a-z]{1,10}/(?:s|sec|second|it|step|iter|batch|epoch)(?=\s)"
)
_PLACE_AFTER = re.compile(
    r"\s?(epochs?|batch(?:es)?|steps?|iters?|iterations?|updates?|轮|步)(?!\w)(?!\s*(?:of|/))", re.IGNORECASE
)
_ABBREVIATED = re.compile(r"\b(val|valid|test|train|avg|ave)\.\s", re.IGNORECASE)
_MOOD = re.compile(r"\b(epoch|iter|step|loss|acc)\((train|val|valid|test)\)", re.IGNORECASE)


_SAID_AFTER = re.compile(r"\s((?:avg )?loss|avg|rate|accuracy|acc)\b\s*(?=,)", re.IGNORECASE)


_PATH = re.compile(
    r"(?:(?<=[\s'\"=(:>])|^)(?:~|\.{0,2})/[A-Za-z_.~][^\s'\",;)]*|[A-Za-z]:\\[^\s'\",;)]+"
    r"|(?<![^\s'\",;()])[^\s'\",;()]{1,300}\.(?:pth?|ckpt|h5|hdf5|keras|pkl|npz?|tar|onnx|bin|safetensors|weights|json|png|jpe?g|txt|csv"
    r"|log|model|meta|index|caffemodel|solverstate|pdparams|params|zip|gif|mp4|wav)\b"
)


@dataclass(slots=True)
class Number:
    """One number of a line.

    Attributes:
        at: Its ordinal in the line.
        text: As written.
        key: The words before it that name it, "" for none.
        explicit: Whether ``:``, ``=`` or a cell border stands between key and number.
        before: All text since the number before.
        context: That text without the key.
        after: All text until the next number.
    """

    at: int
    text: str
    key: str
    explicit: bool
    before: str
    context: str
    after: str

    @property
    def decimal(self) -> bool:
        """Whether it is written with a point or an exponent, or is no finite number."""
        return not self.text.lstrip("+-").replace(",", "").isdigit()

    @property
    def share(self) -> bool:
        """Whether a percent sign follows."""
        return self.after.lstrip(" ").startswith("%")

    @property
    def unit(self) -> str:
        """The unit of time, memory or speed that follows, "" for none."""
        found = _UNIT.match(self.after)
        return (found.group("unit") or "").lower() if found else ""

    @property
    def said_after(self) -> str:
        """The quantity that follows (darknet: ``3.1 avg loss, 0.001 rate``), "" for none."""
        found = _SAID_AFTER.match(self.after)
        return found.group(1) if found else ""

    @property
    def noun(self) -> str:
        """The position word that follows (``200/2983 batches``), "" for none."""
        found = _PLACE_AFTER.match(self.after)
        return found.group(1).lower() if found else ""


def scan(pieces: list[str], first: int) -> list[Number]:
    """The numbers of a line that ``numbers.split`` gave, from the ``first``-th on."""
    found = []
    for at in range(first, len(pieces) // 2):
        before, text, after = pieces[2 * at], pieces[2 * at + 1], pieces[2 * at + 2]
        if at > first:
            before = _ATTACHED.sub("", before)
        key, context, explicit = _key(_ABBREVIATED.sub(r"\1 ", _MOOD.sub(r"\2 \1", before[-400:])))
        found.append(Number(at, text, key, explicit, before, context, after))
    return found


def in_paths(pieces: list[str]) -> set[int]:
    """Which numbers of a line stand in the names of files."""
    line = "".join(pieces)
    if "/" not in line and "\\" not in line and "." not in line:
        return set()
    spans = [found.span() for found in _PATH.finditer(line)]
    if not spans:
        return set()
    inside, offset = set(), len(pieces[0])
    for at in range(len(pieces) // 2):
        if any(start <= offset < end for start, end in spans):
            inside.add(at)
        offset += len(pieces[2 * at + 1]) + len(pieces[2 * at + 2])
    return inside


def without_paths(text: str) -> str:
    """A text without the names of files."""
    return _PATH.sub("", text)


def _key(before: str) -> tuple[str, str, bool]:
    """The key at the end of the text before a number, what stands before the key, whether a separator says so."""
    wrapped = _WRAPPED.search(before)
    if wrapped is not None:
        before = before[: wrapped.start()]
    separator = _SEPARATOR.match(before[::-1])
    start = len(before) - (separator.end() if separator else 0)
    explicit = any(sign in before[start:] for sign in ":=|│┃：＝\t")
    if before[start:].count("-") and not explicit:
        explicit = " - " in before[start:] or "->" in before[start:]
    body = before[:start]
    key = _last_words(body)
    return key, body[: len(body) - len(key)], explicit


def _last_words(body: str) -> str:
    """The words at the end of a text, back to the last border; a unit in parentheses belongs to them."""
    tail = body[-_TAIL:]
    closing = _PARENTHESES.search(tail)
    stem = tail[: closing.start()] if closing else tail
    border = 0
    for found in _BORDER.finditer(stem):
        border = found.end()
    words = (stem[border:] + tail[len(stem) :]).strip(" -'\"#`")
    words = words.removesuffix("第")
    while words and not (words[0].isalpha() or words[0] == "_"):
        words = words[1:].lstrip(" -'\"#.")
    return " ".join(words.split(" ")[-_MOST_WORDS:])
