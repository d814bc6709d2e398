"""Who may import whom: the table of docs/architecture.md, held by the syntax tree."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tocsin"
DATA = {
    "run",
    "names",
    "findings",
    "stats",
    "tracebacks",
    "identifiers",
    "identifying",
    "metrics",
    "identities",
    "repetition",
    "tallies",
    "guessing",
    "unskilled",
    "alternation",
    "stuck_scores",
    "constant_values",
    "loss_names",
    "reference_losses",
    "references",
    "informed",
    "learning",
    "rises",
    "early_rises",
    "turns",
    "movement",
    "schedules",
    "nonfinite",
    "declared",
    "claims",
    "siblings",
    "ranks",
    "questions",
    "kept",
}

# What each room may import of ours; a room may also import what its listed rooms may.
ROOMS: dict[str, set[str]] = {
    **dict.fromkeys(DATA, DATA),
    "rules": DATA,
    "readers": DATA,
    "record": DATA,
    "thinning": {"run"},
    "engine": {"rules", "thinning"},
    "fleet": {"readers", "record", "engine"},
    "api": {"fleet"},
    "reports": DATA,
    "probes": {"run", "names"},
    "columns": {"run", "thinning"},
    "governor": set(),
    "surroundings": {"_version"},
    "ledger": {"probes", "record", "columns", "governor", "surroundings"},
    "recorder": {"engine", "ledger"},
    "integrations": {"recorder", "readers"},  # names as a reader of the framework's own log gives them
}
ABOVE = {*ROOMS, "_version"}
ROOMS["__init__"] = {"api", "recorder", "prechecks", "comparison", "_version"}
for room in ("prechecks", "comparison", "trials", "search"):
    ROOMS[room] = ABOVE
ROOMS["ui"] = ROOMS["cli"] = {*ABOVE, "prechecks", "comparison", "trials", "search", "reports", "ui", "studies"}
ROOMS["studies"] = {"__init__"}
ROOMS["__main__"] = {"cli"}
ROOMS["_version"] = set()

HEAVY = {
    "torch",
    "lightning",
    "lightning_fabric",
    "transformers",
    "accelerate",
    "ray",
    "optuna",
    "starlette",
    "uvicorn",
}
THIRD: dict[str, set[str]] = {
    **{room: {"numpy"} for room in (*DATA, "rules", "thinning", "engine", "api", "columns", "governor")},
    "record": {"numpy", "duckdb"},
    "readers": {"numpy", "yaml"},
    "reports": {"numpy", "rich", "jinja2", "markupsafe"},
    "probes": {"numpy", "torch"},
    "recorder": {"numpy", "torch", "rich"},
    "ledger": {"numpy", "torch"},
    "surroundings": {"numpy", "torch"},
    "cli": {"numpy", "rich", "typer", "click", "yaml", *HEAVY},
    "studies": {
        "numpy",
        "torch",
        "lightning_fabric",
        "pydantic",
        "yaml",
        "transformers",
        "safetensors",
        "h5py",
        "matplotlib",
    },
    "__init__": set(),
    "_version": set(),
}
# A Report knows how to print itself; the import is inside the method, so that importing findings loads no renderer.
EXCEPTIONS = {("findings", "reports")}


def may(room: str) -> set[str]:
    """The closure of ``ROOMS`` from this room."""
    reached, todo = {room}, list(ROOMS[room])
    while todo:
        if (one := todo.pop()) not in reached:
            reached.add(one)
            # The public API is a door, not a corridor: a study gets no further than tocsin itself.
            todo += [] if one == "__init__" else sorted(ROOMS.get(one, set()))
    return reached


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def modules(path: Path, tree: ast.AST, anywhere: bool) -> set[str]:
    """Dotted names of what the file imports; only at module level unless ``anywhere``."""
    found: set[str] = set()
    for node in walk(tree, anywhere):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = [*path.relative_to(SOURCE).parts[:-1]]
            stem = ["tocsin", *package[: len(package) - node.level + 1], *filter(None, [node.module])]
            found |= {".".join([*stem, alias.name]) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def walk(tree: ast.AST, anywhere: bool):
    """All nodes; without ``anywhere`` neither function bodies nor ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if anywhere or not (inside or typing_only):
            yield node
            yield from walk(node, anywhere)


def ours(name: str) -> str | None:
    """The room that ``tocsin.x.y`` lives in; the package itself is ``__init__``."""
    parts = name.split(".")
    if parts[0] != "tocsin":
        return None
    known = len(parts) > 1 and ((SOURCE / parts[1]).is_dir() or (SOURCE / f"{parts[1]}.py").exists())
    return parts[1] if known else "__init__"


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(SOURCE)) for p in FILES])
def test_a_file_imports_only_what_its_room_may(path):
    room, tree = room_of(path), ast.parse(path.read_text(encoding="utf-8"))
    assert room in ROOMS, f"{room} is in no row of the table in docs/architecture.md"
    imported = modules(path, tree, anywhere=True)
    allowed = may(room)
    for name in sorted(imported):
        other = ours(name)
        if other is not None:
            assert other in allowed or (room, other) in EXCEPTIONS, f"{room} imports {name}"
        elif (top := name.split(".")[0]) not in sys.stdlib_module_names:
            assert top in THIRD.get(room, {top}), f"{room} imports {name}"
    for name in sorted(modules(path, tree, anywhere=False)):
        assert (room, ours(name)) not in EXCEPTIONS, f"{room} imports {name} at module level"
        if room in ("cli", "__init__", "reports"):
            assert name.split(".")[0] not in HEAVY, f"{room} imports {name} at module level"
            assert ours(name) not in ("recorder", "ledger", "probes", "studies"), (
                f"{room} imports {name} at module level"
            )


RULES = [p for p in FILES if room_of(p) == "rules" and p.name != "__init__.py"]


@pytest.mark.parametrize("path", RULES, ids=[p.stem for p in RULES])
def test_a_rule_imports_no_other_rule(path):
    imported = modules(path, ast.parse(path.read_text(encoding="utf-8")), anywhere=True)
    assert not [name for name in imported if name.startswith("tocsin.rules")]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch", {"torch"}),
        ("from tocsin import engine", {"tocsin.engine"}),
        ("def f():\n    from tocsin.reports import html", {"tocsin.reports.html"}),
        ("from ..x import y", {"tocsin.x.y"}),
    ],
)
def test_the_walker_sees_every_form_of_import(source, found):
    assert modules(SOURCE / "rules" / "data" / "x.py", ast.parse(source), anywhere=True) == (
        {"tocsin.rules.x.y"} if ".." in source else found
    )


def test_the_walker_tells_module_level_from_function_level():
    tree = ast.parse("import a\nif TYPE_CHECKING:\n    import b\ndef f():\n    import c\nif True:\n    import d")
    assert modules(SOURCE / "run.py", tree, anywhere=False) == {"a", "d"}


def test_the_public_api_is_a_door_and_not_a_corridor():
    assert "__init__" in may("studies")
    assert "engine" not in may("studies")
    assert "recorder" not in may("rules")
