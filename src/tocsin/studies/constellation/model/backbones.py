"""Full-size image networks, built from a configuration by ``transformers``: no weights are fetched from anywhere.

Sizes are those of the papers: ResNet-18/34/50 (He et al. 2016), ViT-B/16 (Dosovitskiy et al. 2021), Swin-Tiny (Liu
et al. 2021), each with as many input channels as the picture has layers. They train on a GPU; on a CPU a step takes
seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.studies.study import StudyError

_FIRST = ("embedder.embedder.convolution.weight", "embeddings.patch_embeddings.projection.weight")


class Backbone(nn.Module):
    """Pictures [B, L, H, W] to pooled features [B, width], float32.

    Args:
        name: One of ``NAMES``.
        layers: L.
        bins: H = W.
        dropout: Of the transformer blocks; ResNets have none.

    Attributes:
        width: Number of features.
    """

    def __init__(self, name: str, layers: int, bins: int, dropout: float) -> None:
        super().__init__()
        self.body: nn.Module = _BUILDERS[name](layers, bins, dropout)
        self.token = name.startswith("vit")
        self.width = _WIDTHS[name]

    def forward(self, picture: Tensor) -> Tensor:
        """Pooled features."""
        found = self.body(picture)
        pooled: Tensor = found.last_hidden_state[:, 0] if self.token else found.pooler_output
        return pooled.flatten(1)


def _resnet(kind: str, depths: list[int], sizes: list[int]) -> Callable[[int, int, float], nn.Module]:
    def build(layers: int, _: int, __: float) -> nn.Module:
        from transformers import ResNetConfig, ResNetModel

        return _module(
            ResNetModel(ResNetConfig(num_channels=layers, depths=depths, hidden_sizes=sizes, layer_type=kind))
        )

    return build


def _vit(layers: int, bins: int, dropout: float) -> nn.Module:
    from transformers import ViTConfig, ViTModel

    settings = ViTConfig(image_size=bins, patch_size=16, num_channels=layers, hidden_dropout_prob=dropout)
    return _module(ViTModel(settings, add_pooling_layer=False))


def _swin(layers: int, bins: int, dropout: float) -> nn.Module:
    from transformers import SwinConfig, SwinModel

    depths, heads = [2, 2, 6, 2], [3, 6, 12, 24]
    settings = SwinConfig(
        image_size=bins, num_channels=layers, embed_dim=96, depths=depths, num_heads=heads, hidden_dropout_prob=dropout
    )
    return _module(SwinModel(settings))


def _module(made: Any) -> nn.Module:
    model: nn.Module = made
    return model


_BUILDERS: dict[str, Callable[[int, int, float], nn.Module]] = {
    "resnet18": _resnet("basic", [2, 2, 2, 2], [64, 128, 256, 512]),
    "resnet34": _resnet("basic", [3, 4, 6, 3], [64, 128, 256, 512]),
    "resnet50": _resnet("bottleneck", [3, 4, 6, 3], [256, 512, 1024, 2048]),
    "vit-b16": _vit,
    "swin-t": _swin,
}
_WIDTHS = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "vit-b16": 768, "swin-t": 768}
NAMES = tuple(_BUILDERS)


def load_weights(backbone: Backbone, path: str | Path) -> None:
    """Start from pretrained weights in a file of tensors (safetensors, or a state dict read with ``weights_only``).

    A first convolution for three colours is summed over them and spread over the picture's layers, so that a grey
    picture gives the response that it would as three equal colours.

    Raises:
        StudyError: No such file, unreadable, or tensors that do not fit; the message names some of them.
    """
    held = _tensors(Path(path))
    own = backbone.body.state_dict()
    prefix = next((key[: -len(name)] for key in held for name in _FIRST if key.endswith(name)), "")
    found = {key.removeprefix(prefix): value for key, value in held.items() if key.startswith(prefix)}
    for name in _FIRST:
        if name in own and name in found and found[name].shape[1] != own[name].shape[1]:
            layers = own[name].shape[1]
            found[name] = (found[name].sum(1, keepdim=True) / layers).expand(-1, layers, -1, -1)
    unfit = [k for k in own if k not in found or (torch.is_tensor(found[k]) and found[k].shape != own[k].shape)]
    if unfit:
        raise StudyError(
            f"{path}: {len(unfit)} of {len(own)} tensors are missing or of another shape: {', '.join(unfit[:4])}"
        )
    backbone.body.load_state_dict({key: found[key] for key in own})


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise StudyError(f"network.weights: {path} " + ("is no file" if path.exists() else "does not exist"))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise StudyError(f"{path} cannot be read as weights, safetensors or torch: {type(error).__name__}") from error
    tensors = {k: v for k, v in loaded.items() if torch.is_tensor(v)} if isinstance(loaded, dict) else {}
    if not tensors:
        raise StudyError(f"{path}: expected tensors by name")
    return tensors
