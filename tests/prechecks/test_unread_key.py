"""CFG005: keys that nothing reads, before, in and after the building of a training."""

from __future__ import annotations

import numpy as np
import pydantic

import tocsin
from prechecks.probe_setups import batches, found, setup


def _setup(config, **parts):
    x = np.ones((20, 3), np.float32)
    return setup(batches(20, 10, x=x, y=x[:, 0]), config=config, **parts)


def test_a_key_under_another_name_and_its_message():
    config = tocsin.reading({"optim": {"peak_lr": 1e-3, "decay": 0.01}, "warmup": 100})
    assert config.optim.get("lr_peak", 3e-4) == 3e-4
    assert config.warmup == 100
    (finding,), _ = found("CFG005", _setup(config))
    assert finding.message == (
        "nothing read optim.decay = 0.01, optim.peak_lr = 0.001; the code asks for optim.lr_peak, the configuration "
        "has optim.peak_lr"
    )
    assert (finding.subject, finding.severity, finding.name) == ("optim", "warning", "unread-key")
    assert [e.source for e in finding.evidence] == ["config:optim.decay", "config:optim.peak_lr"]


def test_a_misspelt_key():
    config = tocsin.reading({"droput": 0.1})
    config.get("dropout")
    (finding,), _ = found("CFG005", _setup(config))
    assert finding.message.endswith("the code asks for dropout, the configuration has droput")


def test_a_finding_a_section_with_at_most_eight_keys_in_words():
    config = tocsin.reading({"a": dict.fromkeys("abcdefghijk", 1), "b": {"c": [{"d": 1}]}, "e": "x" * 99})
    findings, _ = found("CFG005", _setup(config))
    assert sorted(f.subject for f in findings) == ["", "a", "b.c.0"]
    assert next(f for f in findings if f.subject == "a").message.endswith("and 3 more")
    assert all(len(f.message) < 200 for f in findings)


def test_silent_where_all_is_read():
    config = tocsin.reading({"lr": 1e-3, "net": {"width": 3}})
    assert dict(config.net) == {"width": 3}
    assert config.lr
    assert found("CFG005", _setup(config)) == ([], [])


def test_silent_on_keys_that_losses_reads_batch_by_batch():
    config = tocsin.reading({"weight": 2.0, "margin": 1.0})

    def losses(model, batch):
        return config.weight * model(batch["x"]).square().mean()

    def predict(model, batch):
        return batch["y"], model(batch["x"])[:, 0] - config.margin

    assert found("CFG005", _setup(config, losses=losses, predict=predict)) == ([], [])


def test_silent_on_what_is_not_for_the_code():
    config = tocsin.reading(
        {
            "name": "a", "description": "b", "tags": [1], "version": 2, "author": "me", "experiment_name": "c",
            "wandb": {"project": "p", "entity": "e"}, "output_dir": "out", "logDir": "x", "notes": "n",
        }
    )  # fmt: skip
    assert found("CFG005", _setup(config)) == ([], [])


def test_not_checked_without_the_wrapper():
    reason = "config does not tell what was read: build everything from tocsin.reading(config) and pass it"
    assert found("CFG005", _setup({"lr": 1e-3})) == ([], [reason])


def test_a_model_that_holds_the_configuration():
    config = tocsin.reading({"width": 3})
    given = _setup(config)
    given.model.config = config
    assert len(found("CFG005", given)[0]) == 1
    hooked = given.model.register_forward_pre_hook(lambda model, _: model.config.width and None)
    assert found("CFG005", given) == ([], [])
    hooked.remove()


class Optimizer(pydantic.BaseModel, frozen=True):
    peak_lr: float
    momentum: float = 0.9


class Settings(pydantic.BaseModel, frozen=True):
    optimizer: Optimizer = Optimizer(peak_lr=0.1)
    warmup: int = 0


def test_a_frozen_pydantic_model_rings_for_what_was_set():
    config = tocsin.reading(Settings(warmup=5, optimizer=Optimizer(peak_lr=0.1)))
    findings, _ = found("CFG005", _setup(config))
    assert sorted(f.message for f in findings) == ["nothing read optimizer.peak_lr = 0.1", "nothing read warmup = 5"]
    assert config.model_copy(update={"warmup": 6}).warmup == 6
    assert config.optimizer.peak_lr == 0.1
    assert found("CFG005", _setup(config)) == ([], [])


def test_a_pydantic_model_that_nobody_set_is_silent():
    assert found("CFG005", _setup(tocsin.reading(Settings()))) == ([], [])
