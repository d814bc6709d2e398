"""CMP006 contaminated-split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin import declared, siblings
from tocsin.declared import Setting
from tocsin.findings import Finding, NotChecked, Remedy, rule
from tocsin.run import Run

_RESUMES = frozenset(("resume", "resumed", "checkpoint", "ckpt", "pretrained", "finetune", "finetuned", "restore"))
_FROM = frozenset(("init", "load", "warm", "start", "weights"))
_DATA = frozenset(("dataset", "datasets", "corpus"))
_SPLITS = frozenset(("split", "splits", "fold", "folds"))
_FACTS = frozenset(("seed", "hash", "digest", "manifest", "checksum", "id", "index"))
_EVALUATED = frozenset(("val", "valid", "validation", "eval", "test"))
_HASHES = frozenset(("hash", "digest", "checksum", "manifest"))
_SHORTEST_NAME = 3


@rule("CMP006", needs=(), severity="warning", scope="runs", when="end")
def contaminated_split(runs: Sequence[Run], *, overlap: float = 0.05) -> Iterator[Finding | NotChecked]:
    """A run goes on from another that was trained on part of what it is scored on.

    ## What it does
    Finds runs whose configuration resumes from, or starts at, a checkpoint of another run of the list (`resume`,
    `checkpoint`, `init_from`, `pretrained`, ... that holds its name or a part of its path), on the same data set. Then
    compares what both say about their split: the seed of the split, the fold, hashes or manifests of the parts. Rings
    a warning where these differ: with independent splits the first run was trained on a share of the second one's
    evaluation samples as large as its training fraction.

    Where the training fraction is declared (`train_ratio`), a share below `overlap` is left alone.

    ## Why is this bad?
    The score holds memorised samples. It starts too high and sinks as training on the other split goes on, which reads
    as "fine-tuning hurts".

    ## Example
    ```python
    runs = [
        Run.of("b", config={"resume": "ckpt/a/best.pt", "split_seed": 7, "train_ratio": 0.8}),
        Run.of("a", config={"split_seed": 42, "train_ratio": 0.8}),
    ]
    ```
    Use instead:
    ```python
    runs = [
        Run.of("b", config={"resume": "ckpt/a/best.pt", "split_seed": 42, "train_ratio": 0.8}),
        Run.of("a", config={"split_seed": 42, "train_ratio": 0.8}),
    ]
    ```

    ## Fix
    - **safe** Score on samples that neither run was trained on.
    - **safe** Record a hash of each part of the split, and refuse to resume on another.
    - **unsafe** Train again from the start on one split.

    ## Options
    - `overlap` = .05: the share of evaluation samples that must be in question: a twentieth can move a score by as much
      as the differences that are usually reported.

    ## Known limits
    A seed stands for a split only if the files are listed in the same order: with an unsorted listing equal seeds may
    give different splits, unseen here. A general `seed` is not taken for the split's. A checkpoint under a name that
    several runs share cannot be traced. Another split with the same evaluation part (only the training part redrawn)
    rings unless a hash of that part is recorded.

    ## References
    Kapoor and Narayanan 2023, Leakage and the reproducibility crisis in machine-learning-based science.
    """
    starts = list(_starts(runs))
    known = [(start, facts) for start in starts if (facts := _facts(start))]
    if not known:
        yield NotChecked(
            "needs a run that resumes from another one's checkpoint, and the seed, fold or hash of the split of both"
            + (f" ({len(starts)} resume, but say nothing of their split)" if starts else "")
        )
    for start, facts in known:
        differ = {key: pair for key, pair in facts.items() if pair[0] != pair[1]}
        parts = _evaluated_parts(facts)
        if parts and all(mine == first for mine, first in parts):
            continue  # the samples that it is scored on are the same ones
        share = _trained_share(start.first)
        if differ and (share is None or share >= overlap):
            yield _finding(start, differ, share)


@dataclass(frozen=True)
class _Start:
    """A run, the one whose checkpoint it starts from, and the setting that says so."""

    run: Run
    first: Run
    said: Setting


def _starts(runs: Sequence[Run]) -> Iterator[_Start]:
    names = {k: pattern for k, run in enumerate(runs) if (pattern := _trace(run)) is not None}
    for k, run in enumerate(runs):
        for setting in _checkpoints(run):
            text = str(setting.value)[:2000]
            first = next((j for j, pattern in names.items() if j != k and pattern.search(text)), None)
            if first is not None and _same_data(run, runs[first]):
                yield _Start(run, runs[first], setting)
                break


def _checkpoints(run: Run) -> Iterator[Setting]:
    for setting in (*declared.of_config(run.config), *declared.of_command(declared.command_of(run))):
        words = set(setting.words)
        if isinstance(setting.value, str) and (words & _RESUMES or (words & _FROM and words & {"from", "weights"})):
            yield setting


def _trace(run: Run) -> re.Pattern[str] | None:
    """What in a checkpoint's path names this run: its name, or the last part of its folder, as a whole part."""
    folder = run.path.stem if run.path is not None else ""
    told = {name for name in (run.name, folder) if name and (len(name) >= _SHORTEST_NAME or name == run.name)}
    if not told:
        return None
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(told)))})(?![\w-])")


def _same_data(one: Run, two: Run) -> bool:
    differ = siblings.differences([one, two])
    return not any(set(Setting("config", key, 0).words) & _DATA and "none" not in pair for key, pair in differ.items())


def _facts(start: _Start) -> dict[str, tuple[str, str]]:
    """What both runs say about their split, by key."""
    told = [_of_split(run) for run in (start.run, start.first)]
    return {key: (told[0][key], told[1][key]) for key in told[0] if key in told[1]}


def _of_split(run: Run) -> dict[str, str]:
    found = {}
    rooms: tuple[Mapping[str, object], ...] = (run.config, run.environment)
    for room, held in zip(("config", "environment"), rooms, strict=True):
        for setting in declared.of_config(held):
            words = set(setting.words) | setting.parents
            if words & _SPLITS and (words & _FACTS or words & {"fold"}):
                found[f"{room}:{setting.path}"] = siblings.text_of(setting)
    return found


def _evaluated_parts(facts: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    """The hashes of the evaluation parts, where both have them."""
    said = ((set(declared.words_of(key)), pair) for key, pair in facts.items())
    return [pair for words, pair in said if words & _EVALUATED and words & _HASHES]


def _trained_share(run: Run) -> float | None:
    for setting in declared.of_config(run.config):
        words, number = set(setting.words), setting.number
        if "train" in words and words & {"ratio", "fraction", "frac", "share"} and number is not None:
            return number if 0 < number < 1 else None
    return None


def _finding(start: _Start, differ: Mapping[str, tuple[str, str]], share: float | None) -> Finding:
    keys = list(differ)[:4]
    listed = "; ".join(f"{key.partition(':')[2]}: {differ[key][0]} against {differ[key][1]}" for key in keys)
    expected = f"about {share:.0%} of" if share is not None else "some of"
    own = [key.removeprefix("config:") for key in keys if key.startswith("config:")]
    return Finding(
        f"{start.run.name} goes on from {start.first.name} ({start.said.said}) with another split ({listed}): "
        f"{start.first.name} was trained on {expected} the samples that {start.run.name} is scored on",
        subject=start.run.name,
        evidence=(
            declared.cited(start.run, start.said, "goes on from"),
            *siblings.config_evidence(start.run, own, f"another value in {start.first.name}"),
        ),
        remedies=(
            Remedy("Score on samples that neither run was trained on", safe=True),
            Remedy("Record a hash of each part of the split and refuse to resume on another", safe=True),
        ),
    )
