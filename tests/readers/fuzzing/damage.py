"""Damage to bytes and to text, as disks, terminals, editors and enemies do it; each function is given its chance."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Damage = Callable[[bytes, bytes, random.Random], bytes]  # a file, another one to splice in, chance

LARGEST = 200_000  # bytes; a file that damage made larger is cut
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_ODD_NUMBERS = [
    b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1e999", b"1e-400", b"-1", b"0", b"-0.0", b"1e18", b"9" * 400,
    b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"0x" + b"f" * 40, b"1_000", b"1,5",
    b"1.2.3", b"\xd9\xa3", b"", b" ", b"null", b"True", b"[1]", b'"3"', b"9" * 5000, b"1e308", b"4503599627370497.5",
]  # fmt: skip
_ODD_PIECES = [
    b"\0", b"\0" * 700, b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[31m", b"\x1b]0;x\x07", b"\r", b"\n\n", b"\x85",
    b"\xe2\x80\xa8", b"\xed\xa0\x80", b'"', b"'", b"{", b"}", b"[" * 3000, b"{" * 500, b'{"a":' * 1500, b"(" * 500,
    b",,,", b"\t\t", b"|", b": ", b"- ", b"x" * 70_000, b"1," * 6000, b"a=" * 3000, b"\\" * 999, b'\\"' * 3000, b"%",
    b"100%|####|", b"&a [*a, *a]", b"!!python/x", b"Traceback (most recent call last):\n", b"Epoch 1/", b"step",
    b"loss", b"<table><tr><td>", b"#" * 400, b"1" * 20_000, b"=" * 20_000, b" " * 20_000, b"\r\n" * 9000,
]  # fmt: skip
_ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "gb18030", "latin-1", "cp1252", "utf-7"]


def flipped(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Some bits turned over."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(changed))
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """A stretch of zeros, of 0xff or of noise, as after a power cut."""
    at, length = rng.randrange(len(content)), rng.choice([1, 4, 8, 60, 700])
    stretch = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
    return content[:at] + stretch + content[at + length :]


def truncated(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Cut at the end, now and then at the start."""
    at = rng.randrange(len(content) + 1)
    return content[:at] if rng.random() < 0.8 else content[at:]


def dropped(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """A stretch from within is gone."""
    at, length = rng.randrange(len(content)), rng.choice([1, 3, 40, 400, 4000])
    return content[:at] + content[at + length :]


def doubled(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """A block stands there several times."""
    at, length = rng.randrange(len(content)), rng.choice([1, 8, 100, 2000])
    return content[:at] + content[at : at + length] * rng.randint(2, 30) + content[at:]


def spliced(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """It goes on as another file."""
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def interleaved(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Two programs write into one file."""
    mine, theirs = content.splitlines(keepends=True), other.splitlines(keepends=True)
    for _ in range(rng.randint(1, 20)):
        mine.insert(rng.randrange(len(mine) + 1), rng.choice(theirs or [b"\n"]))
    return b"".join(mine)


def shuffled(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Some lines change places."""
    mine = content.split(b"\n")
    for _ in range(rng.randint(1, 10)):
        a, b = rng.randrange(len(mine)), rng.randrange(len(mine))
        mine[a], mine[b] = mine[b], mine[a]
    return b"\n".join(mine)


def recoded(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """The same text in another encoding; half of it only, now and then."""
    half = len(content) // 2 if rng.random() < 0.2 else 0
    text = content[half:].decode("utf-8", "replace")
    return content[:half] + text.encode(rng.choice(_ENCODINGS), "replace")


def line_ended(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Other line ends, or none."""
    return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\r", b" ", b"\x0b", b"\xe2\x80\xa8"]))


def inserted(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """What parsers stumble over."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(_ODD_PIECES) + content[at:]
    return content


def renumbered(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Odd numbers in the places of some."""
    share = rng.choice([0.002, 0.05, 1.0])
    return _NUMBER.sub(lambda found: rng.choice(_ODD_NUMBERS) if rng.random() < share else found[0], content)


def delimited(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """One sign of punctuation for another, in some places."""
    old, new, share = rng.choice(b',\t;:|="{}[]'), rng.choice(b',\t;:|="{}[] \n'), rng.choice([0.01, 0.5, 1.0])
    return bytes(new if byte == old and rng.random() < share else byte for byte in content)


BYTES: tuple[Damage, ...] = (flipped, overwritten, truncated, dropped, doubled, spliced, inserted)
TEXT: tuple[Damage, ...] = (*BYTES, interleaved, shuffled, recoded, line_ended, renumbered, renumbered, delimited)


def damaged(content: bytes, other: bytes, rng: random.Random, ways: tuple[Damage, ...]) -> bytes:
    """One to four kinds of damage, one after the other."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        content = rng.choice(ways)(content or b"\n", other or b"\n", rng)[:LARGEST]
    return content
