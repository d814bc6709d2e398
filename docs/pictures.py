"""The picture of the first demo: a terminal with a log that looks perfect, and what tocsin says of it.

``python docs/pictures.py`` draws it from the two blocks of the guide that show the same, so that what is pictured is
what the tests compare with real output. A test compares the picture with what this would draw.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs/guides/transformers.md"
PICTURE = ROOT / "docs/pictures/hidden_nan.svg"
LIVE = re.compile(r"^```text\n(\$ python .*?)^```$", re.MULTILINE | re.DOTALL)
FROM_THE_LOG = re.compile(r"^```console\n(\$ tocsin check .*?)^```$", re.MULTILINE | re.DOTALL)
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # would be fetched from elsewhere; any monospaced one will do
COLOURS = {
    r"(?m)^\$ .*$": "bold white",
    r"'loss': '0'": "bold yellow",
    r"(?m)^(tocsin: )?(error \w+ [\w-]+)": "bold red",
    r"Not learning: \w+ [\w-]+": "bold red",
    r"NaN weights: .*": "bold red",
    r"(?m)^  (evidence|explains|safe fix|unsafe fix) ": "cyan",
}


def main() -> int:
    """Draw it."""
    PICTURE.write_text(drawn(shown(GUIDE.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def shown(guide: str) -> str:
    """What the terminal holds: the training with the callback, then the log alone."""
    live, log = LIVE.search(guide), FROM_THE_LOG.search(guide)
    if live is None or log is None:
        raise SystemExit(f"{GUIDE}: expected a block 'text' with $ python and a block 'console' with $ tocsin check")
    return "\n\n".join((live[1].rstrip(), log[1].rstrip(" …\n")))


def drawn(text: str) -> str:
    """An SVG of these lines, 104 columns wide."""
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True, highlight=False)
    lines = Text(text)
    for pattern, style in COLOURS.items():
        lines.highlight_regex(pattern, style)
    console.print(lines, soft_wrap=False)
    picture = console.export_svg(title="A perfect log of a dead model", theme=MONOKAI, unique_id="tocsin")
    return "\n".join(line.rstrip() for line in FONT.sub("", picture).splitlines()) + "\n"


if __name__ == "__main__":
    sys.exit(main())
