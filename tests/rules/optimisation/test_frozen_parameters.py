"""OPT001: tensors that stand still, by cause; what is frozen on purpose, waiting or at learning rate 0 is silent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.frozen_parameters import frozen_parameters as OPT001
from tocsin.run import Parameter, Run, Series

N = 64
BODY, HEAD = ("backbone.0.weight", "backbone.0.bias", "backbone.2.weight"), ("head.weight", "head.bias")


def parameter(name, **change):
    fields = {"requires_grad": True, "in_optimizer": True} | change
    return Parameter(name, 96 if "weight" in name else 8, **fields)


def run_of(frozen, *, change=None, completed=None, series=None, moves=None, n=N, ended="running", **per_frozen):
    """A run sampled at every step in which ``frozen`` tensors never change; ``per_frozen`` are families of values."""
    made = {
        "count/optimizer": np.arange(1, n + 1) if completed is None else completed,
        "lr/0": Series.of("lr/0", [0.1], [1]),
    }
    for name in BODY + HEAD:
        still = name in frozen
        made[f"param/changed/{name}"] = np.zeros(n) if still else np.ones(n)
        if still and moves is not None:
            made[f"param/changed/{name}"] = moves
        made[f"grad/count/{name}"] = np.ones(n)
        made[f"grad/norm/{name}"] = np.full(n, 0.5)
        made[f"grad/zero_frac/{name}"] = np.zeros(n)
        for family, value in per_frozen.items() if still else ():
            made[f"grad/{family}/{name}"] = np.full(n, value) if value is not None else []
    parameters = tuple(parameter(name, **(change or {}) if name in frozen else {}) for name in BODY + HEAD)
    return Run.of(series=made | (series or {}), parameters=parameters, exit=ended)


def found_in(run):
    return judge(OPT001, run, {})[0]


def test_backbone_without_gradient():
    keeper = check_run(run_of(BODY, count=0, norm=None), [OPT001])
    (found,) = keeper.findings
    assert (found.severity, found.subject, found.step, found.rang_at) == ("error", "backbone", 1, 32)
    assert found.message == (
        "backbone: 3 of 3 tensors (200 of 304 trainable entries) did not change in 63 completed optimizer steps since "
        "step 1: they received no gradient, or exactly 0"
    )
    assert {e.source for e in found.evidence} == {
        *(f"param/changed/{name}" for name in BODY),
        "count/optimizer",
        "grad/count/backbone.0.weight",
    }


@pytest.mark.parametrize(
    ("cause", "arranged"),
    [
        ("no optimizer holds them", {"change": {"in_optimizer": False}}),
        ("received no gradient", {"norm": 0.0}),
        ("raw gradient is NaN or inf", {"norm": np.inf}),
        ("gone when the optimizer steps", {"zero_frac": None}),
        ("gone when the optimizer steps", {"zero_frac": 1.0}),
        ("rounding of bfloat16 (8 significant bits)", {"change": {"dtype": "bfloat16"}}),
        ("something writes old values back", {}),
    ],
)
def test_the_cause_is_told_apart(cause, arranged):
    (found,) = found_in(run_of(BODY, **arranged))
    assert found.severity == "error"
    assert cause in found.message


def test_every_step_skipped():
    skipped = {"count/skipped": np.arange(1, N + 1)}
    (found,) = found_in(run_of(BODY + HEAD, completed=np.zeros(N), series=skipped))
    assert found.subject == ""
    assert found.message.startswith(
        "All 5 trainable tensors (304 of 304 trainable entries) did not change in 63 skipped"
    )


def test_one_finding_for_each_cause():
    run = run_of(BODY, norm=0.0)
    out = [p if p.name not in HEAD else parameter(p.name, in_optimizer=False) for p in run.parameters]
    still = {f"param/changed/{name}": Series.of(f"param/changed/{name}", np.zeros(N)) for name in HEAD}
    found = found_in(Run.of(series={**run.series, **still}, parameters=tuple(out)))
    assert {(f.subject, "no optimizer" in f.message) for f in found} == {("backbone", False), ("head", True)}


def test_small_part_without_gradient_is_a_warning_after_a_while():
    """An unused pooler: less than a tenth of the trainable entries."""
    pooler = {"count": 0, "norm": None}
    assert found_in(run_of(("head.bias",), **pooler)) == []
    for run in (run_of(("head.bias",), n=110, **pooler), run_of(("head.bias",), ended="finished", **pooler)):
        assert [(f.severity, f.subject) for f in found_in(run)] == [("warning", "head.bias")]


def test_vanishing_gradient_is_an_error_a_useless_bias_a_note():
    whole = {"grad/norm": np.full(N, 100.0)}
    assert [f.severity for f in found_in(run_of(BODY, norm=1e-6, series=whole))] == ["error"]
    (found,) = found_in(run_of(("backbone.0.bias",), norm=1e-6, series=whole))
    assert found.severity == "note"
    assert "a bias before a normalisation" in found.message


def test_unused_embedding_is_a_note():
    (found,) = found_in(run_of(("head.weight",), change={"role": "embedding"}, count=0, norm=None))
    assert found.severity == "note"


def test_the_update_tells_a_write_back_from_a_rounding():
    """The optimizer's own update is measured before anything else can write."""
    for update, said in ((1e-3, "something writes the old values back"), (0.0, "rounding of float32 (24")):
        series = {f"update/ratio/{name}": np.full(N, update) for name in BODY}
        (found,) = found_in(run_of(BODY, series=series))
        assert (found.severity, said in found.message) == ("error", True)


def stopped_at(step, loss, *, update=0.01, lr=None, n=200, gradients_until=8, **fields):
    """All tensors move until ``step`` and stand still after it; gradients are sampled at the first steps only."""
    moves = (np.arange(1, n + 1) <= step).astype(float)
    run = run_of(BODY + HEAD, moves=moves, n=n, ended="finished", **fields)
    series = {k: s[:gradients_until] if k.startswith("grad/") else s for k, s in run.series.items()}
    for name in BODY + HEAD:
        series[f"update/ratio/{name}"] = Series.of(f"update/ratio/{name}", np.full(gradients_until, update))
    series["train/loss"] = Series.of("train/loss", loss)
    return Run.of(series=series | ({"lr/0": lr} if lr else {}), parameters=run.parameters, exit="finished")


def test_no_gradient_sample_in_the_stretch_means_that_the_cause_is_not_known():
    """The parameters are compared at every evaluation, the gradients only when a sample is granted."""
    run = stopped_at(100, np.linspace(2.0, 1.0, 200))
    assert found_in(run.prefix(199)) == []  # nor is it known then whether they are frozen on purpose for a while
    (found,) = found_in(run)
    assert (found.severity, found.step) == ("error", 101)
    assert found.message.endswith("why is not known, as no gradient was sampled since")


class TestFinishedLearning:
    """Tensors that moved and have nothing left to learn are a note, with the true words."""

    falling = np.exp(-np.arange(200) / 5)

    def test_loss_of_0(self):
        """A hinge loss: a few of the later batches still have a small one."""
        loss = np.where(np.arange(200) < 40, self.falling, 0.0)
        loss[[120, 150]] = 1e-4
        (found,) = found_in(stopped_at(100, loss))
        assert (found.severity, found.subject) == ("note", "")
        assert "the training loss is exactly 0 in 98 of 100 steps since" in found.message

    def test_flat_loss(self):
        (found,) = found_in(stopped_at(100, 0.36 + 2 * self.falling))
        assert found.severity == "note"
        assert "stopped falling before, at its lowest (0.36, from 1.701): converged" in found.message

    def test_rate_that_moves_no_float(self):
        lr = Series.of("lr/0", 1e-3 * 0.3 ** np.arange(20.0), 1 + 10 * np.arange(20))
        (found,) = found_in(stopped_at(140, 2.0 - np.arange(200) / 200, lr=lr))
        assert found.severity == "note"
        assert "the learning rate has fallen to" in found.message
        assert "below the rounding of float32" in found.message

    @pytest.mark.parametrize(
        "loss",
        [
            2.0 - np.arange(200) / 200,  # still falling when it stopped
            np.where(np.arange(200) < 100, 1 + falling, 2.0),  # worse since
            np.where(np.arange(200) < 100, 1 + falling, 1.0 - np.arange(200) / 400),  # the rest goes on learning
            np.concatenate([[2.3, 3e5, 1e13], np.full(197, 2e3)]),  # dead after a divergence: lower, but not its lowest
            np.zeros(200),
            np.where(np.arange(200) < 150, np.nan, 1.0),
        ],
    )
    def test_anything_else_stays_an_error(self, loss):
        (found,) = found_in(stopped_at(100, loss))
        assert found.severity == "error"

    def test_tensors_that_never_moved_have_not_finished(self):
        run = run_of(BODY, norm=0.0, series={"train/loss": np.zeros(N)})
        assert [f.severity for f in found_in(run)] == ["error"]

    def test_rate_that_fell_by_half_moves_floats(self):
        lr = Series.of("lr/0", [1e-3, 5e-4], [1, 90])
        (found,) = found_in(stopped_at(100, 2.0 - np.arange(200) / 200, lr=lr))
        assert found.severity == "error"


class TestNotFinite:
    """NaN does not change: a dead tensor is AMP003's, what stood still before remains."""

    def bad_from(self, step):
        return {"param/nonfinite": np.where(np.arange(1, N + 1) >= step, 300.0, 0.0)}

    @pytest.mark.parametrize("norm", [0.5, np.nan])
    def test_dead_tensors_are_not_frozen(self, norm):
        moves = (np.arange(1, N + 1) <= 30).astype(float)
        run = run_of(BODY + HEAD, moves=moves, norm=norm, series=self.bad_from(30), ended="finished")
        assert check_run(run, [OPT001]).findings == []

    def test_frozen_before(self):
        run = run_of(BODY, norm=0.0, series=self.bad_from(40), ended="finished")
        assert [(f.severity, f.step) for f in found_in(run)] == [("error", 1)]

    def test_bad_too_early_to_judge(self):
        found, why = judge(OPT001, run_of(BODY, norm=0.0, series=self.bad_from(5)), {})
        assert found == []
        assert why.reason.endswith("the parameters are not finite after step 4")

    def test_bad_from_the_start(self):
        found, why = judge(OPT001, run_of(BODY, norm=0.0, series=self.bad_from(1)), {})
        assert (found, why is None) == ([], False)


def test_routed_experts():
    """Never run: a note. Run, but without a gradient: a fault. No longer routed: a note that says what is not known."""
    expert, still = {"role": "expert"}, {"count": 0, "norm": None}
    (found,) = found_in(run_of(BODY, change=expert, **still))
    assert (found.severity, "routed" in found.message) == ("note", True)
    ran = {"act/rms/backbone.0.1": np.ones(N)}
    parts = {
        f.subject: f.severity for f in found_in(run_of(BODY, change=expert, series=ran, ended="finished", **still))
    }
    assert parts == {"backbone.0": "error", "backbone.2.weight": "note"}
    (found,) = found_in(stopped_at(100, np.linspace(2.0, 1.0, 200), change=expert))
    assert (found.severity, "no gradient was sampled since" in found.message) == ("note", True)


@given(stopped=st.integers(0, N - 1), steps_per_call=st.sampled_from([0.25, 0.5, 1, 2]))
@settings(max_examples=50, deadline=None)
def test_law_rings_exactly_when_twenty_steps_passed_without_a_change(stopped, steps_per_call):
    """Frozen from call ``stopped`` + 1 on, under accumulation or several steps a call."""
    completed = np.floor(np.arange(1, N + 1) * steps_per_call)
    run = run_of(BODY, moves=(np.arange(N) < stopped).astype(float), completed=completed, norm=0.0)
    passed = completed[-1] - completed[max(stopped - 1, 0)]
    found = found_in(run)
    assert [f.step for f in found] == ([stopped + 1] if passed >= 20 else [])


def test_samples_that_span_too_few_steps_are_not_checked():
    """Silence must not mean "not looked": under a tight budget there may be only the first eight samples."""
    _, why = judge(OPT001, run_of(BODY, n=20), {})
    assert why.reason.startswith("the samples span 19 optimizer steps, 20 are needed")
    assert judge(OPT001, run_of((), n=21), {}) == ([], None)


class TestHealthyNeighbours:
    def test_frozen_on_purpose(self):
        assert found_in(run_of(BODY, change={"requires_grad": False}, count=0, norm=None)) == []

    def test_gradual_unfreezing(self):
        """The tensor has no series while it is frozen, and moves from its first sample on."""
        run = run_of(())
        late = {
            f"param/changed/{name}": Series.of(f"param/changed/{name}", np.ones(24), range(41, 65)) for name in BODY
        }
        assert check_run(Run.of(series={**run.series, **late}, parameters=run.parameters), [OPT001]).findings == []

    def test_learning_rate_0(self):
        found, why = judge(OPT001, run_of(BODY + HEAD, series={"lr/0": Series.of("lr/0", [0.0], [1])}), {})
        assert (found, why.reason) == ([], "every learning rate is 0")

    def test_one_group_at_learning_rate_0(self):
        """Which tensor is in which group is not recorded, so gradients that arrive prove nothing."""
        assert found_in(run_of(BODY, series={"lr/1": Series.of("lr/1", [0.0], [1])})) == []

    def test_a_schedule_that_ends_at_0_is_judged_up_to_there(self):
        over = {"lr/0": Series.of("lr/0", [0.1, 0.0], [1, N])}
        assert found_in(run_of(BODY + HEAD, series=over))
        _, why = judge(OPT001, run_of((), series=over), {})
        assert why is None

    def test_steps_count_from_the_end_of_a_warm_up_at_0(self):
        warm = {"lr/0": Series.of("lr/0", [0.0, 0.1], [1, 50])}
        assert found_in(run_of(BODY, series=warm, norm=0.0)) == []
        (found,) = found_in(run_of(BODY, series=warm, norm=0.0, n=80))
        assert found.step == 50

    def test_nineteen_skipped_steps(self):
        skipped = np.minimum(np.arange(1, N + 1), 19)
        moved = (np.arange(1, N + 1) > 19).astype(float)
        run = run_of(
            BODY + HEAD, moves=moved, completed=np.arange(1, N + 1) - skipped, series={"count/skipped": skipped}
        )
        assert check_run(run, [OPT001]).findings == []

    def test_a_change_every_now_and_then(self):
        assert found_in(run_of(BODY, moves=(np.arange(N) % 16 == 15).astype(float), norm=0.0)) == []

    def test_a_head_used_now_and_then(self):
        """It rests for up to 30 steps between uses; three times that is still a rest."""
        use = np.isin(np.arange(200), [10, 40, 70, 95, 125])
        assert check_run(run_of(BODY, moves=use.astype(float), norm=0.0, n=200).prefix(200), [OPT001]).findings == []
        assert [f.step for f in found_in(run_of(BODY, moves=np.pad(use, (0, 60)).astype(float), norm=0.0, n=260))] == [
            127
        ]

    def test_thawed_later_heals_to_a_note(self):
        run = run_of(BODY, moves=(np.arange(N) >= 50).astype(float), norm=0.0)
        (found,) = check_run(run, [OPT001]).findings
        assert (found.severity, found.healed_at) == ("note", 64)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_odd_numbers_do_not_break_it(bad):
    run = run_of(BODY, norm=0.0)
    for name, series in run.series.items():
        values = series.value.copy()
        values[-1] = bad
        _, why = judge(
            OPT001,
            Run.of(series={**run.series, name: Series.of(name, values, series.step)}, parameters=run.parameters),
            {},
        )
        assert why is None or why.reason.startswith("the samples span 0 optimizer steps")


def train(folder, fault, *, every=1):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.ModuleDict({"backbone": nn.Sequential(nn.Linear(8, 16), nn.ReLU()), "head": nn.Linear(16, 1)})
    if fault == "bfloat16":
        net = net.to(torch.bfloat16)
    trained = net["head"].parameters() if fault == "left out" else net.parameters()
    optimizer = torch.optim.SGD(trained, lr={"bfloat16": 1e-7, "diverged": 1e9, "tiny": 1e-14}.get(fault, 1e-2))
    if fault == "on purpose":
        net["backbone"].requires_grad_(False)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    with tocsin.watch(net, optimizer, run_dir=folder, every=every, say=lambda _: None) as run:
        for k in range(64):
            if fault == "unfreezing" and k in (0, 20):
                net["backbone"].requires_grad_(k > 0)
            x = torch.randn(32, 8, dtype=net["head"].weight.dtype)
            h = net["backbone"](x)
            loss = (net["head"](h.detach() if fault == "detached" else h) - x.sum(1, keepdim=True)).square().mean()
            if fault != "cleared":
                optimizer.zero_grad()
            loss.backward()
            if fault == "cleared":
                optimizer.zero_grad()
            optimizer.step()
            if fault == "written back":
                net.load_state_dict(start)
            run.losses(total=loss)
    return [f for f in run.findings if f.code == "OPT001"]


@pytest.mark.parametrize(
    ("fault", "subject", "said"),
    [
        ("detached", "backbone.0", "received no gradient"),
        ("left out", "backbone.0", "no optimizer holds them"),
        ("cleared", "", "gone when the optimizer steps"),
        ("bfloat16", "", "rounding of bfloat16"),
        ("tiny", "", "rounding of float32"),
        ("written back", "", "writes the old values back"),
    ],
)
def test_real_loops(tmp_path, fault, subject, said):
    (found,) = train(tmp_path / "run", fault)
    assert (found.severity, found.subject, found.step) == ("error", subject, 1)
    assert said in found.message


@pytest.mark.parametrize("fault", ["none", "on purpose", "unfreezing", "diverged"])
@pytest.mark.parametrize("every", [1, 3])
def test_real_loops_without_the_fault(tmp_path, fault, every):
    assert train(tmp_path / "run", fault, every=every) == []


@pytest.mark.parametrize("every", [1, 3])
def test_the_last_bias_under_a_loss_of_differences_is_a_note(tmp_path, every):
    """A ranking gives it exactly 0; with a critic, what the generator's turn left is cleared and then adds up to 0."""
    torch = pytest.importorskip("torch")
    for turns in (1, 2):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        with tocsin.watch(net, optimizer, run_dir=tmp_path / str(turns), every=every, say=lambda _: None) as run:
            for _ in range(64):
                a, b = torch.randn(2, 32, 8)
                loss = net(a).mean() - net(b + 1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if turns == 2:
                    net(a).mean().backward()
                run.losses(total=loss)
        found = [f for f in run.findings if f.code in ("OPT001", "OPT002")]
        assert {(f.severity, f.message[:6]) for f in found} == {("note", "2.bias")}
        assert all("add" in f.message and "up to" in f.message for f in found)


def test_a_bias_behind_a_cut_path_is_no_cancelled_one(tmp_path):
    (found,) = train(tmp_path / "run", "detached")
    assert "received no gradient" in found.message
    assert found.severity == "error"
