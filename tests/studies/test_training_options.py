"""What the loop does beside the plain case: schedules, precisions, averages, bad steps, weights of another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tocsin
from tocsin import studies
from tocsin.studies import checkpoints
from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.data.generated import Batch
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.progress import Progress
from tocsin.studies.setups import setup_of
from tocsin.studies.study import Study, StudyError
from tocsin.studies.training import train

TINY = {
    "data.modulations": ["BPSK", "QPSK", "16QAM"],
    "data.snr_db": [0, 10, 20],
    "data.samples": 64,
    "view.bins": 16,
    "data.train_per_cell": 4,
    "data.val_per_cell": 2,
    "data.test_per_cell": 2,
    "network.channels": 8,
    "network.features": 8,
    "network.task": "factored",
    "training.epochs": 3,
    "training.batch": 12,
}
STUDY = studies.load("constellation")


class Stop(Exception):  # noqa: N818
    pass


def run(folder: Path, study: Study = STUDY, changes: dict[str, Any] | None = None, **how: Any) -> Path:
    return train(study, run_dir=folder, device="cpu", overrides={**TINY, **(changes or {})}, **how)


def after(epoch: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.metrics and progress.epoch == epoch:
            raise Stop

    return stop


def last(folder: Path) -> dict[str, Any]:
    return checkpoints.load(folder / "checkpoints" / "last.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "cosine", "ema_decay": 0.9},
        {"schedule": "triangular2", "lr_cycles": 2},
        {"schedule": "plateau", "plateau_patience": 0},
        {"precision": "bfloat16"},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_every_way_of_training_resumes_bit_for_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    dotted = {f"training.{key}": value for key, value in changes.items()}
    dotted |= {"objective.weighting": "geometric", "curriculum": {"start_frac": 0.34}}
    whole = last(run(tmp_path / "whole", changes=dotted))
    with pytest.raises(Stop):
        run(tmp_path / "halves", changes=dotted, on_progress=after(2))
    halves = last(run(tmp_path / "halves", changes=dotted, resume=True))
    for part in ("model", "weighting", *(("ema",) if "ema_decay" in changes else ())):
        assert all(torch.equal(value, halves[part][name]) for name, value in whole[part].items())
    assert whole["scheduler"] == halves["scheduler"]
    assert whole["optimizer"]["param_groups"] == halves["optimizer"]["param_groups"]


def test_an_average_is_kept_watched_evaluated_and_tested(tmp_path: Path) -> None:
    decay, folder = 0.8, run(tmp_path / "a", changes={"training.ema_decay": 0.8, "training.epochs": 2})
    (record,) = tocsin.read(folder)
    assert "ema/distance" in record.series
    best = checkpoints.load(folder / "checkpoints" / "best.pt")
    assert best["ema"]["n_averaged"] == 3 * best["epoch"]
    assert 0 < decay < 1
    config = STUDY.configure("quick", None, {**TINY, "training.ema_decay": 0.8})
    made = STUDY.build(config, None, 0, torch.device("cpu"))
    found = {}
    for name in ("model", "ema"):
        made.model.load_state_dict({k.removeprefix("module."): v for k, v in best[name].items() if k != "n_averaged"})
        found[name] = made.evaluate("test", lambda *_, **__: None)["test/joint_nll"]
    assert record.series["test/joint_nll"].value[-1] == pytest.approx(found["ema"], rel=1e-6)
    assert abs(found["ema"] - found["model"]) > 1e-4


def test_the_average_is_the_exponential_one(tmp_path: Path) -> None:
    """One step an epoch, so that every live weight is in some checkpoint."""
    seen = []

    def note(progress: Progress) -> None:
        if progress.metrics:
            seen.append(last(tmp_path / "a"))

    run(tmp_path / "a", changes={"training.ema_decay": 0.7, "training.batch": 36}, on_progress=note)
    name = "features.weight"
    expected = seen[0]["model"][name]
    for state in seen[1:]:
        expected = 0.7 * expected + 0.3 * state["model"][name]
    assert torch.allclose(seen[-1]["ema"][f"module.{name}"], expected, atol=1e-7)


def test_bfloat16_is_in_the_network_and_not_in_the_losses(tmp_path: Path) -> None:
    kinds: set[tuple[torch.dtype, torch.dtype]] = set()

    class Noting(Constellation):
        def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            logits = self.answer(batch)
            inner: list[torch.dtype] = []
            features = next(m for name, m in self.model.named_modules() if name.endswith("features"))
            hook = features.register_forward_hook(lambda *a: inner.append(a[2].dtype))
            self.answer(batch)
            hook.remove()
            kinds.add((inner[0], logits["snr"].dtype))
            total, terms = super().loss(batch)
            assert total.dtype == torch.float32
            assert not torch.is_autocast_enabled("cpu")
            return total, terms

    study = replace(STUDY, build=lambda config, _, seed, device: Noting(config, seed, device))
    state = last(run(tmp_path / "b", study, {"training.precision": "bfloat16"}))
    assert kinds == {(torch.bfloat16, torch.float32)}
    assert {value.dtype for value in state["model"].values()} == {torch.float32}
    (record,) = tocsin.read(tmp_path / "b")
    assert not [event for event in record.events if event.kind == "warning"]  # every probe could look


class OneBadBatch(Constellation):
    """The second batch of every epoch has a NaN in its loss."""

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.seen = getattr(self, "seen", 0) + 1
        total, terms = super().loss(batch)
        bad = float("nan") if self.seen % 3 == 2 else 1.0
        return total * bad, {name: value * bad for name, value in terms.items()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16-heads"])
def test_a_bad_step_is_skipped_counted_and_seen(tmp_path: Path, precision: str) -> None:
    study = replace(STUDY, build=lambda config, _, seed, device: OneBadBatch(config, seed, device))
    folder = run(tmp_path / "b", study, {"training.precision": precision})
    (record,) = tocsin.read(folder)
    assert np.isnan(record.series["train/loss"].value).tolist() == [False, True, False] * 3
    assert record.series["train/skipped_nonfinite"].value.tolist() == [1, 2, 3]
    state = last(folder)
    assert state["skipped"] == 3
    assert all(torch.isfinite(value).all() for value in state["model"].values())
    assert state["scheduler"]["0"]["last_epoch"] == 6
    assert np.isfinite(record.series["val/loss"].value).all()
    assert record.exit == "finished"


def test_another_runs_weights_are_begun_with_and_named(tmp_path: Path) -> None:
    first = run(tmp_path / "first", changes={"training.ema_decay": 0.9})
    best = first / "checkpoints" / "best.pt"
    seen: list[dict[str, torch.Tensor]] = []

    class Noting(Constellation):
        def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            seen.append({name: p.detach().clone() for name, p in self.model.module.named_parameters()})  # type: ignore[union-attr]
            return super().loss(batch)

    study = replace(STUDY, build=lambda config, _, seed, device: Noting(config, seed, device))
    second = run(tmp_path / "second", study, {"data.root": 7}, seed=3, init=best)
    averaged = checkpoints.load(best)["ema"]
    assert all(torch.equal(value, averaged[f"module.{name}"]) for name, value in seen[0].items())
    (record,) = tocsin.read(second)
    assert record.config["init_from"] == str(best)
    said = record.config["init"]
    assert (said["run"], said["seed"], said["study"]) == ("first", 0, "constellation")
    assert said["manifest"]["root"] == 2018
    assert record.config["manifest"]["root"] == 7
    assert last(second)["origin"]["init_from"] == str(best)


def test_a_resumed_run_still_says_where_it_began(tmp_path: Path) -> None:
    best = run(tmp_path / "first") / "checkpoints" / "best.pt"
    with pytest.raises(Stop):
        run(tmp_path / "second", init=best, on_progress=after(1))
    (record,) = tocsin.read(run(tmp_path / "second", resume=True))
    assert record.config["init_from"] == str(best)
    with pytest.raises(StudyError, match="leave out resume or init"):
        run(tmp_path / "second", resume=True, init=best)


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    best = run(tmp_path / "first", changes={"training.epochs": 1}) / "checkpoints" / "best.pt"
    with pytest.raises(
        StudyError, match=r"another network \(.*heads\.outputs\.snr\.weight: \(3, 8\) there, \(2, 8\) here"
    ):
        run(tmp_path / "second", changes={"data.snr_db": [0, 10]}, init=best)
    with pytest.raises(StudyError, match=r"no weights to start from: .* does not exist"):
        run(tmp_path / "second", init=tmp_path / "absent.pt")
    with pytest.raises(StudyError, match="is no file"):
        run(tmp_path / "second", init=tmp_path)
    assert not (tmp_path / "second").exists()


def split_by(seed: int) -> Study:
    """The study as if its frames were split at random: the manifest holds a hash of each part."""

    def build(config: Config, _: str | None, run_seed: int, device: torch.device) -> Constellation:
        made = Constellation(config, run_seed, device)
        made.manifest = {**made.manifest, "split": {"seed": seed, "val_hash": f"{seed:x}" * 8}}
        return made

    return replace(STUDY, build=build)


@pytest.mark.parametrize(("other", "rings"), [(7, True), (42, False)])
def test_a_contaminated_split_is_found_from_what_the_runs_record(tmp_path: Path, other: int, rings: bool) -> None:
    first = run(tmp_path / "calm-reed-7", split_by(42), {"training.epochs": 1})
    second = run(
        tmp_path / "wild-fern-9", split_by(other), {"training.epochs": 1}, init=first / "checkpoints" / "best.pt"
    )
    report = tocsin.check([first, second], select=["CMP006"])
    assert [f.subject for f in report.findings] == (["wild-fern-9"] if rings else [])


def test_an_unrecorded_run_never_writes_among_the_checkpoints_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_DISABLED", "1")
    monkeypatch.chdir(tmp_path)
    one, two = (train(STUDY, device="cpu", overrides={**TINY, "training.epochs": 1}) for _ in range(2))
    assert one != two
    assert last(one)["run"] == one.name
    with pytest.raises(StudyError, match="holds the checkpoints of another run"):
        run(one)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_preflight_gets_the_same_pieces(schedule: str, precision: str) -> None:
    setup = setup_of(STUDY, overrides={**TINY, "training.schedule": schedule, "training.precision": precision})
    batch = next(iter(setup.train))
    before = [p.detach().clone() for p in setup.model.parameters()]
    assert setup.step is not None
    found = setup.step(setup.model, setup.optimizer, setup.scaler, batch)
    assert torch.isfinite(found["total"])
    assert any(not torch.equal(p, q) for p, q in zip(before, setup.model.parameters(), strict=True))
    assert len(setup.schedulers) == (2 if schedule == "plateau" else 1)
