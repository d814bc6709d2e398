"""The constants that a Python configuration (MMDetection) assigns at its top level; parsed, never executed."""

from __future__ import annotations

import ast
from typing import Any

_LONGEST = 400_000
_MOST_NODES = 50_000


def assigned(text: str) -> dict[str, Any]:
    """Names and values of the top-level assignments whose right side is a constant, a list, or ``dict(...)`` of such.

    What is no such assignment is left out; a text that is no Python gives {}.
    """
    if len(text) > _LONGEST:
        return {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, Any] = {}
    for statement in tree.body[:_MOST_NODES]:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = _value(statement.value, 0)
            except (ValueError, RecursionError):
                continue
    return found


def _value(node: ast.expr, depth: int) -> Any:
    if depth > 20:
        raise ValueError
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {word.arg: _value(word.value, depth + 1) for word in node.keywords if word.arg}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key, depth + 1)): _value(item, depth + 1) for key, item in pairs if key is not None}
    return ast.literal_eval(node)
