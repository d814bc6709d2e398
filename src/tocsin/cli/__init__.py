"""The command line: one file a verb; each parses, calls, prints, and says its exit code."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``tocsin`` and return its exit code: 0 clean, 1 findings, 2 usage or tool error, 130 interrupted.

    Whatever goes wrong is one line on stderr; ``TOCSIN_TRACEBACK=1`` adds the traceback of an unexpected error.

    Args:
        argv: Arguments without the program's name; those of the process when None.
    """
    from tocsin.cli.app import app
    from tocsin.cli.errors import exit_code_of
    from tocsin.cli.output import steady

    try:
        with steady():
            code = app(args=argv, prog_name="tocsin", standalone_mode=False)
    except BaseException as error:
        return exit_code_of(error)
    return int(code or 0)
