"""Scores beside the best constant's, in words, on the terminal and on the page."""

from __future__ import annotations

import math

import pytest

import tocsin
from corpus import healthy
from reports.page_parser import Page
from tocsin.findings import Report, Score
from tocsin.reports import html
from tocsin.reports.beside import beside
from tocsin.reports.terminal import render


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (Score("val/loss", 0.52, 9, "MSE", (0.69, 0.69), 1.0), "0.52 (best constant 0.69)"),
        (Score("val/loss", 0.7, 9, "MSE", (0.69, 0.69), 1.0), "0.7 (best constant 0.69, not beaten)"),
        (Score("val/loss", 1.6, 9, "MSE", (1, 1), 1.25), "1.6 (best constant 1; zero costs 1.25, not beaten)"),
        (Score("val/loss", 0.2, 9, "cross-entropy", (0.651, 0.69)), "0.2 (best constant 0.651 to 0.69)"),
        (Score("val/loss", 0.2, 9, "given", (0.65, 0.65)), "0.2 (best constant 0.65, as given)"),
        (
            Score("val/loss", 3.0, 9, "if it is a cross-entropy", (2.3, 2.3), 2.31),
            "3 (best constant 2.3 if it is a cross-entropy)",
        ),
        (Score("val/mae", 0.2, 9, "MAE", (0.65, 0.65), None, 0.0123), "0.2 (best constant 0.65 +- 0.01)"),
        (Score("val/r2", -0.1, 9, "r2", (0.0, 0.0), sign=1), "-0.1 (best constant 0, not beaten)"),
        (Score("val/acc", 0.9, 9, "accuracy", (0.6, 0.6), sign=1), "0.9 (best constant 0.6)"),
        (Score("val/r", 0.9, 9, "correlation", None, sign=1), "0.9 (undefined for a constant)"),
    ],
)
def test_a_score_in_words(score, words):
    assert beside(score) == words


def test_a_check_shows_scores_and_a_report_alone_keeps_them():
    report = tocsin.check(healthy.build("classification", 0))
    lines = render(report).splitlines()
    first = next(row for row in lines if row.startswith("scores"))
    assert "val/loss" in first
    assert first.endswith("if it is a cross-entropy)")
    assert "(best constant 0.2" in next(row for row in lines if "val/main/accuracy" in row)
    assert render(Report.from_json(report.to_json())) == render(report)


def test_what_is_not_beaten_stands_out_in_colour():
    bad = Report(("r",), scores=(Score("val/r2", -0.1, 9, "r2", (0.0, 0.0), sign=1, run="r"),))
    assert "\x1b[" in next(row for row in render(bad, color=True).splitlines() if "not beaten" in row)


def test_many_scores_and_runs_are_bounded_and_named():
    many = tuple(Score(f"val/loss/{k}", math.pi, 9, "MSE", (4.0, 4.0), run="b") for k in range(30))
    text = render(Report(("a", "b"), scores=many))
    assert text.count("best constant") == 12
    assert "b: val/loss/0 3.142 (best constant 4)" in text
    assert "and 18 more" in text


def test_the_page_has_a_table_of_them_with_or_without_a_report_that_does():
    run = healthy.build("classification", 0)
    for report in (tocsin.check(run), Report((run.name,))):
        page = html.render(report, [run])
        assert "best constant prediction would have had" in page
        assert "<code>val/main/accuracy</code>" in page
        assert Page(page)


def test_hostile_names_act_in_no_way():
    score = Score("val/<b>\x1b[31m", 1.0, 1, "<i>", (2.0, 2.0), run="r")
    run = tocsin.Run.of("r", series={"val/loss": [1.0]})
    assert "\x1b[31m" not in render(Report(("r",), scores=(score,)))
    page = html.render(Report(("r",), scores=(score,)), [run])
    assert "<i>" not in page
    assert "val/<b>" not in page
