"""Every reader on damaged files: what comes of them, how long the worst takes, how much memory.

The samples are the real files beside the tests (and those below ``--more``), and a small one of each other format.
Each is damaged in seeded ways: bits, cuts, splices, doubled blocks, other encodings, odd numbers, deep nesting, long
lines; inside of sound JSON, of records with checksums made anew, and of databases. Each damaged file is read by its
reader; one in ten is checked as a user would, and the report written. Whatever is no ``ReadError`` is a crash.

    python benchmarks/fuzz_readers.py [--mutations 2000] [--only SOURCE] [--more FOLDER] [--first SEED] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent / "tests")  # in place of this folder, whose readers.py is another

from readers.fuzzing.samples import samples  # noqa: E402
from readers.fuzzing.trials import laid_out, trial  # noqa: E402

WHOLE = 10  # one in so many is checked as a user would
MEMORY = 3 * 2**30  # bytes of address space of the process, in which files of at most 200 kB are read
WORDS = ("read", "nothing", "ReadError", "crash")


def fuzz(source: str, mutations: int, first: int, more: tuple[Path, ...]) -> dict[str, Any]:
    """All trials of one reader, in a process of its own, so that its peak memory is its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    mine = samples(more)[source]
    everything = [sample for many in samples().values() for sample in many]
    words: Counter[str] = Counter()
    crashes: dict[str, str] = {}
    slowest, slow_seed = 0.0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + mutations):
            sample = mine[seed % len(mine)]
            other = everything[seed * 7919 % len(everything)]
            path = laid_out(Path(folder, "run"), sample, other, seed)
            outcome = trial(path, source, whole=seed % WHOLE == 0)
            words[outcome.word] += 1
            if outcome.word == "crash":
                crashes.setdefault(outcome.said.rpartition("(")[2], f"seed {seed}, {sample.name}: {outcome.said}")
            if outcome.seconds > slowest:
                slowest, slow_seed = outcome.seconds, seed
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "reader": source, "samples": len(mine), "mutations": mutations, **{word: words[word] for word in WORDS},
        "slowest_s": round(slowest, 3), "slowest_seed": slow_seed, "grown_mb": round(grown),
        "crashes": [*crashes.values()],
    }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    counts = " ".join(f"{row[word]:>9,}" for word in WORDS)
    head = f"{row['reader']:16} {row['samples']:>7} {row['mutations']:>9,}"
    print(f"{head} {counts} {row['slowest_s']:>9.2f} {row['grown_mb']:>8}", flush=True)
    for crash in row["crashes"][:8]:
        print(f"    {crash}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2000, help="of each reader")
    parser.add_argument("--only", action="append", help="this reader")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder of real logs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "fuzz_readers.json")
    options = parser.parse_args()
    more = tuple(options.more)
    sources = options.only or sorted(samples(more))
    print(
        f"{'reader':16} {'samples':>7} {'mutations':>9} {' '.join(f'{word:>9}' for word in WORDS)} "
        f"{'slowest s':>9} {'grown MB':>8}"
    )
    workers = min(2, os.cpu_count() or 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(fuzz, source, options.mutations, options.first, more) for source in sources]
        rows = []
        for job in jobs:
            rows.append(job.result())
            show(rows[-1])
    total = {word: sum(row[word] for row in rows) for word in WORDS}
    print(f"{sum(row['mutations'] for row in rows):,} damaged files: {total}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"rows": rows}, indent=1))
    return int(total["crash"] > 0)


if __name__ == "__main__":
    sys.exit(main())
