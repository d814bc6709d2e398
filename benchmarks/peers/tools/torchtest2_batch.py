"""torchtest2's ``check_model`` on the first batch, before training."""

from __future__ import annotations

from typing import Any

from cells import Found, each
from torchtest2 import check_model

LEVELS = {"FAIL": "critical", "WARN": "warning"}


def inspect(training: Any) -> Found:
    batch = next(iter(training.batches(1)))
    targets = {name: column for name, column in batch.items() if name != "x"}

    def loss(output: Any, truth: Any) -> Any:
        outputs = output if isinstance(output, dict) else {"main": output}
        return training.total(training.terms(outputs, truth | {"x": batch["x"]}))

    for group in training.optimizers[0].param_groups:
        group["lr"] = group.get("initial_lr", group["lr"])  # as it is before a schedule's warm-up is put on it
    report = check_model(
        training.model,
        batch["x"],
        targets,
        loss_fn=loss,
        optimizer=training.optimizers[0],
        forward_fn=lambda model, x, _: training.forward({"x": x}, model),  # under autocast where the run is
        eval_forward_fn=lambda model, x: training.forward({"x": x}, model),
    )
    return [
        {"severity": LEVELS[r.status.value], "text": f"{r.name}: {r.message}", "step": 0}
        for r in report.results
        if r.status.value in LEVELS
    ]


if __name__ == "__main__":
    each(inspect)
