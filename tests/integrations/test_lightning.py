"""Lightning's trainer, with ``TocsinCallback`` and without: what is recorded, that nothing else changes."""

from __future__ import annotations

import copy
import importlib
import pickle
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch import callbacks as lightning_kinds
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.utils.data import DataLoader, TensorDataset

import tocsin
from loops import batches, quiet, small_model
from tocsin.integrations.auto import lightning_callbacks
from tocsin.integrations.lightning import TocsinCallback, run_of
from tocsin.run import Run

ROOT = Path(__file__).resolve().parents[2]
# What Lightning's own code brings up in the newest torch, and its advice to users.
IGNORED = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning:lightning\.pytorch",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint:UserWarning:lightning\.pytorch",
    ":lightning.pytorch.utilities.warnings.PossibleUserWarning",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore:{warning}") for warning in IGNORED]


def loader(n: int = 320, seed: int = 1, size: int = 32, *, shuffle: bool = True) -> DataLoader:
    x, y = (torch.cat(part) for part in zip(*batches(n // 32, seed), strict=True))
    generator = torch.Generator().manual_seed(3)
    return DataLoader(TensorDataset(x, y), batch_size=size, shuffle=shuffle, generator=generator)


class Net(LightningModule):
    """``forward`` is there but ``training_step`` calls the part, as many do."""

    def __init__(self, lr: float = 1e-2, calls: str = "part") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = small_model(dropout=0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self(x) if self.hparams.calls == "self" else self.net(x)

    def losses(self, batch: Any) -> dict[str, torch.Tensor]:
        x, y = batch
        out = self.scores(x)
        ce, size = nn.functional.cross_entropy(out, y), out.square().mean()
        return {"loss": ce + 0.01 * size, "ce_loss": ce, "size_loss": size.detach(), "scores": out.detach()}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        found = self.losses(batch)
        self.log("train_acc", (found["scores"].argmax(1) == batch[1]).float().mean(), on_step=False, on_epoch=True)
        return found

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        out = self.scores(x)
        self.log("val_loss", nn.functional.cross_entropy(out, y), batch_size=len(y))
        self.log("acc", (out.argmax(1) == y).float().mean(), batch_size=len(y))
        run_of(self.trainer).evaluate("val", target=y, prediction=out)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.hparams.lr)


def fit(
    folder: Path,
    *,
    model: LightningModule | None = None,
    watched: bool = True,
    val: bool = True,
    ckpt: str | None = None,
    data: DataLoader | None = None,
    more: list[Any] | None = None,
    callback: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[LightningModule, Trainer, TocsinCallback]:
    torch.manual_seed(5)
    net = model if model is not None else Net()
    tocsin_callback = TocsinCallback(**{"every": 1, "say": quiet, **(callback or {})})
    quietly = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    quietly |= {"enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in more or [])}
    callbacks = [*([tocsin_callback] if watched else []), *(more or [])]
    trainer = Trainer(default_root_dir=folder, callbacks=callbacks, **({"max_epochs": 3} | quietly | options))
    torch.manual_seed(6)
    trainer.fit(net, data or loader(), loader(128, seed=9, shuffle=False) if val else None, ckpt_path=ckpt)
    return net, trainer, tocsin_callback


def record(folder: Path, name: str = "tocsin") -> Run:
    return tocsin.read(folder / name)[0]


def values(run: Run, name: str) -> list[float]:
    assert name in run.series, f"{name} not in {sorted(run.series)}"
    return run.series[name].value.tolist()


def codes(run: Run) -> set[str]:
    """Codes of errors and warnings; that a short run stopped early is a note."""
    return {f.code for f in tocsin.check(run).findings if f.severity != "note"}


@pytest.mark.parametrize("calls", ["self", "part"])
def test_a_healthy_fit_is_recorded_and_silent(tmp_path: Path, calls: str) -> None:
    _, trainer, callback = fit(tmp_path, model=Net(calls=calls), max_epochs=8)
    run = record(tmp_path)
    assert run.exit == "finished"
    assert not codes(run)
    assert {f.code for f in callback.run.findings} == {f.code for f in tocsin.check(run).findings}
    assert len(values(run, "train/loss")) == trainer.global_step == 80
    assert values(run, "count/optimizer")[-1] == values(run, "count/backward")[-1] == values(run, "count/forward")[-1]
    assert len(values(run, "val/loss")) == len(values(run, "train/acc")) == 8
    assert run.config == {"lr": 1e-2, "calls": calls}
    assert values(run, "lr/0") == [1e-2]
    assert all(p.in_optimizer for p in run.parameters)
    assert not vars(trainer.lightning_module).get("training_step")


def test_losses_are_taken_before_backward_with_their_paths_and_detached_ones_as_numbers(tmp_path: Path) -> None:
    fit(tmp_path)
    run = record(tmp_path)
    total, ce, size = (values(run, f"train/loss{term}") for term in ("", "/ce", "/size"))
    assert total == pytest.approx([a + 0.01 * b for a, b in zip(ce, size, strict=True)], rel=1e-5)
    assert set(values(run, "loss/path/ce")) == {1.0}
    assert "loss/path/size" not in run.series


def test_validation_is_recorded_by_our_names_and_predictions_joined(tmp_path: Path) -> None:
    fit(tmp_path)
    run = record(tmp_path)
    assert [(e.step, e.n) for e in run.evaluations] == [(10, 128), (20, 128), (30, 128)]
    confusion = run.evaluations[-1].confusion
    assert confusion is not None
    right = confusion.count[confusion.target == confusion.prediction].sum()
    assert values(run, "val/acc")[-1] == pytest.approx(right / 128)
    assert len(run.series["input/fingerprint/eval"]) == 12


@pytest.mark.parametrize("calls", ["self", "part"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_weights_and_random_state_are_bit_identical(tmp_path: Path, calls: str, accumulate: int) -> None:
    ends = []
    for watched in (True, False):
        net, _, _ = fit(tmp_path, model=Net(calls=calls), watched=watched, accumulate_grad_batches=accumulate)
        ends.append((copy.deepcopy(net.state_dict()), torch.get_rng_state()))
    assert all(torch.equal(a, b) for a, b in zip(ends[0][0].values(), ends[1][0].values(), strict=True))
    assert torch.equal(ends[0][1], ends[1][1])


def test_accumulation_divides_no_loss(tmp_path: Path) -> None:
    fit(tmp_path / "a", max_epochs=1)
    fit(tmp_path / "b", max_epochs=1, accumulate_grad_batches=5)
    one, five = record(tmp_path / "a"), record(tmp_path / "b")
    assert values(five, "train/loss")[0] == values(one, "train/loss")[0]
    assert len(values(five, "train/loss")) == 10
    assert values(five, "count/optimizer")[-1] == 2
    assert values(five, "count/backward")[-1] == 10
    assert not codes(five)


class Plain(Net):
    """Returns its loss alone; a wrapper of the strategy may hide even that."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.losses(batch)["loss"]


def test_without_what_the_step_returned_the_loss_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[bool, list[float]] = {}
    for hidden in (False, True):
        if hidden:
            monkeypatch.setattr("tocsin.integrations.steps.Tapped.take", lambda _: None)
        precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))
        fit(tmp_path / str(hidden), model=Plain(), accumulate_grad_batches=5, plugins=[precision])
        seen[hidden] = values(record(tmp_path / str(hidden)), "train/loss")
    assert seen[True] == pytest.approx(seen[False], rel=1e-5)


class Overflowing(Plain):
    """One gradient of inf."""

    def on_after_backward(self) -> None:
        if self.trainer.fit_loop.total_batch_idx == 4:
            self.net[0].weight.grad[0, 0] = float("inf")


def test_skipped_amp_steps_are_counted(tmp_path: Path) -> None:
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))
    fit(tmp_path, model=Overflowing(), plugins=[precision], max_epochs=1, val=False)
    run = record(tmp_path)
    assert values(run, "count/skipped")[-1] == 1
    assert values(run, "count/optimizer")[-1] == 9
    assert set(values(run, "amp/scale")) == {1024, 512}
    assert max(values(run, "train/loss")) < 10
    assert max(v for v in values(run, "grad/norm") if v != float("inf") and v == v) < 10


def test_bfloat16_is_silent(tmp_path: Path) -> None:
    fit(tmp_path, precision="bf16-mixed", max_epochs=8)
    assert not codes(record(tmp_path))


class Duel(Net):
    """Two optimizers that the module steps itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.other = nn.Linear(8, 1)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        first, second = self.optimizers()
        x, _ = batch
        for optimizer, loss in (
            (first, self.losses(batch)["loss"]),
            (second, (self.other(x)[:, 0] - x[:, 0]).square().mean()),
        ):
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(self.net.parameters(), 1e-2), torch.optim.SGD(self.other.parameters(), 0.05)]


def test_manual_optimisation_with_two_optimizers(tmp_path: Path) -> None:
    fit(tmp_path, model=Duel(), max_epochs=8)
    run = record(tmp_path)
    assert values(run, "lr/opt/1/0") == [0.05]
    assert len(values(run, "train/loss/backward0")) == len(values(run, "train/loss/backward1")) == 80
    assert "train/loss" not in run.series, "the losses of several optimizers have no sum"
    assert values(run, "count/optimizer")[-1] == 160
    assert values(run, "loss/path/backward1") == [1.0] * 80
    assert not codes(run)


def test_manual_losses_are_unscaled(tmp_path: Path) -> None:
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))
    fit(tmp_path, model=Duel(), plugins=[precision], max_epochs=1, val=False)
    run = record(tmp_path)
    assert 0 < max(values(run, "train/loss/backward0")) < 10
    assert 0 < max(values(run, "train/loss/backward1")) < 10


def test_a_compiled_module_is_followed_and_gets_no_graph_more(tmp_path: Path) -> None:
    graphs = []
    for watched in (True, False):
        torch._dynamo.reset()
        counter = CompileCounter()
        net = torch.compile(Plain(), backend=counter)
        fit(tmp_path, model=net, watched=watched, max_epochs=2, val=False)
        graphs.append(counter.frame_count)
    assert graphs[0] == graphs[1]
    run = record(tmp_path)
    assert len(values(run, "train/loss")) == values(run, "count/optimizer")[-1] == 20
    assert not codes(run)


@pytest.mark.parametrize("calls", ["self", "part"])
def test_a_batch_is_one_forward_under_ddp_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: str) -> None:
    ddp = {"strategy": "ddp", "devices": 1, "use_distributed_sampler": False}
    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "RANK"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    try:
        fit(tmp_path / "ddp", model=Net(calls=calls), data=loader(shuffle=False), **ddp)
    finally:
        torch.distributed.destroy_process_group()
    fit(tmp_path / "one", model=Net(calls=calls), data=loader(shuffle=False))
    ddp, one = record(tmp_path / "ddp"), record(tmp_path / "one")
    assert values(ddp, "count/forward")[-1] == values(ddp, "count/backward")[-1] == 30
    for name in ("count/forward", "train/loss", "input/fingerprint/train", "input/fingerprint/eval"):
        assert values(ddp, name) == values(one, name), name


@pytest.mark.skipif(not hasattr(lightning_kinds, "EMAWeightAveraging"), reason="Lightning has it from 2.6 on")
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_averaged_weights_are_followed_and_the_live_ones_recorded_to_the_end(tmp_path: Path, first: str) -> None:
    average = lightning_kinds.EMAWeightAveraging(decay=0.9)
    ours = TocsinCallback(every=1, say=quiet)
    callbacks = [ours, average] if first == "ours" else [average, ours]
    fit(tmp_path / "ema", watched=False, more=callbacks)
    fit(tmp_path / "plain")
    ema, plain = record(tmp_path / "ema"), record(tmp_path / "plain")
    assert 0 < values(ema, "ema/behind")[-1] < 1
    assert values(ema, "param/norm") == pytest.approx(values(plain, "param/norm"))
    assert values(ema, "update/ratio/net.0.weight") == pytest.approx(values(plain, "update/ratio/net.0.weight"))


class Poisoned(Net):
    """NaN from batch 7 on."""

    def losses(self, batch: Any) -> dict[str, torch.Tensor]:
        found = super().losses(batch)
        if self.trainer.fit_loop.total_batch_idx >= 6:
            found["loss"] = found["loss"] * float("nan")
        return found


def test_a_nan_is_found_while_it_trains(tmp_path: Path) -> None:
    said: list[str] = []
    _, _, callback = fit(tmp_path, model=Poisoned(), callback={"say": said.append})
    assert "AMP003" in {f.code for f in callback.run.findings}
    assert any("AMP003" in line for line in said)
    assert values(record(tmp_path), "train/loss")[6] != values(record(tmp_path), "train/loss")[6]


def test_stop_on_stops_instead_of_raising(tmp_path: Path) -> None:
    _, trainer, _ = fit(tmp_path, model=Poisoned(), callback={"stop_on": "error"}, max_epochs=20)
    assert trainer.global_step < 40
    run = record(tmp_path)
    assert run.exit == "interrupted"
    assert [e.data["on"] for e in run.events if e.kind == "stop"] == ["AMP003"]


def test_a_resumed_fit_goes_on_counting(tmp_path: Path) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, filename="last", save_top_k=1)
    fit(tmp_path, more=[saver], max_epochs=1, callback={"run_dir": tmp_path / "a"})
    fit(tmp_path, ckpt=str(tmp_path / "last.ckpt"), callback={"run_dir": tmp_path / "b"})
    steps = record(tmp_path, "b").series["train/loss"].step.tolist()
    assert steps == list(range(11, 31))


def test_a_checkpoint_of_before_the_callback_counts_batches(tmp_path: Path) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, filename="last", save_top_k=1)
    fit(tmp_path, more=[saver], max_epochs=1, watched=False)
    fit(tmp_path, ckpt=str(tmp_path / "last.ckpt"), max_epochs=2)
    assert record(tmp_path).series["train/loss"].step.tolist() == list(range(11, 21))


class Raises(Net):
    """Breaks at batch 5."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.trainer.fit_loop.total_batch_idx == 4:
            raise ZeroDivisionError("planted")
        return super().training_step(batch, batch_idx)


def test_an_exception_leaves_a_record(tmp_path: Path) -> None:
    net = Raises()
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, model=net)
    run = record(tmp_path)
    assert run.exit == "failed"
    assert len(values(run, "train/loss")) == 4
    assert any("ZeroDivisionError" in e.text for e in run.events)
    assert "training_step" not in vars(net)


def test_overfit_batches_is_no_fault(tmp_path: Path) -> None:
    fit(tmp_path, overfit_batches=2, max_epochs=20, data=loader(shuffle=False))
    run = record(tmp_path)
    assert len(values(run, "train/loss")) == 40
    assert not codes(run)


def test_sanity_checks_dry_runs_and_tests_leave_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    fit(tmp_path, fast_dev_run=True, callback={"say": said.append})
    assert not list(tmp_path.rglob("run.json"))
    assert said == ["tocsin: fast_dev_run leaves no traces; nothing is recorded"]
    _, trainer, _ = fit(tmp_path, max_epochs=1, num_sanity_val_steps=2)
    before = sorted(tmp_path.rglob("*"))
    net = trainer.lightning_module
    net.test_step = net.validation_step
    trainer.test(net, loader(64), verbose=False)
    trainer.validate(net, loader(64), verbose=False)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(values(record(tmp_path), "val/loss")) == 1
    assert len(record(tmp_path).evaluations) == 1


def test_a_second_fit_is_a_run_of_its_own(tmp_path: Path) -> None:
    net, trainer, _ = fit(tmp_path, max_epochs=1)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(net, loader())
    assert record(tmp_path, "tocsin-2").exit == "finished"


class Closures(Plain):
    """LBFGS goes through the same batch several times."""

    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), self.hparams.lr, max_iter=4)


def test_lbfgs_is_one_step_a_batch(tmp_path: Path) -> None:
    fit(tmp_path, model=Closures(lr=0.1), max_epochs=4)
    run = record(tmp_path)
    assert len(values(run, "train/loss")) == values(run, "count/optimizer")[-1] == 40
    assert not codes(run)


def test_a_module_can_be_copied_and_pickled_while_it_trains(tmp_path: Path) -> None:
    copies: list[LightningModule] = []

    class Copying(Plain):
        def on_train_batch_end(self, *_: Any) -> None:
            self._trainer, kept = None, self._trainer
            copies.append(copy.deepcopy(self))
            self._trainer = kept

    net, _, _ = fit(tmp_path, model=Copying(), max_epochs=1)
    assert copies[0].training_step.__self__ is copies[0]
    assert not isinstance(copies[0].training_step, type(net))


def test_the_step_that_is_taken_reaches_no_pickle(tmp_path: Path) -> None:
    from tocsin.integrations.steps import Tapped

    net = Net()
    tap = Tapped(net)
    back = pickle.loads(pickle.dumps(net))  # noqa: S301 (bytes made here)
    assert back.training_step.__self__ is back
    tap.remove()
    assert "training_step" not in vars(net)


def test_a_callback_can_be_sent_to_another_process(tmp_path: Path) -> None:
    _, _, callback = fit(tmp_path, max_epochs=1)
    assert callback.run.step == 10
    there = pickle.loads(pickle.dumps(callback))  # noqa: S301 (bytes made here)
    assert there.run.folder is None
    there.run.evaluate("val", target=[1], prediction=[1])


class Text:
    """A TensorBoard writer."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add_text(self, tag: str, text: str, **_: Any) -> None:
        self.texts[tag] = text

    def flush(self) -> None:
        pass


class TensorBoardLogger(CSVLogger):
    """What the real one looks like from outside."""

    written = Text()

    @property
    def experiment(self) -> Any:
        return self.written

    def log_metrics(self, *_: Any, **__: Any) -> None:
        pass

    log_hyperparams = save = log_metrics


def test_findings_go_to_the_users_logger_and_the_record_beside_its_files(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path / "logs")
    fit(tmp_path, model=Poisoned(), logger=logger)
    assert set(logger.written.texts) == {"tocsin/AMP003", "tocsin/verdict"}
    assert record(tmp_path / "logs" / "lightning_logs" / "version_0").exit == "finished"


def test_the_entry_point_is_for_those_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_AUTO", raising=False)
    assert lightning_callbacks() == []
    monkeypatch.setenv("TOCSIN_AUTO", "1")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    home, _, name = declared["lightning.pytorch.callbacks_factory"]["tocsin"].partition(":")
    (callback,) = getattr(importlib.import_module(home), name)()
    assert isinstance(callback, TocsinCallback)
    fit(tmp_path, max_epochs=1)  # Lightning adds its own one
    assert callback.state_key != TocsinCallback().state_key, "both may be there"
    assert not (tmp_path / "tocsin-2").exists()


@pytest.mark.parametrize(("asked", "callbacks"), [(None, 0), ("0", 0), ("1", 1)])
def test_a_trainer_gets_our_callback_of_itself_only_where_the_user_asks(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, callbacks: int
) -> None:
    monkeypatch.delenv("TOCSIN_AUTO", raising=False)
    if asked is not None:
        monkeypatch.setenv("TOCSIN_AUTO", asked)
    trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    assert len([c for c in trainer.callbacks if isinstance(c, TocsinCallback)]) == callbacks


def test_what_is_not_supported_is_named(tmp_path: Path) -> None:
    class Foreign:
        """No optimizer of torch."""

    said: list[str] = []
    callback = TocsinCallback(say=said.append)
    net = Net()
    trainer = Trainer(default_root_dir=tmp_path, logger=False, accelerator="cpu", enable_checkpointing=False)
    trainer.strategy._lightning_module = trainer.strategy._model = net
    trainer.strategy._optimizers = [Foreign()]
    callback.on_train_start(trainer, net)
    assert said == ["tocsin: not supported: the optimizer Foreign, which is none of torch.optim; nothing is recorded"]
    assert not list(tmp_path.rglob("run.json"))


def test_the_guide_runs_and_shows_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "guides" / "lightning.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    quietly = "enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, logger=False"
    exec(compile(code.replace("logger=False", quietly), "lightning.md", "exec"), {})  # noqa: S102
    (finding,) = tocsin.check("tocsin").roots
    assert finding.code == "OPT008"
    assert finding.message in " ".join(page.split())
    assert len(record(tmp_path).evaluations) == 12
