"""One reader, one file, once: seconds, points and peak memory as JSON. ``readers.py`` runs it, each in its Python."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

Read = Callable[[Path], int]


def tocsin_() -> Read:
    from tocsin.readers.detection import reader_of
    from tocsin.readers.file import File

    def read(path: Path) -> int:
        file = File(path)
        reader = reader_of(file)
        assert reader is not None, f"{path}: no reader knows it"
        return sum(len(series) for log in reader.read(file) for series in log.run().series.values())

    reader_of(File(Path(__file__)))  # loads the formats
    return read


def _accumulator(**options: dict[str, int]) -> Read:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(path: Path) -> int:
        events = EventAccumulator(str(path), **options)
        events.Reload()
        return sum(len(events.Scalars(tag)) for tag in events.Tags()["scalars"])

    return read


def tensorboard() -> Read:
    return _accumulator(size_guidance={"scalars": 0, "tensors": 0})


def tensorboard_default() -> Read:
    return _accumulator()


def tbparse() -> Read:
    from tbparse import SummaryReader

    return lambda path: len(SummaryReader(str(path)).scalars)


def pandas() -> Read:
    import pandas as pd

    def read(path: Path) -> int:
        table = pd.read_csv(path)
        return int(table.drop(columns="step").count().sum())

    return read


def mlflow() -> Read:
    from mlflow import MlflowClient

    def read(path: Path) -> int:
        uri = f"sqlite:///{path}" if path.suffix == ".db" else path.parents[2].as_uri()
        client = MlflowClient(uri)
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
        return sum(len(client.get_metric_history(run.info.run_id, key)) for run in runs for key in run.data.metrics)

    return read


PEERS: dict[str, Callable[[], Read]] = {
    "tocsin": tocsin_,
    "tensorboard": tensorboard,
    "tensorboard, its default": tensorboard_default,
    "tbparse": tbparse,
    "pandas": pandas,
    "mlflow": mlflow,
}


def main() -> None:
    name, path = sys.argv[1], Path(sys.argv[2])
    start = time.perf_counter()
    read = PEERS[name]()
    loaded = time.perf_counter()
    points = read(path)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(json.dumps({"import_s": loaded - start, "read_s": done - loaded, "points": points, "peak_mb": peak}))


if __name__ == "__main__":
    main()
