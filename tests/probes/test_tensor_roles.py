"""Roles of parameter tensors: which may legitimately never move."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
Tensors = pytest.importorskip("tocsin.probes.tensors").Tensors


def roles(model):
    return {row.name: row.role for row in Tensors(model, []).table()}


def named(path):
    """A linear layer at a path."""
    model = nn.Linear(3, 3, bias=False)
    for part in reversed(path.split(".")):
        model = nn.ModuleDict({part: model})
    return model


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("experts.3", "expert"),
        ("layer.expert_2", "expert"),
        ("layer.Expert2.gate", "expert"),
        ("block.moe.w1", "expert"),
        ("block.moe_layer.gate", ""),
        ("moe.router", ""),
        ("shared_expert.up", ""),
        ("expertise.up", ""),
        ("layers.3", ""),
    ],
)
def test_experts_by_name(path, role):
    assert set(roles(named(path)).values()) == {role}


def mixture(parts, outputs):
    return nn.ModuleDict({"r": nn.Linear(8, outputs), "e": nn.ModuleList(parts)})


def test_experts_by_make():
    """Equal modules beside a linear layer with an output for each: it chooses among them."""
    found = roles(mixture([nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(4)], 4))
    assert {name for name, role in found.items() if not role} == {"r.weight", "r.bias"}
    assert {role for name, role in found.items() if name.startswith("e.")} == {"expert"}


def test_no_experts():
    """A stack of layers under a head of another width; heads of different shapes; a single one; a shared one."""
    layer = nn.Linear(8, 8)
    for model in (
        mixture([nn.Linear(8, 8) for _ in range(4)], 10),
        mixture([nn.Linear(8, 2), nn.Linear(8, 3)], 2),
        mixture([layer], 1),
        mixture([layer, layer], 2),
    ):
        assert set(roles(model).values()) == {""}


def test_embeddings_and_layers_without_a_shape_yet():
    assert roles(nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 2, bias=False))) == {
        "0.weight": "embedding",
        "1.weight": "",
    }
    assert roles(mixture([nn.LazyLinear(2), nn.LazyLinear(2)], 2)) == {"r.weight": "", "r.bias": ""}
