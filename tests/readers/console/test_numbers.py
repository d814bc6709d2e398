"""Numbers in all their spellings, and what their names mean."""

from __future__ import annotations

import math

import pytest

from readers.console.reading import run, table


def values(text: str, name: str) -> list[float]:
    return [value for _, value in table(run(text))[name]]


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("0.125", 0.125), ("'0.125'", 0.125), ("1.25e-1", 0.125), ("12.5%", 0.125), ("1,234.5", 1234.5), (".5", 0.5),
        ("0.125 (0.5)", 0.125), ("0.125 ± 0.5", 0.125), ("tensor(0.125)", 0.125), ("np.float64(0.125)", 0.125),
        ("9/10=0.9", 0.9), ("90.0/100.0 = 0.9", 0.9), ("9/10 (90%)", 0.9), ("-0.25", -0.25), ("+0.25", 0.25),
    ],
)  # fmt: skip
def test_values(said, value):
    assert values(f"epoch 1 acc: {said}\nepoch 2 acc: {said}", "acc") == [value, value]


@pytest.mark.parametrize("said", ["nan", "-nan", "NaN", "NAN", "-nan(ind)", "1.#QNAN0", "-1.#IND00"])
def test_not_a_number(said):
    assert all(map(math.isnan, values(f"step=1 loss={said} lr=0.1\nstep=2 loss={said} lr=0.1", "train/loss")))


@pytest.mark.parametrize(("said", "value"), [("inf", math.inf), ("-inf", -math.inf), ("Infinity", math.inf)])
def test_infinite(said, value):
    assert values(f"step=1 loss={said}\nstep=2 loss={said}", "train/loss") == [value, value]


def test_a_nan_before_the_next_key():
    found = run(
        "Epoch: 7 train_loss= 0.5 val_loss= nan val_acc= 0.25\nEpoch: 8 train_loss= 0.5 val_loss= nan val_acc= 0.5"
    )
    assert len(found.series["val/loss"]) == 2
    assert values(
        "Iteration 0 (-nan iter/s, 2.5s/20 iters), loss = 6.5\nIteration 20 (1 iter/s), loss = 5", "train/loss"
    ) == [
        6.5,
        5.0,
    ]


def test_a_score_of_minus_one_is_undefined():
    found = run(
        "Epoch: 1\nloss: 2.5\nDev: acc: 0.9, p: -1.0, r: 0.0, f: -1.0\n"
        "Epoch: 2\nloss: 2.25\nDev: acc: 0.9, p: 0.5, r: 0.5, f: 0.5"
    )
    assert math.isnan(found.series["val/f1"].value[0])
    assert found.series["val/f1"].value[1] == 0.5
    assert found.series["val/recall"].value[0] == 0
    assert any("undefined" in sentence for sentence in found.unread)


@pytest.mark.parametrize("loss", ["reward", "loss"])
def test_minus_one_is_a_value_where_it_is_no_score_of_hits(loss):
    name = "train/loss" if loss == "loss" else loss
    assert values(f"step 1 {loss}: -1.0\nstep 2 {loss}: -2.0", name) == [-1.0, -2.0]


def test_the_quotient_beside_a_fraction():
    assert values("Epoch: 1\n Instance: 16; loss: 7.5; acc: 364.0/388.0=0.9381", "acc") == [0.9381]


@pytest.mark.parametrize(
    "line",
    [
        "第{n}轮 训练损失：{l} 验证集准确率：{a}",
        "轮次 [{n}/9] 训练损失：{l} 验证准确率：{a}",
        "エポック {n}/9 学習損失: {l} 検証 正解率: {a}",
        "에포크 {n}/9 훈련 손실: {l} 검증 정확도: {a}",
        "Epoch {n} 訓練損失: {l} 驗證 準確率: {a}",
    ],
)  # fmt: skip
def test_other_languages(line):
    text = "\n".join(line.format(n=n, l=2.5 - n, a=n / 10) for n in (1, 2))
    found = table(run(text))
    assert found["train/loss"] == [(1, 1.5), (2, 0.5)]
    assert found["val/accuracy"] == [(1, 0.1), (2, 0.2)]


def test_what_only_a_split_names():
    loss = table(run("iter 0: train 9.8 val 9.9\niter 500: train 4.2 val 4.3"))
    assert set(loss) == {"train/loss", "val/loss"}
    score = table(
        run(
            "Epoch: 1, Loss: 3.5, Train: 20.0%, Valid: 30.0%, Test: 27.0%\n"
            "Epoch: 2, Loss: 3.0, Train: 30.0%, Valid: 35.0%, Test: 32.0%"
        )
    )
    assert score["val/acc"] == [(1, 0.3), (2, 0.35)]
    assert set(
        table(run("Epoch: 001, Train: 0.9, Val: 0.7, Test: 0.71\nEpoch: 002, Train: 0.95, Val: 0.72, Test: 0.73"))
    ) == {
        "train/acc",
        "val/acc",
        "test/acc",
    }


def test_a_count_between_name_and_value():
    found = table(
        run("Epoch: 0\nTrain loss 0 45.5 Grad Norm 10.5\nTrain loss 1 43.5 Grad Norm 9.5\nValidation loss 1:  40.5")
    )
    assert found["train/loss"] == [(0, 45.5), (1, 43.5)]
    assert found["val/loss"] == [(1, 40.5)]


def test_files_hold_no_quantities():
    text = "\n".join(
        f"epoch {n} loss 0.5, saved to /runs/x/epoch={n}-val_loss=0.{n}.ckpt and model-0.7.pt" for n in (1, 2)
    )
    assert set(table(run(text))) == {"train/loss"}


def test_one_point_a_name_and_line():
    text = "\n".join(
        f"Epoch 0, batch {n}, loss[loss=1.5, over 24.0 frames. ], tot_loss[loss=1.25, over 99.0 frames. ]"
        for n in (0, 50)
    )
    assert table(run(text))["train/loss"] == [(0, 1.5), (50, 1.5)]


@pytest.mark.parametrize(
    "line",
    [
        "Adjusting learning rate of group 0 to 5.0000e-04.",
        "Epoch 00003: reducing learning rate of group 0 to 5.0000e-04.",
        "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.0005.", "lr is changed from 0.001 to 0.0005",
        " Learning rate is set as: 0.0005",
    ],
)  # fmt: skip
def test_a_scheduler_speaks(line):
    text = f"epoch 1 loss 2.5\n{line}\nepoch 2 loss 1.5"
    found = table(run(text))
    assert found == {"train/loss": [(1, 2.5), (2, 1.5)], "lr/0": [(1, 0.0005)]}


def test_a_sentence_sets_no_number_to_a_name():
    said = "At epoch 7, the mean foreground Dice was 0. High momentum (0.99) is good where it works, and that is rare"
    assert set(table(run(f"epoch: 7\ntrain loss : -0.5\n{said}\nepoch: 8\ntrain loss : -0.25"))) == {"train/loss"}


def test_ranks_of_retrieval_and_units_before_a_name():
    found = table(
        run(
            "Epoch[1] Loss: 9.5\nValidation Results - Epoch: 1\nmAP: 12.5%\nCMC curve, Rank-1  :25.5%\nEpoch[2] Loss: 8"
        )
    )
    assert found["val/rank_1"] == [(1, 0.255)]
    rates = table(
        run("epoch 7 iter 75 1.8 iters/s loss 14.5 acc 0.0\nepoch 7 iter 175 10.7 iters/s loss 14.25 acc 0.0")
    )
    assert rates["train/loss"] == [(75, 14.5), (175, 14.25)]


def test_memory_and_speed_are_no_quantities():
    text = "".join(
        f"step: {n}  loss:  3.5  grad_norm:  0.75  memory:  9.46GiB(64.99%)  tps: 7,282  mfu: 0.17%\n" for n in (14, 15)
    )
    assert set(table(run(text))) == {"train/loss", "grad/norm"}
