"""A table as text: the last column wraps, the others never do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from tocsin.cli.output import colored, width
from tocsin.reports.terminal import paint


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, header: bool = True) -> str:
    """The table as wide as the terminal; texts are taken literally."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=header)
    for heading in headings:
        grid.add_column(heading, no_wrap=heading != headings[-1])
    for row in rows:
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return paint([grid], width=width(), color=colored())
