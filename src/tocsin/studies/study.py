"""What a study is: names and settings for the command line, and the pieces that the training loop asks for."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tocsin.studies.settings import Settings as Settings
from tocsin.studies.settings import Trainable as Trainable
from tocsin.studies.settings import Training as Training


class StudyError(ValueError):
    """A study, preset, fault or setting that does not exist or cannot be; the message gives the choices."""


class Experiment(Protocol):
    """One study, built for one configuration, seed and device: all that the loop knows about it.

    Attributes:
        config: The configuration that is really trained (a fault may have changed it).
        model: The network; the loop hands it to tocsin and to the device strategy.
        manifest: What the data set is; a checkpoint of another one is refused.
        main_metric: The metric to show.
        selection: The metric that picks the best checkpoint, smaller is better.
        tables: Tables of the last evaluation by name, each a list of rows.
    """

    config: Any
    model: nn.Module
    manifest: dict[str, Any]
    main_metric: str
    selection: str
    tables: dict[str, list[dict[str, float | str]]]

    @property
    def weighting(self) -> nn.Module:
        """Learned weights of the loss terms; trained with the model and saved with it."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches that ``batches`` yields."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer."""

    def batches(self, epoch: int) -> Iterable[Any]:
        """The training batches of an epoch (from 1), a function of (seed, epoch) alone."""

    def held_out(self, split: str) -> Iterable[Any]:
        """The batches of ``val`` or ``test``, as often as they are asked for."""

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss, float32, and the terms it is made of."""

    def predictions(self, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """Target and prediction of a batch by task, as ``evaluate`` hands them to ``record``."""

    def weights(self) -> dict[str, float]:
        """The weight of each task at present."""

    def facts(self) -> dict[str, Any]:
        """What is known of the task before training, for the recorded configuration."""

    def draw(self, folder: Path) -> None:
        """Write pictures of the finished run into its folder."""

    def treat_gradients(self) -> None:
        """What the study does to the gradients between backward and unscaling; mostly nothing."""

    def evaluate(self, split: str, record: Evaluate) -> dict[str, float]:
        """Predict a held-out split, hand predictions to ``record``, and return the metrics by full name."""


Evaluate = Callable[..., None]


@dataclass(frozen=True)
class Study:
    """A reference study.

    Attributes:
        name: As in ``tocsin train NAME``.
        summary: One sentence.
        presets: Configuration by preset name.
        faults: One-line description by fault name.
        build: Makes the experiment of a configuration and fault.
    """

    name: str
    summary: str
    presets: Mapping[str, Trainable]
    faults: Mapping[str, str]
    build: Callable[[Any, str | None, int, torch.device], Experiment]

    def configure(self, preset: str, fault: str | None, overrides: Mapping[str, Any] | None) -> Any:
        """The configuration of a preset with dotted ``overrides`` (``{"training.epochs": 3}``) applied.

        Raises:
            StudyError: Unknown preset, fault or key, or a value that the setting cannot take.
        """
        chosen = pick(preset, self.presets, "preset", self.name)
        if fault is not None:
            pick(fault, self.faults, "fault", self.name)
        plain = chosen.model_dump(exclude_unset=True)
        for dotted, value in (overrides or {}).items():
            _set(plain, chosen, dotted, value)
        try:
            return type(chosen).model_validate(plain)
        except ValidationError as error:
            raise StudyError("; ".join(_explain(e) for e in error.errors())) from error


T = TypeVar("T")


def pick(word: str, choices: Mapping[str, T], what: str, study: str) -> T:
    """``choices[word]``, or an error that lists them and guesses what was meant."""
    if word in choices:
        return choices[word]
    near = difflib.get_close_matches(word, choices, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise StudyError(f"study {study!r} has no {what} {word!r}: choose from {', '.join(choices)}{guess}")


def leaves(plain: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys of a nested configuration and their values."""
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{stem}{name}.")
        else:
            yield stem + name, value


def _set(plain: dict[str, Any], chosen: Settings, dotted: str, value: Any) -> None:
    """Set a value in what was set before, ``plain``; the rest keeps its defaults, and is known to be default."""
    keys = dict(leaves(chosen.model_dump()))
    if dotted not in keys:
        near = difflib.get_close_matches(dotted, keys, n=1, cutoff=0.5)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise StudyError(f"no setting {dotted!r}{guess or ':'} choose from {', '.join(keys)}")
    *path, last = dotted.split(".")
    for name in path:
        chosen = getattr(chosen, name)
        plain = plain.setdefault(name, chosen.model_dump(exclude_unset=True))
    plain[last] = value


def _explain(error: Mapping[str, Any]) -> str:
    where, reason = ".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, ")
    if isinstance(error["input"], Mapping):  # several settings that do not fit: the reason names them
        return f"{where}: {reason}" if where else reason
    hint = ' (in JSON: ["a", "b"] or [1, 2])' if error["type"] == "tuple_type" else ""
    return f"setting {where} cannot be {reprlib.repr(error['input'])}: {reason}{hint}"
