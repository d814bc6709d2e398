"""What each case must be read as, and what must be found in it."""

from __future__ import annotations

from dataclasses import dataclass

FALLING = frozenset({"RUN004"})  # what may follow from a fault that is found
NAN = ({"AMP003", "AMP004"},)
OVERFIT = ({"GEN001"},)
STUCK = ({"GEN002", "PRD009"},)
RATE_ZERO = ({"CFG002", "GEN002", "PRD009"},)
TOO_HOT = ({"OPT010", "GEN002", "PRD009"},)
CRASHED = ({"RUN003"},)
NO_START = ({"RUN001"},)
NOT_APPLIED = ({"CFG003"}, {"CMP004"})


@dataclass(frozen=True)
class Expected:
    """What a case must give.

    Attributes:
        source: The formats of its runs.
        loud: Groups of codes: of each, one at least must be found at warning or error. None: nothing may be.
        also: Codes that may be loud, too.
        runs: How many runs.
        exit: How they ended; of several runs, by the name's part that tells them apart.
        misread: Why it is not read as it should be; "" where it is.
        missed: Why the findings are not those; "" where they are.
    """

    source: str
    loud: tuple[set[str], ...] = ()
    also: frozenset[str] = FALLING
    runs: int = 1
    exit: str | tuple[tuple[str, str], ...] = "unknown"
    misread: str = ""
    missed: str = ""


def _of(library: str, source: str, **cases: Expected | tuple[set[str], ...]) -> dict[str, Expected]:
    made = {n: c if isinstance(c, Expected) else Expected(source, c) for n, c in cases.items()}
    return {f"{library}/{name}": case for name, case in made.items()}


CONSOLE, EVENTS, CSV, KERAS, TABLE = "console", "tensorboard", "lightning-csv", "keras-csv", "table"
HEALTHY: tuple[set[str], ...] = ()

CASES: dict[str, Expected] = {
    **_of(
        "catboost1", EVENTS,
        healthy=Expected(f"{EVENTS} + {CONSOLE}", misread="what is printed is not joined with the event files"),
    ),
    **_of(
        "console", CONSOLE,
        bars=HEALTHY, detection_references=HEALTHY, dicts=HEALTHY, imagenet_example=HEALTHY, mnist_example=HEALTHY,
        crashed=Expected(CONSOLE, CRASHED, exit="failed"),
        failed_start=Expected(CONSOLE, NO_START, exit="failed"),
        interrupted=Expected(CONSOLE, exit="interrupted"),
        json_lines=Expected("json-lines"),
        mnist_example_loose_labels=Expected(CONSOLE, STUCK, FALLING | {"EVL002"}),
        not_a_number=NAN,
        rate_times_1000=TOO_HOT,
        rate_zero=RATE_ZERO,
        stamped=Expected(CONSOLE, exit="finished"),
        template=Expected(CONSOLE, exit="finished"),
        template_overfit=OVERFIT,
        two_runs=Expected(CONSOLE, runs=2),
    ),
    **_of("dvclive3", "dvclive", healthy=HEALTHY, rate_times_1000=TOO_HOT),
    **_of(
        "fairseq", CONSOLE,
        healthy=Expected(CONSOLE, exit="finished"),
        nan_batch=Expected(CONSOLE, NAN, exit="finished"),
        overfit=Expected(CONSOLE, OVERFIT, exit="finished"),
    ),
    **_of(
        "fastai2", TABLE,
        healthy=Expected(f"{TABLE} + {CONSOLE}"), overfit=OVERFIT,
        rate_times_1000=TOO_HOT,
    ),
    **_of("ignite", CONSOLE, healthy=HEALTHY),
    **_of(
        "keras3", KERAS,
        appended=HEALTHY, bars=Expected(CONSOLE), healthy=Expected(f"{KERAS} + {CONSOLE}"),
        dead_units=STUCK,
        early_stopping=Expected(f"{KERAS} + {CONSOLE}"),
        nan_batch=NAN,
        overfit=Expected(CONSOLE, OVERFIT),
        rate_times_1000=Expected(f"{KERAS} + {CONSOLE}", TOO_HOT),
        rate_zero=RATE_ZERO,
        restarted=Expected(KERAS, runs=2),
    ),
    **_of("lightgbm4", CONSOLE, healthy=HEALTHY),
    **_of(
        "lightning1", CSV,
        healthy=Expected(f"{EVENTS} + {CSV} + {CONSOLE}", misread="the states of a bar are taken for runs"),
        crashed=Expected(f"{CSV} + {CONSOLE}", CRASHED, exit="failed"),
        early_stopping=Expected(f"{CSV} + {CONSOLE}", misread="what is printed is not read"),
    ),
    **_of(
        "lightning2", CSV,
        healthy=Expected(f"{EVENTS} + {CSV} + {CONSOLE}", misread="the states of a bar are points"),
        crashed=Expected(f"{CSV} + {CONSOLE}", CRASHED, exit="failed"),
        early_stopping=Expected(f"{CSV} + {CONSOLE}", misread="what is printed is not read"),
        loose_labels=Expected(CSV, STUCK, missed="the loss falls a little on the way to ln 10"),
        overfit=OVERFIT,
        rate_times_1000=TOO_HOT,
        validated_first=HEALTHY,
        twins=Expected(f"{EVENTS} + {CSV}"),
        twins_nan_batch=Expected(f"{EVENTS} + {CSV}", NAN),
        twins_rate_zero=Expected(f"{EVENTS} + {CSV}", RATE_ZERO),
    ),
    **_of("mixed", "", healthy=Expected(f"{EVENTS} + {TABLE} + {CONSOLE}"),
          overfit=Expected(f"{EVENTS} + {TABLE} + {CONSOLE}", OVERFIT)),
    **_of(
        "mlflow3", "mlflow",
        files=Expected("mlflow", (*NAN, *OVERFIT), runs=3, exit="finished"),
        database=Expected(
            "mlflow-sqlite", (*NAN, *CRASHED, *STUCK), runs=4,
            exit=(("crashed", "failed"), ("", "finished")),
        ),
    ),
    **_of(
        "mmengine0", f"mmdetection + {CONSOLE}",
        healthy=HEALTHY, nan_batch=NAN, rate_times_1000=TOO_HOT,
    ),
    **_of("sb3", TABLE, dqn=Expected(f"json-lines + {TABLE}"),
          ppo=Expected(f"{TABLE} + {CONSOLE}")),
    **_of(
        "sklearn1", CONSOLE,
        early_stopping=HEALTHY, healthy=HEALTHY, rate_times_1000=TOO_HOT,
        loose_labels=Expected(CONSOLE, STUCK, missed="40 falling values, the score at chance"),
    ),
    **_of("skorch1", TABLE, healthy=HEALTHY, overfit=OVERFIT),
    **_of(
        "sweep", TABLE,
        healthy=Expected(TABLE, runs=3),
        rate_not_applied=Expected(TABLE, NOT_APPLIED, runs=3), same_rate_again=Expected(TABLE, NOT_APPLIED, runs=3),
    ),
    **_of(
        "tensorboardx", EVENTS,
        healthy=HEALTHY, rate_zero=RATE_ZERO, rate_times_1000=TOO_HOT,
    ),
    **_of(
        "torchboard", EVENTS,
        healthy=HEALTHY, tensors=HEALTHY, resumed=HEALTHY, nan_batch=NAN, add_scalars_overfit=OVERFIT,
        dead_units=STUCK,
    ),
    **_of("trackio0", "trackio", project=Expected("trackio", (*NAN, *OVERFIT), runs=3)),
    **{
        name: Expected(
            "hf-trainer" if name.rpartition("/")[2] in ("loose_labels", "overfit", "rate_times_1000", "rate_zero",
                                                        "resumed") else f"hf-trainer + {CONSOLE}",
            loud, FALLING | {"GEN002"}, exit="finished",
        )
        for name, loud in {
            "transformers4/healthy": HEALTHY, "transformers4/nan_batch": NAN, "transformers4/two_sets": HEALTHY,
            "transformers5/healthy": HEALTHY, "transformers5/nan_batch": NAN, "transformers5/two_sets": HEALTHY,
            "transformers5/resumed": HEALTHY, "transformers5/overfit": OVERFIT, "transformers5/loose_labels": STUCK,
            "transformers5/rate_zero": RATE_ZERO, "transformers5/rate_times_1000": TOO_HOT,
            "transformers5/warm_up_never_ends": ({"OPT008"},),
        }.items()
    },
    **_of(
        "ultralytics", "ultralytics",
        healthy=HEALTHY, padded=HEALTHY, not_a_number=NAN, overfit=Expected("ultralytics", OVERFIT),
    ),
    **_of(
        "wandb0", "wandb",
        healthy=Expected("wandb", exit="finished"), overfit=Expected("wandb", OVERFIT, exit="finished"),
        nan_batch=Expected("wandb", NAN, exit="finished"), crashed=Expected("wandb", CRASHED, exit="failed"),
        failed_start=Expected(f"wandb + {CONSOLE}", NO_START, exit="failed"),
    ),
    **_of("xgboost3", CONSOLE, healthy=HEALTHY, random_labels=OVERFIT),
}  # fmt: skip
