"""Small text helpers of the renderers: curves in a row, figures, safe text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.reports.plain import figure, plain
from tocsin.reports.sparkline import BLOCKS, GAP, sparkline


@pytest.mark.parametrize(
    ("values", "curve"),
    [
        ([], ""),
        ([1, 2, 3, 4, 5, 6, 7, 8], BLOCKS),
        ([3, 3, 3], "▄▄▄"),
        ([math.nan, 0, math.inf, 1], "x▁x█"),
        ([math.nan], "x"),
        ([-1e308, 1e308], "▁█"),
    ],
)
def test_curves(values, curve):
    assert sparkline(values) == curve


def test_more_points_than_room_are_averaged():
    assert sparkline([0, 2, 10, 12, 0, math.nan], width=3) == "▁█▁"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(), max_size=60), st.integers(1, 40))
def test_any_curve_fits_and_is_made_of_blocks(values, width):
    curve = sparkline(values, width)
    assert len(curve) == min(len(values), width)
    assert set(curve) <= {*BLOCKS, GAP}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (3.0, "3"), (-0.0, "0"), (1e12, "1e+12"), (2 / 3, "0.6667"), (math.nan, "nan"),
     (-math.inf, "-inf"), (True, "1"), ("5e-5", "'5e-5'"), ("\x1b", "'\\\\x1b'")],
)  # fmt: skip
def test_figures(value, text):
    assert figure(value) == text


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_plain_text_is_printable_on_one_line_and_keeps_what_is(text):
    shown = plain(text)
    assert shown.isprintable()
    assert plain(shown) == shown
    if text.isprintable():
        assert shown == text


def test_long_text_is_cut_with_a_mark():
    assert plain("abcdefgh", 6) == "abc..."
    assert plain("abcdef", 6) == "abcdef"
    assert len(plain("\x1b" * 100, 50)) <= 50
