"""What is drawn together, and that a finding's evidence is drawn on the curve it stands on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports import page_samples as samples
from tocsin.findings import Evidence, Finding
from tocsin.reports.curves import Curves
from tocsin.reports.glyphs import MARGIN, WIDTH, glyph
from tocsin.reports.plots import finding_panels, main_panels, overlays
from tocsin.run import Run


@pytest.fixture(scope="module")
def run() -> Run:
    return samples.faulty_run()


def test_main_panels_group_losses_terms_metrics_and_the_optimizer(run):
    plots = {p.title: [line["name"] for line in p.lines] for p in main_panels(run, Curves())}
    assert plots == {
        "Loss": ["train/loss", "train/loss, median of 19 points", "val/loss"],
        "Loss terms": ["signal", "snr"],
        "Metrics between 0 and 1": ["val/f1_macro", "val/snr_accuracy"],
        "val/snr_mae_db": ["val/snr_mae_db"],
        "Learning rate": ["lr/0"],
        "Gradient norm": ["grad/norm"],
        "Loss scale": ["amp/scale"],
    }


def test_a_finding_is_drawn_with_its_beginning_limit_interval_and_cited_point(run):
    root = samples.faulty_report(run).findings[0]
    plots = {p.title: p for p in finding_panels(run, root, Curves())}
    accuracy = plots["val/snr_accuracy"]
    assert [m["x"] for m in accuracy.marks] == [1500, 2100]
    assert accuracy.limits == [{"y": 0.0625, "text": "limit 0.0625"}]
    assert accuracy.bands == [{"low": 0.058, "high": 0.0735, "text": "interval 0.058 to 0.0735"}]
    assert accuracy.points == [{"x": 1500, "y": 0.0655}]
    assert [line["name"] for line in plots["val/snr at each evaluation"].lines] == [
        "accuracy",
        "share of the most predicted class",
    ]
    assert "began: step 1,500" in accuracy.says


def test_the_cited_point_is_among_the_drawn_ones(run):
    curves = Curves()
    plots = finding_panels(run, samples.faulty_report(run).findings[0], curves)
    loss = next(p for p in plots if p.title == "Loss")
    drawn = curves.drawn()[loss.lines[0]["curve"]]
    assert drawn["y"][drawn["x"].index(1500)] == pytest.approx(loss.points[0]["y"], rel=1e-4)


def test_an_interval_of_another_quantity_is_not_drawn_on_the_curve():
    run = Run.of(series={"val/loss": [1.0, 2.0, 3.0]})
    slope = Finding("rises", step=1, evidence=(Evidence("val/loss", 3.0, 3, 1.0, (0.1, 0.2)),))
    (plot,) = finding_panels(run, slope, Curves())
    assert plot.bands == []
    assert plot.limits


def test_numbers_that_cannot_be_placed_are_left_off_the_curve():
    run = Run.of(series={"grad/norm": [1.0, math.nan]})
    evidence = Evidence("grad/norm", math.nan, 2, math.inf, (-math.inf, math.inf))
    (plot,) = finding_panels(run, Finding("x", step=2, evidence=(evidence,)), Curves())
    assert plot.points == plot.limits == plot.bands == []


def test_a_finding_without_a_curve_of_its_own_is_marked_on_the_loss_unless_it_is_older_than_training():
    run = Run.of(series={"train/loss": [2.0, 1.0]}, config={"lr": "1e-3"})
    config = (Evidence("config:lr", "1e-3"),)
    assert [p.title for p in finding_panels(run, Finding("x", step=2, evidence=config), Curves())] == ["Loss"]
    assert finding_panels(run, Finding("x", step=0, evidence=config), Curves()) == []


def test_tensors_of_one_quantity_share_a_panel(run):
    sources = [f"update/ratio/encoder.{k}.weight" for k in range(6)]
    found = Finding("x", step=9, evidence=tuple(Evidence(s, None, 9) for s in sources))
    (plot,) = finding_panels(run, found, Curves())
    assert plot.title == "update/ratio"
    assert len(plot.lines) == 6


def test_axis_is_logarithmic_only_for_positive_values_over_a_wide_range():
    wide = Run.of(series={"grad/norm": np.logspace(-3, 3, 50)})
    zero = Run.of(series={"grad/norm": [0.0, 1.0, 1000.0]})
    narrow = Run.of(series={"grad/norm": [1.0, 2.0, 3.0]})
    assert [main_panels(r, Curves())[0].log for r in (wide, zero, narrow)] == [True, False, False]


def test_schedules_and_counters_are_linear_and_a_learning_rate_is_held_to_the_end():
    run = Run.of(series={"lr/0": [1e-2, 1e-5], "train/loss": np.ones(50)})
    curves = Curves()
    plot = next(p for p in main_panels(run, curves) if p.title == "Learning rate")
    assert not plot.log
    assert plot.lines[0]["style"] == "step"
    drawn = curves.drawn()[plot.lines[0]["curve"]]
    assert (drawn["x"], drawn["y"]) == ([1, 2, 50], [1e-2, 1e-5, 1e-5])


def test_only_what_several_runs_share_is_laid_over_each_other(run):
    other = Run.of("other", series={"train/loss": [3.0, 2.0], "val/special": [1.0]})
    plots = overlays([run, other], Curves())
    assert [(p.title, [line["name"] for line in p.lines]) for p in plots] == [("train/loss", [run.name, "other"])]


def test_more_lines_than_can_be_told_apart_are_named_as_left_out():
    run = Run.of(series={f"train/loss/t{k}": [1.0, 2.0] for k in range(11)})
    (plot,) = main_panels(run, Curves())
    assert len(plot.lines) == 8
    assert plot.title == "Loss terms (first 8 of 11)"


def test_glyph_keeps_the_order_of_value_limit_and_interval():
    g = glyph(Evidence("x", 0.61, 3, 0.0625, (0.58, 0.64)))
    assert g is not None
    assert MARGIN == g.limit < g.low < g.value < g.high == WIDTH - MARGIN
    assert g.says == "observed 0.61 limit 0.0625 interval from 0.58 to 0.64"


@pytest.mark.parametrize(
    "evidence",
    [Evidence("x"), Evidence("x", 1.0), Evidence("x", "text", None, 1.0), Evidence("x", math.nan, 1, math.inf)],
)
def test_no_glyph_where_nothing_can_be_compared(evidence):
    assert glyph(evidence) is None


def test_an_interval_of_another_quantity_is_not_put_on_the_axis_of_the_value():
    g = glyph(Evidence("val/loss", 1.8, 960, 0.9, (0.17, 0.42)))
    assert g is not None
    assert g.low is g.high is None
    assert g.limit < g.value


def test_glyph_of_an_open_interval_stays_on_its_axis():
    g = glyph(Evidence("x", 1.0, 1, -1e308, (-math.inf, 1e308)))
    assert g is not None
    assert all(MARGIN <= place <= WIDTH - MARGIN for place in (g.value, g.limit, g.low, g.high))
