"""Write the generated pages: one a rule, their index, the table of series, and the table of rules in the README.

``python docs/generate.py`` writes them; ``--check`` writes nothing, names each stale file and exits 1 if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tocsin import names
from tocsin.engine import all_rules
from tocsin.findings import Rule
from tocsin.prechecks.flight import all_checks

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = {
    "CFG": "configuration",
    "DAT": "data",
    "OBJ": "objective (loss terms)",
    "OPT": "gradients and updates",
    "AMP": "numeric precision",
    "PRD": "predictions",
    "EVL": "evaluation and model selection",
    "GEN": "generalisation and ceilings",
    "CMP": "several runs",
    "RUN": "life of the run",
}
START, END = "<!-- rules: written by docs/generate.py -->", "<!-- end of rules -->"
NOTICE = "<!-- Written by docs/generate.py from {source}: edit that, not this. -->\n\n"


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the pages below ``root``, or with ``--check`` compare them; 0 when all is in order."""
    wanted = pages(all_rules(), (root / "README.md").read_text(encoding="utf-8"))
    present = {str(p.relative_to(root)) for p in (root / "docs/rules").glob("*.md")}
    stale = sorted(p for p, text in wanted.items() if _read(root / p) != text) + sorted(present - set(wanted))
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is stale: run `python docs/generate.py`")
        return 1 if stale else 0
    for path in stale:
        _write(root / path, wanted.get(path))
    return 0


def pages(rules: Mapping[str, Rule], readme: str) -> dict[str, str]:
    """Every generated text by its path; a code that only preflight checks stands among the rules."""
    checks = {code: [c for c in all_checks() if c.code == code] for code in (c.code for c in all_checks())}
    rules = dict(sorted({**{code: found[0] for code, found in checks.items()}, **rules}.items()))
    made = {
        f"docs/rules/{code}.md": rule_page(rule, rules) + before_the_run(rule, checks.get(code, []))
        for code, rule in rules.items()
    }
    made["docs/rules/index.md"] = rule_index(rules)
    made["docs/series.md"] = series_page()
    made["README.md"] = with_table(readme, rule_table(rules, "docs/rules/"))
    return made


def rule_page(rule: Rule, rules: Mapping[str, Rule]) -> str:
    """One rule: its facts, then its docstring."""
    if rule.scope == "setup":
        return _check_page(rule)
    facts = [
        f"Default severity: **{rule.severity}**",
        "looks: at the end of the run" if rule.when == "end" else "looks: while the run grows and at its end",
        "needs `tocsin.watch`" if rule.live else "works on any recorded run",
        f"since {rule.since}",
    ]
    needs = "\n".join(f"- {names.describe_need(need).replace('|', 'or')}" for need in rule.needs)
    explained = ", ".join(f"[{c}]({c}.md)" for c in sorted(rule.explains))
    causes = ", ".join(f"[{c}]({c}.md)" for c, other in rules.items() if rule.code in other.explains)
    return (
        NOTICE.format(source=f"the docstring of the rule {rule.name}")
        + f"# {rule.code} {rule.name}\n\n{' · '.join(facts)}.\n\n{rule.doc.strip()}\n\n"
        + f"## Needs\n\n{needs or '- nothing'}\n"
        + (f"\n## Explains\n\n{explained}\n" if explained else "")
        + (f"\n## May be a symptom of\n\n{causes}\n" if causes else "")
    )


def _check_page(check: Rule) -> str:
    """A check that only preflight makes."""
    needs = ", ".join(f"`{need}`" for need in check.needs)
    return (
        NOTICE.format(source=f"the docstring of the check {check.name}")
        + f"# {check.code} {check.name}\n\nDefault severity: **{check.severity}** · looks: before the run, by "
        f"`tocsin preflight` · since {check.since}.\n\n{check.doc.strip()}\n\n## Needs\n\n"
        + (f"- {needs} of the `tocsin.Setup`\n" if needs else "- nothing more than any `tocsin.Setup` has\n")
        + (f"\n## Explains\n\n{', '.join(check.explains)}\n" if check.explains else "")
    )


def before_the_run(rule: Rule, checks: list[Rule]) -> str:
    """What preflight looks at under the code of a rule, besides the page itself."""
    others = [check for check in checks if check is not rule]
    parts = [f"\n{check.doc.strip().replace('## ', '### ')}\n" for check in others]
    return "\n## Before the run\n\n`tocsin preflight` looks, too:\n" + "\n".join(parts) if parts else ""


def rule_index(rules: Mapping[str, Rule]) -> str:
    """The catalogue, by subject."""
    parts = [NOTICE.format(source="the rules' docstrings") + "# Rules\n"]
    for prefix, subject in SUBJECTS.items():
        here = {code: rule for code, rule in rules.items() if code.startswith(prefix)}
        if here:
            parts.append(f"## {prefix} · {subject}\n\n{rule_table(here)}\n")
    listed = "\n".join(f"{code} <{code}>" for code in rules)
    parts.append(f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n")
    return "\n".join(parts)


def rule_table(rules: Mapping[str, Rule], folder: str = "") -> str:
    """One row a rule."""
    rows = [row(f"[{r.code}]({folder}{r.code}.md)", r.name, r.severity, cell(r.summary)) for r in rules.values()]
    return "\n".join(["| code | rule | severity | what it finds |", "|---|---|---|---|", *rows])


def series_page() -> str:
    """The table of ``names.py``."""
    rows = [
        f"| `{n.name}` | {cell(n.meaning)} | {n.unit or '1'} | {cell(n.how)} | {_code(*n.aliases)} |"
        for n in names.NAMES
    ]
    return (
        NOTICE.format(source="src/tocsin/names.py")
        + "# Series\n\nEvery series that tocsin records. `<term>`, `<group>`, `<tensor>`, `<module>`, `<mode>` "
        "stand for the run's own names. Your own metrics keep the names you give them.\n\n"
        + "\n".join(["| name | meaning | unit | recorded by | also read as |", "|---|---|---|---|---|", *rows])
        + "\n"
    )


def with_table(readme: str, table: str) -> str:
    """The README with the table of rules between its two markers.

    Raises:
        ValueError: The markers are missing.
    """
    head, start, rest = readme.partition(START)
    _, end, tail = rest.partition(END)
    if not (start and end):
        raise ValueError(f"README.md must hold the lines {START!r} and {END!r}")
    return f"{head}{start}\n{table}\n{end}{tail}"


def row(*cells: str) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Text that stays inside one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _code(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
