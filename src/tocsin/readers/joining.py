"""Files of one format that tell of one run: event files, splits in folders or files of their own, checkpoints."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from tocsin.readers.agreement import continues, within
from tocsin.readers.kinship import CHECKPOINT, TENSORBOARD, split_of_folder
from tocsin.readers.labels import natural, stem
from tocsin.readers.naming import SPLITS
from tocsin.readers.unit import Unit, emptied

_MOMENT = re.compile(r"\d{9,11}\.\d+")  # seconds since 1970
_WORD = re.compile(r"[a-z]+")


def joined(units: list[Unit]) -> list[Unit]:
    """The units, those of one format that are parts or copies of one run made one."""
    events = [unit for unit in units if unit.source == TENSORBOARD]
    others = [unit for unit in units if unit.source != TENSORBOARD]
    folders = {folder: _attempts(found) for folder, found in _by(events, lambda unit: unit.folder).items()}
    _take_scalars(folders)
    _take_hparams(folders)
    events = [unit for found in _take_splits(folders) for unit in found]
    return _without_earlier_states([*events, *_split_files(_with_errors(others))])


def _by(units: Iterable[Unit], key: Callable[[Unit], Hashable]) -> dict[Hashable, list[Unit]]:
    groups: dict[Hashable, list[Unit]] = defaultdict(list)
    for unit in units:
        groups[key(unit)].append(unit)
    return dict(groups)


def _attempts(units: list[Unit]) -> list[Unit]:
    """Event files of one folder: one run, but where a curve starts again with other values it is another attempt."""
    attempts: list[list[Unit]] = []
    for unit in sorted(units, key=lambda unit: natural(unit.files[0].name)):
        ends = [attempts[-1][0], attempts[-1][-1]] if attempts else []
        if attempts and all(continues(earlier.run, unit.run) for earlier in ends):
            attempts[-1].append(unit)
        else:
            attempts.append([unit])
    for first, *others in attempts:
        for other in others:
            first.absorb(other)
    return [attempt[0] for attempt in attempts]


def _take_scalars(folders: dict[Hashable, list[Unit]]) -> None:
    """``add_scalars("Loss", {"val": ...})`` writes the tag ``Loss`` into a folder ``Loss_val`` of its own."""
    suffixes = {folder: _suffix_of(folder, units) for folder, units in folders.items() if isinstance(folder, Path)}
    beside = Counter(folder.parent for folder, suffix in suffixes.items() if suffix)
    for folder, suffix in suffixes.items():
        if suffix and (folder.parent in folders or beside[folder.parent] > 1):
            above = folders.setdefault(folder.parent, [])  # nothing may be logged by other means
            for at, unit in enumerate(folders.pop(folder)):
                if not above:
                    above.append(emptied(unit, folder.parent))
                above[min(at, len(above) - 1)].absorb(unit, suffix=suffix)


def _suffix_of(folder: Path, units: list[Unit]) -> str:
    suffixes = {_suffix(folder.name, name) for unit in units for name in unit.log.names}
    return suffixes.pop() if len(suffixes) == 1 else ""


def _take_hparams(folders: dict[Hashable, list[Unit]]) -> None:
    """``add_hparams`` writes into a folder named by the time: settings, and last values that stand elsewhere."""
    found = [f for f in folders if isinstance(f, Path) and _MOMENT.fullmatch(f.name) and len(folders[f]) == 1]
    for folder in found:
        (unit,), around = folders[folder], folders.get(folder.parent, [])
        alone = sum(other.parent == folder.parent for other in found) == 1
        if alone and len(around) == 1 and unit.log.config and all(len(s) == 1 for s in unit.run.series.values()):
            around[0].configure(unit)
            del folders[folder]


def _suffix(folder: str, tag: str) -> str:
    head = tag.replace("/", "_").replace(" ", "_") + "_"
    return folder[len(head) :] if folder.replace(" ", "_").startswith(head) else ""


def _take_splits(folders: dict[Hashable, list[Unit]]) -> list[list[Unit]]:
    """Event folders ``train`` and ``validation`` become one run of the folder around them."""
    whole: dict[Path, list[Unit]] = {}
    for folder, units in sorted(folders.items(), key=lambda item: "train" not in str(item[0]).rpartition("/")[2]):
        assert isinstance(folder, Path)  # noqa: S101  for the type checker
        split = split_of_folder(folder)
        if not split or units[0].home == folder:
            whole[folder] = [*units, *whole.get(folder, [])]
            continue
        around = whole.setdefault(folder.parent, folders.get(folder.parent, []))
        for at, unit in enumerate(units):
            if at >= len(around):
                around.append(emptied(unit, folder.parent))
            around[at].absorb(unit, split)
    return list(whole.values())


def _with_errors(units: list[Unit]) -> list[Unit]:
    """What a job said into ``slurm-7.err`` joins ``slurm-7.out``, unless it measures something, too."""
    gone: list[Unit] = []
    for group in _by(units, lambda unit: (unit.source, unit.folder, stem(unit.files[0]))).values():
        errors = [unit for unit in group if unit.files[0].suffix == ".err" and not unit.run.series]
        others = [unit for unit in group if unit.files[0].suffix != ".err"]
        if errors and len(others) == 1:
            for unit in errors:
                others[0].absorb(unit)
            gone += errors
    return [unit for unit in units if unit not in gone]


def _split_files(units: list[Unit]) -> list[Unit]:
    """``log_train.csv`` and ``log_val.csv`` in one folder are one run: names that differ in the word of the split."""
    kept = []
    for group in _by(units, lambda unit: (unit.source, unit.folder, _without_split(unit.files[0])[0])).values():
        splits = [_without_split(unit.files[0])[1] for unit in group]
        if len(group) > 1 and all(splits) and len(set(splits)) == len(group) and all(unit.alone for unit in group):
            whole = emptied(group[0], group[0].home)
            whole.log.path = group[0].folder
            for unit, split in sorted(zip(group, splits, strict=True), key=lambda pair: pair[1] != "train"):
                whole.absorb(unit, split)
            kept.append(whole)
        else:
            kept += group
    return kept


def _without_split(path: Path) -> tuple[str, str]:
    """The stem without the word of a split, and that split."""
    words = stem(path).lower()
    found = [word for word in _WORD.findall(words) if word in SPLITS]
    if len(found) != 1:
        return path.name, ""
    return re.sub(rf"(?<![a-z]){found[0]}(?![a-z])", "*", words) + path.suffix.lower(), SPLITS[found[0]]


def _without_earlier_states(units: list[Unit]) -> list[Unit]:
    """Logs that each checkpoint holds again (``checkpoint-500/trainer_state.json``) are the longest one of them.

    A copy that says anything else than the longest is a run of its own.
    """
    kept: list[Unit] = []
    for group in _by(units, lambda unit: (unit.source, unit.home)).values():
        longest: list[Unit] = []
        for unit in sorted(group, key=lambda unit: (-unit.size, len(unit.folder.parts))):
            whole = next((w for w in longest if _copy(unit, w) and within(unit.run, w.run)), None)
            if whole is None:
                longest.append(unit)
        kept += [unit for unit in group if unit in longest]
    return kept


def _copy(one: Unit, other: Unit) -> bool:
    """Whether the one may be a copy of the other by where they stand: twins in one plain folder are no copies."""
    return any(CHECKPOINT.fullmatch(unit.folder.name) or unit.folder.name == "vis_data" for unit in (one, other))
