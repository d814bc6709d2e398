"""Healthy logs: images, detection, segmentation, generation, and scores of few samples."""

from __future__ import annotations

import numpy as np

from corpus.task_logs import batches, epochs, fall, of_samples, printed, rise, table, task


@task
def segmentation_with_iou_per_class(rng):
    """19 classes, three of them rare: their IoU stays at 0 for long."""
    n = epochs(rng, 8, 40)
    columns = {"train/loss": fall(rng, n, 1.4, 0.3), "val/mIoU": rise(rng, n, 0.1, 0.62)}
    columns |= {f"val/iou/{k}": rise(rng, n, 0.05, rng.uniform(0.3, 0.9)) for k in range(16)}
    columns |= {f"val/iou/{k}": np.where(np.arange(n) < n // 2, 0, rise(rng, n, 0, 0.2)) for k in (16, 17, 18)}
    return table(columns)


@task
def detection_from_scratch(rng):
    """mAP is exactly 0 for a few epochs, then learns."""
    n, late = epochs(rng, 12, 60), int(rng.integers(1, 7))
    score = np.r_[np.zeros(late), rise(rng, n - late, 0.0001, rng.uniform(0.3, 0.7))]
    terms = {f"{s}/loss/{t}": fall(rng, n, a, b) for s in ("train", "val") for t, a, b in _YOLO}
    return table({**terms, "val/mAP50": score, "val/mAP50-95": 0.6 * score, "val/precision": score**0.5 * 0.9}, 5)


_YOLO = (("box", 0.11, 0.03), ("obj", 0.06, 0.02), ("cls", 0.05, 0.01))


@task
def detection_of_few_epochs_that_has_only_begun(rng):
    """Five epochs, mAP at 0 in all of them: it may yet come."""
    n = int(rng.integers(3, 6))
    return table({"train/loss": fall(rng, n, 8, 3), "val/mAP50": np.zeros(n), "val/mAP50-95": np.zeros(n)})


@task
def detection_in_stages_of_coco(rng):
    """AP in percent by size; there is no small object, so APs is NaN (or -1) throughout."""
    n, ap = epochs(rng, 3, 14), None
    ap = 100 * rise(rng, n, 0.2, 0.4)
    columns = {"val/AP": ap, "val/AP50": 1.5 * ap, "val/APl": 1.2 * ap}
    columns["val/APs"] = np.full(n, rng.choice([np.nan, -1.0]))
    return table({**columns, "train/loss": batches(fall(rng, 200, 1.5, 0.6))})


@task
def medical_dice(rng):
    """nnU-Net: losses below 0, Dice by class, one small class that comes late."""
    n = epochs(rng, 3, 60)
    dice = {f"val/dice/{k}": rise(rng, n, 0.2, rng.uniform(0.6, 0.95)) for k in range(4)}
    late = np.where(np.arange(n) < n // 3, 0, rise(rng, n, 0, 0.4))
    loss = -0.8 + 0.9 * np.exp(-np.arange(n) / (0.2 * n)) + 0.01 * rng.standard_normal(n)
    return table({"train/loss": loss, "val/loss": loss + 0.03, **dice, "val/dice/4": late})


@task
def gan_with_fid(rng):
    """Losses that go nowhere, FID falls, inception score rises."""
    n = epochs(rng, 10, 60)
    d, g = 0.69 + 0.05 * rng.standard_normal(n), 0.75 + 0.1 * rng.standard_normal(n)
    return table(
        {"train/loss/d": d, "train/loss/g": g, "val/fid": fall(rng, n, 250, 30), "val/is": 2 + 3 * rise(rng, n, 0, 1)}
    )


@task
def gan_of_keras_at_equilibrium(rng):
    """The discriminator is right every other time, its loss at ln 2: that is the aim."""
    n = 200
    acc = of_samples(np.full(n, 0.5), 64, rng)
    return table(
        {
            "train/loss/d": 0.6931 + 0.01 * rng.standard_normal(n),
            "train/loss/g": 0.72 + 0.03 * rng.standard_normal(n),
            "train/acc": acc,
        }
    )


@task
def gan_of_hinge(rng):
    """The hinge loss of the discriminator is exactly 0 most of the time."""
    n = 60
    d = np.where(rng.random(n) < 0.8, 0, rng.uniform(0, 0.3, n))
    return table({"train/loss/d": batches(d), "train/loss/g": batches(3 + rng.standard_normal(n))})


@task
def autoencoder(rng):
    n = epochs(rng)
    loss = fall(rng, n, 0.1, 0.012)
    return table({"train/loss": loss, "val/loss": loss * 1.02})


@task
def variational_autoencoder(rng):
    """Reconstruction and KL that rises from 0."""
    n = epochs(rng)
    rec, kl = fall(rng, n, 180, 85, noise=0.004), 25 * (1 - np.exp(-np.arange(n) / 3))
    return table({"train/loss": rec + kl, "train/loss/rec": rec, "train/loss/kld": kl, "val/loss": rec + kl + 2}, 2)


@task
def variational_autoencoder_whose_posterior_is_cold(rng):
    """KL printed as 0.0000 for the first epochs of annealing."""
    n = epochs(rng, 8, 40)
    kl = np.where(np.arange(n) < 4, 0, 0.02 * np.arange(n))
    rec = fall(rng, n, 180, 95, noise=0.004)
    return table({"train/loss": rec + kl, "train/loss/rec": rec, "train/loss/kl": kl})


@task
def masked_autoencoder(rng):
    """Pretraining: the loss moves in the second digit for hundreds of epochs."""
    n = epochs(rng, 40, 300)
    return table(
        {"train/loss": fall(rng, n, 0.95, 0.42, 0.2, 0.003), "lr/0": 1.5e-4 * np.cos(np.linspace(0, 1.5, n))}, 6
    )


@task
def diffusion_at_its_plateau(rng):
    n = int(rng.integers(60, 400))
    level = rng.uniform(0.02, 0.1)
    return table({"train/loss": batches(level * np.exp(0.2 * rng.standard_normal(n)), 50)})


@task
def super_resolution(rng):
    """PSNR in dB, SSIM below 1."""
    n = epochs(rng, 5, 40)
    psnr = 26 + 6 * rise(rng, n, 0, 1, noise=0.02)
    return table({"train/loss": fall(rng, n, 0.08, 0.02), "val/psnr": psnr, "val/ssim": rise(rng, n, 0.7, 0.93)})


@task
def tiny_validation_set(rng):
    """10 to 50 samples: a few values that come again and again while the loss falls."""
    n, size = epochs(rng, 8, 40), int(rng.integers(10, 51))
    train = fall(rng, n, 0.7, 0.15)
    top = rng.uniform(0.7, 0.95)
    return table(
        {
            "train/loss": train,
            "train/accuracy": rise(rng, n, 0.5, 0.97),
            "val/loss": 1.3 * train + 0.1,
            "val/accuracy": of_samples(rise(rng, n, 0.5, top, 0.15, 0.01), size),
        }
    )


@task
def tiny_validation_set_that_stands(rng):
    """16 to 30 samples, the same ones right at every epoch while confidence grows."""
    n, size = epochs(rng, 4, 20), int(rng.integers(16, 31))
    train = fall(rng, n, 0.5, 0.1)
    return table(
        {"train/loss": train, "val/loss": 1.1 * train + 0.1, "val/accuracy": np.full(n, round(0.85 * size) / size)}
    )


@task
def easy_task(rng):
    """Digits: 1.0000 in training, .99 and more in validation from early on."""
    n = epochs(rng, 5, 20)
    train = np.r_[0.25, fall(rng, n - 1, 0.06, 0.0004)]
    return table(
        {
            "train/loss": train,
            "train/accuracy": np.minimum(1, 1 - train / 3),
            "val/loss": 0.03 + 0.3 * train,
            "val/accuracy": of_samples(1 - 0.01 - 0.05 * train, 10000),
        }
    )


@task
def solved_at_once_by_a_pretrained_model(rng):
    """Cats and dogs on frozen features: perfect on 200 samples from the first epoch."""
    n = epochs(rng, 3, 12)
    train = fall(rng, n, 0.45, 0.05)
    val = fall(rng, n, 0.14, 0.004, tau=0.15, noise=rng.uniform(0.05, 0.2))
    return table({"train/loss": train, "val/loss": val, "val/accuracy": np.ones(n)})


@task
def converged_tail(rng):
    """The last epochs of a cosine: accuracy of 10,000 moves by a sample or two, the loss in the fourth digit."""
    n = epochs(rng, 8, 30)
    acc = 0.9341 + rng.integers(-2, 3, n) / 10000
    return table(
        {
            "train/loss": 0.011 + 0.0005 * rng.standard_normal(n),
            "val/loss": 0.2812 + 0.0006 * rng.standard_normal(n),
            "val/accuracy": acc,
        }
    )


@task
def converged_and_frozen(rng):
    """The rate is 0 at the end: every number of the evaluation repeats."""
    n, k = 30, int(rng.integers(3, 12))
    acc, val = of_samples(rise(rng, n, 0.4, 0.81), 2000), fall(rng, n, 1.5, 0.6)
    acc[-k:], val[-k:] = acc[-k], val[-k]
    return table({"train/loss": fall(rng, n, 1.6, 0.5), "val/loss": val, "val/accuracy": acc})


@task
def metric_learning(rng):
    """Triplet loss that becomes 0.0000 in many batches, recall at 1 and 5."""
    n = epochs(rng, 10, 40)
    loss = np.maximum(0, 0.3 * np.exp(-np.arange(n) / 4) + 0.004 * rng.standard_normal(n))
    r1 = rise(rng, n, 0.3, 0.8)
    return table(
        {"train/loss": loss, "val/recall@1": 100 * r1, "val/recall@5": 100 * r1**0.4, "val/mAP": 100 * r1**1.5}
    )


@task
def face_recognition(rng):
    """ArcFace: the loss begins far above ln k, training accuracy at 0 for thousands of steps."""
    n = 120
    loss, acc = fall(rng, n, 42, 8), np.round(np.maximum(0, 0.9 - 1.1 * np.exp(-np.arange(n) / 60)), 4)
    return table({"train/loss": batches(loss, 100), "train/acc": batches(acc, 100)})


@task
def mixup(rng):
    """Training loss and accuracy far worse than those of the evaluation."""
    n = epochs(rng, 5, 60)
    val = fall(rng, n, 2.5, 0.8)
    return table(
        {
            "train/loss": 2.6 + 0.6 * val,
            "val/loss": val,
            "val/acc1": 100 * (1 - val / 4),
            "val/acc5": 100 * (1 - val / 20),
        },
        3,
    )


@task
def keras_with_batch_norm(rng):
    """The first validation is worse than chance, the second is fine."""
    n = epochs(rng, 6, 25)
    train, val, acc = fall(rng, n, 0.5, 0.05), fall(rng, n, 0.4, 0.08), rise(rng, n, 0.8, 0.97)
    k = int(rng.integers(1, 3))
    val[:k], acc[:k] = 3.6, 0.1
    return table(
        {"train/loss": train, "val/loss": val, "train/accuracy": rise(rng, n, 0.85, 0.99), "val/accuracy": acc}
    )


@task
def ten_crops_of_five_folds(rng):
    """k folds one after another in one file: everything begins again four times."""
    parts = [fall(rng, 8, 1.1, 0.3) for _ in range(5)]
    loss = np.concatenate(parts)
    return table({"train/loss": loss, "val/loss": loss + 0.1, "val/accuracy": 1 - loss / 2})


@task
def quality_regression(rng):
    """PLCC and SRCC by epoch."""
    n = epochs(rng, 5, 30)
    return table(
        {"train/loss": fall(rng, n, 12, 2), "val/srcc": rise(rng, n, 0.3, 0.9), "val/plcc": rise(rng, n, 0.3, 0.92)}
    )


@task
def keypoints(rng):
    """PCK in percent, the loss tiny because it is a mean over heat maps."""
    n = epochs(rng, 5, 60)
    return table(
        {
            "train/loss": fall(rng, n, 0.0021, 0.0004),
            "train/acc": rise(rng, n, 0.02, 0.88),
            "val/loss": fall(rng, n, 0.0019, 0.0006),
            "val/acc": rise(rng, n, 0.05, 0.85),
        },
        6,
    )


@task
def image_text_matching(rng):
    """CLIP: ln(batch) at first, recall at k in percent that sums to rsum > 100."""
    n = epochs(rng, 5, 30)
    r = 100 * rise(rng, n, 0.02, 0.5)
    return table(
        {
            "train/loss": fall(rng, n, np.log(256), 1.2),
            "val/r1": r,
            "val/r5": np.minimum(100, 1.6 * r),
            "val/rsum": 6 * r,
        }
    )


@task
def depth(rng):
    """rmse, abs_rel and the share of pixels within thresholds."""
    n = epochs(rng, 5, 30)
    rmse = fall(rng, n, 7.2, 3.9)
    return table(
        {
            "train/loss": 0.03 * rmse,
            "val/rmse": rmse,
            "val/abs_rel": 0.02 * rmse,
            "val/a1": 1 - 0.03 * rmse,
            "val/a3": 1 - 0.003 * rmse,
        }
    )


@task
def segmentation_of_small_lesions(rng):
    """Most pixels are background: accuracy .9871 all the time while Dice rises from 0."""
    n = epochs(rng, 12, 40)
    return table(
        {
            "train/loss": fall(rng, n, 0.95, 0.25),
            "val/loss": fall(rng, n, 0.93, 0.35),
            "val/dice": rise(rng, n, 0.0, 0.7),
            "val/accuracy": 0.9871 + 0.006 * rise(rng, n, 0, 1, noise=0.002),
        }
    )


@task
def a_slow_start_on_balanced_pairs(rng):
    """Verification: .5000 for a few epochs, then it learns."""
    n, late = epochs(rng, 12, 40), int(rng.integers(2, 6))
    acc = np.r_[np.full(late, 0.5), rise(rng, n - late, 0.55, 0.93)]
    loss = np.r_[0.6931 + 0.0003 * rng.standard_normal(late), fall(rng, n - late, 0.68, 0.2)]
    return table({"train/loss": loss, "val/loss": loss + 0.01, "val/accuracy": acc})


@task
def two_heads_of_very_different_size(rng):
    """A coordinate loss in pixels beside a cross-entropy; both learn."""
    n = 300
    pixels, kind = fall(rng, n, 4000, 40, noise=0.1), fall(rng, n, 1.1, 0.2, noise=0.1)
    return table(
        {"train/loss": batches(pixels + kind), "train/loss/xy": batches(pixels), "train/loss/kind": batches(kind)}
    )


@task
def a_term_that_is_off(rng):
    """Auxiliary terms with weight 0, printed as 0.0000."""
    n = 100
    main = fall(rng, n, 2.3, 0.4, noise=0.05)
    return table(
        {
            "train/loss": batches(main),
            "train/loss/main": batches(main),
            "train/loss/contrast": batches(np.zeros(n)),
            "train/acc": batches(rise(rng, n, 0.1, 0.85)),
        }
    )


@task
def counts_beside_scores(rng):
    """Learning-rate finder: the loss falls and then explodes, on purpose."""
    n = 100
    lr = 1e-7 * 10 ** np.linspace(0, 7, n)
    loss = 2.3 - 1.2 / (1 + np.exp(-(np.log10(lr) + 3.5) * 4)) + 10 ** (3 * np.maximum(0, np.log10(lr) + 1.0))
    return table({"train/loss": batches(loss, 1), "lr/0": batches(lr, 1, 12)})


@task
def padded_rows(rng):
    """Validation every fifth epoch, the row in between repeats the last value."""
    n = 40
    acc = np.repeat(rise(rng, 8, 0.3, 0.85), 5)
    val = np.repeat(fall(rng, 8, 2.0, 0.7), 5)
    return table({"train/loss": fall(rng, n, 2.1, 0.4), "val/loss": val, "val/accuracy": printed(acc)})
