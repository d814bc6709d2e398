"""Where lines stand: dates and ranks before them, several runs in one file, resumed ones, logs cut at their start."""

from __future__ import annotations

import pytest

from readers.console.reading import kinds, run, runs, table


@pytest.mark.parametrize(
    "before",
    [
        "2023-01-02 10:00:00 ", "2023-01-02T10:00:00.123456Z ", "[2023-01-02 10:00:00,123][INFO] ",
        "[01/02/23 10:00:00] ", "10:00:00 ",
        "01-02 10:00:00 INFO ", "2023-01-02 10:00:00.123 | INFO     | __main__:train:42 - ", "INFO:root:",
        "INFO 2023-01-02 10:00:00 train.py:12 ", "[2023-01-02T10:00:00+00:00] ", "Mon Jan  2 10:00:00 2023 ", "INFO - ",
        "I0102 10:00:00.123456 12345 train.py:12] ", "I0102 10:00:00.123456 140033274427136 a_b.py:260] ",
        "[10:00:00] ",
        "2023-01-02 10:00:00,123 - a.b - INFO - ", "[host:0/1] 2023-01-02 10:00:00,123 (trainer:672) INFO: ",
        "2023-01-02 10:00:00\tname\tINFO\t", "[2023/01/02 10:00:00] ppocr INFO: ", "[Rank 0] ",
        "[2024-01-02 10:00:00,123] [INFO] [logging.py:96:log_dist] [Rank 0] ", "(RayTrainWorker pid=77, ip=10.0.0.1) ",
        "01/17/2024 13:47:27 [INFO|DP=0|PP=0|TP=0|ip-26-0-160-225]: ",
        "[INFO|trainer.py:12] 2024-01-02 10:00:00,123 >> ",
    ],
)  # fmt: skip
def test_what_stands_before_the_message(before):
    text = "".join(f"{before}epoch {n} loss {2.5 / n}\n" for n in (1, 2, 3))
    (found,) = table(run(text)).values()
    assert [step for step, _ in found] == [1, 2, 3]


@pytest.mark.parametrize(
    "before",
    [
        "[rank{r}]: ",
        "{r}: ",
        "[{r}] ",
        "({r}/8) ",
        "(RayTrainWorker pid=7{r}) ",
        "Rank {r} | ",
        "[GPU{r}] ",
        "[1,{r}]<stdout>:",
    ],
)
def test_of_several_ranks_one_is_read(before):
    dated = "2021-01-02 10:00:00,000 INFO [train.py:9] " if before.startswith("({r}") else ""
    text = "".join(
        f"{dated}{before.format(r=r)}Epoch {n}, loss = {3.5 / n + r}\n" for n in (1, 2, 3) for r in (0, 1, 2)
    )
    found = run(text)
    assert len(found.series["train/loss"]) == 3
    assert any("ranks" in sentence for sentence in found.unread)


def test_ranks_that_print_the_same_without_saying_who():
    text = "".join(f"Epoch {n} train_loss {3.51237 / n:.5f} val_loss {4.51237 / n:.5f}\n" * 4 for n in (1, 2, 3))
    assert len(run(text).series["val/loss"]) == 3


def test_coarse_rows_that_are_alike_are_different_rows():
    text = "Epoch 2 train Loc Loss: 0.0044 Cls Loss: 0.0044 Tot Loss: 0.0044\n" * 9
    assert len(run(text).series["train/loss"]) == 9


def test_folds_and_appended_runs():
    fold = "Epoch 1 train_loss 2.5\nEpoch 2 train_loss 1.5\n"
    assert [len(one.series["train/loss"]) for one in runs(f"Fold 1\n{fold}Fold 2\n{fold}")] == [2, 2]


def test_a_resumed_run_is_one():
    text = (
        "python train.py\nEpoch 1 loss 2.5\nEpoch 2 loss 1.5\nEpoch 3 loss 1.25\nKilled\n"
        "python train.py --resume last.pt\n=> loaded checkpoint 'last.pt' (epoch 2)\n"
        "Epoch 3 loss 1.2\nEpoch 4 loss 1.1\n"
    )
    found = run(text)
    assert "resume" in kinds(found)
    assert found.exit == "unknown"


def test_the_start_is_cut_off():
    text = "batch 400 loss 4.5\nbatch 450 loss 4.25\nEpoch: 13\nbatch 0 loss 3.5\nbatch 50 loss 3.25\n"
    assert len(run(text).series["train/loss"]) == 4


def test_losses_before_the_first_epoch_is_named():
    text = "".join(f" loss: {2.5 + n}; acc: 0.5\n" for n in range(6)) + "Epoch: 1/9\n loss: 1.5; acc: 0.75\n"
    assert [step for step, _ in table(run(text))["train/loss"]] == [1, 2, 3, 4, 5, 6, 7]


def test_a_count_with_a_total_before_one_without():
    text = "".join(f" {n}/50000: episode: {n // 50}, episode steps: 50, loss: {n}.5\n" for n in (100, 150, 200))
    assert [step for step, _ in table(run(text))["train/loss"]] == [100, 150, 200]


@pytest.mark.parametrize(
    ("line", "name", "step"),
    [
        ("validation loss at iteration {n} | lm loss value: 2.5", "val/loss", 7),
        ("[ITER {n}] Evaluating test: PSNR 20.5", "test/psnr", 7),
        ("Epoch 1, step/total_step: {n}/60 8% Loss:2.5", "train/loss", 7),
        ("1epoch:train:{n}-99batch: loss=2.5", "train/loss", 1),
    ],
)  # fmt: skip
def test_positions_in_words(line, name, step):
    text = "".join(line.format(n=n) + "\n" for n in (7, 8))
    assert table(run(text))[name][0][0] == step


def test_two_positions_in_one_name():
    text = "".join(f"epoch/iter: {e}/{n}  total_loss: 5.5  lr: 1e-4\n" for e, n in ((0, 257), (1, 399), (1, 515)))
    found = run(text).series["train/loss"]
    assert found.step.tolist() == [257, 399, 515]
    assert found.epoch.tolist() == [1, 2, 2]


def test_a_total_so_far_is_no_plan():
    block = " Learning iteration {n}/10\n\n Total steps: {s}\n Mean value loss: 19.5\n Mean reward: -4.5\n"
    found = run(block.format(n=0, s=256) + block.format(n=1, s=512))
    assert found.environment.get("planned", {}).get("steps") in (None, 10)
