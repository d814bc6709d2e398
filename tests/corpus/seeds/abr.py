"""Reports 002 and 004 (ABR): the run whose F1 is always 0, and the run that "never started", by their numbers.

Steps are epochs in report 002 and log lines in report 004: neither report tells more.
"""

from __future__ import annotations

from tocsin.run import Event, Run, Series

EPOCHS = 10  # 002, "F1 Score Always 0.0000": "exactly 0.0000 across 10+ epochs"


def zero_f1() -> Run:
    """Report 002, "Critical Problems" 1 and 2: the first and the last training loss, and every F1."""
    series = {
        "train/loss": Series.of("train/loss", [20.3035, 2.5959], [1, EPOCHS], epoch=[1, EPOCHS]),
        "val/f1_macro": Series.of("val/f1_macro", [0.0] * EPOCHS, epoch=list(range(1, EPOCHS + 1))),
    }
    return Run.of("production", series=series, config={"learning_rate": 1e-4}, exit="unknown")


def improved_config() -> dict:
    """Report 002, "Recommended Configuration Changes", as its YAML is nested there."""
    return {
        "loss_weights": {"signal": 0.8, "classification": 2.5, "peak_latency": 1.2, "peak_amplitude": 1.2},
        "learning_rate": "5e-5",  # what a YAML 1.1 parser makes of 5e-5
        "validation": {"fast_mode": False, "full_validation_every": 5, "compute_per_class_metrics": True},
        "curriculum": {"class_start": 0, "peak_start": 3, "ramp_epochs": 8},
    }


def failed_starts() -> list[Run]:
    """Report 004, "Key Error Patterns" 1 and 2."""
    said = [
        ("TypeError", "TypeError: '<=' not supported between instances of 'float' and 'str'"),
        ("OSError", "OSError: 'seaborn-v0_8' not found"),
    ]
    return [
        Run.of(
            f"attempt-{k}",
            events=(Event("exception", text, data={"type": kind}),),
            config={"learning_rate": 2e-4},
            exit="failed",
        )
        for k, (kind, text) in enumerate(said, 1)
    ]


def giant_amplitude() -> Run:
    """Report 004, "Loss Scale Imbalance": one line of the log, and "Class Imbalance Severity"."""
    series = {
        "train/loss/peak_amplitude": Series.of("", [3_256_742.75]),
        "train/loss/signal": Series.of("", [3.75]),
    }
    counts = {"0": 41_391, "1": 417, "2": 5_513, "3": 1_715, "4": 2_925}
    return Run.of("shown", series=series, config={"learning_rate": 2e-4, "class_counts": counts}, exit="unknown")
