"""The public names and the codes of rules are promises: changing this file is changing one."""

from __future__ import annotations

import inspect

import pytest

import tocsin
from tocsin.engine import all_rules

PUBLIC = [
    "BestConstant",
    "Confusion",
    "Evaluation",
    "Event",
    "Evidence",
    "Finding",
    "Moments",
    "NotChecked",
    "Parameter",
    "ReadError",
    "Recorder",
    "Remedy",
    "Report",
    "Run",
    "Series",
    "Setup",
    "SetupError",
    "StopTraining",
    "UnknownRule",
    "__version__",
    "best_constant",
    "check",
    "compare",
    "preflight",
    "read",
    "reading",
    "rule",
    "watch",
]
# A released code is never reused and never lost.
CODES = {
    "AMP001": "overflow-storm",
    "AMP002": "overflow-masked",
    "AMP003": "non-finite",
    "AMP004": "hidden-nan",
    "CFG001": "number-as-string",
    "CFG002": "impossible-hyperparameter",
    "CFG003": "declared-not-applied",
    "CFG004": "deprecated-entry-point",
    "CMP001": "confounded-comparison",
    "CMP002": "different-question",
    "CMP003": "within-noise",
    "CMP004": "sweep-did-nothing",
    "CMP005": "not-the-best",
    "CMP006": "contaminated-split",
    "CMP007": "pruned-is-not-crashed",
    "DAT001": "class-imbalance",
    "DAT002": "train-eval-overlap",
    "DAT003": "unshuffled-training",
    "DAT004": "train-eval-transform-mismatch",
    "DAT006": "degenerate-input",
    "EVL001": "metric-disconnected",
    "EVL002": "loss-blind-to-quality",
    "EVL003": "wrong-selection",
    "EVL004": "too-good",
    "EVL005": "selected-on-test",
    "EVL006": "metric-over-nothing",
    "EVL007": "train-eval-mode-gap",
    "EVL008": "schedule-phase-best",
    "EVL009": "reseeded-evaluation",
    "EVL010": "batch-averaged-metric",
    "GEN001": "overfit",
    "GEN002": "never-learned",
    "GEN003": "stopped-too-early",
    "GEN004": "plateau",
    "GEN005": "volatile-class",
    "GEN006": "eval-better-than-train",
    "OBJ001": "dominated-objective",
    "OBJ002": "starved-task",
    "OBJ003": "dead-term",
    "OBJ004": "impossible-loss",
    "OBJ005": "gradient-conflict",
    "OBJ006": "train-eval-loss-scale",
    "OBJ007": "term-without-gradient",
    "OBJ008": "saturated-uncertainty",
    "OBJ009": "no-better-than-constant",
    "OBJ010": "loss-on-probabilities",
    "OPT001": "frozen-parameters",
    "OPT002": "no-gradient-path",
    "OPT003": "saturated-gradient",
    "OPT004": "update-ratio",
    "OPT005": "exploding-gradient",
    "OPT006": "vanishing-gradient",
    "OPT007": "always-clipped",
    "OPT008": "schedule-never-arrives",
    "OPT009": "insufficient-travel",
    "OPT010": "lr-too-high",
    "OPT011": "dead-relu",
    "OPT012": "saturated-activation",
    "OPT013": "step-gated",
    "OPT014": "ema-lag",
    "OPT015": "missing-steps",
    "OPT016": "gradients-never-cleared",
    "PRD001": "class-attractor",
    "PRD002": "constant-prediction",
    "PRD003": "class-never-predicted",
    "PRD004": "scale-collapse",
    "PRD005": "no-information",
    "PRD006": "below-baseline",
    "PRD007": "mean-shift",
    "PRD008": "over-dispersed",
    "PRD009": "chance-level",
    "PRD010": "ordinal-dead-zone",
    "PRD011": "constant-head",
    "PRD012": "prior-not-features",
    "RUN001": "failed-start",
    "RUN002": "no-steps",
    "RUN003": "killed",
    "RUN004": "wasted-time",
    "RUN005": "data-starved",
    "RUN006": "ranks-diverge",
}


def test_the_public_names_are_these_and_sorted():
    assert tocsin.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC
    assert dir(tocsin) == PUBLIC


@pytest.mark.parametrize("name", [n for n in PUBLIC if not n.startswith("__")])
def test_a_public_name_is_documented(name):
    assert len(inspect.getdoc(getattr(tocsin, name)) or "") > 20


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tocsin' has no attribute 'wotch'"):
        _ = tocsin.wotch


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("read", ["path"]),
        (
            "check",
            ["target", "select", "ignore", "options", "baseline", "keep_identifiers", "workers", "progress", "places"],
        ),
        ("compare", ["targets", "metric", "confidence"]),
        ("rule", ["code", "needs", "severity", "explains", "scope", "when", "live", "since"]),
    ],
)
def test_the_arguments_of_the_verbs(function, arguments):
    assert list(inspect.signature(getattr(tocsin, function)).parameters) == arguments


def test_watch_takes_what_the_design_pins():
    pinned = ["model", "optimizer", "run_dir", "config", "scaler", "ema", "scheduler", "budget", "every", "ignore"]
    assert {*pinned, "stop_on", "enabled"} <= set(inspect.signature(tocsin.watch).parameters)


def test_every_released_code_still_means_the_same_rule():
    assert CODES.items() <= {r.code: r.name for r in all_rules().values()}.items()
