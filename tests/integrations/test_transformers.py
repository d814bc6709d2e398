"""The callback for the Trainer of transformers: what it records, names live, and leaves alone."""

from __future__ import annotations

import contextlib
import copy
import json
import multiprocessing
import os
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import tocsin
from integrations.small_trainers import Classifier, InOrder, samples, trainer_of
from loops import quiet
from tocsin.engine import check_runs
from tocsin.integrations.transformers import TocsinCallback
from tocsin.run import Run

ROUNDED = 6e-5  # transformers 4 logs four digits of a loss


def read(folder: Path) -> Run:
    return tocsin.read(folder / "tocsin")[0]


def points(run: Run, name: str) -> dict[int, float]:
    series = run.get(name)
    assert series is not None, f"{name} not in {sorted(run.series)}"
    return dict(zip(series.step.tolist(), series.value.tolist(), strict=True))


def logged(trainer: Any, key: str) -> dict[int, float]:
    return {row["step"]: row[key] for row in trainer.state.log_history if key in row}


def accuracy(p: Any) -> dict[str, float]:
    return {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())}


def test_a_healthy_run_is_silent_and_its_weights_are_those_without_the_callback(tmp_path: Path) -> None:
    said: list[str] = []
    watched, plain = (trainer_of(tmp_path / name, max_steps=24) for name in ("a", "b"))
    watched.add_callback(TocsinCallback(every=1, say=said.append))
    watched.train()
    plain.train()
    for mine, other in zip(watched.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert len(said) == 1, said
    assert said[0].startswith("tocsin: finished after 24 steps. Clean")
    assert watched.state.log_history[5]["loss"] == plain.state.log_history[5]["loss"]
    assert set(vars(watched)) == set(vars(plain))


def test_loss_rate_and_gradient_norm_are_those_of_the_log(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, TocsinCallback(every=1, say=quiet), max_steps=12)
    trainer.train()
    run = read(tmp_path)
    assert points(run, "train/loss") == pytest.approx(logged(trainer, "loss"), abs=ROUNDED)
    assert points(run, "grad/norm") == pytest.approx(logged(trainer, "grad_norm"), rel=1e-5)
    rates = points(run, "lr/0")
    assert {k: rates[k] for k in range(1, 12)} == pytest.approx(
        {k: logged(trainer, "learning_rate")[k] for k in range(1, 12)}
    )
    assert run.config["learning_rate"] == 1e-2
    assert run.exit == "finished"


def test_accumulated_batches_are_one_step_of_the_trainer(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, TocsinCallback(every=1, say=quiet), gradient_accumulation_steps=4, max_steps=6)
    trainer.train()
    run = read(tmp_path)
    assert points(run, "train/loss") == pytest.approx(logged(trainer, "loss"), abs=ROUNDED)
    assert points(run, "grad/norm") == pytest.approx(logged(trainer, "grad_norm"), rel=1e-5)
    assert points(run, "count/backward")[6] == 24
    assert points(run, "count/optimizer")[6] == 6
    assert not check_runs([run]).failed


def test_a_loss_that_the_trainer_computes_itself_is_heard_too(tmp_path: Path) -> None:
    def loss_of(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        return 3 * torch.nn.functional.cross_entropy(outputs["logits"], labels)

    class Net(Classifier):
        def forward(self, x: torch.Tensor, **_: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"logits": self.net(x)}

    trainer = trainer_of(tmp_path, TocsinCallback(say=quiet), model=Net(), compute_loss_func=loss_of)
    trainer.train()
    assert points(read(tmp_path), "train/loss") == pytest.approx(logged(trainer, "loss"), abs=ROUNDED)


def test_evaluations_are_recorded_by_the_names_that_a_reader_gives_them(tmp_path: Path) -> None:
    trainer = trainer_of(
        tmp_path, TocsinCallback(say=quiet), eval_dataset={"near": samples(16, seed=9), "far": samples(16, seed=10)},
        eval_strategy="epoch", num_train_epochs=2, max_steps=-1, compute_metrics=accuracy, eval_on_start=True,
        save_strategy="epoch",
    )  # fmt: skip
    trainer.train()
    run, (log,) = read(tmp_path), tocsin.read(tmp_path / "checkpoint-16" / "trainer_state.json")
    names = {n for n in log.series if n.startswith("val")}
    assert names == {f"val_{where}/{what}" for where in ("near", "far") for what in ("loss", "accuracy")}
    for name in names:
        assert points(run, name) == points(log, name)
        assert set(points(run, name)) == {0, 8, 16}
    assert {n.partition("/")[0] for n in run.series if "val" in n} <= {"val_near", "val_far", "input", "rng", "norm"}
    assert [e.step for e in run.events if e.kind == "end_epoch"] == [8, 16]


def test_a_nan_that_the_log_hides_is_named_live_and_in_the_log(tmp_path: Path) -> None:
    said: list[str] = []
    callback = TocsinCallback(say=said.append)
    trainer = trainer_of(tmp_path, callback, data=samples(bad=(34,)), save_strategy="steps", save_steps=8)
    trainer.train()
    assert [logged(trainer, "loss")[k] for k in range(5, 9)] == [0.0] * 4
    assert np.isnan([points(read(tmp_path), "train/loss")[k] for k in range(5, 9)]).all()
    assert callback.findings[0].code == "AMP003"
    assert callback.findings[0].step == 5
    assert any(line.startswith("tocsin: error AMP003") for line in said)
    (root,) = tocsin.check(tmp_path / "checkpoint-8" / "trainer_state.json").roots
    assert (root.code, root.step) == ("AMP004", 5)


def test_the_scale_and_the_skipped_steps_of_float16_are_recorded(tmp_path: Path) -> None:
    """On the CPU the Trainer makes no scaler for ``fp16=True``; one of torch goes the way that one on a GPU goes."""

    class Overflow(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
            if state.global_step == 3:
                model.net[0].weight.grad[0, 0] = float("inf")

    trainer = trainer_of(tmp_path, TocsinCallback(every=1, say=quiet), Overflow(), fp16=True, max_grad_norm=0)
    assert trainer.accelerator.scaler is None
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    trainer.train()
    run = read(tmp_path)
    assert set(points(run, "amp/scale").values()) == {1024, 512}
    assert points(run, "count/skipped")[8] == 1
    assert points(run, "count/optimizer")[8] == 7
    assert points(run, "train/loss") == pytest.approx(logged(trainer, "loss"), abs=ROUNDED)
    assert max(v for v in points(run, "grad/norm").values() if np.isfinite(v)) < 10, "unscaled"


def test_live_findings_equal_those_found_afterwards(tmp_path: Path) -> None:
    callback = TocsinCallback(every=1, say=quiet)
    trainer_of(tmp_path, callback, data=samples(bad=(34,)), max_steps=40).train()
    assert callback.findings[0].rang_at < 40
    assert callback.run.report.to_json()["findings"] == check_runs([read(tmp_path)]).to_json()["findings"]


def test_stop_on_ends_the_training_in_the_trainers_own_way(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, TocsinCallback(stop_on="error", say=quiet), data=samples(bad=(34,)), max_steps=60)
    output = trainer.train()
    assert 7 <= output.global_step < 40
    assert "train_loss" in trainer.state.log_history[-1]
    run = read(tmp_path)
    assert run.exit == "interrupted"
    assert run.last_step == output.global_step


def test_a_run_is_resumed_from_a_checkpoint_in_the_same_record(tmp_path: Path) -> None:
    class Killed(transformers.TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 10:
                raise KeyboardInterrupt

    options = {"save_strategy": "steps", "save_steps": 6, "max_steps": 16}
    with pytest.raises(KeyboardInterrupt):
        trainer_of(tmp_path, Killed(), TocsinCallback(every=1, say=quiet), **options).train()
    second = trainer_of(tmp_path, TocsinCallback(every=1, say=quiet), **options)
    second.train(resume_from_checkpoint=True)
    run = read(tmp_path)
    assert run.exit == "finished"
    assert [a["exit"] for a in json.loads((tmp_path / "tocsin/run.json").read_text())["attempts"]] == [
        "interrupted",
        "finished",
    ]
    assert points(run, "train/loss") == pytest.approx(logged(second, "loss"), abs=ROUNDED)
    assert points(run, "count/optimizer")[16] == 16
    assert not (tmp_path / "tocsin-2").exists()


@pytest.mark.parametrize("where", ["forward", "data", "evaluation"])
def test_an_exception_leaves_a_readable_record_and_reaches_the_user(tmp_path: Path, where: str) -> None:
    class Data(list):  # type: ignore[type-arg]
        def __getitem__(self, k: Any) -> Any:
            if where == "data" and k == 30:
                raise ZeroDivisionError("a row of text")
            return super().__getitem__(k)

    class Broken(Classifier):
        def forward(self, x: torch.Tensor, labels: torch.Tensor, bad: torch.Tensor | None = None) -> dict[str, Any]:
            if (where == "forward" and bad is not None and bad.any()) or (where == "evaluation" and not self.training):
                raise ZeroDivisionError("by the batch")
            return super().forward(x, labels, None)

    trainer = trainer_of(
        tmp_path, TocsinCallback(say=quiet), model=Broken(), data=Data(samples(bad=(24,))), eval_strategy="steps",
        eval_dataset=samples(8), eval_steps=3,
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    run = read(tmp_path)
    assert run.exit == "failed"
    assert run.last_step == {"forward": 4, "data": 2, "evaluation": 3}[where]  # one batch is fetched ahead
    assert any("ZeroDivisionError" in e.text for e in run.events if e.kind == "exception")
    assert "training_step" not in vars(trainer)


def test_an_exception_elsewhere_is_closed_by_the_next_training(tmp_path: Path) -> None:
    class Elsewhere(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                raise ZeroDivisionError

    trainer = trainer_of(tmp_path, Elsewhere(), max_steps=5)
    trainer.add_callback(TocsinCallback(say=quiet))
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    trainer.remove_callback(Elsewhere)
    trainer.train()
    assert read(tmp_path).exit == "finished"
    assert read(tmp_path).last_step == 5
    assert "training_step" not in vars(trainer)


def test_the_callback_is_pickled_copied_and_saved_beside_without_its_record(tmp_path: Path) -> None:
    callback = TocsinCallback(run_dir=tmp_path / "mine", ignore=["GEN"])

    class Copies(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.twins = [pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback)]  # noqa: S301 (bytes made here)

    copies = Copies()
    trainer = trainer_of(tmp_path / "out", callback, copies, save_strategy="steps", save_steps=4)
    trainer.train()
    trainer.save_model(str(tmp_path / "model"))
    trainer.save_state()
    assert json.loads((tmp_path / "out" / "trainer_state.json").read_text())["global_step"] == 8
    for twin in copies.twins:
        assert twin.run is None
        assert twin.options["ignore"] == ("GEN",)
    assert tocsin.read(tmp_path / "mine")[0].exit == "finished"


def test_methods_of_the_trainer_that_somebody_else_replaced_are_given_back(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, TocsinCallback(say=quiet))
    own = trainer.training_step
    calls: list[int] = []

    def patched(*args: Any, **given: Any) -> Any:
        calls.append(1)
        return own(*args, **given)

    trainer.training_step = patched
    trainer.train()
    assert trainer.training_step is patched
    assert len(calls) == 8
    assert len(points(read(tmp_path), "train/loss")) == 8


@pytest.mark.parametrize(("name", "said"), [("DeepSpeedEngine", "DeepSpeed"), ("FullyShardedDataParallel", "FSDP1")])
def test_what_is_not_supported_is_said_in_one_line_and_nothing_breaks(tmp_path: Path, name: str, said: str) -> None:
    lines: list[str] = []
    trainer = trainer_of(tmp_path, TocsinCallback(say=lines.append), model=type(name, (Classifier,), {})())
    trainer.train()
    assert len(lines) == 1
    assert said in lines[0]
    assert "nothing is recorded" in lines[0]
    assert not (tmp_path / "tocsin").exists()


def test_an_optimizer_inside_backward_is_not_supported(tmp_path: Path) -> None:
    lines: list[str] = []
    model = Classifier()
    next(model.parameters())._in_backward_optimizers = []
    trainer_of(tmp_path, TocsinCallback(say=lines.append), model=model).train()
    assert lines == ["tocsin: an optimizer inside backward is not supported: nothing is recorded"]


def test_a_record_that_would_be_uploaded_is_named_so_that_it_is_not() -> None:
    from tocsin.integrations.hugging_face import folder_of

    class Args:
        output_dir, push_to_hub = "out", True

    assert folder_of(Args, None) == Path("out/_tocsin")
    assert folder_of(Args, "there") == Path("there")


def test_a_trainer_that_is_none_of_transformers_gives_what_it_logs(tmp_path: Path) -> None:
    """SetFit, for one, has a loop of its own that calls the callbacks of transformers."""
    callback = TocsinCallback(run_dir=tmp_path, every=1, say=quiet)
    args = transformers.TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    state, control = transformers.TrainerState(), transformers.TrainerControl()
    net = Classifier()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    callback.on_train_begin(args, state, control, model=net, optimizer=optimizer)
    for row in samples(6):
        loss = net(row["x"][None], row["labels"][None])["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        callback.on_optimizer_step(args, state, control)
        callback.on_log(args, state, control, logs={"loss": float(loss.detach())})
    callback.on_train_end(args, state, control)
    (run,) = tocsin.read(tmp_path)
    assert list(points(run, "train/loss")) == [1, 2, 3, 4, 5, 6]
    assert run.exit == "finished"


def test_best_weights_that_are_loaded_at_the_end_are_not_those_of_the_last_step(tmp_path: Path) -> None:
    trainer = trainer_of(
        tmp_path, TocsinCallback(every=1, say=quiet), eval_dataset=samples(16), eval_strategy="steps", eval_steps=4,
        save_strategy="steps", save_steps=4, load_best_model_at_end=True, metric_for_best_model="loss",
        data=samples(bad=(50,)),
    )  # fmt: skip
    trainer.train()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
    assert points(read(tmp_path), "param/nonfinite")[8] > 0


def test_a_class_of_trainer_is_found_whoever_derives_from_it(tmp_path: Path) -> None:
    class Deeper(InOrder):
        def training_step(self, *args: Any, **given: Any) -> Any:
            return super().training_step(*args, **given) * 1.0

    trainer = trainer_of(tmp_path, TocsinCallback(say=quiet), kind=Deeper)
    trainer.train()
    assert points(read(tmp_path), "train/loss") == pytest.approx(logged(trainer, "loss"), abs=ROUNDED)


def _train_as(rank: int, folder: Path) -> None:
    """Runs in a fork, which need not import everything again."""
    from accelerate.state import AcceleratorState

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (folder / "port").read_text()}
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(1)  # threads do not survive a fork
    with (folder / f"said{rank}").open("w") as said, contextlib.redirect_stderr(said):
        callback = TocsinCallback(every=1, stop_on="error")
        options = {"ddp_backend": "gloo", "ddp_find_unused_parameters": False, "max_steps": 40}
        trainer_of(folder, callback, data=samples(bad=(34,)), **options).train()
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_each_of_two_processes_records_its_part(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=_train_as, args=(rank, tmp_path)) for rank in (0, 1)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    said = (tmp_path / "said0").read_text()
    assert said.count("stop_on is not supported with several processes") == 1
    assert said.count("tocsin: finished after 40 steps. Not learning: AMP003") == 1
    assert "tocsin" not in (tmp_path / "said1").read_text()
    run = read(tmp_path)
    assert len(points(run, "train/loss")) == len(points(run, "rank1/train/loss")) == 40
