"""Keras with the backend of torch: CSVLogger, and what ``fit`` prints."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from digits import digits
from keras.callbacks import CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler, TerminateOnNaN
from making import case, main, note


def noted(epoch: int, logs: dict[str, float]) -> None:
    note(
        train__loss=logs["loss"], val__loss=logs["val_loss"], train__accuracy=logs["accuracy"],
        val__accuracy=logs["val_accuracy"],
    )  # fmt: skip


def model(lr: float) -> keras.Model:
    keras.utils.set_random_seed(2)
    layers = [keras.Input((64,)), *(keras.layers.Dense(64, "relu") for _ in range(2)), keras.layers.Dense(10)]
    made = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(lr, momentum=0.9), loss, metrics=["accuracy"])
    return made


def fit(made: keras.Model, epochs: int, callbacks=(), train: int = 1400, **options) -> None:
    (x, y), held_out = digits(train=train)
    made.fit(x, y, batch_size=64, epochs=epochs, validation_data=held_out,
             callbacks=[*callbacks, LambdaCallback(on_epoch_end=noted)], **options)  # fmt: skip


@case("keras3/bars")
def bars() -> None:
    fit(model(0.05), 5, verbose=1)


@case("keras3/healthy")
def healthy() -> None:
    fit(model(0.05), 12, [CSVLogger("training.log")], verbose=2)


@case("keras3/appended", console=False)
def appended() -> None:
    made = model(0.05)
    fit(made, 5, [CSVLogger("training.csv")], verbose=0)
    fit(made, 12, [CSVLogger("training.csv", append=True)], initial_epoch=5, verbose=0)


@case("keras3/restarted", console=False)
def restarted() -> None:
    fit(model(0.02), 6, [CSVLogger("training.csv")], verbose=0)
    fit(model(0.05), 8, [CSVLogger("training.csv", append=True)], verbose=0)


@case("keras3/rate_zero", console=False)
def rate_zero() -> None:
    fit(model(0.05), 12, [CSVLogger("history.csv"), LearningRateScheduler(lambda *_: 0.0)], verbose=0)


@case("keras3/rate_times_1000")
def rate_times_1000() -> None:
    fit(model(50.0), 10, [CSVLogger("history.csv"), TerminateOnNaN()], verbose=2)


@case("keras3/overfit")
def overfit() -> None:
    fit(model(0.1), 60, train=100, verbose=2)


@case("keras3/early_stopping")
def early_stopping() -> None:
    stop = EarlyStopping("val_loss", patience=4, verbose=1, restore_best_weights=True)
    fit(model(0.05), 100, [CSVLogger("log.csv"), stop], verbose=2)


@case("keras3/nan_batch", console=False)
def nan_batch() -> None:
    (x, y), held_out = digits()
    x[1000] = float("nan")
    model(0.05).fit(x, y, batch_size=64, epochs=8, validation_data=held_out, shuffle=False, verbose=0,
                    callbacks=[CSVLogger("training.csv"), LambdaCallback(on_epoch_end=noted)])  # fmt: skip


@case("keras3/dead_units", console=False)
def dead_units() -> None:
    made = model(0.05)
    made.layers[1].bias.assign(-50 + 0 * made.layers[1].bias)
    fit(made, 15, [CSVLogger("training.csv", separator=";")], verbose=0)


main("keras", "torch")
