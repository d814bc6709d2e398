"""Every function of ``tocsin.stats`` against scipy, sklearn or a slow twin, and its intervals against simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats as sps
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.linear_model import LinearRegression

from tocsin import stats


def ar1(rng, n, rho):
    noise = rng.normal(size=n + 60)
    out = np.zeros(n + 60)
    for i in range(1, n + 60):
        out[i] = rho * out[i - 1] + noise[i]
    return out[60:]


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99, 0.999])
def test_normal_and_student_quantiles_are_scipys(confidence):
    assert stats.z_of(confidence) == pytest.approx(sps.norm.ppf(0.5 + confidence / 2), rel=1e-9)
    for freedom in (1, 1.05, 1.3, 1.5, 1.8, 2, 3, 4.7, 8, 30, 1e4):
        expected = sps.t.ppf(0.5 + confidence / 2, freedom)
        assert stats.t_of(confidence, freedom) == pytest.approx(expected, rel=0.025 if freedom < 3 else 2e-3)


def test_spent_levels_sum_to_alpha():
    assert sum(stats.spend(k, 0.05) for k in range(1, 200_000)) == pytest.approx(0.05, rel=1e-4)


@given(n=st.integers(1, 500), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95, 0.999]))
@settings(max_examples=50, deadline=None)
def test_wilson_is_scipys(n, share, confidence):
    hits = round(share * n)
    expected = sps.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    assert stats.wilson(hits, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_bounds_are_wilsons_one_by_one():
    hits, n = np.array([0, 3, 9, 50, 0]), np.array([10, 10, 9, 1000, 0])
    low, high = stats.wilson_bounds(hits, n, 0.99)
    one_by_one = np.array([stats.wilson(k, m, 0.99) for k, m in zip(hits, n, strict=True)])
    assert np.column_stack([low, high]) == pytest.approx(one_by_one, nan_ok=True)


def test_wilson_of_nothing_is_nan():
    assert all(map(math.isnan, stats.wilson(0, 0)))
    assert all(map(math.isnan, stats.proportion_difference(1, 2, 0, 0)))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090)), ((6, 7, 2, 7), (0.0582, 0.8062))],
)
def test_proportion_difference_gives_newcombes_published_table(counts, expected):
    assert stats.proportion_difference(*counts) == pytest.approx(expected, abs=1e-4)


def test_mean_interval_is_scipys_when_the_effective_size_is_n():
    x = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 0.0, 6.0, 1.0, 5.0, 1.0])  # alternating: no positive lag-1 correlation
    expected = sps.t.interval(0.95, x.size - 1, x.mean(), sps.sem(x))
    assert stats.mean_interval(x) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("rho", "n"), [(0.0, 12), (0.0, 100), (0.3, 50), (0.6, 50), (0.6, 200)])
def test_mean_interval_covers(rho, n):
    rng, hits, bounded = np.random.default_rng(1), 0, 0
    for _ in range(300):
        low, high = stats.mean_interval(ar1(rng, n, rho))
        bounded += low == low
        hits += low <= 0 <= high
    assert bounded > 270
    assert hits / bounded > 0.91


def test_lag1_equals_a_slow_twin():
    x = ar1(np.random.default_rng(2), 40, 0.5)
    m = sum(x) / len(x)
    slow = sum((x[i] - m) * (x[i + 1] - m) for i in range(39)) / sum((v - m) ** 2 for v in x)
    assert stats.lag1(x) == pytest.approx(slow, rel=1e-12)
    assert stats.lag1([1.0, 2.0]) == 0
    assert stats.lag1([2.0] * 9) == 0


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_effective_size_is_near_the_ar1_truth(rho):
    rng = np.random.default_rng(3)
    mean = np.mean([stats.effective_size(ar1(rng, 1000, rho)) for _ in range(40)])
    assert mean == pytest.approx(1000 * (1 - rho) / (1 + rho), rel=0.12)


def test_effective_size_stays_between_one_and_n():
    assert stats.effective_size([]) == 0
    assert stats.effective_size([1.0]) == 1
    assert stats.effective_size(np.arange(50.0)) == pytest.approx(1, abs=1.5)
    assert stats.effective_size([1.0, -1.0] * 20) == 40


@given(r=st.floats(-0.99, 0.99), n=st.integers(5, 500))
@settings(max_examples=40, deadline=None)
def test_fisher_interval_is_scipys(r, n):
    rng = np.random.default_rng(4)
    x = rng.normal(size=n)
    x = (x - x.mean()) / x.std()
    z = rng.normal(size=n)
    z -= z.mean() + x * (x @ z) / n
    y = r * x + math.sqrt(1 - r * r) * z / z.std()
    expected = sps.pearsonr(x, y).confidence_interval(0.9)
    assert stats.fisher_interval(r, n, 0.9) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_fisher_interval_at_the_edges():
    assert stats.fisher_interval(1.0, 10) == (1.0, 1.0)
    assert all(map(math.isnan, stats.fisher_interval(0.5, 3)))
    assert all(map(math.isnan, stats.fisher_interval(math.nan, 30)))


@pytest.mark.parametrize("n", [6, 30, 200])
def test_calibration_slope_is_scipys_regression(n):
    rng = np.random.default_rng(n)
    p = rng.normal(size=n)
    t = 3 * p + rng.normal(size=n) * 2
    fit = sps.linregress(p / t.std(), t / t.std())
    half = sps.t.ppf(0.975, n - 2) * fit.stderr
    r, s = np.corrcoef(p, t)[0, 1], p.std() / t.std()
    assert stats.calibration_slope(r, s, n) == pytest.approx((fit.slope - half, fit.slope + half), rel=2e-3)
    assert all(map(math.isnan, stats.calibration_slope(0.5, 0.0, 40)))


def test_circular_shift_p_equals_a_slow_twin():
    rng = np.random.default_rng(6)
    t = ar1(rng, 60, 0.7)
    p = t + 2 * rng.normal(size=60)
    observed = np.corrcoef(t, p)[0, 1]
    null = [np.corrcoef(np.roll(t, -k), p)[0, 1] for k in range(3, 58)]
    slow = (1 + sum(v >= observed for v in null)) / (1 + len(null))
    assert stats.circular_shift_p(t, p) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("n", [20, 60, 107, 108, 400])
def test_least_shift_p_is_what_a_perfect_fit_gets(n):
    x = np.random.default_rng(n).normal(size=n)
    assert stats.least_shift_p(n) == stats.circular_shift_p(x, x)
    assert (stats.least_shift_p(n) <= 0.01) == (n >= 108)


def test_correlation_p_is_the_normal_tail_of_fishers_z():
    for r, n in ((0.3, 40.0), (-0.2, 12.5), (0.95, 10.0)):
        expected = sps.norm.sf(np.arctanh(r) * np.sqrt(n - 3))
        assert stats.correlation_p(r, n) == pytest.approx(expected)
    assert (stats.correlation_p(1.0, 9), stats.correlation_p(-1.0, 9)) == (0.0, 1.0)
    assert math.isnan(stats.correlation_p(0.5, 3))


def test_circular_shift_p_of_constants_and_short_records():
    x = np.arange(40.0)
    assert stats.circular_shift_p(x, np.full(40, 0.1)) == 1.0
    assert math.isnan(stats.circular_shift_p(x[:19], x[:19]))
    assert stats.circular_shift_p(np.sin(x * x), np.sin(x * x)) < 0.03


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.08), (0.68, 0.12), (0.89, 0.15)])
def test_circular_shift_keeps_its_level_on_autocorrelated_records_where_a_permutation_does_not(rho, most):
    rng = np.random.default_rng(7)
    alarms = np.mean([stats.circular_shift_p(ar1(rng, 144, rho), ar1(rng, 144, rho)) <= 0.05 for _ in range(400)])
    assert alarms < most


def test_robust_level_is_scipys():
    x = np.random.default_rng(8).normal(3, 2, 101)
    x[:10] = 1e9
    assert stats.robust_level(x) == pytest.approx((np.median(x), sps.median_abs_deviation(x, scale="normal")), rel=1e-4)
    assert all(map(math.isnan, stats.robust_level([])))


@pytest.mark.parametrize(("n", "half"), [(0, 2), (1, 0), (1, 3), (7, 0), (40, 3), (41, 30)])
def test_running_medians_are_those_of_each_window(n, half):
    x = np.random.default_rng(n).integers(0, 9, n) / 4
    expected = [np.median(x[max(0, i - half) : i + half + 1]) for i in range(n)]
    np.testing.assert_array_equal(stats.running_medians(x, half), expected)


@pytest.mark.parametrize("n", [8, 20, 61])
def test_trend_is_scipys_where_the_residuals_do_not_persist(n):
    rng = np.random.default_rng(n)
    x = np.sort(rng.uniform(0, 9, n))
    y = 0.3 * x + np.tile([1.0, -1.0], n)[:n] * rng.uniform(0.5, 1.0, n)  # alternating: lag-1 below 0
    expected = sps.theilslopes(y, x, 0.95)
    found = stats.trend(x, y)
    assert (found.slope, found.low, found.high) == pytest.approx(tuple(expected)[0:1] + tuple(expected)[2:4], rel=1e-9)


@pytest.mark.parametrize(
    ("rho", "n", "least"),
    [(0, 5, 0.95), (0, 8, 0.93), (0, 50, 0.93), (0.3, 20, 0.9), (0.6, 8, 0.88), (0.6, 20, 0.88), (0.8, 50, 0.87)],
)
def test_trend_interval_covers_with_autocorrelated_residuals(rho, n, least):
    rng, hits = np.random.default_rng(9), 0
    for _ in range(400):
        found = stats.trend(np.arange(n), ar1(rng, n, rho) - 0.3 * np.arange(n))
        hits += found.low <= -0.3 <= found.high
    assert hits / 400 >= least


def test_a_strictly_falling_curve_is_falling_and_four_points_say_nothing():
    curve = [1.954, 1.903, 1.883, 1.869, 1.835, 1.796, 1.764, 1.723, 1.690, 1.666, 1.638, 1.620, 1.613, 1.610]
    assert stats.trend(range(14), curve).falling
    assert stats.trend(range(5), curve[:5]).falling
    four = stats.trend(range(4), curve[:4])
    assert (four.falling, four.flat, four.rising) == (False, False, False)
    assert stats.trend(range(14), [-v for v in curve]).rising
    assert stats.trend([1.0] * 9, range(9)).n == 9
    assert not stats.trend([1.0] * 9, range(9)).flat


def test_trend_of_a_long_record_rests_on_block_means():
    rng = np.random.default_rng(10)
    x = np.arange(20_000.0)
    found = stats.trend(x, 5 - 1e-4 * x + rng.normal(size=x.size))
    assert found.n == 200
    assert found.low < -1e-4 < found.high < -0.9e-4


@given(n=st.integers(1, 60), blocks=st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_block_means_keep_the_total(n, blocks):
    x = np.random.default_rng(n).normal(size=n)
    found = stats.block_means(x, blocks)
    assert found.size == min(n, blocks)
    parts = np.split(x, np.linspace(0, n, found.size + 1).astype(int)[1:-1])
    assert found == pytest.approx([part.mean() for part in parts])


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_change_point_equals_a_slow_search_with_scipys_t(offset):
    rng = np.random.default_rng(11)
    y = np.concatenate([rng.normal(0, 1, 17), rng.normal(2, 1, 13)])
    slow = {k: abs(sps.ttest_ind(y[:k], y[k:]).statistic) for k in range(3, 28)}
    best = max(slow, key=slow.get)
    at, t = stats.change_point(y + offset)
    assert at == best
    assert t == pytest.approx(slow[best], rel=1e-4)


def test_change_point_at_the_edges():
    assert stats.change_point([1.0] * 5) == (0, 0.0)
    assert stats.change_point([]) == (0, 0.0)
    assert stats.change_point([2.0] * 12)[1] == 0
    assert stats.change_point([1.0] * 6 + [2.0] * 6) == (6, math.inf)


def test_least_squares_is_sklearns():
    rng = np.random.default_rng(12)
    columns = rng.normal(size=(50, 3))
    y = columns @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=50)
    fit = LinearRegression(fit_intercept=False).fit(columns, y)
    coefficients, r2 = stats.least_squares(columns, y)
    assert coefficients == pytest.approx(fit.coef_)
    assert r2 == pytest.approx(fit.score(columns, y))
    assert math.isnan(stats.least_squares(columns, np.ones(50))[1])


def test_paired_size_gives_the_variance_of_a_chance_correlation():
    rng = np.random.default_rng(13)
    for rho in (0.0, 0.6, 0.85):
        pairs = [(ar1(rng, 300, rho), ar1(rng, 300, rho)) for _ in range(150)]
        spread = np.std([np.corrcoef(x, y)[0, 1] for x, y in pairs])
        assert np.mean([stats.paired_size(x, y) for x, y in pairs]) == pytest.approx(1 / spread**2, rel=0.3)
    assert stats.paired_size([], []) == 0
    assert stats.paired_size([1.0, 2.0], [2.0, 1.0]) == 2


def test_spread_size_gives_the_sampling_error_of_a_variance():
    rng = np.random.default_rng(14)
    for shape in (1.0, 4.0, 1000.0):
        samples = rng.gamma(shape, size=(400, 3000))
        relative = np.var(samples, axis=1).std() / shape
        assert np.mean([stats.spread_size(x) for x in samples]) == pytest.approx(2 / relative**2, rel=0.25)
    assert stats.spread_size(np.eye(400)[7]) == pytest.approx(2, rel=0.02)
    assert stats.spread_size([-1.0, 1.0] * 10) == 20
    assert [stats.spread_size(x) for x in ([], [3.0, 3.0], [1.0, math.inf])] == [0, 0, 0]


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), n=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_class_scores_are_sklearns(seed, classes, n):
    rng = np.random.default_rng(seed)
    target, said = rng.integers(classes, size=(2, n))
    scores = stats.class_scores(
        np.bincount(target, minlength=classes),
        np.bincount(said, minlength=classes),
        np.bincount(target[target == said], minlength=classes),
    )
    seen, with_target = np.union1d(target, said), np.unique(target)
    assert scores["accuracy"]["accuracy"] == pytest.approx(metrics.accuracy_score(target, said))
    recalls = metrics.recall_score(target, said, labels=with_target, average="macro", zero_division=0)
    assert scores["accuracy"]["balanced"] == pytest.approx(recalls)
    for measure, score in (("f1", metrics.f1_score), ("precision", metrics.precision_score)):
        expected = {
            f"macro over {classes} classes": {"labels": range(classes), "average": "macro"},
            "macro over classes with targets": {"labels": with_target, "average": "macro"},
            "macro over classes seen": {"labels": seen, "average": "macro"},
            "micro": {"labels": range(classes), "average": "micro"},
            "weighted": {"labels": range(classes), "average": "weighted"},
        }
        if classes == 2:
            expected |= {f"class {k} positive": {"pos_label": k, "average": "binary"} for k in (0, 1)}
        found = {d: score(target, said, zero_division=0, **options) for d, options in expected.items()}
        assert scores[measure] == pytest.approx(found)
    assert stats.class_scores([0, 0], [0, 0], [0, 0]) == {}


def test_class_scores_of_the_published_majority_classifier():
    support = [41391, 417, 5513, 1715, 2925]
    scores = stats.class_scores(support, [sum(support), 0, 0, 0, 0], [support[0], 0, 0, 0, 0])
    assert scores["f1"]["macro over 5 classes"] == pytest.approx(0.1774, abs=1e-4)
    assert scores["recall"]["macro over 5 classes"] == pytest.approx(0.2)


def test_order_p_against_scipy_and_all_orders():
    rng = np.random.default_rng(4)
    for n in (2, 3, 6, 12, 30):
        y = np.arange(n) + 0.4 * n * rng.standard_normal(n)
        wanted = sps.kendalltau(np.arange(n), y, alternative="greater", method="exact").pvalue
        assert stats.order_p(y) == pytest.approx(wanted)
    y = np.arange(60) + 60 * rng.standard_normal(60)
    wanted = sps.kendalltau(np.arange(60), y, alternative="greater", method="exact").pvalue
    assert stats.order_p(y) == pytest.approx(wanted, rel=0.1)
    orders = [stats.order_p(o) for o in itertools.permutations(range(5))]
    assert stats.order_p(range(5)) == pytest.approx(1 / 120) == min(orders)
    assert np.mean(np.array(orders) <= 0.05) <= 0.05
    assert stats.order_p([1, 1, 1, 1]) == pytest.approx(1.0)
    assert (stats.order_p([]), stats.order_p([1.0])) == (1.0, 1.0)
