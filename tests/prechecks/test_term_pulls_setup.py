"""OBJ001 and OBJ005 before the run: how hard the terms pull."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from prechecks.objective_setups import TwoHeads, look, setup
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.checks.dominated_objective import dominated_objective
from tocsin.prechecks.checks.gradient_conflict import gradient_conflict
from tocsin.prechecks.term_pulls import term_pulls


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """A busy machine must not change how many batches are looked at."""
    monkeypatch.setattr("tocsin.prechecks.term_pulls.SECONDS", 60.0)


def two(scale=1.0, weight=1.0, name="size", shown=lambda t: t):
    def losses(model, batch):
        z, v = model(batch[0])
        kind = F.cross_entropy(z, batch[1])
        size = (v - scale * (batch[0][:, 0] + batch[0][:, 1])).square().mean()
        return {"total": kind + weight * size, "kind": shown(kind), name: shown(size)}

    return losses


@pytest.mark.parametrize("seed", range(5))
def test_targets_in_large_units_dominate(seed):
    (finding,), _ = look(dominated_objective, setup(two(1000.0), model=TwoHeads, seed=seed))
    assert finding.subject == "size"
    assert "kind the rest: what they ask for is not heard" in finding.message
    assert finding.evidence[0].interval[0] > 0.99


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "losses", [two(), two(5.0), two(30.0, 0.03), two(1000.0, 0.0), two(1e-4, 1e-9, "kl"), two(1.0, 1e-6, "l2")]
)
def test_terms_of_one_scale_switched_off_or_small_by_name_do_not(losses, seed):
    assert look(dominated_objective, setup(losses, model=TwoHeads, seed=seed))[0] == []


def test_a_head_that_starts_at_zero_is_not_neglected():
    def model():
        made = TwoHeads()
        torch.nn.init.zeros_(made.kind.weight)
        return made

    assert look(dominated_objective, setup(two(), model=model))[0] == []


def test_weights_are_those_of_the_total():
    pulls = term_pulls(Bench(setup(two(3.0, 0.25), model=TwoHeads)))
    assert pulls.weights(None) == pytest.approx({"kind": 1.0, "size": 0.25})


def test_norms_and_cosines_are_those_of_autograd():
    given = setup(two(3.0), model=TwoHeads)
    pulls = term_pulls(Bench(given))
    terms = given.losses(given.model, given.train[0])
    shared = [p for n, p in given.model.named_parameters() if n.startswith("trunk") and p.dim() > 1]
    flat = [
        torch.cat([g.flatten() for g in torch.autograd.grad(terms[n], shared, retain_graph=True)]).double().numpy()
        for n in ("kind", "size")
    ]
    assert pulls.trunk == ("trunk.0.weight", "trunk.2.weight")
    assert pulls.norms[0] == pytest.approx([np.linalg.norm(g) for g in flat], rel=1e-5)
    assert pulls.shared[0, 0, 1] == pytest.approx(flat[0] @ flat[1], rel=1e-4)


def apart(model, batch):
    _, v = model(batch[0])
    up, down = (v - 5).square().mean(), (v + 5).square().mean()
    return {"total": up + down, "up": up, "down": down}


def test_opposite_goals_conflict():
    (finding,), _ = look(gradient_conflict, setup(apart, model=TwoHeads))
    assert finding.message == (
        "the gradients of up and down at 3 shared matrices point apart before training: cosine -1.00 [-1.00, -1.00] "
        "over 6 batches. At random weights that is often gone after some steps"
    )


def against(model, batch):
    found = apart(model, batch)
    return {"total": found["up"] - found["down"], **{k: found[k] for k in ("up", "down")}}


def adversary(model, batch):
    found = apart(model, batch)
    return {"total": found["total"], "fit": found["up"], "adv": found["down"]}


@pytest.mark.parametrize("losses", [against, adversary])
def test_a_term_that_is_subtracted_or_an_opponent_by_name_does_not(losses):
    assert look(gradient_conflict, setup(losses, model=TwoHeads))[0] == []


@pytest.mark.parametrize("seed", range(8))
def test_two_tasks_do_not_conflict_at_random_weights(seed):
    assert look(gradient_conflict, setup(two(), model=TwoHeads, seed=seed))[0] == []


@pytest.mark.parametrize("check", [dominated_objective, gradient_conflict])
def test_one_loss_alone_is_not_checked(check):
    found, unable = look(check, setup(lambda m, b: m(b[0])[1].square().mean(), model=TwoHeads))
    assert (found, len(unable)) == ([], 1)


@pytest.mark.parametrize("check", [dominated_objective, gradient_conflict])
def test_losses_that_are_nan_say_nothing(check):
    assert look(check, setup(two(float("nan")), model=TwoHeads))[0] == []
