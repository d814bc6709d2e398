"""CFG005 before the run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.reading import missed, unread, unset

_SHOWN = 8
_ALIKE = 0.8  # difflib: "betas" and "beta" are, "lr" and "lr_min" are not
_NOT_FOR_CODE = re.compile(
    r"(^|_)(name|names|note|notes|description|desc|tag|tags|version|comment|comments|author|authors|date|created|id|uuid|"
    r"wandb|mlflow|tensorboard|neptune|comet|project|entity|experiment|git|commit|hash|host|user|email|license|url|doc|"
    r"output|outputs|out|log|logs|logging|logger|dir|path|folder|file|root|checkpoint|checkpoints|save|target|defaults|"
    r"hydra|device|num_workers|verbose|debug|resume)(_|$)"
)
_REMEDIES = (
    Remedy("Pass the value to the code that it is meant for, or take the key out of the configuration"),
    Remedy("Let the code refuse keys that it does not know", safe=True),
)


@rule("CFG005", needs=("config",), severity="warning", scope="setup")
def unread_key(bench: Bench) -> Iterator[Finding | NotChecked]:
    """The configuration has keys that nothing read.

    ## What it does
    `tocsin.reading(config)` wraps the configuration before model, data and optimizer are built from it, and notes each
    key that is asked for. One training batch and one of the evaluation then go through `losses` and `predict`, and
    what no one has asked for by now is unread: one finding for the keys of each section, with their values. It is
    exact, so there is no threshold. Where a key was asked for that is not there (`get`, `in`, an attribute) and its
    name is the unread one in another order of words, or very like it, the message says so. Keys that are plainly not
    for the code (name, notes, tags, version, author, tracker, output paths, ...) are left out, with all below them. So
    are fields of a pydantic model that nobody set (`model_fields_set`): an option that another choice would need.

    ## Why is this bad?
    A value that nothing reads is not in effect: the run has the default, the table of results says otherwise. A warm-up
    under another name, a loss weight that never reaches the loss, a curriculum no one passes on: nothing fails.

    ## Fix
    - **unsafe** Pass the value on, or rename the key to what the code asks for.
    - **safe** Let the code refuse keys that it does not know.

    ## Options
    None: it is a list of what happened, nothing estimated.

    ## Known limits
    Sees what was read until now in this process: a key that only the end of an epoch, a later phase or a loader's
    worker reads counts as unread. A key that is read and not used counts as read; so do all keys of a section that is
    unpacked with `**` or turned into a dict. A pydantic model whose values all stand in its class, set by nobody, says
    nothing; those of a dataclass count as set.

    ## References
    Xu et al. 2013, Do not blame users for misconfigurations. Sculley et al. 2015, Hidden technical debt in machine
    learning systems, section 6 (configuration debt).
    """
    config = bench.setup.config
    if unread(config) is None:
        yield NotChecked("config does not tell what was read: build everything from tocsin.reading(config) and pass it")
        return
    _use(bench)
    by_default = unset(config)
    keys = [key for key in unread(config) or [] if not _not_for_code(key) and key not in by_default]
    sections: dict[str, list[str]] = {}
    for key in keys:
        sections.setdefault(key.rpartition(".")[0], []).append(key)
    for section, held in sections.items():
        yield _finding(section, held, bench.config, missed(config))


def _use(bench: Bench) -> None:
    """Let the functions of the setup read what they read batch by batch."""
    for batch in (*bench.train[:1], *bench.val[:1]):
        bench.terms(batch)
        bench.predictions(batch)


def _not_for_code(key: str) -> bool:
    return any(_NOT_FOR_CODE.search(_words(part)) for part in key.split("."))


def _words(name: str) -> str:
    """In lower case, words joined by underscores."""
    return re.sub(r"[-\s]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


def _alike(key: str, asked: list[str]) -> str | None:
    """The key that was asked for in vain and is most likely meant."""
    name = _words(key.rpartition(".")[2])
    for one in asked:
        other = _words(one.rpartition(".")[2])
        if sorted(name.split("_")) == sorted(other.split("_")):
            return one
    near = {_words(one.rpartition(".")[2]): one for one in asked}
    return next((near[n] for n in difflib.get_close_matches(name, near, n=1, cutoff=_ALIKE)), None)


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else config[int(part)] if config else None
    return config


def _finding(section: str, keys: list[str], config: Mapping[str, Any], asked: list[str]) -> Finding:
    values = {key: _value(config, key) for key in keys}
    shown = ", ".join(f"{key} = {values[key]!r:.40}" for key in keys[:_SHOWN])
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    hints = [f"the code asks for {there}, the configuration has {key}" for key in keys if (there := _alike(key, asked))]
    return Finding(
        f"nothing read {shown}{more}" + "".join(f"; {hint}" for hint in hints),
        subject=section or "",
        evidence=tuple(Evidence(f"config:{key}", str(values[key]), text="read 0 times") for key in keys),
        remedies=_REMEDIES,
    )
