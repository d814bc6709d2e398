"""Report 001, "Model Learning Success Report" (RIS pipeline): its one run, by its numbers.

Steps are epochs. The report tells no step, batch or optimizer-step count, and no loss term by itself.
"""

from __future__ import annotations

from tocsin.run import Run, Series

# "Training Progress Analysis": "Validation Loss Trend", "Training Loss Trend", "Parameter Movement"
VAL = [1.954220, 1.902692, 1.883437, 1.868573, 1.835492, 1.795977, 1.763915, 1.723132, 1.690471, 1.665885, 1.638465,
       1.619946, 1.612540, 1.609770]  # fmt: skip
TRAIN = [0.216660, 0.220486, 0.215087, 0.208534, 0.213798, 0.205672, 0.201403, 0.198069, 0.193659, 0.187386, 0.185685,
         0.180090, 0.178773, 0.175756]  # fmt: skip
MOVED = [3.417e-01, 2.281e-01, 2.054e-01, 2.694e-01, 3.305e-01, 3.207e-01, 3.031e-01, 3.022e-01, 3.013e-01, 2.929e-01,
         2.825e-01, 2.753e-01, 2.675e-01, 2.550e-01]  # fmt: skip
# "Training Configuration", "Loss Components", "Overfit Test Configuration"
CONFIG = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "head_learning_rate": 4e-3,
    "epochs": 30,
    "train_samples": 256,
    "val_samples": 256,
    "amp": False,
    "use_ema": False,
    "clip_norm": 0.0,
    "loss": "NMSE covariance loss",
    "loss_weights": {
        "covariance": 1.0,
        "prediction": 0.05,
        "cross_entropy": 2.5e-3,
        "eigengap": 0.07,
        "k_weight": 0.10,
    },
}


def run() -> Run:
    """The overfit test at epoch 14 of 30."""
    epochs = list(range(1, 15))
    columns = {"train/loss": TRAIN, "val/loss": VAL, "param_delta_norm": MOVED}
    series = {key: Series.of(key, values, epochs, epoch=epochs) for key, values in columns.items()}
    return Run.of("overfit-test", series=series, config=CONFIG, exit="running")
