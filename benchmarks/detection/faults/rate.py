"""Learning rates and schedules that cannot work."""

from __future__ import annotations

from dataclasses import replace

import torch

from detection.loop import Observer
from detection.training import Net, Settings, Training
from detection.variants import fault


@fault(
    "lr-zero",
    tasks=("digits-mlp", "diabetes", "chars", "wine"),
    expects="CFG002 OPT009",
    why="the declared rate is 0 (CFG002), so nothing can travel (OPT009): both say it; frozen weights are its symptom",
)
class LrZero(Training):
    """A rate of 0 stands in the configuration."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), lr=0.0)


@fault(
    "lr-x100",
    tasks=("digits-mlp", "digits-two", "chars", "autoencoder", "constellation"),
    expects="OPT010",
    why="the rate is too high; dead units, attractors and bad scores are what that does",
)
class LrTimes100(Training):
    """Two orders of magnitude too fast."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, lr=100 * s.lr)


@fault(
    "lr-1e3",
    tasks=("digits-mlp", "diabetes", "autoencoder"),
    expects="OPT010 CFG002",
    why="plain descent at a rate of 1000 diverges to NaN: the rate is the cause, AMP003 only its end",
)
class Lr1000(Training):
    """Gradient descent at a rate of 1000."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), lr=1e3, optimizer="sgd", warmup=0)


@fault(
    "lr-over-1000",
    tasks=("digits-mlp", "cancer", "chars", "autoencoder", "constellation"),
    expects="OPT004 OPT009 OPT008 GEN003",
    why="the weights barely travel (OPT004, OPT009), the peak rate is next to nothing (OPT008), and the run ends while "
    "the loss still falls (GEN003): each tells the truth, and nothing recorded says what rate was meant",
)
class LrOver1000(Training):
    """Three orders of magnitude too slow."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, lr=s.lr / 1000)


class ScheduleInEpochs(Training):
    """A warm-up stated in steps, half of the run's, is advanced once an epoch."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, warmup=16 * s.epochs)

    def advance(self) -> None:
        """Not here."""

    def run_epoch(self, epoch: int, observer: Observer) -> None:
        super().run_epoch(epoch, observer)
        for scheduler in self.schedulers:
            scheduler.step()


fault(
    "schedule-in-epochs",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "autoencoder", "wine"),
    expects="OPT008",
    why="the rate never comes near its nominal value: OPT008 is its definition",
)(ScheduleInEpochs)


@fault(
    "tiny-init-stuck-schedule",
    tasks=("digits-mlp", "cancer", "autoencoder"),
    expects="OPT008 OPT009",
    why="the schedule is why nothing moves (OPT008), and the movement it allows is too small (OPT009)",
)
class TinyInit(ScheduleInEpochs):
    """Weights of a hundredth of their usual size, under a warm-up that is advanced once an epoch."""

    def build(self) -> Net:
        net = super().build()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(0.01)
        return net
