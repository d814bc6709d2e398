"""Measures of the forward pass against plain references, and what stays out of them."""

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tocsin.probes.activations import Activations, bounds, dead_frac, saturated_frac, unit_axis
from tocsin.probes.contents import Contents, hashes, samples, varied
from tocsin.probes.hook import Meter
from tocsin.probes.inputs import constant_frac
from tocsin.probes.likeness import Likeness
from tocsin.probes.normalisation import NormalisationLag, lag, uncompiled


def fail(probe, error):
    raise AssertionError(f"{probe}: {error!r}")


METER = Meter(fail)


class TestUnits:
    def test_dead_units_of_rows_and_of_images(self):
        rows = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
        assert dead_frac(rows, -1) == 0.5
        images = torch.zeros(3, 4, 5, 5)
        images[1, 2, 3, 3] = 1.0
        assert dead_frac(images, 1) == 0.75

    @pytest.mark.parametrize(
        ("shape", "channels", "features", "axis"),
        [
            ((8, 16), set(), set(), -1),
            ((8, 16, 7, 7), set(), set(), 1),
            ((8, 7, 7, 16), {3}, {16}, -1),
            ((8, 16, 100), {16}, {5}, 1),
            ((8, 100, 16), set(), {16}, -1),
            ((8, 100, 16), set(), set(), -1),
        ],
    )
    def test_the_axis_of_units_is_that_of_the_layers(self, shape, channels, features, axis):
        assert unit_axis(torch.zeros(shape), channels, features) == axis

    def test_saturation_is_counted_at_both_bounds(self):
        out = torch.tensor([-1.0, -0.981, -0.97, 0.0, 0.985])
        assert saturated_frac(out, *bounds(nn.Tanh())) == pytest.approx(3 / 5)
        assert bounds(nn.ReLU6()) is None
        assert bounds(nn.Hardtanh(-2, 4)) == (-2.0, 4.0)

    def test_a_window_measures_training_forwards_only(self):
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sigmoid())
        nn.init.constant_(net[0].bias, -99.0)
        probe = Activations(net, METER)
        probe.arm()
        with torch.no_grad():
            net(torch.randn(32, 4))
        assert probe._values == {}
        net(torch.randn(32, 4))
        seen = probe.read()
        assert seen["act/dead_frac/1"] == 1.0
        assert seen["act/saturated_frac/3"] == 0.0
        assert not probe.armed
        assert not net[1]._forward_hooks

    def test_few_rows_say_nothing_about_units(self):
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        probe = Activations(net, METER)
        probe.arm()
        net(torch.randn(8, 4))
        assert "act/dead_frac/1" not in probe.read()


class TestNormalisation:
    @pytest.mark.parametrize("shape", [(64, 5), (16, 5, 9), (8, 5, 6, 7)])
    def test_lag_is_the_distance_of_the_two_outputs(self, shape):
        torch.manual_seed(0)
        norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](5, affine=False)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 3)
        x = 2 + 1.5 * torch.randn(shape)
        measured = float(lag(x, norm))
        held, batch = norm.eval()(x), copy.deepcopy(norm).train()(x)
        assert measured == pytest.approx(float((held - batch).square().mean().sqrt()), rel=1e-4)

    def test_the_statistics_are_read_before_the_forward_moves_them(self):
        norm = nn.BatchNorm1d(3, momentum=1.0)
        probe = NormalisationLag(nn.Sequential(norm), METER)
        probe.arm()
        x = 5 + torch.randn(256, 3)
        expected = float(lag(x, copy.deepcopy(norm)))
        probe.model(x)
        assert float(probe.read()["norm/lag/0"]) == pytest.approx(expected)
        assert expected > 3

    def test_modes_and_modules_without_statistics(self):
        net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False), nn.LayerNorm(3))
        seen = []
        probe = NormalisationLag(net, METER, lambda mode, values: seen.append((mode, *values)))
        x = torch.randn(16, 3)
        probe.arm("eval")
        net(x)
        with torch.no_grad():
            net(x)  # an evaluation without eval(): batch statistics, nothing lags
            net.eval()(x)
        assert seen == [("eval", "norm/eval_lag/0")]
        probe.arm("train")
        net(x)  # a frozen BatchNorm
        net.train()(x)
        assert seen[1:] == [("train", "norm/lag/0")]
        assert not probe.armed

    def test_a_cumulative_average_of_few_batches_is_unknown(self):
        norm = nn.BatchNorm1d(3, momentum=None)
        net, seen = nn.Sequential(norm), []
        for _ in range(10):
            probe = NormalisationLag(net, METER)
            probe.arm()
            net(torch.randn(64, 3))
            seen.append(float(probe.read()["norm/lag/0"]))
        assert np.isnan(seen[:8]).all()
        assert np.isfinite(seen[8:]).all()

    def test_hooks_do_not_travel_with_copies(self):
        net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
        probe = Activations(net, METER)
        probe.arm()
        twin = copy.deepcopy(net)
        torch.save(net, io.BytesIO())
        twin(torch.randn(32, 3))
        assert probe._values == {}

    def test_parts_below_a_compiled_module_are_left_alone(self):
        inner = nn.Sequential(nn.BatchNorm1d(3))
        inner._compiled_call_impl = object()
        names = [name for name, _ in uncompiled(nn.Sequential(nn.BatchNorm1d(3), inner, nn.ReLU()))]
        assert names == ["", "0", "2"]


class TestContents:
    def see(self, contents, mode, x):
        return {k: float(v) for k, v in contents.see(mode, [x], training=True).items()}

    @given(st.integers(0, 40), st.sampled_from([torch.float32, torch.float16, torch.int64, torch.float64]))
    @settings(max_examples=30, deadline=None)
    def test_law_the_share_is_that_of_the_shared_samples(self, shared, dtype):
        rng = torch.Generator().manual_seed(shared)
        x = torch.randint(-(10**4), 10**4, (100, 6), generator=rng).to(dtype)
        contents = Contents()
        self.see(contents, "train", x[:50])
        seen = self.see(contents, "eval", torch.cat([x[50 + shared :], x[:shared]]))
        assert seen["input/compared"] == 50
        assert seen["input/overlap_frac"] == pytest.approx(shared / 50)

    def test_every_entry_its_place_and_its_kind_count(self):
        x = torch.zeros(5, 3000)  # sparse
        x[1, 2999], x[2, 0], x[3, 1] = 1.0, 1.0, 1.0
        x[4, :2] = 1.0
        codes = hashes(samples([x]))
        assert len(set(codes.tolist())) == 5
        assert hashes(samples([x.double()]))[0] != codes[0]
        assert hashes(samples([x.reshape(5, 30, 100)]))[0] == codes[0], "the layout of a sample does not"

    def test_where_a_batch_lies_in_memory_does_not_count(self):
        flat = torch.randn(61)
        shifted, plain = flat[1:].view(10, 6), flat[1:].clone().view(10, 6)
        assert hashes(samples([shifted])).tolist() == hashes(samples([plain])).tolist()
        assert hashes(samples([plain.t().contiguous().t()])).tolist() == hashes(samples([plain])).tolist()

    def test_no_two_of_many_binary_samples_agree(self):
        x = (torch.rand(2000, 64, generator=torch.Generator().manual_seed(1)) < 0.5).float()
        assert len(set(hashes(samples([x])).tolist())) == len({tuple(r) for r in x.tolist()}) == 2000

    def test_padding_does_not_count(self):
        x = torch.randn(8, 5)
        x[4:] = 0.0
        assert varied(x).tolist() == [True] * 4 + [False] * 4
        contents = Contents()
        self.see(contents, "train", x)
        seen = self.see(contents, "eval", torch.cat([x[4:], torch.randn(4, 5)]))
        assert (seen["input/overlap_frac"], seen["input/compared"], seen["input/repeat_frac"]) == (0, 4, 0)

    def test_ambiguous_layouts_are_left_out(self):
        assert samples([torch.randn(1, 100)]) == []
        assert samples([torch.randn(100)]) == []
        assert samples([torch.randn(100, 2)]) == []
        assert samples([]) == []

    def test_what_is_kept_and_how_often_is_bounded(self):
        contents, seen = Contents(), 0
        for _ in range(200):
            contents.restart("train")
            for _ in range(20):
                seen += contents.wanting("train")
                contents.see("train", [torch.randn(2048, 4)], training=True)
        assert contents._count == 65_536
        assert seen == 32

    def test_a_validation_with_gradients_is_no_training(self):
        contents, x = Contents(), torch.randn(8, 5)
        contents.see("train", [x], training=False)
        assert contents.see("eval", [x], training=False) == {}


class TestInputs:
    def test_constant_features_and_channels(self):
        x = torch.randn(8, 4)
        x[:, 1] = 3.0
        assert constant_frac(x, -1) == 0.25
        x[0, 1] = float("nan")
        assert constant_frac(x, -1) == 0.0
        images = torch.randn(8, 3, 4, 4)
        images[:, 2] = 0.0
        assert constant_frac(images, 1) == pytest.approx(1 / 3)

    def likeness(self, batches):
        probe, last = Likeness(), {}
        for batch in batches:
            last = probe.see(batch) or last
        return float(last["input/likeness"])

    def test_likeness_is_the_intraclass_correlation(self):
        rng = torch.Generator().manual_seed(0)
        drawn = torch.randn(8, 32, 5, generator=rng)
        assert abs(self.likeness(drawn)) < 0.05
        shifted = drawn + torch.randn(8, 1, 5, generator=rng)  # as much variance between as within
        x = shifted.numpy().astype(float)
        between = x.mean(axis=1).var(axis=0, ddof=1).sum() * 32
        within = x.var(axis=1, ddof=1).mean(axis=0).sum()
        expected = (between - within) / (between + 31 * within)
        assert self.likeness(shifted) == pytest.approx(expected, rel=1e-4)
        assert 0.3 < expected < 0.7

    def test_likeness_needs_several_batches_of_one_shape(self):
        probe = Likeness()
        assert all(probe.see(torch.randn(8, 5)) == {} for _ in range(8))
        assert all(probe.see(torch.randn(32 + k, 5)) == {} for k in range(8))
