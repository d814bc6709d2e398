"""The report in a real browser, opened from disk: what is drawn, what is said on the console, what cannot act.

`make browser` runs these; they are skipped where no Chromium is installed (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports import page_samples as samples
from reports.page_parser import Page
from tocsin.reports.html import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=6000",
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium found (apt-get install chromium)"),
]


@dataclass(frozen=True)
class Opened:
    """A page after its scripts ran: the DOM as text, and what was said on the console."""

    dom: str
    console: list[str]

    def drawn(self) -> int:
        """Panels on which at least one line was drawn."""
        return len(re.findall(r'<figure[^>]* data-drawn="[1-9]', self.dom))


def chromium(folder: Path, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def opened(folder: Path, html: str, *options: str) -> Opened:
    page = folder / "report.html"
    page.write_text(html, encoding="utf-8")
    done = chromium(folder, page, "--window-size=1280,20000", "--dump-dom", *options)
    return Opened(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])


def test_every_panel_is_drawn_and_the_console_stays_silent(tmp_path):
    run = samples.faulty_run()
    html = render(samples.faulty_report(run), [run])
    page = opened(tmp_path, html)
    panels = html.count('data-plot="')
    folded = html[html.index('<details class="symptoms">') :].split("</details>")[0].count("data-plot=")
    assert page.console == []
    assert 'data-ready="1"' in page.dom
    assert folded > 0
    assert page.drawn() >= panels - 2 * folded - 1, "all but those of folded symptoms"
    assert page.dom.count("<canvas") == page.drawn()


def test_a_hostile_run_acts_in_no_way(tmp_path):
    report, run = samples.hostile()
    page = opened(tmp_path, render(report, [run], title=run.name))
    assert page.console == []
    assert page.drawn() > 0
    after = Page(page.dom)
    assert after.count("img") == 0
    assert after.count("script") == 3
    assert not any(name.startswith("on") for _, attributes in after.elements for name in attributes)
    assert "<img src=x onerror=alert(1)>" in after.text


def test_the_policy_stops_a_script_that_the_page_did_not_ship(tmp_path):
    run = samples.faulty_run()
    html = render(samples.faulty_report(run), [run])
    forged = html.replace("</main>", '<script>document.title = "acted"</script><img src=x onerror="alert(1)"></main>')
    page = opened(tmp_path, forged)
    assert "<title>acted" not in page.dom
    assert any("Content Security Policy" in line for line in page.console)


@pytest.mark.parametrize("dark", [False, True])
def test_neither_theme_leaves_the_page_blank(tmp_path, dark):
    run = samples.faulty_run()
    page, picture = tmp_path / "report.html", tmp_path / "page.png"
    html = render(samples.faulty_report(run), [run])
    page.write_text(html.replace("<html ", f'<html data-theme="{"dark" if dark else "light"}" '), encoding="utf-8")
    chromium(tmp_path, page, "--window-size=1280,1400", f"--screenshot={picture}")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 30_000, "a blank page compresses to less"


def acted(folder: Path, script: str, *options: str) -> dict[str, str]:
    """What a reader's actions lead to: ``script`` fills the object ``said`` on a page without its policy."""
    run = samples.faulty_run()
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render(samples.faulty_report(run), [run]))
    ending = f"<script>const said = {{}};{script};document.documentElement.dataset.said = JSON.stringify(said)</script>"
    page = opened(folder, html.replace("</body>", ending + "</body>"), *options)
    assert page.console == []
    said = next(
        v
        for tag, attributes in Page(page.dom).elements
        if tag == "html"
        for k, v in attributes.items()
        if k == "data-said"
    )
    return dict(json.loads(said or "{}"))


@pytest.mark.parametrize("width", [360, 420, 1280])
def test_the_page_is_never_wider_than_its_window(tmp_path, width):
    said = acted(
        tmp_path,
        """document.querySelectorAll("details").forEach((d) => { d.open = true; });
        said.wide = document.documentElement.scrollWidth; said.window = innerWidth""",
        f"--window-size={width},20000",
    )
    assert int(said["window"]) <= 1280
    assert said["wide"] == said["window"]


def test_buttons_and_keys_do_what_they_say(tmp_path):
    said = acted(
        tmp_path,
        """
        const theme = document.getElementById("theme");
        said.before = theme.textContent; theme.click();
        said.after = theme.textContent; said.theme = document.documentElement.dataset.theme;
        const loss = document.querySelector("#curves-1 figure");
        const log = loss.querySelector("button");
        said.log = log.getAttribute("aria-pressed"); log.click(); said.logged = log.getAttribute("aria-pressed");
        const area = loss.querySelector(".draw");
        const press = (key) => area.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
        ["PageDown", "ArrowRight", "+"].forEach(press);
        document.querySelector("details.series").open = true;
        const wanted = [...document.querySelectorAll("button[data-curve]")].find((b) => b.textContent === "grad/norm");
        wanted.click();
        said.chosen = document.querySelector(".chosen figcaption span").textContent;
        said.canvas = document.querySelectorAll(".chosen canvas").length;
        said.all = document.querySelectorAll("canvas").length;
        said.drawn = document.querySelectorAll("[data-drawn]").length;
        """,
    )
    assert (said["before"], said["after"], said["theme"]) == ("Dark", "Light", "dark")
    assert (said["log"], said["logged"]) == ("false", "true")
    assert (said["chosen"], said["canvas"]) == ("grad/norm", 1)
    assert said["all"] == said["drawn"], "a redrawn panel replaces its canvas"


def test_a_large_run_is_drawn(tmp_path):
    run = samples.large_run(20_000, 200)
    page = opened(tmp_path, render(samples.Report((run.name,)), [run]))
    assert page.console == []
    assert page.drawn() == 2
