"""Which folders of logs may tell of one run, by the shape of the tree alone; the content decides later."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tocsin.readers.naming import SPLITS

Sources = Mapping[Path, frozenset[str]]  # the formats of the logs that stand in each folder

TENSORBOARD = "tensorboard"
CHECKPOINT = re.compile(
    r"(checkpoint|ckpt|global_?step)[-_]?\d+|checkpoints?|(best|last|final)[-_]?(model|checkpoint|ckpt)", re.IGNORECASE
)
_SPLITS = {**SPLITS, "learn": "train"}  # CatBoost's; as a word in a log it says nothing
# What the folder formats keep below the folder of a run, by the beginning of their source.
_PARTS = {
    **dict.fromkeys(("metrics", "params", "tags", "artifacts"), "mlflow"),
    **dict.fromkeys(("files", "logs", "tmp"), "wandb"),
    **dict.fromkeys(("plots", "static"), "dvclive"),
}
_MOST_KIN = 64  # folders below one log that are compared with it: more are a study, and comparing all would be slow
_ABOVE = 3  # how far up the log of a run may stand (run.log beside lightning_logs/version_0)


def homes(sources: Sources, top: Path) -> dict[Path, Path]:
    """The folder of the run that each folder is part of: mostly itself."""
    return {folder: _home(folder, sources, top) for folder in sources}


def split_of_folder(folder: Path) -> str:
    """The split that a folder's name says (``validation``), "" where it says none."""
    return _SPLITS.get(folder.name.lower(), "")


def _home(folder: Path, sources: Sources, top: Path) -> Path:
    around = _around(folder, sources, top)
    return folder if around is None else _home(around, sources, top)


def _around(folder: Path, sources: Sources, top: Path) -> Path | None:
    """The folder that this one is a part of."""
    if folder == top or not folder.is_relative_to(top):
        return None
    if CHECKPOINT.fullmatch(folder.name) or folder.name == "vis_data" or _is_split(folder, sources):
        return folder.parent
    for part in (folder, *folder.parents):
        if part == top:
            return None
        owner = _PARTS.get(part.name)
        if owner and any(
            source.startswith(owner) and not source.endswith("-csv") for source in sources.get(part.parent, ())
        ):
            return part.parent
    return None


def _is_split(folder: Path, sources: Sources) -> bool:
    """Whether events of one split stand here, with those of another beside or above (Keras, Estimator)."""
    if not split_of_folder(folder) or sources[folder] != {TENSORBOARD}:
        return False
    beside = (other for other in sources if other.parent == folder.parent and other != folder)
    return TENSORBOARD in sources.get(folder.parent, ()) or any(
        split_of_folder(other) and sources[other] == {TENSORBOARD} for other in beside
    )


def kin(sources: Sources, home: Mapping[Path, Path], top: Path) -> list[set[Path]]:
    """Folders in sets: those of different sets cannot tell of one run."""
    groups = _Groups(sources)
    for folder, its in home.items():
        groups.join(folder, its)
    by_home: dict[Path, frozenset[str]] = defaultdict(frozenset)
    for folder, its in home.items():
        by_home[its] |= sources[folder]
    for pairs in (_same_leaf(by_home), _below(by_home, top)):
        for one, other in pairs:
            groups.join(one, other)
    return groups.sets()


def _same_leaf(homes: Mapping[Path, frozenset[str]]) -> Iterator[tuple[Path, Path]]:
    """``tb/version_3`` and ``csv/version_3``: numbered leaves of one name under different roots, in other formats."""
    leaves: dict[str, list[Path]] = defaultdict(list)
    for folder in homes:
        if any(letter.isdigit() for letter in folder.name):
            leaves[folder.name].append(folder)
    for folders in leaves.values():
        if 1 < len(folders) <= _MOST_KIN and len({homes[folder] for folder in folders}) > 1:
            yield from ((folders[0], other) for other in folders[1:])


def _below(homes: Mapping[Path, frozenset[str]], top: Path) -> Iterator[tuple[Path, Path]]:
    """A folder and the nearest one around it with logs: of another format, or events below events (add_scalars)."""
    kin: dict[Path, list[Path]] = defaultdict(list)
    for folder, its in homes.items():
        if folder == top or not folder.is_relative_to(top):
            continue
        for above in folder.parents[:_ABOVE]:
            if above in homes:
                if homes[above] != its or its == {TENSORBOARD}:
                    kin[above].append(folder)
                break
            if above == top:
                break
    for above, folders in kin.items():
        if len(folders) <= _MOST_KIN:
            yield from ((above, folder) for folder in folders)


class _Groups:
    """Disjoint sets."""

    def __init__(self, members: Iterable[Path]) -> None:
        self.parent = {member: member for member in members}

    def root(self, member: Path) -> Path:
        self.parent.setdefault(member, member)
        while self.parent[member] != member:
            self.parent[member] = self.parent[self.parent[member]]
            member = self.parent[member]
        return member

    def join(self, one: Path, other: Path) -> None:
        self.parent[self.root(other)] = self.root(one)

    def sets(self) -> list[set[Path]]:
        found: dict[Path, set[Path]] = defaultdict(set)
        for member in list(self.parent):
            found[self.root(member)].add(member)
        return list(found.values())
