"""OBJ007: a cut term rings as part of the total; what is only logged, idle or live does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.engine import check_run, judge
from tocsin.rules.objective.term_without_gradient import term_without_gradient as OBJ007
from tocsin.run import Evaluation, Parameter, Run, Series

SAMPLED = [*range(1, 9), *range(16, 400, 8)]


def f32(x):
    """As a float32 training loop would record it."""
    return np.asarray(x, np.float32).astype(float)


def losses(n=200, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(n)
    ce = 2.7 * np.exp(-t / 300) + 0.5 + rng.normal(0, 0.05, n)
    mod = 2.8 * np.exp(-t / 200) + 0.3 + rng.normal(0, 0.06, n)
    distance = np.round((5 - t / 200 + rng.normal(0, 0.25, n)) * 128) / 128
    return mod, ce, distance


def run_of(total, terms, paths, *, ended="running", **fields):
    """A run whose terms were sampled as the recorder does; ``paths`` values are 0, 1 or a list over the samples."""
    steps = [s for s in SAMPLED if s <= len(total)]
    series = {"train/loss": f32(total)} | {f"train/loss/{n}": f32(v) for n, v in terms.items()}
    for name, path in {"total": 1, **paths}.items():
        values = [path] * len(steps) if isinstance(path, int) else path[: len(steps)]
        series[f"loss/path/{name}"] = Series.of(f"loss/path/{name}", values, steps)
    for name, value in fields.pop("trunk", {}).items():
        series[f"loss/trunk_norm/{name}"] = Series.of(f"loss/trunk_norm/{name}", [value] * len(steps), steps)
    series |= fields.pop("series", {})
    return Run.of(series=series, exit=ended, **fields)


def findings(run):
    return judge(OBJ007, run, {})[0]


def severities(run):
    return [f.severity for f in findings(run)]


def cut(n=200, weight=0.5, seed=0, ended="running"):
    mod, ce, distance = losses(n, seed)
    terms = {"modulation": mod, "snr": ce, "distance": distance}
    paths = {"modulation": 1, "snr": 1, "distance": 0}
    return run_of(mod + ce + weight * distance, terms, paths, ended=ended)


def drifting(rate, n=400, seed=0):
    """Uncertainty weighting whose log-variances move by up to ``rate`` a step (Adam)."""
    mod, ce, distance = losses(n, seed)
    s = np.zeros((n, 2))
    for i in range(1, n):
        drive = np.exp(-s[i - 1]) * [mod[i], ce[i] + 0.5 * distance[i]] - 1
        s[i] = s[i - 1] + rate * np.tanh(3 * drive)
    w = np.exp(-s)
    total = w[:, 0] * mod + w[:, 1] * (ce + 0.5 * distance) + s.sum(axis=1)
    terms = {"modulation": mod, "snr": ce, "distance": distance}
    return run_of(total, terms, {"modulation": 1, "snr": 1, "distance": 0}), w


def test_cut_term_rings_at_the_first_look_from_the_first_step():
    keeper = check_run(cut(), [OBJ007])
    (found,) = keeper.findings
    assert (found.severity, found.subject, found.step, found.rang_at) == ("error", "distance", 0, 32)
    assert found.message == (
        "distance has no gradient path in 32 of 32 samples since step 1, yet it is part of total with weight 0.5 "
        "[0.5, 0.5], 33% of it (R2 = 1.00000 over 64 calls): nothing can learn from it"
    )
    assert found.evidence[1].interval[0] <= 0.5 <= found.evidence[1].interval[1]


@pytest.mark.parametrize("rate", [1e-3, 3e-3, 1e-2])
@pytest.mark.parametrize("seed", range(5))
def test_drifting_task_weights_are_followed(rate, seed):
    run, w = drifting(rate, seed=seed)
    for until in (32, 64, 400):
        (found,) = findings(run.prefix(until))
        low, high = found.evidence[1].interval
        assert found.severity == "error"
        assert low < 0.5 * w[:until, 1].max()
        assert high > 0.5 * w[:until, 1].min()


@given(scale=st.floats(1e-3, 1e3), weight=st.floats(0.1, 10), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_law_scaling_the_total_changes_the_weight_and_nothing_else(scale, weight, seed):
    """An accumulation-scaled total (sum/4) is the same fault with a quarter of the weight."""
    mod, ce, distance = losses(64, seed)
    terms = {"modulation": mod, "snr": ce, "distance": distance}
    total = scale * (mod + ce + weight * distance)
    (found,) = findings(run_of(total, terms, {"modulation": 1, "snr": 1, "distance": 0}))
    low, high = found.evidence[1].interval
    assert found.severity == "error"
    assert (low + high) / 2 == pytest.approx(scale * weight, rel=1e-3)


def test_composite_term_that_hides_the_cut_one():
    mod, ce, distance = losses()
    terms = {"modulation": mod, "snr": ce + 0.5 * distance, "snr_ce": ce, "distance": distance}
    paths = {"modulation": 1, "snr": 1, "snr_ce": 1, "distance": 0}
    (found,) = findings(run_of(mod + ce + 0.5 * distance, terms, paths))
    assert found.severity == "error"
    assert "part of snr with weight 0.5" in found.message


def test_unexplained_total_is_a_warning_late_and_not_checked_early():
    mod, ce, distance = losses()
    run = run_of(mod + ce + 0.5 * distance, {"modulation": mod, "distance": distance}, {"modulation": 1, "distance": 0})
    assert judge(OBJ007, run.prefix(64), {})[1] is not None
    (found,) = findings(run)
    assert found.severity == "warning"
    assert "only to R2 = 0.9" in found.message


class TestHealthyNeighbours:
    def test_all_terms_connected(self):
        mod, ce, distance = losses()
        run = run_of(mod + ce + distance, {"a": mod, "b": ce, "c": distance}, {"a": 1, "b": 1, "c": 1})
        assert judge(OBJ007, run, {}) == ([], None)

    def test_detached_copies_of_all_terms_beside_a_live_total(self):
        mod, ce, _ = losses()
        found, why = judge(OBJ007, run_of(mod + ce, {"a": mod, "b": ce}, {"a": 0, "b": 0}), {})
        assert not found
        assert "detached copies" in why.reason

    @pytest.mark.parametrize("factor", [1.0, 0.3])
    def test_detached_copies_beside_the_live_terms(self, factor):
        mod, ce, distance = losses()
        terms = {"a": mod, "b": ce, "a_shown": factor * mod, "b_shown": factor * ce, "all_shown": mod + ce}
        paths = {"a": 1, "b": 1, "a_shown": 0, "b_shown": 0, "all_shown": 0}
        assert check_run(run_of(mod + ce, terms, paths), [OBJ007]).findings == []
        terms, paths = terms | {"distance": distance}, paths | {"distance": 0}
        (found,) = findings(run_of(mod + ce + distance, terms | {"all_shown": mod + ce + distance}, paths))
        assert (found.severity, found.subject) == ("error", "distance")

    def test_detached_copy_of_a_total_whose_terms_are_not_all_passed(self):
        mod, ce, _ = losses()
        run = run_of(mod + ce, {"a": mod, "shown": mod + ce}, {"a": 1, "shown": 0})
        assert judge(OBJ007, run, {}) == ([], None)

    def test_logged_quantity_that_is_no_part_of_the_total(self):
        mod, ce, distance = losses()
        accuracy = 1 - ce / 4 + np.random.default_rng(3).normal(0, 0.01, ce.size)
        terms = {"a": mod, "b": ce, "accuracy": accuracy, "distance": distance}
        run = run_of(mod + 0.7 * ce, terms, {"a": 1, "b": 1, "accuracy": 0, "distance": 0})
        assert judge(OBJ007, run, {}) == ([], None)

    def test_part_of_the_total_too_small_to_matter(self):
        assert findings(cut(weight=1e-4)) == []

    def test_inactive_term_of_a_curriculum(self):
        mod, ce, distance = losses()
        late = np.where(np.arange(200) < 100, 0.0, distance)
        path = [int(s > 100) for s in SAMPLED]
        run = run_of(mod + ce + late, {"a": mod, "b": ce, "late": late}, {"a": 1, "b": 1, "late": path})
        assert check_run(run, [OBJ007]).findings == []

    def test_negative_weight(self):
        assert findings(cut(weight=-0.5)) == []

    @pytest.mark.parametrize("total", [None, 0])
    def test_total_without_a_graph(self, total):
        run = cut()
        series = {k: v for k, v in run.series.items() if k != "loss/path/total"}
        if total is not None:
            series["loss/path/total"] = Series.of("loss/path/total", [0] * len(SAMPLED), SAMPLED)
        found, why = judge(OBJ007, Run.of(series=series), {})
        assert not found
        assert "live total" in why.reason

    def test_floats_are_not_checked(self):
        mod, ce, _ = losses()
        run = Run.of(series={"train/loss": mod + ce, "train/loss/a": mod, "train/loss/b": ce})
        assert judge(OBJ007, run, {})[1] is not None

    def test_smooth_full_batch_losses_cannot_be_told_apart(self):
        t = np.arange(200)
        a, b, c = np.exp(-t / 50), np.exp(-t / 80), 1 / (1 + t / 60)
        run = run_of(a + b, {"a": a, "c": c}, {"a": 1, "c": 0})
        assert severities(run) == []

    def test_too_few_calls(self):
        found, why = judge(OBJ007, cut(n=20), {})
        assert not found
        assert "after 32 calls" in why.reason


def test_term_that_lost_its_path_is_a_note():
    """A part frozen on purpose (gradual freezing) loses its path as well."""
    mod, ce, distance = losses(300)
    path = [int(s < 100) for s in SAMPLED]
    run = run_of(mod + ce + distance, {"a": mod, "b": ce, "c": distance}, {"a": 1, "b": 1, "c": path})
    (found,) = findings(run)
    assert (found.severity, found.step) == ("note", 104)


def test_constant_term_is_a_note_at_the_end():
    mod, ce, _ = losses()
    terms, paths = {"a": mod, "b": ce, "peaks": np.zeros(200)}, {"a": 1, "b": 1, "peaks": 0}
    assert findings(run_of(mod + ce, terms, paths)) == []
    (found,) = findings(run_of(mod + ce, terms, paths, ended="finished"))
    assert found.severity == "note"
    assert found.message.startswith(
        "peaks has no gradient path in 32 of 32 samples since step 1, and was exactly 0 at all 200 calls"
    )


@pytest.mark.parametrize(
    ("tensor", "task", "ran", "norm", "severity"),
    [
        ("heads.peaks.weight", "main", 1.0, 0.0, "warning"),
        ("heads.1.weight", "peaks", 1.0, 0.0, "warning"),
        ("heads.1.weight", "main", 1.0, 0.0, "note"),
        ("heads.peaks.weight", "peaks", 0.0, 0.0, "note"),
        ("heads.peaks.weight", "peaks", 1.0, 0.2, "note"),
    ],
)
def test_constant_term_of_a_head_that_runs_untrained_is_a_warning(tensor, task, ran, norm, severity):
    mod, ce, _ = losses()
    steps, module = SAMPLED[:20], tensor.rpartition(".")[0]
    values = {f"grad/norm/{tensor}": norm, f"module/ran/{module}": ran}
    run = run_of(
        mod + ce,
        {"a": mod, "b": ce, "peaks": np.zeros(200)},
        {"a": 1, "b": 1, "peaks": 0},
        ended="finished",
        series={name: Series.of(name, [value] * 20, steps) for name, value in values.items()},
        parameters=(Parameter(tensor, 64, True, True, module),),
        evaluations=(Evaluation("val", task, 200, "regression", 50),),
    )
    (found,) = findings(run)
    assert (found.severity, found.step) == (severity, 0)
    assert (f"nothing else trains {tensor}" in found.message) == (severity == "warning")


class TestZeroAtTrunk:
    def run(self, *, starved, value=1.0):
        mod, ce, distance = losses()
        steps = SAMPLED[:20]
        norm = Series.of("grad/norm/head.weight", [0.0 if starved else 0.3] * 20, steps)
        return run_of(
            mod + ce,
            {"a": mod, "rounded": value * distance},
            {"a": 1, "rounded": 1},
            trunk={"a": 0.4, "rounded": 0.0},
            series={"grad/norm/head.weight": norm},
            parameters=(Parameter("head.weight", 64, True, True),),
        )

    def test_warning_where_a_head_starves(self):
        (found,) = findings(self.run(starved=True))
        assert (found.severity, found.subject, found.step) == ("warning", "rounded", 1)
        assert "exactly 0 in 32 of 32 samples" in found.message
        assert "head.weight" in found.message

    def test_note_for_a_head_on_detached_features(self):
        assert severities(self.run(starved=False)) == ["note"]

    def test_silent_for_a_term_that_is_0(self):
        assert severities(self.run(starved=True, value=0.0)) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_odd_numbers_do_not_break_it(bad):
    run = cut()
    for name in run.series:
        values = run.series[name].value.copy()
        values[3] = bad
        broken = {**run.series, name: Series.of(name, values, run.series[name].step)}
        found, why = judge(OBJ007, Run.of(series=broken), {})
        assert why is None or not why.reason.startswith("the rule raised")
        assert all(f.subject == "distance" for f in found)


@pytest.mark.parametrize("before", [False, True])
def test_real_loop_with_learned_task_weights(tmp_path, before):
    """A watched network whose second head learns from CE + 0.5 |argmax - y|: the cut part rings live."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn, f = torch.nn, torch.nn.functional
    net = nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(6, 16), nn.ReLU()), "a": nn.Linear(16, 3), "b": nn.Linear(16, 8)}
    )
    net.s = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with tocsin.watch(net, optimizer, run_dir=tmp_path / "run", every=4, say=lambda _: None) as run:
        for _ in range(70):
            x, ya, yb = torch.randn(64, 6), torch.randint(3, (64,)), torch.randint(8, (64,))
            h = net["body"](x)
            a, ce = f.cross_entropy(net["a"](h), ya), f.cross_entropy(net["b"](h), yb)
            distance = (net["b"](h).argmax(1) - yb).abs().float().mean()
            loss = (torch.exp(-net.s) * torch.stack([a, ce + 0.5 * distance]) + net.s).sum()
            terms = {"total": loss, "a": a, "b": ce, "distance": distance}
            if before:
                run.losses(**terms)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not before:
                run.losses(**terms)
    (found,) = [x for x in run.findings if x.code == "OBJ007"]
    assert (found.severity, found.subject, found.step, found.rang_at) == ("error", "distance", 0, 32)
