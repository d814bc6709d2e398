"""Runs that hold everything a rule may need, all of it odd: NaN, inf, constants, one point, hostile config."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tocsin import names
from tocsin.findings import Rule
from tocsin.run import Confusion, Evaluation, Event, Moments, Parameter, Run, Series

LENGTH = 70  # past the first two call counts at which rules look
VALUES: dict[str, Callable[[], Any]] = {
    "nan": lambda: np.full(LENGTH, np.nan),
    "inf": lambda: np.full(LENGTH, np.inf),
    "minus-inf": lambda: np.full(LENGTH, -np.inf),
    "zero": lambda: np.zeros(LENGTH),
    "constant": lambda: np.full(LENGTH, 0.7),
    "one-point": lambda: [0.5],
    "one-nan": lambda: [np.nan],
    "two-points": lambda: [1.0, 0.0],
    "huge": lambda: np.linspace(1e307, 1.7e308, LENGTH),
    "tiny": lambda: np.full(LENGTH, 5e-324),
    "alternating": lambda: np.resize([np.nan, 1.0, -np.inf, 0.0, -1e300], LENGTH),
    "finite-then-nan": lambda: np.r_[np.linspace(2, 1, LENGTH - 5), np.full(5, np.nan)],
    "negative": lambda: -np.linspace(1, 5, LENGTH),
}
CONFIG: dict[str, Any] = {
    "lr": float("nan"),
    "eps": "inf",
    "momentum": None,
    "": "1e-3",
    "a.b": {"c.d": "1e-8"},
    "list": ["5e-5", {"lr": "nan"}],
    "deep": {"er": {"est": [[["1e5"]]]}},
    "weight_decay": "1_000",
    "beta": "٣e-٤",
    "lrs": "1e999",
    "markup": "<b>[red]",
}


def series_names(rules: Iterable[Rule]) -> list[str]:
    """One concrete name for each row of the table and each need."""
    table = [row.name.partition("<")[0] + ("x" if "<" in row.name else "") for row in names.NAMES]
    needs = [option.strip() for rule in rules for need in rule.needs for option in need.split("|")]
    plain = [n for n in needs if "/" in n]
    return sorted({*table, *(n.replace("/*", "/x") for n in plain), *(n.replace("/*", "/y") for n in plain), "val/f1"})


def confusions() -> list[Confusion]:
    return [
        Confusion.of([[5]]),
        Confusion.of([[0, 3], [0, 0]]),
        Confusion.of(np.zeros((3, 3))),
        Confusion.of(np.full((2, 2), 2**40), ("nan dB", "inf dB")),
        Confusion.of(np.eye(4) * 7, ("1 m", "1 m", "x", "")),
        Confusion.of(np.r_[np.zeros((2, 3)), np.ones((1, 3))]),
    ]


def moments() -> list[Moments]:
    x = np.linspace(-1, 1, 40)
    pairs = [([], []), ([1.0], [2.0]), (x * 0, x * 0), (x, x * 0), (x * 0, x), (x, x), (x, -x), (x * 1e160, x * 1e-160)]
    return [Moments.of(t, p) for t, p in pairs]


def evaluations() -> tuple[Evaluation, ...]:
    """Each odd one at the start, in the middle and at the end, under its own task."""
    made = []
    for step in (0, 33, LENGTH):
        for i, c in enumerate(confusions()):
            metrics = {"val/f1_macro": (0.0, np.nan, np.inf)[i % 3], "accuracy": 2.0}
            made += [
                Evaluation("val", f"{kind}{i}", step, kind, c.n, confusion=c, metrics=metrics, nonfinite=i)
                for kind in ("classes", "ids", "binary")
            ]
        made += [
            Evaluation("val", f"value{i}", step, "regression", m.n, moments=(m, m), metrics={"r2": np.nan})
            for i, m in enumerate(moments())
        ]
        counts = np.array([[0, 0, 0, 0], [5, 0, 0, 0]])
        made.append(Evaluation("val", "many", step, "multilabel", 5, labels_confusion=counts))
        made.append(Evaluation("val", "hollow", step, "classes", 3))
    return tuple(made)


def run_of(kind: str, rules: Iterable[Rule]) -> Run:
    """Everything there is, with these values."""
    values = VALUES[kind]()
    return Run.of(
        f"degenerate-{kind}",
        series={name: Series.of(name, values) for name in series_names(rules)},
        evaluations=evaluations(),
        events=(Event("exception", "RuntimeError: x" * 100, 3), Event("", "", 10**9, data={"a": None})),
        parameters=(
            Parameter("x", 0, requires_grad=True, in_optimizer=False),
            Parameter("y", 10**12, requires_grad=False, in_optimizer=True, role="embedding"),
            Parameter("", 1, requires_grad=True, in_optimizer=True, dtype="?"),
        ),
        config=CONFIG,
        exit="failed",
    )
