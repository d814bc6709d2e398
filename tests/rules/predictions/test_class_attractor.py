"""PRD001: fires on attractors in settled predictions, silent on their healthy neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Run

RULE = find_rule("PRD001")
DB = tuple(f"{2 * k} dB" for k in range(16))


def findings(run, **options):
    return check_run(run, [RULE], {"PRD001": options}).findings


def spread_errors(classes=16, each=60):
    dense = int(0.6 * each) * np.eye(classes, dtype=int)
    side = int(0.2 * each)
    return dense + side * np.eye(classes, k=1, dtype=int) + side * np.eye(classes, k=-1, dtype=int)


def attractor(target, sources, share, classes=16, each=60):
    dense = spread_errors(classes, each)
    for i in sources:
        moved = (dense[i] * share).astype(int)
        dense[i] -= moved
        dense[i, target] += moved.sum()
    return dense


def run_of(matrices, labels=DB, losses=None, end="finished"):
    evaluations = tuple(
        Evaluation("val", "snr", 10 * (i + 1), "classes", int(m.sum()), confusion=Confusion.of(m, labels))
        for i, m in enumerate(matrices)
    )
    series = {} if losses is None else {"val/loss": losses}
    run = Run.of("r", series=series, evaluations=evaluations, exit=end)
    for s in run.series.values():
        s.step[:] = [e.step for e in evaluations]
    return run


def healthy_run(seed):
    """A sound classifier on random data: sizes, priors, ties; early transients; argmax of the noisy posterior."""
    rng = np.random.default_rng(seed)
    classes, n = int(rng.choice([2, 4, 5, 10, 16, 40])), int(rng.choice([60, 300, 1000, 4000]))
    prior = [np.full(classes, 1 / classes), rng.dirichlet(np.full(classes, 1.0)), rng.dirichlet([0.3] * classes)][
        seed % 3
    ]
    gap = np.where(np.arange(classes) < 0.7 * classes, rng.uniform(0.8, 3), 0.3)  # the upper classes nearly tie
    position, target = np.cumsum(gap), rng.choice(classes, n, p=prior)
    x = position[target] + rng.normal(size=n)
    posterior = np.log(prior + 1e-9) - 0.5 * (x[:, None] - position) ** 2
    looks = int(rng.integers(4, 25))
    matrices, losses, favourite = [], [], rng.integers(classes, size=looks)
    for i in range(looks):
        skill, swing = 1 - np.exp(-4 * (i + 1) / looks), 3 * np.exp(-6 * (i + 1) / looks)
        logits = skill * posterior + rng.normal(scale=0.1, size=classes)
        logits[:, favourite[i]] += swing
        dense = np.zeros((classes, classes), int)
        np.add.at(dense, (target, logits.argmax(1)), 1)
        matrices.append(dense)
        shifted = logits - logits.max(1, keepdims=True)
        losses.append(np.mean(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(n), target]))
    return run_of(matrices, tuple(f"{k} dB" for k in range(classes)), losses)


def test_names_the_band_and_the_numbers():
    (found,) = findings(run_of([attractor(14, range(4, 14), 0.6)] * 4))
    assert found.message == (
        "val/snr: 28 dB receives 59 % of the samples of 10 other classes (8-26 dB -> 28 dB; expected 6.4 %); "
        "so in each of the 4 evaluations since step 10"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/snr", 10)
    evidence = found.evidence[0]
    assert evidence.source == "evaluation:val/snr"
    assert evidence.interval[0] < evidence.value < evidence.interval[1]
    assert evidence.limit < evidence.interval[0]


def test_the_reported_black_hole_8_to_30_db_into_28_db_at_13_to_49_percent():
    dense = np.diag(np.full(16, 100))
    for i, share in zip([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15], np.linspace(13, 49, 11).astype(int), strict=True):
        dense[i, i] -= share
        dense[i, 14] += share
    (found,) = findings(run_of([dense * 40] * 3))
    assert "8-30 dB -> 28 dB" in found.message
    assert "of 11 other classes" in found.message


def test_begins_with_the_unbroken_stretch_not_with_the_first_settled_evaluation():
    hole, sound = attractor(14, range(4, 14), 0.6), spread_errors()
    (found,) = findings(run_of([hole, sound, hole, hole, hole, hole, hole]))
    assert found.step == 30


def test_rings_live_once_the_loss_no_longer_falls():
    hole = attractor(14, range(4, 14), 0.6)
    flat = 2 + 0.01 * np.tile([1.0, -1.0, 0.5, -0.4], 5)
    (found,) = findings(run_of([hole] * 20, losses=flat))
    assert found.rang_at == 80  # the eighth evaluation: the first that can tell falling from flat
    (late,) = findings(run_of([hole] * 20, losses=3 - 0.1 * np.arange(20)))
    assert late.rang_at == 200


def test_a_transient_that_heals_before_the_loss_settles_is_silent():
    hole, sound = attractor(14, range(4, 14), 0.6), spread_errors()
    assert not findings(run_of([hole] * 6 + [sound] * 6, losses=3 * 0.9 ** np.arange(12)))


def test_an_early_death_proves_nothing():
    hole = attractor(14, range(4, 14), 0.6)
    for end in ("killed", "interrupted", "failed", "running"):
        assert not findings(run_of([hole] * 2, end=end))
    assert findings(run_of([hole] * 3, end="killed"))
    (note,) = findings(run_of([hole]))
    assert note.severity == "note"


def test_several_and_alternating_attractors_make_one_finding():
    low, high = attractor(2, range(3, 8), 0.8), attractor(14, range(8, 14), 0.8)
    both = np.vstack([low[:8], high[8:]])
    (found,) = findings(run_of([both] * 3))
    assert "28 dB receives" in found.message
    assert "4 dB receives" in found.message
    (turns,) = findings(run_of([attractor(15, range(4, 14), 0.6), attractor(14, range(4, 14), 0.6)] * 2))
    assert "before it, 30 dB did" in turns.message


def test_unordered_and_negative_labels_are_named():
    names = tuple("abcdefghijklmnop")
    assert "(e, f, g, h and 6 more -> o;" in findings(run_of([attractor(14, range(4, 14), 0.6)] * 3, names))[0].message
    below = tuple(f"{2 * k - 20} dB" for k in range(16))
    assert "(-12 to 6 dB -> 8 dB;" in findings(run_of([attractor(14, range(4, 14), 0.6)] * 3, below))[0].message


def weak_ties():
    dense = spread_errors()
    dense[11:, 11:] = 6
    dense[11:, 13] += 20  # five classes without evidence, one wins 2.2 times its share
    dense[11:, 12] += 10
    return dense


def majority():
    dense = np.diag([800, 10, 10, 10, 10])
    dense[1:, 0] = 40
    return dense


def rare_class_upweighted():
    dense = np.diag([400, 380, 390, 10])
    dense[:3, 3] = 90
    return dense


@pytest.mark.parametrize(
    "matrix",
    [
        spread_errors(),
        attractor(14, (13, 15), 0.9),
        weak_ties(),
        majority(),
        rare_class_upweighted(),
        attractor(2, (1, 3), 1.0, classes=5),
        np.array([[30, 30], [5, 55]]),
        attractor(14, range(4, 14), 0.6, each=5) // 2,
        np.zeros((4, 4), int),
    ],
    ids=["neighbours", "two sources", "weak ties", "majority", "rare class", "few classes", "binary", "tiny", "empty"],
)
def test_healthy_neighbours_are_silent(matrix):
    labels = DB[: len(matrix)]
    assert not findings(run_of([matrix] * 12, labels, losses=np.full(12, 0.5)))


def test_a_class_that_takes_a_little_of_every_class_and_has_nothing_of_its_own():
    """15 % of all predictions name a class that hardly exists; it takes less than a fifth of any other."""
    dense = np.diag([60] * 29 + [2])
    dense[:29, 29] = 12
    (found,) = findings(run_of([dense] * 3, tuple(f"token {k}" for k in range(30))))
    assert "token 29 receives 17 % of the samples of 29 other classes" in found.message
    dense[29, 29] = 60  # of those called so, most are so
    assert not findings(run_of([dense] * 3, tuple(f"token {k}" for k in range(30))))


def drawn(dense, n, rng):
    """``n`` samples of the cells of a confusion."""
    return rng.multinomial(n, dense.ravel() / dense.sum()).reshape(dense.shape)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_short_evaluations_prove_it_together_and_it_does_not_heal(seed):
    rng = np.random.default_rng(seed)
    hole = np.diag(np.full(10, 100))
    hole[:8, :8] -= np.diag(np.full(8, 70))
    hole[:8, 9] += 70
    flat = 2 + 0.01 * np.tile([1.0, -1.0, 0.5, -0.4], 15)
    short = [drawn(hole, 64, rng) for _ in range(60)]
    (found,) = findings(run_of(short, tuple("abcdefghij"), flat))
    assert (found.severity, found.healed_at) == ("warning", None)
    sound = [drawn(np.diag(np.full(10, 100)), 64, rng) for _ in range(30)]
    (healed,) = findings(run_of(short[:30] + sound, tuple("abcdefghij"), flat))
    assert healed.healed_at is not None


def test_scoring_one_small_set_again_and_again_proves_no_more_than_once():
    rng = np.random.default_rng(0)
    dense = drawn(attractor(9, range(8), 0.35, classes=10, each=90), 60, rng)
    assert not findings(run_of([dense] * 3, tuple("abcdefghij")))
    assert not findings(run_of([dense] * 12, tuple("abcdefghij")))
    assert findings(run_of([dense * 20] * 3, tuple("abcdefghij")))


def test_a_constant_predictor_is_left_to_prd002():
    constant = np.zeros((16, 16), int)
    constant[:, 3] = 60
    assert not findings(run_of([constant] * 4))


@given(order=st.permutations(range(16)), scale=st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_class_order_does_not_matter_and_more_samples_keep_the_finding(order, scale):
    dense = attractor(14, range(4, 14), 0.6)
    shuffled = dense[np.ix_(order, order)] * scale
    (found,) = findings(run_of([shuffled] * 3, tuple(DB[i] for i in order)))
    assert "28 dB receives 59 % of the samples of 10 other classes (8-26 dB -> 28 dB" in found.message


def test_healthy_runs_are_silent(record_property):
    alarms = [seed for seed in range(60) if any(f.severity != "note" for f in findings(healthy_run(seed)))]
    record_property("figure", f"PRD001: {len(alarms)} of 60 healthy synthetic runs rang")
    assert not alarms
