"""Words that name the cause of a fault, written down before any peer was run on the benchmark.

A finding names the cause where its text matches; a symptom ("loss plateau", "not learning") never does. Generous:
either of several truthful ways of saying it counts, in a title, a message or a list of likely causes of one finding.
For the one-batch tools, what they say of the parameters counts likewise.
"""

from __future__ import annotations

import re

UNTRAINED = (
    r"not in (the|any) optimizer|optimizer_coverage|missing from the optimizer|did not change|unchanged|never updat"
)
NO_PATH = r"no grad|zero grad|grad(ient)?_?flow|grad_connectivity|detach|graph is cut|no path"
RATE_HIGH = r"(learning rate|lr)\W+(likely |is |may be |seems )*too (high|large)|lr_too_high"
RATE_LOW = (
    r"(learning rate|lr)\W+(likely |is |may be |seems )*too (low|small)"
    r"|lr_too_low|warm-?up never ends|zero.lr|rate is zero"
)
NAN = r"\bnan\b|non.?finite|\binf\b"

WORDS: dict[str, str] = {
    "reseeded-evaluation": r"seed|random state|rng",
    "val-is-test": r"test (set|split).*(same|identical)|selected on",
    "val-is-test-each-epoch": r"test (set|split).*(same|identical)|selected on",
    "early-stop-too-soon": r"stopp?ed too (early|soon)|still (falling|decreasing|improving)",
    "ema-too-long": r"\bema\b|averaged weights",
    "batchnorm-lag": r"batch.?norm|running stat|train/eval|eval mode",
    "swapped-metric-key": r"metric.*(wrong|disconnected|inconsistent|not (the|a))",
    "wrong-argmax-axis": r"metric.*(wrong|disconnected|inconsistent|not (the|a))",
    "default-zero-metric": r"metric.*(zero|disconnected|default|never computed)",
    "batch-averaged-metric": r"averag.*batch",
    "dead-relu": r"dead (relu|unit|neuron)|dead_units|dead_relu",
    "vanishing-depth": r"vanish",
    "double-softmax": r"softmax",
    "mean-shift": r"mean shift|offset|biased predictions?",
    "over-dispersed": r"over.?dispers|spread|variance of (the )?predictions?",
    "scale-collapse": r"(variance|scale|spread).*collaps|collaps.*(variance|scale|spread)",
    "class-attractor": r"attractor|one class|same class",
    "left-out-of-optimizer": UNTRAINED,
    "frozen-layer": UNTRAINED + "|frozen|stagnant",
    "detached-branch": NO_PATH,
    "detached-loss": NO_PATH + r"|not connected|requires.?grad|constant loss",
    "sanitised-before-unscale": r"sanitis|nan_to_num|masked overflow",
    "sanitised-after-unscale": r"sanitis|nan_to_num|masked overflow",
    "overflow-storm": r"overflow|steps? (are |were )?skipped|loss scale",
    "nan-burst": NAN,
    "hidden-nan": NAN,
    "lr-zero": RATE_LOW + r"|learning rate is 0|params_change",
    "lr-x100": RATE_HIGH,
    "lr-1e3": RATE_HIGH,
    "lr-over-1000": RATE_LOW,
    "schedule-in-epochs": RATE_LOW + r"|warm-?up|schedule",
    "tiny-init-stuck-schedule": RATE_LOW + r"|warm-?up|schedule|initiali[sz]",
    "step-gate": r"skipped|cleared|steps? (are|were) not taken",
    "missing-zero-grad": r"zero_grad|accumulat|never cleared",
    "loss-outside-loop": r"missing steps|too few (optimizer )?steps|one step (an|per) epoch",
    "accumulation-unscaled": r"accumulat|" + RATE_HIGH,
    "loss-over-batches": r"reduction|scale of the loss|different scale|divided",
    "clip-tiny": r"clip",
    "clip-before-unscale": r"clip|unscale",
    "unshuffled-stream": r"shuffl|data order|same order",
    "uint8-wrap": r"train.*eval.*(input|transform|distribution)|input.*(range|differ)|preprocess",
    "label-permutation": r"label|target.*(match|permut|shuffl)",
    "label-noise": r"label noise|noisy label|overfit",
    "train-eval-overlap": r"overlap|leak|duplicate",
    "inputs-x1000": r"input.*(scale|range|large|normali[sz])|explod|" + RATE_HIGH,
    "dead-class": r"imbalanc|never predict|missing class|class .* (rare|absent)",
    "argmax-term": r"argmax|" + NO_PATH,
    "dead-term": r"term|" + NO_PATH,
    "constant-head": r"constant (head|output|prediction)|same output|output_varies|" + NO_PATH,
    "dominated-term": r"dominat|one (loss )?term|imbalance between",
    "saturated-nll": r"satur|clamp",
}


def names_cause(fault: str, text: str) -> bool:
    """Whether a peer's words name the cause of ``fault``; False where no words were agreed on."""
    pattern = WORDS.get(fault)
    return pattern is not None and re.search(pattern, text, re.IGNORECASE) is not None
