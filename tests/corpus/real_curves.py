"""Loss curves of real public runs, thinned and rounded; each from a repository under the MIT licence.

hf_overfit: aigoncharov/trainer_state_viz (fine-tuning, 30 epochs); nanogpt: ethellight565/nanogpt-seis; modded_nanogpt:
lolrazh/parameter-golf; lightning_mnist: HCDescamps/cv-image-classification. Report 001 of the seed: its own tables.
"""

from __future__ import annotations

from typing import Any

from tocsin.run import Run, Series

_HF_TRAIN = [
    1.1074, 0.5969, 0.3116, 0.2045, 0.1504, 0.1163, 0.0941, 0.0817, 0.0753, 0.0718, 0.069, 0.0684, 0.0653,
    0.0638, 0.0629, 0.0636, 0.0596, 0.0601, 0.0602, 0.0591, 0.0578, 0.0573, 0.0573, 0.0557, 0.0555, 0.0555,
    0.0552, 0.0551, 0.0531, 0.0549,
]  # fmt: skip
_HF_EVAL = [
    5.742, 1.114, 1.132, 1.353, 1.555, 1.615, 1.854, 1.614, 1.917, 1.949, 2.012, 2.152, 2.262, 2.319, 2.344,
    2.35, 2.516, 2.587, 2.177, 2.939, 2.667, 2.607, 2.67, 2.603, 2.868, 2.631, 2.396, 2.6, 2.55, 2.4, 2.749,
]  # fmt: skip
_HF_ACCURACY = [
    0.708, 0.678, 0.671, 0.668, 0.666, 0.648, 0.633, 0.641, 0.641, 0.646, 0.638, 0.613, 0.594, 0.626, 0.628,
    0.621, 0.621, 0.603, 0.596, 0.554, 0.603, 0.594, 0.594, 0.576, 0.581, 0.576, 0.586, 0.603, 0.608, 0.571,
    0.594,
]  # fmt: skip
_NANOGPT_TRAIN = [
    9.8578, 4.2927, 3.3902, 3.1621, 3.0842, 2.9688, 2.8805, 2.8472, 2.7988, 2.7495, 2.7255, 2.6658, 2.699,
    2.6625, 2.6621, 2.6424, 2.6118,
]  # fmt: skip
_NANOGPT_VAL = [
    9.8535, 4.278, 3.3503, 3.1659, 2.9899, 2.9425, 2.8904, 2.8124, 2.7967, 2.8023, 2.7617, 2.7037, 2.7674,
    2.7139, 2.6813, 2.7215, 2.6645,
]  # fmt: skip
_MODDED_TRAIN = [
    2.8041, 2.7684, 2.4731, 2.4775, 2.303, 2.2607, 2.2436, 2.2187, 2.3312, 2.2346, 2.238, 2.1004, 2.1989,
    2.2056, 2.1098, 2.1492, 2.2454, 2.2507, 2.1399, 2.1437, 2.0498, 2.1727, 2.171, 2.1473, 2.1104, 2.0972,
    2.2099, 2.1448, 2.2107, 2.2182, 2.1217, 2.1333, 2.106, 2.1809, 2.1537, 2.1143, 2.1137,
]  # fmt: skip
_MODDED_VAL = [
    2.8397, 2.5687, 2.4456, 2.3868, 2.337, 2.3026, 2.2812, 2.2631, 2.2479, 2.2368, 2.2251, 2.2158, 2.2097,
    2.2011, 2.1953, 2.1881, 2.1854, 2.1784, 2.1767, 2.1718, 2.1666, 2.1625, 2.1597, 2.1579, 2.1532, 2.1501,
    2.1475, 2.1455, 2.1439, 2.1445, 2.1416, 2.1377, 2.1354, 2.1342, 2.1326, 2.1299, 2.1282,
]  # fmt: skip
_REPORT_001_VAL = [
    1.95422, 1.902692, 1.883437, 1.868573, 1.835492, 1.795977, 1.763915, 1.723132, 1.690471, 1.665885,
    1.638465, 1.619946, 1.61254, 1.60977,
]  # fmt: skip
_REPORT_001_TRAIN = [
    0.21666, 0.220486, 0.215087, 0.208534, 0.213798, 0.205672, 0.201403, 0.198069, 0.193659, 0.187386,
    0.185685, 0.18009, 0.178773, 0.175756,
]  # fmt: skip


def run_of(train: list[float], val: list[float], every: int, first: int = 1, name: str = "val", **more: Any) -> Run:
    """A finished run with one training value per evaluation; ``first`` is the ordinal of the first evaluation."""
    at = [every * (first + i) for i in range(len(val))]
    series = {f"{name}/{k}": Series.of("", v, step=at) for k, v in {"loss": val, **more}.items()}
    series["train/loss"] = Series.of("", train, step=at[-len(train) :])
    return Run.of("real", series=series, exit="finished")


def hf_overfit() -> Run:
    """Overfits from the second evaluation on."""
    return run_of(_HF_TRAIN, _HF_EVAL, 401, first=0, name="g0", accuracy=_HF_ACCURACY)


def nanogpt() -> Run:
    """Healthy; the evaluation loss is noisy and still falls."""
    return run_of(_NANOGPT_TRAIN, _NANOGPT_VAL, 500, first=0)


def modded_nanogpt() -> Run:
    """Healthy; noisy single-batch training loss, smooth evaluation loss."""
    return run_of(_MODDED_TRAIN, _MODDED_VAL, 200)


def lightning_mnist() -> Run:
    """Healthy; the evaluation loss goes up once by 5 % and down again."""
    train = [0.0061, 0.0460, 0.0396, 0.0775, 0.1746]
    return run_of(
        train, [0.0711, 0.0459, 0.0443, 0.0467, 0.0392], 1719, accuracy=[0.9762, 0.9848, 0.9858, 0.9848, 0.9868]
    )


def report_001() -> Run:
    """Training loss divided by the number of batches: 9.0 times below the validation loss from the first epoch."""
    return run_of(_REPORT_001_TRAIN, _REPORT_001_VAL, 1)


HEALTHY = {f.__name__: f for f in (nanogpt, modded_nanogpt, lightning_mnist)}
