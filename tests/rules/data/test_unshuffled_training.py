"""DAT003: one order in every epoch of batches that are alike inside; fixed random batches and streams are notes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.rules.data.unshuffled_training import unshuffled_training as DAT003
from tocsin.run import Run, Series

PER, EPOCHS = 40, 6
AT, EPOCH = np.tile(np.arange(PER), EPOCHS), np.repeat(np.arange(1, EPOCHS + 1), PER)
SORTED = np.where(AT % 10 < 4, 2.0, 0.5)


def run_of(*, loss=SORTED, likeness=0.4, orders=None, batches=PER):
    first = np.flatnonzero(np.isin(AT, range(min(8, batches))))
    prints = AT[first] + 1 if orders is None else np.asarray(orders)
    series = {"train/loss": Series.of("", loss, epoch=EPOCH)}
    series["input/fingerprint/train"] = Series.of("", prints, step=first + 1, epoch=EPOCH[first])
    if likeness is not None:
        series["input/likeness"] = Series.of("", np.full(first.size, likeness), step=first + 1, epoch=EPOCH[first])
    return Run.of(series=series)


def severities(run):
    return [f.severity for f in check_run(run, [DAT003]).findings]


def test_sorted_data_ring_from_the_first_epoch():
    (found,) = check_run(run_of(), [DAT003]).findings
    assert (found.severity, found.step) == ("warning", 1)
    assert found.message == (
        "the first 8 inputs were the same, in the same order, in each of the last 6 epochs, since step 1; 40% of the "
        "variance of the inputs lies between batches (sorted data), the training loss swings by 65% of its mean, alike "
        "in each epoch (lag-1 autocorrelation of the profile 0.61)"
    )


def test_a_loss_that_does_not_fall_is_harm_too():
    assert severities(run_of(loss=np.full(PER * EPOCHS, 2.4))) == ["warning"]


def test_terms_say_whether_it_fell_from_where_they_began():
    """Learned weights lower a total whose terms stay; forgetting raises a term above that of an untrained network."""
    falling = np.linspace(5.5, 2.7, PER * EPOCHS)
    forgot = np.full(PER * EPOCHS, 2.77)
    forgot[1:PER] = 5.0
    weighed = run_of(loss=falling)
    stuck = replace(weighed, series={**weighed.series, "train/loss/kind": Series.of("", forgot, epoch=EPOCH)})
    learned = replace(weighed, series={**weighed.series, "train/loss/kind": Series.of("", falling, epoch=EPOCH)})
    assert severities(weighed) == severities(learned) == ["note"]
    assert severities(stuck) == ["warning"]


@given(likeness=st.floats(-0.1, 1))
@settings(max_examples=30, deadline=None)
def test_law_no_warning_without_likeness(likeness):
    assert severities(run_of(likeness=likeness)) == (["warning"] if likeness > 0.2 else ["note"])


class TestHealthyNeighbours:
    def test_shuffled(self):
        assert severities(run_of(orders=np.random.default_rng(0).permutation(8 * EPOCHS) + 1.0)) == []

    def test_the_same_batches_in_another_order(self):
        rng = np.random.default_rng(1)
        assert severities(run_of(orders=np.concatenate([rng.permutation(8) + 1 for _ in range(EPOCHS)]))) == []

    def test_random_batches_in_a_fixed_order(self):
        """Equally hard but for noise, memorised in the end."""
        hard = np.exp(0.5 * np.random.default_rng(2).standard_normal(PER))
        loss = np.tile(hard, EPOCHS) * np.exp(-np.arange(PER * EPOCHS) / 60)
        assert severities(run_of(loss=loss, likeness=0.0)) == ["note"]

    def test_a_text_stream(self):
        """Token ids have no moments."""
        slow = 1 + 0.3 * np.sin(AT / 6)
        assert severities(run_of(loss=slow * np.exp(-np.arange(PER * EPOCHS) / 200), likeness=None)) == ["note"]

    @pytest.mark.parametrize("batches", [1, 2, 4])
    def test_hardly_an_order(self, batches):
        assert severities(run_of(batches=batches)) == []

    def test_two_epochs_are_too_few(self):
        keeper = check_run(run_of().prefix(2 * PER), [DAT003])
        assert "3 are needed" in keeper.not_checked["DAT003"].reason
