"""From a path to bundles: which files are logs, by their heads, and which of them belong together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.readers import kinship
from tocsin.readers.detection import reader_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.found import Bundle, Found
from tocsin.readers.labels import in_order, natural, shown, stem
from tocsin.readers.reader import Reader
from tocsin.readers.walking import Tree, walk

SETTINGS = re.compile(
    r"((train(ing)?|model|run|exp(eriment)?|my|all|user|resolved|final|base)[-_]?)?(args?|arguments|configs?|conf|cfg"
    r"|hparams?|hyper[-_]?param(eter)?s|params|parameters|opts?|options|hyps?|flags|settings|hydra)\.(ya?ml|json|toml)",
    re.IGNORECASE,
)
_CONSOLE = "console"
_ALIKE = 256  # files of one kind in one folder, none of them a log, after which the others like them are not opened
_MOST_FAILED = 20


@dataclass
class Survey:
    """What is to be read.

    Attributes:
        bundles: In order of path; independent of each other.
        owned: Folders that the caller's ``owned`` claimed.
        files: Regular files met.
        unread: What was not looked at, a sentence each.
    """

    bundles: list[Bundle] = field(default_factory=list)
    owned: list[Path] = field(default_factory=list)
    files: int = 0
    unread: list[str] = field(default_factory=list)


def survey(
    path: Path,
    *,
    owned: Callable[[Path], bool] = lambda _: False,
    readers: Sequence[Reader] | None = None,
) -> Survey:
    """The bundles at or below ``path``; only heads of files are read.

    Args:
        path: A file or a folder.
        owned: Whether a folder is read by somebody else; its files are in no bundle.
        readers: The readers to ask; all when None.

    Raises:
        ReadError: ``path`` is one file, and cannot be read.
    """
    return _of_folder(path, owned, readers) if path.is_dir() else _of_file(path, readers)


def _of_file(path: Path, readers: Sequence[Reader] | None) -> Survey:
    """Of one file: nothing but itself and the configuration beside it, where no other log could own that."""
    reader = reader_of(File(path), readers)
    if reader is None:
        return Survey(files=1)
    beside = Tree(files={path.parent: [path.name]})
    beside.files[path.parent] += [n for n in _names(path.parent) if SETTINGS.fullmatch(n) and n != path.name]
    bundle = Bundle(path, (Found(path, reader.source, path.parent),), tuple(_settings(beside, path)))
    return Survey([bundle], files=1)


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if entry.is_file()]
    except OSError:
        return []


def _of_folder(top: Path, owned: Callable[[Path], bool], readers: Sequence[Reader] | None) -> Survey:
    tree = walk(top, owned)
    found = Survey(owned=in_order(tree.owned), files=tree.count, unread=tree.unread)
    logs = _logs(tree, readers, found.unread)
    found.bundles = _bundles(top, logs, _settings(tree))
    return found


def _logs(tree: Tree, readers: Sequence[Reader] | None, unread: list[str]) -> dict[Path, list[tuple[Path, str]]]:
    """The logs of each folder, with the source of each."""
    logs: dict[Path, list[tuple[Path, str]]] = {}
    failed: list[str] = []
    for folder, names in tree.files.items():
        of_folder = [(folder / name, source) for name, source in _recognised(folder, names, readers, unread, failed)]
        if of_folder:
            logs[folder] = of_folder
    unread += failed[:_MOST_FAILED]
    if len(failed) > _MOST_FAILED:
        unread.append(f"{len(failed) - _MOST_FAILED} more files could not be opened")
    return logs


def _recognised(
    folder: Path, names: list[str], readers: Sequence[Reader] | None, unread: list[str], failed: list[str]
) -> Iterator[tuple[str, str]]:
    misses: Counter[str] = Counter()
    hits: set[str] = set()
    printed: set[str] = set()  # stems of console logs
    errors: list[str] = []
    for name in sorted(names, key=natural):
        kind = name.rpartition(".")[2].lower() if "." in name else ""
        if SETTINGS.fullmatch(name) or (misses[kind] >= _ALIKE and kind not in hits):
            misses[kind] += not SETTINGS.fullmatch(name)
            continue
        try:
            reader = reader_of(File(folder / name), readers)
        except ReadError as error:
            failed.append(shown(str(error)))
            continue
        if reader is None:
            misses[kind] += 1
            errors += [name] if kind == "err" else []
        else:
            hits.add(kind)
            printed |= {stem(Path(name))} if reader.source == _CONSOLE else set()
            yield name, reader.source
    # What a job said besides its log is no log by itself, but may say how the job ended.
    yield from ((name, _CONSOLE) for name in errors if stem(Path(name)) in printed)
    for kind, count in misses.items():
        if count > _ALIKE and kind not in hits:
            unread.append(
                f"{shown(folder)}: {count - _ALIKE} files {'.' + kind if kind else 'without extension'} were not "
                f"opened, for none of the first {_ALIKE} like them is a log"
            )


def _settings(tree: Tree, log: Path | None = None) -> list[Path]:
    """Files of configuration, those of Hydra only as it composed them."""
    return [
        folder / name
        for folder, names in tree.files.items()
        for name in sorted(names)
        if SETTINGS.fullmatch(name) and folder / name != log and (folder.name != ".hydra" or name == "config.yaml")
    ]


def _bundles(top: Path, logs: dict[Path, list[tuple[Path, str]]], settings: list[Path]) -> list[Bundle]:
    sources = {folder: frozenset(source for _, source in found) for folder, found in logs.items()}
    home = kinship.homes(sources, top)
    beside: dict[Path, list[Path]] = defaultdict(list)
    for path in settings:
        beside[path.parent.parent if path.parent.name == ".hydra" else path.parent].append(path)
    bundles = []
    for group in kinship.kin(sources, home, top):
        folders = in_order(group)
        found = tuple(Found(path, source, home[f]) for f in folders for path, source in logs.get(f, ()))
        bundles.append(Bundle(top, found, tuple(path for f in folders for path in beside[f])))
    return sorted(bundles, key=lambda bundle: [natural(part) for part in bundle.path.parts])
