"""Progress bars: of their states those count that say something new, wherever they begin and whatever parts them."""

from __future__ import annotations

import pytest

from readers.console.reading import run, table


def tqdm(count: int, total: int, said: str, head: str = "") -> str:
    share = 100 * count // total
    return f"{head}{share:3d}%|{'█' * (share // 10):10}| {count}/{total} [00:10<00:10,  5.00it/s, {said}]"


def test_of_an_overwritten_bar_the_last_state_counts():
    states = [tqdm(n, 20, f"loss={3 - n / 10}", "Epoch 1/2: ") for n in (0, 10, 20)]
    assert table(run("\r".join(states)))["train/loss"] == [(20, 1.0)]


def test_states_on_lines_of_their_own_are_one_bar():
    states = [tqdm(n, 20, f"loss={3 - n / 10}", "Epoch 1: ") for n in (5, 10, 20)]
    assert table(run("\n".join(states)))["train/loss"] == [(20, 1.0)]


def test_glued_states_are_parted():
    first = [tqdm(n, 9000, f"loss={4 - n}", "Training: ") for n in (1, 2, 3)]
    assert table(run("".join(first)))["train/loss"] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    bare = [tqdm(n, 9, f"loss={4 - n}") for n in (1, 2, 3)]
    assert table(run("".join(bare)))["train/loss"] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_fraction_for_an_epoch_and_a_broken_total():
    text = "".join(f"Epoch: {n}.5e-05 - loss: {90 - n}.5 - acc: 0.5:   0%| | {n}/4262.9799" for n in (1, 2, 3))
    assert table(run(text))["train/loss"] == [(1, 89.5), (2, 88.5), (3, 87.5)]


def test_scores_in_a_bar_are_of_the_epoch_before_until_it_is_full():
    """Lightning: after the last batch the bar is drawn again with the scores of the epoch's evaluation."""
    epoch = "\r".join(
        [
            tqdm(0, 8, "v_num=0, loss=2.0, val_loss=9.0", "Epoch 1: "),
            tqdm(4, 8, "v_num=0, loss=1.5, val_loss=9.0", "Epoch 1: "),
            "\nValidation: 0it [00:00, ?it/s]\x1b[A",
            tqdm(8, 8, "v_num=0, loss=1.0, val_loss=1.1", "Epoch 1: "),
        ]
    )
    stale = tqdm(0, 8, "v_num=0, loss=1.0, val_loss=1.1", "Epoch 2: ")
    found = table(run(f"{epoch}\n{stale}\nTraceback (most recent call last):\nRuntimeError: no\n{stale}"))
    assert found == {"train/loss": [(8, 1.0)], "val/loss": [(8, 1.1)]}


def test_a_bar_that_stays_after_the_failure_is_no_further_training():
    bar = tqdm(3, 8, "loss=1.0", "Epoch 2: ")
    found = run(f'{bar}\nTraceback (most recent call last):\n  File "a.py", line 3, in f\nValueError: bad\n{bar}')
    assert found.exit == "failed"


def test_means_so_far_of_keras_give_way_to_the_whole_epoch():
    text = (
        "Epoch 1/2\n 1/20 [>.....] - ETA: 9s - loss: 5.0\n19/20 [====>.] - ETA: 1s - loss: 2.0\n"
        "20/20 [======] - 9s 450ms/step - loss: 1.9 - val_loss: 2.1\nEpoch 2/2\n"
        " 1/20 ━━━━━━━ 30s 16ms/step - loss: 0.5\n20/20 ━━━━━━━ 5s 2ms/step - loss: 1.2 - val_loss: 1.8\n"
    )
    assert table(run(text)) == {"train/loss": [(20, 1.9), (40, 1.2)], "val/loss": [(20, 2.1), (40, 1.8)]}


def test_a_bar_that_is_cut_short_tells_what_it_has():
    text = "Epoch 1/2\n 1/20 [>.....] - ETA: 9s - loss: 5.0\n 7/20 [==>...] - ETA: 5s - loss: nan\n"
    (point,) = table(run(text))["train/loss"]
    assert point[0] == 7


def test_bars_without_an_epoch_are_one_epoch_each():
    text = "\n".join(
        line
        for loss in (3.0, 2.0)
        for line in (
            tqdm(5, 10, f"loss={loss}", "Train: "),
            tqdm(10, 10, f"loss={loss - 0.5}", "Train: "),
            tqdm(4, 4, f"loss={loss + 1}", "Valid: "),
        )
    )
    found = table(run(text))
    assert found["train/loss"] == [(5, 3.0), (10, 2.5), (15, 2.0), (20, 1.5)]
    assert found["val/loss"] == [(10, 4.0), (20, 3.0)]


def test_bars_before_the_line_that_names_their_epoch():
    text = "\n".join(f"{tqdm(10, 10, f'loss={2.5 - e}')}\nEpoch {e}: val_loss {2.25 - e}" for e in (0, 1))
    assert table(run(text)) == {"train/loss": [(10, 2.5), (20, 1.5)], "val/loss": [(10, 2.25), (20, 1.25)]}


def test_a_shorter_bar_behind_a_full_one_is_of_an_evaluation():
    text = "accuracy: 0.5, loss: 0.75 ||: 100%|####| 90/90 [00:10]\naccuracy: 0.6, loss: 0.7 ||: 100%|####| 9/9 [00:01]"
    found = table(run(text))
    assert found["train/loss"] == [(90, 0.75)]
    assert found["val/loss"] == [(90, 0.7)]


def test_a_bar_of_epochs_keeps_all_its_states():
    text = "\r".join(tqdm(n, 5, f"loss={5.5 - n}, val_loss={6.5 - n}") for n in (1, 2, 5))
    assert table(run(text))["val/loss"] == [(1, 5.5), (2, 4.5), (5, 1.5)]


def test_a_long_bar_keeps_some_of_its_states():
    text = "\r".join(tqdm(n, 30_000, f"Loss={1 / n:.6f}", "Training progress: ") for n in range(10, 30_001, 10))
    found = run(text).series["train/loss"]
    assert 150 <= len(found) <= 250
    assert found.step[-1] == 30_000


@pytest.mark.parametrize("head", ["Steps: ", "steps: "])
def test_a_bar_of_steps_goes_on_through_the_epochs(head):
    text = f"epoch 1/9\n{tqdm(40, 900, 'avr_loss=0.5', head)}\nepoch 2/9\n{tqdm(200, 900, 'avr_loss=0.25', head)}"
    assert [step for step, _ in table(run(text))["train/loss"]] == [40, 200]


def test_a_line_printed_behind_a_bar_of_epochs():
    text = "\n".join(
        f" {10 * n}%|█    | {n}/10 [00:01<00:09]Epoch {n}: loss {1 / n}, val_loss {2 / n}" for n in (1, 2, 4)
    )
    assert table(run(text))["val/loss"] == [(1, 2.0), (2, 1.0), (4, 0.5)]


def test_the_bar_of_transformers_gives_the_step():
    text = (
        " 10%|█    | 50/500 [00:10<01:30, 5it/s]\n{'loss': 2.5, 'grad_norm': nan, 'learning_rate': 1e-05, 'epoch': 0.2}"
    )
    assert table(run(text))["train/loss"] == [(50, 2.5)]
    glued = " 10%|█    | 50/500 [00:10<01:30, 5it/s]{'loss': '2.5', 'learning_rate': '1e-05', 'epoch': '0.2'}"
    assert table(run(glued))["train/loss"] == [(50, 2.5)]
