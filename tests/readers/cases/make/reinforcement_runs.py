"""Stable-Baselines3: PPO and DQN on CartPole; progress.csv and the printed table."""

from __future__ import annotations

from making import case, main, note_all
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.logger import KVWriter, configure

CHOSEN = {
    "rollout/ep_rew_mean": "rollout/ep_rew_mean",
    "train/loss": "train/loss",
    "train/value_loss": "train/loss/value",
}


class Noting(KVWriter):
    """Notes what the logger writes."""

    def write(self, key_values, key_excluded, step=0):
        note_all({CHOSEN[k]: v for k, v in key_values.items() if k in CHOSEN})

    def close(self):
        pass


def learn(model, steps: int, kinds: list[str], **options) -> None:
    logger = configure(".", kinds)
    logger.output_formats.append(Noting())
    model.set_logger(logger)
    model.learn(steps, **options)


@case("sb3/ppo")
def ppo() -> None:
    learn(PPO("MlpPolicy", "CartPole-v1", n_steps=512, seed=0, verbose=1), 12_000, ["stdout", "csv"])


@case("sb3/dqn", console=False)
def dqn() -> None:
    model = DQN("MlpPolicy", "CartPole-v1", seed=0, learning_starts=500, learning_rate=1e-3)
    learn(model, 6_000, ["csv", "json"], log_interval=8)


main("stable-baselines3", "torch")
