"""Blocks of scores by class: ``conlleval`` and scikit-learn's ``classification_report``."""

from __future__ import annotations

import re

Points = list[tuple[str, str, float]]
_COUNTS = re.compile(r"processed (\d+) tokens with (\d+) phrases; found: (\d+) phrases; correct: (\d+)")
_SCORES = re.compile(
    r"(?:accuracy: +(?P<accuracy>[\d.]+)%; +)?(?:^ *(?P<label>[\w.\-]+): +)?precision: +(?P<precision>[\d.]+)%;"
    r" recall: +(?P<recall>[\d.]+)%; "
    r"FB1: +(?P<f1>[\d.]+)(?: +(?P<support>\d+))?"
)
_COCO = re.compile(
    r"Average (?:Precision"
    r"|Recall) +\(A(?P<kind>[PR])\) @\[ IoU=(?P<iou>[\d.:]{1,12}) *\| area= *(?P<area>\w+) *\| maxDets="
    r" *(?P<most>\d+) *\] = "
    r"(?P<value>-?[\d.]{1,12})"
)
_ROW = re.compile(r"^ {0,60}(?P<label>\S.{0,60}?)\s{1,60}(?P<numbers>(?:\d[\d.]*|nan)(?:\s+(?:\d[\d.]*|nan)){0,3})\s*$")
_AVERAGES = {
    "macro avg": "macro",
    "micro avg": "micro",
    "weighted avg": "weighted",
    "samples avg": "samples",
    "avg / total": "weighted",
}
MOST_ROWS = 300


def coco(line: str) -> Points:
    """A line of the summary of ``pycocotools``; -1 means that nothing was there to score."""
    found = _COCO.search(line)
    if found is None or float(found.group("value")) < 0:
        return []
    name = f"A{found.group('kind')}"
    name += {"0.50:0.95": "", "0.50": "50", "0.75": "75"}.get(found.group("iou"), found.group("iou"))
    name += found.group("area")[0] if found.group("area") != "all" else ""
    if name == "AR":
        name += found.group("most")
    return [(name, "", float(found.group("value")))]


def conll_counts(line: str) -> Points:
    """The first line of ``conlleval``: phrases in the data, found, correct."""
    found = _COUNTS.search(line)
    if found is None:
        return []
    _, support, predicted, correct = map(float, found.groups())
    return [("support", "", support), ("predicted", "", predicted), ("correct", "", correct)]


def conll_scores(line: str) -> Points:
    """A line of scores of ``conlleval``, all of it or of one kind of phrase; percentages become fractions."""
    found = _SCORES.search(line)
    if found is None:
        return []
    label = found.group("label")
    points = [
        (f"{name}/{label}" if label else name, "", float(found.group(name)) / 100)
        for name in ("accuracy", "precision", "recall", "f1")
        if found.group(name) is not None
    ]
    if label and found.group("support"):
        points.append((f"predicted/{label}", "", float(found.group("support"))))
    return points


def report_row(line: str) -> Points | None:
    """A row of a ``classification_report``; None where the line is no row of one."""
    found = _ROW.match(line)
    if found is None:
        return None
    label, numbers = (
        found.group("label").strip(),
        [float(text.rstrip(".") or "nan") for text in found.group("numbers").split()],
    )
    if label == "accuracy" and len(numbers) == 2:
        return [("accuracy", "", numbers[0])]
    if len(numbers) != 4:
        return None
    average = _AVERAGES.get(label)
    names = [f"{name}_{average}" if average else f"{name}/{label}" for name in ("precision", "recall", "f1")]
    points = [(name, "", value) for name, value in zip(names, numbers, strict=False)]
    return points if average else [*points, (f"support/{label}", "", numbers[3])]
