"""What went wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import os
import traceback

import typer

from tocsin.api import ReadError
from tocsin.cli.output import warn
from tocsin.engine import UnknownRule
from tocsin.record import RecordError

USAGE_ERROR = 2
INTERRUPTED = 130
_REFUSED = typer.BadParameter.__mro__[1]  # UsageError, which typer does not export: wrong words on the command line


class UserError(Exception):
    """Something the user can put right; the message says what was expected, what came and what to do."""


def exit_code_of(error: BaseException) -> int:
    """Say ``error`` in one line and return the exit code; what is no error of ours to judge is raised again."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    if isinstance(error, UserError | ReadError | RecordError | UnknownRule):
        warn(str(error))
    elif isinstance(error, _REFUSED):
        warn(_usage(error))
    elif isinstance(error, Exception):
        _unexpected(error)
    else:
        raise error
    return USAGE_ERROR


def _usage(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "tocsin"
    said: str = error.format_message()  # type: ignore[attr-defined]  # click's, known only where it is loaded
    return f"{said.rstrip('.')}; see `{command} --help`"


def _unexpected(error: Exception) -> None:
    if os.environ.get("TOCSIN_TRACEBACK"):
        traceback.print_exception(error)
    hint = "" if os.environ.get("TOCSIN_TRACEBACK") else " (TOCSIN_TRACEBACK=1 shows where)"
    warn(f"unexpected {type(error).__name__}: {error}{hint}")
