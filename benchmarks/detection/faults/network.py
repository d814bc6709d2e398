"""Networks whose activations take the gradient away."""

from __future__ import annotations

from torch import nn

from detection.tasks import CLASSIFIERS
from detection.training import Net, Training, layers
from detection.variants import fault


def first_linear(net: Net) -> nn.Linear:
    """The first linear layer of the encoder."""
    return next(m for m in net.encoder if isinstance(m, nn.Linear))


@fault(
    "dead-relu",
    tasks=("digits-mlp", "cancer", "diabetes", "digits-two", "wine", "autoencoder"),
    expects="OPT011",
    why="a whole layer of ReLU is 0 for every input: OPT011 is its definition; missing gradients are its symptom",
)
class DeadRelu(Training):
    """The biases of the first layer start at -20."""

    def build(self) -> Net:
        net = super().build()
        nn.init.constant_(first_linear(net).bias, -20.0)
        return net


@fault(
    "vanishing-depth",
    tasks=("digits-mlp", "cancer", "digits-two", "wine"),
    expects="OPT006",
    why="gradients shrink from layer to layer until nothing arrives: OPT006 is its definition",
)
class VanishingDepth(Training):
    """Twelve layers of sigmoids."""

    def build(self) -> Net:
        net = super().build()
        wide, narrow = first_linear(net).in_features, first_linear(net).out_features
        net.encoder = layers(wide, *[narrow] * 12, activation=nn.Sigmoid)
        return net


@fault(
    "double-softmax",
    tasks=CLASSIFIERS,
    expects="OBJ010",
    why="the loss takes probabilities for logits: OBJ010 is its definition; the floor of the loss (GEN004) and the "
    "saturated softmax (OPT012) are its symptoms",
)
class DoubleSoftmax(Training):
    """The network ends in a softmax, and the loss applies another one."""

    def build(self) -> Net:
        net = super().build()
        net.heads["main"] = nn.Sequential(net.heads["main"], nn.Softmax(dim=-1))
        return net
