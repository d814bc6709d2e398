"""Spellings of logged quantities, as trainers write them."""

import pytest

from tocsin.readers.naming import spelling


@pytest.mark.parametrize(
    ("foreign", "name"),
    [
        ("loss", "train/loss"),
        ("val_cls_loss", "val/loss/cls"),
        ("cls_val_loss", "val/loss/cls"),
        ("cls_val_accuracy", "val/cls_accuracy"),
        ("train/val_loss", "val/loss"),
        ("train/train_loss", "train/loss"),
        ("val/train_gap", "val/train_gap"),
        ("Validation Loss", "val/loss"),
        ("loss/val", "val/loss"),
        ("epoch_val_loss", "val/loss"),
        ("train_loss_epoch", "train/loss"),
        ("best_val_loss", "best_val_loss"),
        ("model_test_size", "model_test_size"),
        ("learning_rate", "lr/0"),
        ("lr-Adam/pg1", "lr/adam_pg1"),
        ("metrics/mAP50(B)", "val/mAP50(B)"),
        ("grad_norm", "grad/norm"),
        ("loss_scale", "amp/scale"),
        ("trainLoss", "train/loss"),
        ("ValAcc", "val/acc"),
        ("valacc", "val/acc"),
        ("testloss", "test/loss"),
        ("lossG", "train/loss/g"),
        ("dloss", "train/loss/d"),
        ("avr_loss", "train/loss"),
        ("smoothL1", "smoothL1"),
        ("testset", "testset"),
        ("val_mIoU", "val/mIoU"),
    ],
)
def test_a_spelling_has_one_canonical_name(foreign, name):
    assert spelling(foreign).name == name
    assert spelling(name).name == name  # which is kept as it is
