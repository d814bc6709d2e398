"""Runs with a score, notes and settings, for the rules that look at several runs."""

from __future__ import annotations

from typing import Any

from tocsin.findings import Finding, Rule
from tocsin.run import Run


def scored(name: str, value: Any = 0.5, metric: str = "val/accuracy", ended: str = "finished", **config: Any) -> Run:
    """A run whose score ends at ``value`` (or has these values)."""
    values = value if isinstance(value, list) else [value]
    return Run.of(name, series={metric: values}, config=config, exit=ended)


def outcomes(rule: Rule, *runs: Run) -> list[Any]:
    """What the rule says of the outlines of these runs."""
    return list(rule.check([run.outline() for run in runs]))


def findings(rule: Rule, *runs: Run) -> list[Finding]:
    """Its findings only."""
    return [outcome for outcome in outcomes(rule, *runs) if isinstance(outcome, Finding)]


def unlike() -> list[Run]:
    """Runs of different people's projects in one folder: nothing says that they belong together."""
    return [
        scored("bert-large", 0.91, model="bert", lr=2e-5, num_labels=3, dataset="mnli", seed=1),
        scored("resnet50", 0.76, model="resnet", lr=0.1, num_classes=1000, dataset="imagenet", epochs=90),
        scored("resnet50-v2", 0.77, model="resnet", lr=0.2, num_classes=1000, dataset="imagenet", wd=1e-4),
        scored("cyclegan", [3.0, 2.0], "val/loss", model="gan", lr=2e-4, split_seed=1),
        scored("ft", 0.8, model="bert", lr=1e-5, resume="ckpt/last.pt", notes="second try, lower lr", ended="failed"),
    ]


def grid() -> list[Run]:
    """A full grid of two factors by three seeds, honestly named."""
    return [
        scored(f"g{k}-{j}-{seed}", 0.5 + 0.1 * k + 0.01 * seed, lr=lr, model=model, seed=seed, sweep="grid")
        for k, lr in enumerate((1e-2, 1e-3))
        for j, model in enumerate(("cnn", "mlp"))
        for seed in range(3)
    ]
