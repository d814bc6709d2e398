"""The tasks by name: real data that scikit-learn bundles, text of this repository, and generated constellations."""

from __future__ import annotations

from detection.tasks.autoencoder import Autoencoder
from detection.tasks.cancer import Cancer
from detection.tasks.chars import Chars
from detection.tasks.constellation import Constellations
from detection.tasks.diabetes import Diabetes
from detection.tasks.digits import DigitsCnn, DigitsMlp, DigitsTwo
from detection.tasks.wine import Wine
from detection.training import Training

TASKS: dict[str, type[Training]] = {
    task.name: task
    for task in (DigitsMlp, DigitsCnn, DigitsTwo, Cancer, Diabetes, Chars, Wine, Autoencoder, Constellations)
}

CLASSIFIERS = ("digits-mlp", "digits-cnn", "cancer", "chars", "wine")
REGRESSIONS = ("diabetes", "autoencoder")
SEVERAL_HEADS = ("digits-two", "constellation")
EVERY = (*CLASSIFIERS, *REGRESSIONS, *SEVERAL_HEADS)
