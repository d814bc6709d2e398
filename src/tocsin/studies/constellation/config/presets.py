"""The sizes of the study: two for one CPU core, two for one GPU.

No preset names a file: ``data.radioml`` makes recorded frames of those with several samples a symbol.
"""

from __future__ import annotations

from tocsin.studies.constellation.config import Config, Data, Network, View
from tocsin.studies.constellation.signal.modulation import DIGITAL
from tocsin.studies.study import Training

TIME_ORDER = View(layers=("samples", "instants"), scalars=("spectral_floor",))
OF_4096 = {"train": 3276, "val": 409, "test": 409}  # frames that a cell of RadioML 2018.01A gives each part

QUICK = Config(network=Network(task="conditional"))

QUICK_OVERSAMPLED = Config(
    data=Data(scenario="oversampled", modulations=DIGITAL),
    view=TIME_ORDER,
    training=Training(epochs=6, batch=128, peak_lr=5e-3),
)

STANDARD = Config(
    data=Data(scenario="oversampled", modulations=DIGITAL, train_per_cell=256, val_per_cell=16, test_per_cell=64),
    view=View(bins=112, layers=("samples", "instants"), scalars=("spectral_floor",)),
    network=Network(backbone="resnet18"),
    training=Training(epochs=40, batch=256, peak_lr=1e-3, precision="bfloat16", ema_decay=0.999),
)

PAPER = Config(
    data=Data(
        scenario="oversampled",
        modulations=DIGITAL,
        train_per_cell=OF_4096["train"],
        val_per_cell=OF_4096["val"],
        test_per_cell=OF_4096["test"],
    ),
    view=View(bins=224),
    network=Network(backbone="resnet50", snr_head="bottleneck", bottleneck=128),
    training=Training(epochs=20, batch=256, peak_lr=1e-3, precision="bfloat16", ema_decay=0.9998),
)
"""As the report had it: the image of all samples alone, 224 bins, a narrow layer of 128 before the SNR."""

PRESETS = {"quick": QUICK, "quick-oversampled": QUICK_OVERSAMPLED, "standard": STANDARD, "paper": PAPER}
