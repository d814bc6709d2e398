"""scikit-learn's verbose estimators, and skorch's table."""

from __future__ import annotations

import numpy as np
from digits import digits, network
from making import case, main, note
from sklearn.neural_network import MLPClassifier, MLPRegressor


def perceptron(model: MLPClassifier | MLPRegressor, x, y) -> None:
    try:
        model.fit(x, y)
    finally:
        for loss in getattr(model, "loss_curve_", ()):
            note(train__loss=loss)
        for score in getattr(model, "validation_scores_", None) or ():
            note(val__score=score)


@case("sklearn1/healthy")
def healthy() -> None:
    (x, y), _ = digits()
    perceptron(MLPClassifier((32,), learning_rate_init=3e-3, max_iter=60, verbose=True, random_state=0), x, y)


@case("sklearn1/early_stopping")
def early_stopping() -> None:
    (x, y), _ = digits()
    perceptron(MLPClassifier((32,), early_stopping=True, n_iter_no_change=5, verbose=True, random_state=0), x, y)


@case("sklearn1/loose_labels")
def loose_labels() -> None:
    (x, y), _ = digits()
    rng = np.random.default_rng(0)
    model = MLPClassifier((16,), early_stopping=True, n_iter_no_change=40, max_iter=40, verbose=True, random_state=0)
    perceptron(model, x, rng.permutation(y))


@case("sklearn1/rate_times_1000")
def rate_times_1000() -> None:
    (x, y), _ = digits()
    model = MLPClassifier((32,), solver="sgd", learning_rate_init=300.0, max_iter=30, verbose=True, random_state=0)
    perceptron(model, x, y)


def table(lr: float, epochs: int, train: int = 1400) -> None:
    import torch
    from skorch import NeuralNetClassifier
    from skorch.helper import predefined_split

    torch.manual_seed(0)
    (x, y), held_out = digits(train=train)
    from skorch.dataset import Dataset

    model = NeuralNetClassifier(
        network(), criterion=torch.nn.CrossEntropyLoss, max_epochs=epochs, lr=lr, batch_size=64,
        train_split=predefined_split(Dataset(*held_out)), optimizer__momentum=0.9, iterator_train__shuffle=True,
    )  # fmt: skip
    model.fit(x, y)
    for row in model.history:
        note(train__loss=row["train_loss"], val__loss=row["valid_loss"], val__acc=row["valid_acc"])


@case("skorch1/healthy")
def skorch_healthy() -> None:
    table(0.05, 12)


@case("skorch1/overfit")
def skorch_overfit() -> None:
    table(0.1, 50, train=100)


main("scikit-learn", "skorch", "torch")
