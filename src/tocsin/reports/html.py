"""The HTML report: one file that needs no network, in which nothing recorded can act.

Names, keys and values of a run are hostile input. Jinja2 escapes each of them, ``plain`` shows what is unprintable,
the curves travel as JSON in which no tag can be closed, and a content security policy runs the page's own two scripts
by their hash and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tocsin.findings import Report, jsonable
from tocsin.reports.beside import beaten, constant
from tocsin.reports.pictures import Picture
from tocsin.reports.plain import figure, plain
from tocsin.reports.plots import overlays
from tocsin.reports.settings import text
from tocsin.reports.verdict import families, verdict
from tocsin.reports.views import Page, blind_rules, run_view
from tocsin.run import Run

if TYPE_CHECKING:
    from jinja2 import Environment

SUBJECTS = {
    "CFG": "Configuration",
    "DAT": "Data",
    "OBJ": "Objective",
    "OPT": "Gradients and updates",
    "AMP": "Numeric precision",
    "PRD": "Predictions",
    "EVL": "Evaluation",
    "GEN": "Generalisation",
    "CMP": "Several runs",
    "RUN": "Life of the run",
}


def render(
    report: Report, runs: Sequence[Run], *, title: str | None = None, pictures: Sequence[Sequence[Picture]] = ()
) -> str:
    """The report as a self-contained HTML page.

    Args:
        report: What was found.
        runs: The runs that were checked, in the report's order; a run of the report that is missing here is shown
            by its findings alone.
        title: Title of the page; the names of the runs when None.
        pictures: Of each run, in the order of ``runs``.

    Returns:
        HTML text that can be encoded as UTF-8, drawn from at most about 48,000 points whatever was recorded.
    """
    page = Page()
    whole = _matched(report, runs)
    shown = [*pictures, *[()] * (len(whole) - len(pictures))]
    views = [run_view(run, report, page, own) for run, own in zip(whole, shown, strict=True)]
    several = len(views) > 1
    together = page.place(overlays(whole, page.curves) if several else [])
    style, scripts = asset("vendor/uPlot.min.css") + asset("page/page.css"), _scripts()
    return _templates().get_template("page.html.j2").render(
        title=title or ", ".join(run.name for run in whole) or "no run",
        verdict=verdict(report),
        report=report,
        runs=views,
        several=several,
        overlays=together,
        clean=by_subject(report.clean),
        blind=blind_rules(report),
        policy=policy(scripts, style),
        style=_trusted(style),
        scripts=[_trusted(script) for script in scripts],
        data=_trusted(embedded({"curves": page.curves.drawn(), "plots": [plot.json() for plot in page.plots]})),
    )  # fmt: skip


def fragment(report: Report) -> str:
    """The verdict, findings and remedies as a small piece of HTML for a notebook; no script, no curves."""
    template = _templates().get_template("fragment.html.j2")
    return template.render(report=report, verdict=verdict(report), families=families(report))


def policy(scripts: Sequence[str], style: str) -> str:
    """Content security policy: nothing may load, and only these exact scripts and this style apply."""
    allowed = " ".join(_digest(script) for script in scripts)
    parts = ("default-src 'none'", f"script-src {allowed}", f"style-src {_digest(style)}", "img-src data:")
    return "; ".join((*parts, "base-uri 'none'", "form-action 'none'"))


def _share(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else ""


def _short(value: float) -> str:
    return f"{value:.3g}"


def embedded(data: Any) -> str:
    """``data`` as JSON that is safe inside a script element: ASCII, with no "<", ">" or "&"."""
    dumped = json.dumps(jsonable(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def by_subject(codes: Sequence[str]) -> dict[str, list[str]]:
    """Rule codes below the subject that their letters stand for."""
    grouped: dict[str, list[str]] = {}
    for code in codes:
        grouped.setdefault(SUBJECTS.get(code[:3], "Other"), []).append(code)
    return grouped


@cache
def asset(name: str) -> str:
    """Text of a file that ships in this package."""
    return files(__package__ or "tocsin.reports").joinpath(name).read_text(encoding="utf-8")


def _scripts() -> list[str]:
    return [asset("vendor/uPlot.iife.min.js"), asset("page/plots.js")]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  only for the package's own files and for ``embedded``


def _matched(report: Report, runs: Sequence[Run]) -> list[Run]:
    """The runs under the names that the report gives them (it tells apart runs of equal name), and those it alone has.

    Findings about several runs at once belong to no run: they get a part of their own.
    """
    if len(runs) == len(report.runs):
        found = [replace(run, name=name) for run, name in zip(runs, report.runs, strict=True)]
    else:
        found = list(runs)
    known = {run.name for run in found}
    others = dict.fromkeys((*report.runs, *(f.run for f in report.findings)))
    return found + [Run(name) for name in others if name not in known]


@cache
def _templates() -> Environment:
    from jinja2 import (
        Environment,
        PackageLoader,
        StrictUndefined,
    )  # not before a page is wanted: it costs start-up time
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return value if isinstance(value, Markup | int) else plain(value)

    made = Environment(
        loader=PackageLoader("tocsin.reports", "page"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"figure": figure, "share": _share, "short": _short, "setting": text, "trusted": _trusted}
    made.filters |= {"constant": constant, "beaten": beaten}
    return made
