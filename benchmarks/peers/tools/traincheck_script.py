"""A plain script that TrainCheck rewrites and traces: the first steps of the run that ``TOCSIN_CELL`` names."""

import os
import sys

sys.path[:0] = os.environ["TOCSIN_PATHS"].split(os.pathsep)
os.environ["TOCSIN_DISABLED"] = "1"

import torch  # noqa: E402
from detection.catalogue import build  # noqa: E402
from detection.loop import Silent, train  # noqa: E402

STEPS = 12


class EnoughError(Exception):
    """The traced steps are over."""


class Counting(Silent):
    """Ends the run after the first steps."""

    def __init__(self):
        self.steps = 0

    def losses(self, **_):
        self.steps += 1
        if self.steps > STEPS:
            raise EnoughError


def main():
    task, case, seed = os.environ["TOCSIN_CELL"].split("/")
    torch.set_num_threads(1)
    training = build(task, case, int(seed))
    model = training.model
    try:
        train(training, Counting())
    except EnoughError:
        print("traced", sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main()
