"""Faults of the samples and their order."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader

import tocsin
from prechecks import test_degenerate_input_setup as degenerate
from prechecks import test_frozen_augmentation as frozen
from prechecks import test_label_in_preprocessing as label
from prechecks import test_train_eval_overlap_setup as overlap
from prechecks import test_train_eval_transform_mismatch_setup as mismatch
from prechecks import test_unshuffled_training_setup as order
from preflight.plants.registry import plant


def _of(train, val=None, **parts):
    x = next(iter(train))[0]
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 10))
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    how = {"predict": lambda m, b: (b[1], m(b[0].float())), **parts}
    return tocsin.Setup(model, optimizer, lambda m, b: m(b[0].float()).square().mean(), train, val, **how)


def _pairs(x, y, size=50):
    return list(zip(x.split(size), y.split(size), strict=True))


def _copies(share, near=False):
    """A share of the evaluation is of the training."""

    def build(seed):
        train, held = overlap.split(overlap.DIGITS, seed)
        n = int(share * len(held))
        same = train[:n] + (0.01 * torch.randn(n, 64) if near else 0)
        return _of(overlap.batches(train), overlap.batches(torch.cat([held[n:], same])))

    return build


plant(
    "DAT002",
    "train-eval-overlap",
    {
        "a tenth are copies": _copies(0.1),
        "a tenth are copies with noise": _copies(0.1, near=True),
        "all are": _copies(1),
    },
    {"split at random": _copies(0.0)},
)


def _sorted(data, labels, **how):
    return lambda _: _of(order.loader(data, labels, **how))


plant(
    "DAT003",
    "unshuffled-training",
    {
        "sorted by class": _sorted(order.DIGITS[order.SORTED], order.LABELS[order.SORTED]),
        "a shuffle buffer of 100": lambda _: _of(DataLoader(order.Buffered(100), 32)),
    },
    {
        "shuffled": _sorted(order.DIGITS[order.SORTED], order.LABELS[order.SORTED], shuffle=True),
        "one mixed order": lambda s: _of(order.loader(*order.mixed(s))),
        "a whole buffer": lambda _: _of(DataLoader(order.Buffered(1797), 32)),
        "batches of a few classes": lambda _: _of(
            DataLoader(torch.utils.data.TensorDataset(order.DIGITS, order.LABELS), batch_sampler=order.FewClasses())
        ),
    },
)


def _halves(change, held=lambda x: x, of=mismatch.scored):
    def build(seed):
        a, b = mismatch.halves(of(mismatch.DIGITS), seed)
        zeros = torch.zeros(len(a), dtype=torch.long)
        return _of(_pairs(change(a), zeros), _pairs(held(b), zeros[: len(b)]))

    return build


plant(
    "DAT004",
    "train-eval-transform-mismatch",
    {
        "evaluation not scaled": _halves(lambda a: a / 16, of=lambda x: x),
        "evaluation cast to bytes": _halves(lambda a: a, mismatch.as_bytes, torch.randn_like),
        "evaluation shifted by two deviations": _halves(lambda a: a, lambda b: b + 2),
    },
    {
        "two halves": _halves(lambda a: a),
        "noisy in training": _halves(lambda a: a + 0.2 * torch.randn(a.shape)),
        "brighter and darker in training": _halves(lambda a: a * (0.6 + 0.8 * torch.rand(len(a), 1, 1, 1))),
    },
)


def _digits(change=lambda x, y: (x, y)):
    def build(_):
        at = torch.randperm(len(degenerate.DIGITS))
        x, y = degenerate.DIGITS[at].clone(), degenerate.LABELS[at]
        return _of(_pairs(*change(x[:1200], y[:1200])), _pairs(x[1200:], y[1200:]))

    return build


def _with_nan(x, y):
    x[7, 3] = torch.nan
    return x, y


plant(
    "DAT006",
    "degenerate-input",
    {
        "a NaN": _digits(_with_nan),
        "one sample fills a batch": _digits(lambda x, y: (x[::50].repeat_interleave(50, 0), y)),
        "all labels the same": _digits(lambda x, y: (x, y * 0)),
    },
    {"digits": _digits()},
)


def _preprocessed(make):
    return lambda seed: label._setup(make(label._labels(seed), seed), label._labels(seed))


plant(
    "DAT008",
    "label-in-preprocessing",
    {
        "padding that tells": _preprocessed(lambda y, s: label._padded(40 + 8 * y, s)),
        "a grey step that tells": _preprocessed(lambda y, s: label._alone(label._counts(20.0 * 2**y, s))),
    },
    {name: _preprocessed(make) for name, make in label.HEALTHY.items()},
)


def _augmented(data, **how):
    def build(_):
        model = nn.Linear(6, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        start = {"multiprocessing_context": "fork"} if "num_workers" in how else {}  # Linux's own, to Python 3.13
        loader = DataLoader(data(), 8, **start, **how)
        return tocsin.Setup(model, optimizer, lambda m, b: m(b[0].float()).mean(), loader)

    return build


plant(
    "DAT009",
    "frozen-augmentation",
    {
        "one seed for every sample": _augmented(frozen.Constant),
        "one generator in two workers": _augmented(frozen.Held, num_workers=2),
        "workers seeded alike": _augmented(frozen.Numpy, num_workers=2, worker_init_fn=frozen.same_seed),
    },
    {
        "torch": _augmented(frozen.Torch),
        "numpy, two workers": _augmented(frozen.Numpy, num_workers=2),
        "a generator seeded by worker": _augmented(frozen.Held, num_workers=2, worker_init_fn=frozen.own_seed),
        "none": _augmented(frozen.Plain),
    },
)
