"""The HTML page: order, honesty about what is missing, size, and that nothing recorded can act in it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import page_samples as samples
from reports.page_parser import Page
from tocsin.findings import Finding, Report
from tocsin.reports.html import embedded, fragment, render
from tocsin.run import Run

MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def run() -> Run:
    return samples.faulty_run()


@pytest.fixture(scope="module")
def html(run: Run) -> str:
    return render(samples.faulty_report(run), [run])


def test_verdict_comes_first_then_findings_curves_evaluations_clean_not_checked_config_environment_unread(html):
    order = ['<h1 id="verdict">', 'id="findings-1"', 'id="curves-1"', 'id="evaluations-1"', 'id="clean"',
             'id="not-checked"', 'id="config-1"', 'id="environment-1"', 'id="unread"']  # fmt: skip
    places = [html.index(f"<section {mark}" if mark.startswith("id") else mark) for mark in order]
    assert places == sorted(places)
    assert "Not learning: " in Page(html).text[:400]


def test_symptoms_stand_folded_under_their_root_and_nowhere_else(html):
    text = Page(html).text
    assert "Accounts for 2 other findings: PRD002 constant-prediction , EVL001 metric-disconnected" in text
    assert html.count("1 of 16 classes takes 86 %") == 1
    folded = html[html.index('<details class="symptoms">') :]
    assert folded.index("1 of 16 classes takes 86 %") < folded.index("optimizer.eps is the text")


def test_remedies_say_whether_they_are_safe_and_what_they_change(html):
    text = Page(html).text
    assert "safe Log the SNR head's logits" in text
    assert "unsafe Replace the distance loss by cross-entropy on the SNR head." in text
    assert 'loss.snr: "cross_entropy"' in text


def test_says_what_was_clean_and_how_to_enable_what_was_not_checked(html):
    text = Page(html).text
    assert "Predictions PRD004 PRD007" in text
    assert "OBJ007 term-without-gradient needs loss/path/* (record it with tocsin.watch)" in text
    assert "the last line is torn" in text


def test_configuration_keeps_the_types_and_marks_the_key_that_a_finding_cites(html):
    text = Page(html).text
    assert 'eps "1e-8" cited by a finding text' in text
    assert "lr 0.001 float" in text
    assert "augment False boolean" in text


def test_tables_show_the_numbers_of_the_last_evaluations(html, run):
    text = Page(html).text
    last = {e.task: e for e in run.evaluations}
    confusion, moments = last["snr"].confusion, last["doa"].moments[0]
    assert f"28 dB {confusion.support[15]} {confusion.predicted[15]}" in text
    assert f"r {moments.r:.4g} correlation" in text
    assert Page(html).count("path") > 0


def test_opens_without_network_or_inline_handlers_and_its_policy_names_its_own_scripts_only(html):
    page = Page(html)
    links = [v for _, attrs in page.elements for k, v in attrs.items() if k in ("src", "href", "srcset", "action")]
    assert all(link and link.startswith("#") for link in links)
    assert not any(k.startswith("on") or k == "style" for _, attrs in page.elements for k in attrs)
    assert "url(" not in page.raw["style"][0]
    assert "@import" not in page.raw["style"][0]
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    executed = [s for s in page.raw["script"] if not s.startswith("{")]
    allowed = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in executed]
    assert len(executed) == 2
    assert all(digest in policy for digest in allowed)


def test_nothing_that_a_run_says_becomes_markup():
    report, run = samples.hostile()
    text = render(report, [run], title="</title>" + run.name)
    page = Page(text)
    quiet = Page(render(Report(), []))
    kinds = {tag for tag, _ in page.elements}
    assert page.count("script") == quiet.count("script") == 3
    assert not kinds & {"img", "iframe", "object", "embed", "base", "link", "form", "input"}
    assert all(not k.startswith("on") for _, attrs in page.elements for k in attrs)
    assert all("javascript:" not in (attrs.get("href") or "") for _, attrs in page.elements)
    assert "<img src=x onerror=alert(1)>" in page.text, "shown as text"
    assert "{{ 7*7 }}" in page.text
    text.encode("utf-8")
    assert not set(text) & set("\x1b\x00\u202e\u2028\ud800")
    drawn = json.loads(page.raw["script"][0])
    assert drawn["curves"]
    assert all(line["name"].isprintable() for plot in drawn["plots"] for line in plot["lines"])


def test_embedded_json_cannot_close_its_element_and_comes_back_unchanged():
    data = {"key" + a: [a, 1.5, None] for a in samples.ATTACKS}
    text = embedded(data)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == data


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_names_leave_the_elements_of_the_page_as_they_are(name, word):
    def tags(a: str, b: str) -> list[str]:
        finding = Finding(b, b, 1, severity="error", code="X001", name=b, run=a)
        run = Run.of(a, series={"train/loss": [2.0, 1.0]}, config={"key" + b: b})
        page = render(Report((a,), (finding,)), [run])
        page.encode("utf-8")
        return [tag for tag, _ in Page(page).elements]

    assert tags(name or "x", word or "x") == tags("plain", "plain")


def test_500_series_of_200_000_points_stay_below_the_limit():
    run = samples.large_run()
    text = render(Report((run.name,)), [run])
    assert len(text.encode()) < MOST_BYTES
    curves = json.loads(Page(text).raw["script"][0])["curves"]
    assert len(curves) >= 500
    assert max(len(c["x"]) for c in curves) > 500, "the main curves are drawn in detail"


def test_is_pure(run, html):
    assert render(samples.faulty_report(run), [run]) == html


def test_several_runs_get_a_section_each_and_share_their_curves(run):
    healthy = replace(run, name="second <run>")
    report = samples.faulty_report(run)
    text = render(replace(report, runs=(run.name, healthy.name)), [run, healthy])
    page = Page(text)
    plots = json.loads(page.raw["script"][0])["plots"]
    together = [p for p in plots if p["group"] == "overlay"]
    assert [line["name"] for line in together[0]["lines"]] == [run.name, "second <run>"]
    assert text.count('<article class="run"') == 2
    assert len(text.encode()) < MOST_BYTES


def test_runs_of_equal_name_are_shown_under_the_names_that_the_report_gave_them(run):
    report = replace(samples.faulty_report(run), runs=(run.name, f"{run.name} (2)"))
    assert f"{run.name} (2)" in Page(render(report, [run, run])).text


def test_a_finding_whose_run_is_missing_is_still_shown(run):
    text = Page(render(samples.faulty_report(run), [])).text
    assert "28 dB receives 61 %" in text
    assert "No series was recorded." in text


def test_an_empty_report_says_that_nothing_was_judged():
    text = Page(render(Report(), [])).text
    assert "Clean" not in text.split("tocsin report")[1][:60]
    assert "No rule looked" in text


def test_a_clean_run_says_so():
    run = Run.of("calm", series={"train/loss": [3.0, 2.0, 1.0]})
    text = Page(render(Report(("calm",), clean=("OPT001", "PRD001")), [run])).text
    assert "Clean: " in text
    assert "Nothing rang." in text


def test_fragment_is_small_escaped_and_without_scripts(run):
    report, _ = samples.hostile()
    page = Page(fragment(report))
    assert page.count("script") == page.count("img") == page.count("svg") == 0
    short = fragment(samples.faulty_report(run))
    assert len(short) < 8000
    assert "28 dB receives 61 %" in short
    assert samples.faulty_report(run)._repr_html_() == short


def test_importing_tocsin_loads_neither_jinja2_nor_the_page():
    code = "import sys, tocsin; print([m for m in ('jinja2', 'tocsin.reports.html') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
