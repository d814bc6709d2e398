"""Sizes of files and functions against what we aim at: printed, never blocking."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def figures(folder: Path) -> tuple[list[int], list[int]]:
    files, functions = [], []
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        files.append(source.count("\n"))
        nodes = ast.walk(ast.parse(source))
        functions += [body_lines(n) for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [n for n in files if n > 1], functions


def test_sizes(record_property):
    for folder in ("src/tocsin", "tests"):
        files, functions = figures(ROOT / folder)
        f50, f90 = np.percentile(files, [50, 90])
        b50, b90 = np.percentile(functions, [50, 90])
        record_property(
            "figure",
            f"sizes, {folder}: {len(files)} files, median {f50:.0f} (aim 150), p90 {f90:.0f} (aim 350); "
            f"{len(functions)} function bodies, median {b50:.0f} (aim 10), p90 {b90:.0f} (aim 35) lines",
        )
        assert files
        assert functions


def test_a_body_is_counted_without_its_docstring():
    function = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n').body[0]
    assert body_lines(function) == 2
