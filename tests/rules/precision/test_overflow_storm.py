"""AMP001 overflow-storm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from corpus import faulty, log_families
from tocsin.findings import Finding
from tocsin.rules.precision.overflow_storm import overflow_storm
from tocsin.run import Event, Run, Series


def ring(run: Run) -> list[Finding]:
    return [overflow_storm.ring(run, f) for f in overflow_storm.check(run) if isinstance(f, Finding)]


def counted(skip) -> Run:
    falls = np.cumsum(skip)
    series = {"count/skipped": falls, "count/optimizer": np.arange(1, len(skip) + 1) - falls}
    return Run.of(series={**series, "amp/scale": 65536 * 0.5**falls}, exit="finished")


def test_the_share_and_its_interval_are_those_of_the_last_half():
    skip = np.arange(400) % 4 == 0
    (finding,) = ring(counted(skip))
    assert finding.message.startswith("50 of the last 200 optimizer steps were skipped (25 %, interval 18 to 34 %)")
    low, high = binomtest(50, 200).proportion_ci(0.99, method="wilson")
    assert (round(100 * low), round(100 * high)) == (18, 34)
    assert (finding.severity, finding.step) == ("warning", 1)


def test_nothing_but_skips_is_an_error():
    (finding,) = ring(counted(np.ones(300, bool)))
    assert finding.severity == "error"


def test_the_scale_alone_tells_too():
    run = faulty.build("scale-that-never-settles", 1)
    assert [f.severity for f in ring(run)] == ["warning"]
    sparse = run.series["amp/scale"]
    assert ring(replace(run, series={**run.series, "amp/scale": sparse[np.arange(0, 600, 20)]}))


@pytest.mark.parametrize("early", [1, 8, 19, 40])
def test_early_overflows_are_silent(early):
    assert ring(counted(np.arange(400) < early)) == []


def test_growth_and_one_fall_in_2000_steps_are_silent(record_property):
    alarms = sum(bool(ring(log_families.draw("scale_that_probes", seed))) for seed in range(30))
    record_property("figure", f"AMP001: {alarms} alarms in 30 healthy scales that probe upwards")
    assert alarms == 0


def test_a_static_scale_is_silent():
    assert ring(Run.of(series={"amp/scale": np.full(500, 512.0), "train/loss": np.ones(500)})) == []


def test_a_scale_that_recovered_is_silent():
    scale = np.r_[65536 * 0.5 ** np.arange(20), np.full(180, 0.125), 0.125 * 2.0 ** np.arange(0, 200) ** 0.5]
    assert ring(Run.of(series={"amp/scale": scale}, exit="finished")) == []


def test_skips_of_a_loss_that_is_gone_are_a_note():
    run = counted(np.arange(400) >= 100)
    loss = np.where(np.arange(400) < 100, 1.0, np.nan)
    (finding,) = ring(replace(run, series={**run.series, "train/loss": Series.of("train/loss", loss)}))
    assert finding.severity == "note"


@pytest.mark.parametrize(
    "text",
    [
        "FloatingPointError: Minimum loss scale reached (0.0001). Your loss is probably exploding.",
        "Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.",
    ],
)
def test_a_trainer_that_gave_up(text):
    (finding,) = ring(Run.of(events=(Event("exception", f"Traceback\n{text}", 812),), exit="failed"))
    assert (finding.severity, finding.step) == ("error", 812)
    assert text in finding.message


def test_falls_without_end_however_short_the_log():
    start, n = 8.2e-202, 14
    (finding,) = ring(Run.of(series={"amp/scale": start * 0.5 ** np.arange(n)}))
    assert (finding.severity, finding.step) == ("error", 1)
    assert finding.message.startswith("the last 13 steps of the log overflowed one after another")
    assert "the loss scale fell from 8.2e-202 to 1e-205" in finding.message
    token_sum = Series.of("", [0.5] * 8 + [0.5 ** (2 + k) for k in range(12)], step=[*range(1, 9), *[8] * 12])
    (finding,) = ring(Run.of(series={"amp/scale": token_sum}, exit="failed"))
    assert finding.step == 8


def fallen_to_zero(zeros: int, completed: int = 0, **more) -> Run:
    """float32: 16 falls to 1, 149 to the smallest number, then 0, whose halves are no falls."""
    n = 165 + zeros
    scale = np.r_[32768.0 * 0.5 ** np.arange(165), np.zeros(zeros)]
    done = np.r_[np.zeros(165), np.minimum(np.arange(zeros), completed)]
    series = {"amp/scale": scale, "count/skipped": np.minimum(np.arange(1, n + 1), 165), "count/optimizer": done}
    return Run.of(series={**series, "train/loss": np.full(n, 2.3)}, exit="finished", **more)


def test_a_scale_of_zero_stays_an_error_though_its_falls_have_ended():
    (finding,) = ring(fallen_to_zero(500))
    assert (finding.severity, finding.step) == ("error", 1)
    assert finding.message == (
        "the loss scale fell from 3.28e+04 to 0 by step 166, by overflows since step 1: no factor leads back from 0, "
        "and no gradient survives it, so no step can come any more"
    )
    (finding,) = ring(replace(fallen_to_zero(500), series={"amp/scale": fallen_to_zero(500).series["amp/scale"]}))
    assert finding.severity == "error"
    late = fallen_to_zero(500)
    gone = Series.of("train/loss", np.full(665, np.nan))
    assert [f.severity for f in ring(replace(late, series={**late.series, "train/loss": gone}))] == ["note"]


def test_a_zero_in_a_print_or_beside_completed_steps_says_nothing():
    assert ring(fallen_to_zero(500, source="fairseq")) == []
    assert ring(fallen_to_zero(500, completed=400)) == []
    assert ring(Run.of(series={"amp/scale": np.zeros(300)}, exit="finished")) == []


def skipping(scale, step, first=0, **more) -> Run:
    falls = Series.of("", np.arange(1, len(step) + 1), step=step)
    series = {"amp/scale": Series.of("", scale, step=step), "count/skipped": falls, **more}
    return Run.of(series=series, exit="unknown")


def loss_until(last) -> dict[str, Series]:
    return {"train/loss": Series.of("", [2.1, 2.0, 2.0], step=[1, last // 2, last])}


def test_a_log_that_ends_in_overflows_at_the_end_of_the_scale():
    (finding,) = ring(skipping(65536 * 0.5 ** np.arange(1, 18), np.arange(1, 18)))
    assert finding.severity == "warning"
    assert "the last 17 steps of the log overflowed" in finding.message
    (finding,) = ring(skipping([1, 1, 1, 1], [0, 0, 98, 99], x=Series.of("", [3, 4], step=[98, 100])))
    assert "stands at its minimum of 1" in finding.message
    (finding,) = ring(skipping([32, 16, 8, 4, 2], [378, 379, 380, 381, 382], **loss_until(382)))
    assert (finding.severity, finding.step) == ("warning", 378)
    (finding,) = ring(skipping([0, 0, 0.00049, 0.00024], [690, 695, 699, 700], **loss_until(700)))
    assert "the last 2 steps" in finding.message


def test_overflows_that_steps_follow_or_that_a_level_holds_are_silent():
    assert ring(skipping([32, 16, 8, 4, 2], [378, 379, 380, 381, 382], **loss_until(400))) == []
    assert ring(skipping([64, 32, 16, 8], [379, 380, 381, 382], **loss_until(382))) == []
    assert ring(skipping([64, 32, 16, 8, 4, 2], [1, 2, 3, 4, 5, 6], **loss_until(7))) == []
    assert ring(skipping([1, 1, 1], [100, 200, 300], **loss_until(300))) == []
    assert ring(skipping([2**-7, 2**-8], [585, 586], **loss_until(586))) == []


@pytest.mark.parametrize("scale", [2.0 ** (32 - np.arange(20)), 0.5 ** np.arange(9), [0.5] * 60])
def test_a_scale_that_seeks_its_level_in_a_short_log_is_silent(scale):
    assert ring(Run.of(series={"amp/scale": scale})) == []
    assert ring(Run.of(series={"amp/scale": [*scale, 2 * scale[-1]]})) == []


def test_messages_alone():
    (finding,) = ring(faulty.build("overflow-messages", 0))
    assert finding.message.startswith("50 of the last 200")
    few = [Event("message", "Gradient overflow. Skipping step", k) for k in range(1, 20)]
    assert ring(Run.of(series={"train/loss": np.ones(400)}, events=tuple(few))) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.02))
def test_law_rare_skips_are_silent(seed, share):
    assert ring(counted(np.random.default_rng(seed).random(600) < share)) == []
