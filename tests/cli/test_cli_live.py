"""What is shown while a training goes on: the picture, the plain lines, and that neither can stop it."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest

from cli.sample_study import FINDING, Progress
from tocsin.cli.frame import History, clock, fitting, frame, shares, span
from tocsin.cli.live import News, lines, shielded, shown
from tocsin.reports.terminal import paint

PICTURE = """\
toy quick, seed 0
████████████████░░░░░░░░  67 %  epoch 2/3  step 4/6  0:04, 1:02 left

mod  ██████████░░░░░░░░░░░░░░   40 %  loss 1, weight 1
snr  ██████████████░░░░░░░░░░   60 %  loss 3, weight 0.5

epoch  time  val/joint  val/loss
    1  0:02        0.2      2.31
    2  0:04        0.3     1.234

val/joint  ▁█  0.2 to 0.3, now 0.3
findings: LOW001
"""


def _history() -> tuple[Progress, History]:
    history = History()
    history.add(Progress(step=2, elapsed_s=2.0, metrics={"val/loss": 2.31, "val/joint": 0.2}))
    last = Progress(
        step=4,
        epoch=2,
        elapsed_s=4.0,
        remaining_s=61.9,
        metrics={"val/loss": 1.234, "val/joint": 0.3},
        findings=(FINDING,),
    )
    history.add(last)
    return last, history


def test_the_picture():
    last, history = _history()
    assert paint([frame("toy quick, seed 0", last, history, 80)], width=80, color=False) == PICTURE


def test_the_picture_before_anything_is_known():
    first = Progress(step=0, steps=0, losses={}, weights={}, remaining_s=math.nan)
    said = paint([frame("x", first, History(), 80)], width=80, color=False)
    assert said.splitlines()[1:] == ["░" * 24 + "   0 %  epoch 1/3  step 0/0  0:01, ? left", "", "no finding so far"]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_picture_stays_inside_the_terminal(width):
    last, history = _history()
    last = replace(last, metrics={f"val/metric_{i}": i / 7 for i in range(30)}, epoch=3)
    history.add(last)
    assert all(
        len(row) <= width
        for row in paint([frame("t" * 300, last, history, width)], width=width, color=False).splitlines()
    )


def test_hostile_names_are_shown_not_obeyed():
    last = Progress(
        losses={"[red]\x1b[2J": 1.0}, metrics={"\x1b]0;x\x07": 1.0}, findings=(replace(FINDING, code="\x1b"),)
    )
    history = History()
    history.add(last)
    said = paint([frame("x", last, history, 80)], width=80, color=False)
    assert "\x1b" not in said
    assert "[red]\\x1b[2J" in said


def test_an_epoch_is_kept_once():
    last, history = _history()
    assert not history.add(last)
    assert not history.add(replace(last, epoch=3, metrics={}))
    assert [p.epoch for p in history.epochs] == [1, 2]
    assert history.curve("val/joint") == [0.2, 0.3]
    assert math.isnan(history.curve("other")[0])


def test_shares_weigh_terms_by_size_and_leave_the_total_out():
    assert shares({"total": 9.0, "a": 1.0, "b": -3.0}, {"b": 0.5}) == {"a": 0.4, "b": 0.6}
    assert shares({"a": 0.0}, {}) == shares({"a": math.nan}, {}) == shares({"a": math.inf}, {}) == {}


def test_clock_span_and_fit():
    assert [clock(s) for s in (0, 59.6, 3661, math.nan, math.inf, -1)] == ["0:00", "1:00", "1:01:01", "?", "?", "0:00"]
    assert span([math.nan, 0.5]) == "0.5 to 0.5, now 0.5"
    assert span([math.nan]) == "now nan"
    assert fitting("b", {"a": 1.0, "b": 2.0, "c": 3.0}, 24) == ["b", "a"]
    assert fitting("b", {"a": 1.0, "b": 2.0}, 0) == ["b"]


def test_a_finding_is_told_once():
    news = News()
    assert news.of(Progress(findings=(FINDING,))) == [FINDING]
    assert news.of(Progress(findings=(replace(FINDING, message="more"),))) == []


def test_lines_say_epochs_and_findings():
    said: list[str] = []
    show = lines(said.append)
    show(Progress(step=1))
    show(Progress(step=2, metrics={"val/joint": 0.25}, findings=(FINDING,)))
    assert said == [
        "step 4: warning LOW001 loss-above train: the loss is 60 (limit 10)",
        "epoch 1/3 step 2/6 (0:01, 0:02 left): val/joint 0.25",
    ]


def test_an_error_while_showing_never_reaches_the_training(capsys):
    calls = []

    def broken(progress):
        calls.append(progress)
        raise ValueError("no room")

    show = shielded(broken)
    show(Progress())
    show(Progress())
    assert len(calls) == 1
    assert capsys.readouterr().err == "tocsin: progress is no longer shown, training goes on: ValueError: no room\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_gets_the_picture_and_findings_above_it(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with shown("toy quick", stream) as show:
        for step in range(1, 7):
            show(Progress(step=step, findings=(FINDING,) if step > 3 else (), metrics={"val/joint": 0.1 * step}))
    said = stream.getvalue()
    assert said.count("step 4: warning LOW001") == 1
    assert "toy quick" in said
    assert "100 %" in said
    assert "\x1b[?25h" in said  # the cursor comes back


def test_a_dumb_terminal_or_a_file_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with shown("toy quick", stream) as show:
        show(Progress(metrics={"val/joint": 0.5}))
    assert stream.getvalue() == "toy quick\nepoch 1/3 step 2/6 (0:01, 0:02 left): val/joint 0.5\n"
