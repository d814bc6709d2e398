"""When two logs hold the same numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.readers.agreement import agreement, continues, within
from tocsin.readers.merging import on_clock
from tocsin.run import Run, Series


def run(**series: object) -> Run:
    return Run.of(series={name.replace("__", "/"): values for name, values in series.items()})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(10, 300))
def test_a_curve_agrees_with_its_printed_and_its_32_bit_self_and_with_no_other(seed: int, places: int, n: int):
    rng = np.random.default_rng(seed)
    values, others = rng.normal(2, 0.5, (2, n))
    exact = run(loss=values)
    assert agreement(exact, run(loss=values.round(places))).evidence >= 3
    assert agreement(exact, run(loss=values.astype(np.float32))).evidence >= 3
    digits = [float(f"{value:.{max(places, 3)}g}") for value in values]
    assert agreement(exact, run(loss=digits)).evidence >= 3
    other = agreement(exact, run(loss=others.round(places)))
    assert (other.evidence, other.contradicts) == (0, True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([float("nan"), float("inf"), -1e308, 0.0, 1e-300, 1.0]), max_size=8), st.integers(0, 8))
def test_odd_numbers_raise_nothing_and_a_part_is_within_its_whole(values: list[float], k: int):
    whole, part = run(loss=values), run(loss=values[:k])
    assert agreement(whole, whole).contradicts is False
    assert within(part, whole) is True
    assert continues(whole, whole) is True


def test_few_shared_steps_are_chance_and_say_nothing():
    steps = run(loss=Series.of("loss", np.linspace(3, 1, 50), np.arange(10, 510, 10)))
    epochs = run(loss=[2.9, 2.1, 1.7, 1.5, 1.4, 1.3, 1.2, 1.15, 1.12, 1.1])
    found = agreement(steps, epochs)
    assert (found.evidence, found.contradicts) == (0, False)


def test_a_few_rounded_accuracies_are_no_evidence_but_one_long_number_is():
    assert agreement(run(acc=[0.9, 0.91]), run(acc=[0.9, 0.91])).evidence == 0
    assert agreement(run(acc=[0.912345]), run(acc=[0.912345])).evidence == 1


def test_runs_of_several_evaluations_a_step_are_paired_in_order():
    one = Series.of("f1", [0.11, 0.22, 0.33, 0.44], [5, 5, 9, 9])
    assert agreement(run(f1=one), run(f1=one)).evidence == 4
    assert within(run(f1=one[:3]), run(f1=one))
    assert not within(run(f1=Series.of("f1", [0.22, 0.11], [5, 5])), run(f1=one))


def test_a_curve_that_starts_again_elsewhere_is_no_continuation():
    first = run(loss=Series.of("loss", [3.0, 2.0, 1.5], [10, 20, 30]))
    assert continues(first, run(loss=Series.of("loss", [1.9, 1.4], [25, 35])))
    assert continues(first, run(test__loss=[3.0, 2.0]))
    assert not continues(first, run(loss=Series.of("loss", [3.3, 2.2], [10, 20])))


def test_epochs_are_put_at_the_last_step_of_each_where_the_other_tells_epochs():
    epoch = np.repeat([1.0, 2.0, 3.0], 4)
    main = run(loss=Series.of("loss", np.arange(12.0), np.arange(10, 130, 10), epoch=epoch))
    told = run(f1=Series.of("f1", [0.1, 0.2, 0.3], [1, 2, 3], epoch=[1, 2, 3]))
    assert on_clock(told, main).series["f1"].step.tolist() == [40, 80, 120]
    longer = run(f1=Series.of("f1", [0.1] * 5, [1, 2, 3, 4, 5], epoch=[1, 2, 3, 4, 5]))
    assert on_clock(longer, main).series["f1"].step.tolist() == [1, 2, 3, 4, 5]
