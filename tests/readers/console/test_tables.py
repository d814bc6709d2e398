"""Tables: columns by position, headers that alternate, boxes, blocks of results."""

from __future__ import annotations

import math

from readers.console.reading import run, runs, table


def test_empty_cells_by_position():
    text = (
        "epoch       iteration   main/loss   main/acc    validation/main/loss\n"
        "\x1b[J0           100         62.5        0.25\n"
        "\x1b[J     total [.....................]  0.10%\nthis epoch [.....................]  0.2%\n"
        "       100 iter, 0 epoch / 9 epochs\n       inf iters/sec. Estimated time to finish: 0:00:00.\n"
        "\x1b[4A\x1b[J0           200                                 58.5\n"
        "\x1b[4A\x1b[J1           300         42.5        0.5         48.5\n"
    )
    found = table(run(text))
    assert found["train/loss"] == [(100, 62.5), (300, 42.5)]
    assert found["val/loss"] == [(200, 58.5), (300, 48.5)]


def test_columns_of_a_detector_and_of_its_evaluation_alternate():
    head = "      Epoch    GPU_mem   box_loss   cls_loss  Instances       Size\n"
    rows = "        {e}/2      2.3G      {b}      2.5         50        640: 100%|████| 10/10 [00:01<00:00]\n"
    scores = (
        "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|████| 2/2\n"
    )
    outcome = "                   all        100        300      0.5      0.25      {m}      0.125\n"
    text = head + "".join(rows.format(e=e, b=2 - e / 4) + scores + outcome.format(m=e / 4) for e in (1, 2))
    found = table(run(text))
    assert found["train/loss/box"] == [(1, 1.75), (2, 1.5)]
    assert found["val/mAP50"] == [(1, 0.25), (2, 0.5)]
    assert found["val/recall"] == [(1, 0.25), (2, 0.25)]


def test_states_of_a_row_are_one_row():
    head = "      Epoch    GPU_mem   box_loss   cls_loss  Instances       Size\n"
    rows = "        1/2      2.3G      {b}      2.5         50        640: {s}%|█   | {n}/10 [00:01<00:00]\n"
    text = head + "".join(rows.format(b=3 - n / 10, n=n, s=10 * n) for n in (0, 5, 10))
    assert table(run(text))["train/loss/box"] == [(1, 2.0)]


def test_shares_in_a_table_are_no_bars():
    text = "│ Epoch │ Train Loss │ Val Acc │\n│ 1     │ 1.25       │ 45.5%   │\n│ 2     │ 1.125      │ 55.5%   │\n"
    assert table(run(text))["val/acc"] == [(1, 0.455), (2, 0.555)]


def test_boxes_of_reinforcement_learning():
    box = "---------------\n| rollout/ | |\n|  ep_rew_mean | {r} |\n| time/ | |\n"
    box += "|  iterations | {i} |\n|  total_timesteps | {t} |\n"
    late = "| train/ | |\n|  loss | {v} |\n|  n_updates | {u} |\n---------------\n"
    text = "".join(
        box.format(r=20.5 + i, i=i, t=2048 * i) + (late.format(v=7.5 - i, u=10 * i) if i > 1 else "") for i in (1, 2, 3)
    )
    found = table(run(text + "---------------\n"))
    assert found["ep_rew_mean"] == [(2048, 21.5), (4096, 22.5), (6144, 23.5)]
    assert found["train/loss"] == [(4096, 5.5), (6144, 4.5)]


def test_a_box_ends_with_its_last_row():
    text = "| batch size | 64 |\nEpoch 1/3 train_loss 0.5\nEpoch 2/3 train_loss 0.25\n"
    assert set(table(run(text))) == {"train/loss"}


def test_results_of_trials_are_runs():
    block = "Result for {t}:\n  episode_reward_mean: {r}\n"
    block += "  info:\n    learner:\n      total_loss: {l}\n  timesteps_total: {n}\n\n"
    text = "".join(
        block.format(t=t, r=n / 100, l=nan, n=n)
        for n, nan in ((4000, 8.5), (8000, "nan"))
        for t in ("PPO_a_1", "PPO_b_2")
    )
    found = {one.name: one for one in runs(text)}
    assert set(found) == {"PPO_a_1", "PPO_b_2"}
    assert table(found["PPO_b_2"])["episode_reward_mean"] == [(4000, 40.0), (8000, 80.0)]
    assert math.isnan(found["PPO_a_1"].series["train/loss"].value[-1])


def test_lines_to_be_copied():
    text = (
        "[01/02 10:00:00 d2.utils.events]:  iter: 19  total_loss: 2.5  lr: 0.001\n"
        "[01/02 10:00:09 d2.evaluation.testing]: copypaste: Task: bbox\n"
        "[01/02 10:00:09 d2.evaluation.testing]: copypaste: AP,AP50,APs\n"
        "[01/02 10:00:09 d2.evaluation.testing]: copypaste: 12.5,25.25,nan\n"
    )
    found = table(run(text))
    assert found["val/ap50"] == [(19, 25.25)]
    assert math.isnan(found["val/aps"][0][1])


def test_the_outcome_marked_with_a_star_is_of_the_evaluation():
    text = "".join(
        f"Epoch: [{e}][ 0/9]\tLoss 2.5 (2.5)\tAcc@1 10.5 (10.5)\n * Acc@1 {20.5 + e} Acc@5 40.5\n" for e in (0, 1)
    )
    found = table(run(text))
    assert [value for _, value in found["val/acc@1"]] == [20.5, 21.5]
    assert [value for _, value in found["train/acc@1"]] == [10.5, 10.5]


def test_counts_with_a_colon_and_values_in_brackets():
    assert table(run("ITER:    LOSS     GRADNORM\n18:\t1.5\t3.5\n19:\t1.25\t3.25\n"))["train/loss"] == [
        (18, 1.5),
        (19, 1.25),
    ]
    text = "| Epoch | Loss | recall | ndcg |\n" + "".join(f"| {n} | [2.5, 1.5] | [0.{n}] | [0.25] |\n" for n in (1, 2))
    assert table(run(text))["recall"] == [(1, 0.1), (2, 0.2)]
