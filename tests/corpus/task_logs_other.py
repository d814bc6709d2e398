"""Healthy logs: language, speech, tables, reinforcement learning, preferences."""

from __future__ import annotations

import numpy as np

from corpus.task_logs import batches, epochs, fall, of_samples, printed, rise, table, task


@task
def speech_with_wer_above_one(rng):
    """WER of 120 % in the first epochs (insertions), CER below."""
    n = epochs(rng, 5, 40)
    wer = fall(rng, n, 120, 14)
    return table(
        {"train/loss": fall(rng, n, 600, 25), "val/loss": fall(rng, n, 500, 40), "val/wer": wer, "val/cer": 0.3 * wer},
        2,
    )


@task
def speech_with_wer_one_at_first(rng):
    """WER exactly 1 (nothing is said) for some epochs while the CTC loss falls, then learns."""
    n, late = epochs(rng, 12, 40), int(rng.integers(2, 7))
    wer = np.r_[np.ones(late), fall(rng, n - late, 0.95, 0.2)]
    return table({"train/loss": fall(rng, n, 8, 0.6), "val/wer": wer})


@task
def text_recognition_in_its_first_steps(rng):
    """CTC: the accuracy of whole words is 0 for the first hundreds of steps while the loss falls."""
    n = int(rng.integers(10, 60))
    return table(
        {
            "train/loss": batches(fall(rng, n, 110, 20, noise=0.05), 10, 6, 1000),
            "acc": batches(np.zeros(n), 10, 6, 1000),
            "norm_edit_dis": batches(np.minimum(0.9, 0.002 * np.arange(n)), 10, 6, 1000),
            "lr/0": batches(np.full(n, 1e-3), 10, 6),
        }
    )


@task
def translation(rng):
    """BLEU 0 to 40, 0.00 in the first two."""
    n = epochs(rng, 5, 40)
    bleu = np.where(np.arange(n) < 2, 0, 38 * rise(rng, n, 0, 1))
    loss = fall(rng, n, 9, 3.6)
    return table({"train/loss": loss, "val/loss": loss + 0.2, "val/ppl": np.exp(loss + 0.2), "val/bleu": bleu}, 2)


@task
def summarisation(rng):
    """ROUGE under the short names r1, r2, rl, in percent."""
    n = epochs(rng, 3, 12)
    r = 100 * rise(rng, n, 0.3, 0.44)
    return table({"train/loss": fall(rng, n, 3, 1.8), "val/r1": r, "val/r2": 0.5 * r, "val/rl": 0.7 * r})


@task
def language_model(rng):
    n = int(rng.integers(50, 400))
    loss = fall(rng, n, 10.8, 3.1, 0.1, 0.03)
    return table(
        {"train/loss": batches(loss), "train/ppl": batches(np.exp(loss)), "lr/0": batches(np.full(n, 6e-4), digits=8)}
    )


@task
def instruction_tuning(rng):
    """1.9 to 1.7 in three epochs, token accuracy .55 to .60."""
    n = int(rng.integers(10, 200))
    loss = np.linspace(1.9, 1.7, n) * np.exp(0.05 * rng.standard_normal(n))
    return table(
        {
            "train/loss": batches(loss),
            "train/mean_token_accuracy": batches(0.9 - 0.18 * loss),
            "val/loss": printed([1.81, 1.76, 1.74]),
        }
    )


@task
def preferences(rng):
    """DPO: exactly ln 2 at step 0 with accuracy 0, rewards of either sign."""
    n = int(rng.integers(12, 120))
    margin = 0.02 * np.arange(n) * np.exp(0.1 * rng.standard_normal(n))
    loss = np.r_[0.6931, 0.6931, (np.log1p(np.exp(-margin)))[2:]]
    acc = np.r_[0, 0.5, rise(rng, n - 2, 0.52, 0.75, noise=0.05)]
    chosen = 0.3 * margin - 0.02 * np.arange(n)
    return table(
        {
            k: batches(v)
            for k, v in {
                "train/loss": loss,
                "rewards/accuracies": acc,
                "rewards/margins": margin,
                "rewards/chosen": chosen,
                "rewards/rejected": chosen - margin,
                "logps/chosen": -200 + chosen,
            }.items()
        }
    )


@task
def preferences_of_which_only_the_start_is_there(rng):
    """The first ten steps of DPO: 0.6931 and accuracies about .5."""
    n = 10
    loss = 0.6931 + 0.002 * rng.standard_normal(n)
    return table({"train/loss": batches(loss), "rewards/accuracies": batches(of_samples(np.full(n, 0.5), 64, rng))})


@task
def rlhf_with_kl(rng):
    """PPO on a language model: KL estimates below 0, rewards that rise."""
    n = int(rng.integers(20, 200))
    kl = np.linspace(0, 6, n) + 0.5 * rng.standard_normal(n)
    reward = np.linspace(-1, 2, n) + 0.3 * rng.standard_normal(n)
    return table(
        {
            k: batches(v)
            for k, v in {
                "objective/kl": kl,
                "ppo/policy/approxkl": np.abs(0.01 * kl),
                "ppo/loss/policy": 0.01 * rng.standard_normal(n),
                "ppo/loss/value": fall(rng, n, 0.4, 0.1),
                "ppo/mean_scores": reward,
                "ppo/returns/mean": reward,
            }.items()
        }
    )


@task
def group_relative_policy(rng):
    """GRPO: the loss is 0.0000 at first by construction, rewards rise."""
    n = int(rng.integers(20, 100))
    loss = np.where(np.arange(n) < 10, 0, 0.0004 * rng.random(n))
    return table(
        {
            k: batches(v)
            for k, v in {
                "train/loss": loss,
                "kl": 0.001 * np.arange(n),
                "reward": rise(rng, n, 0.1, 0.7),
                "reward_std": 0.2 * rng.random(n),
            }.items()
        }
    )


@task
def group_relative_policy_of_one_step(rng):
    """GRPO with one update a batch: every loss of the log is 0.0."""
    n = int(rng.integers(5, 60))
    return table(
        {
            "train/loss": batches(np.zeros(n)),
            "reward": batches(rise(rng, n, 0.1, 0.7)),
            "kl": batches(np.zeros(n)),
            "lr/0": batches(np.full(n, 1e-6), digits=9),
        }
    )


@task
def returns_below_zero(rng):
    """Pendulum: -1200 to -200, with episodes of equal length."""
    n = int(rng.integers(10, 200))
    ret = -200 - 1000 * np.exp(-np.arange(n) / (0.3 * n)) + 40 * rng.standard_normal(n)
    return table(
        {
            "rollout/ep_rew_mean": batches(ret, 2048, 1),
            "rollout/ep_len_mean": batches(np.full(n, 200.0), 2048),
            "train/loss": batches(30 + 9 * rng.standard_normal(n), 2048),
            "train/entropy_loss": batches(-1.4 + 0.001 * np.arange(n), 2048),
            "train/explained_variance": batches(np.linspace(-0.4, 0.9, n), 2048),
        }
    )


@task
def deep_q(rng):
    """Success rate 0 for long, then 1."""
    n = int(rng.integers(20, 100))
    success = np.where(np.arange(n) < n // 2, 0, of_samples(np.minimum(1, np.arange(n) / n), 20, rng))
    return table(
        {
            "train/loss": batches(0.02 * np.exp(0.5 * rng.standard_normal(n)), 1000, 5),
            "eval/success_rate": batches(success, 1000),
        }
    )


@task
def rare_events(rng):
    """Fraud: 99.83 % negative; accuracy stands at the majority while AUC rises."""
    n = epochs(rng, 8, 40)
    loss = fall(rng, n, 0.02, 0.006)
    return table(
        {"train/loss": loss, "val/loss": loss, "val/accuracy": np.full(n, 0.9983), "val/auc": rise(rng, n, 0.75, 0.96)},
        5,
    )


@task
def hard_table(rng):
    """AUC .52 to .58, accuracy a little above its majority: a weak signal, and all there is."""
    n = epochs(rng, 6, 40)
    loss = 0.693 - 0.012 * (1 - np.exp(-np.arange(n) / 4)) + 0.0006 * rng.standard_normal(n)
    acc = of_samples(0.5 + 0.045 * rise(rng, n, 0.4, 1.0), 5000, rng)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss + 0.001,
            "val/accuracy": acc,
            "val/auc": 0.5 + 0.08 * rise(rng, n, 0.3, 1),
        }
    )


@task
def near_the_majority(rng):
    """Churn: majority .735, the model gets .74 to .79."""
    n = epochs(rng, 6, 50)
    loss = fall(rng, n, 0.58, 0.44)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss + 0.01,
            "val/accuracy": of_samples(0.735 + 0.055 * rise(rng, n, 0, 1), 1409, rng),
        }
    )


@task
def boosted_trees(rng):
    """AUC and logloss by round, train first."""
    n = int(rng.integers(10, 300))
    loss = fall(rng, n, 0.68, 0.31, noise=0.0005)
    return table(
        {"train/logloss": 0.9 * loss, "val/logloss": loss, "val/auc": 1 - 0.4 * loss, "val/error": 0.4 * loss}, 5
    )


@task
def regression_with_negative_r2(rng):
    """R2 of -40 in the first epoch, .8 in the last."""
    n = epochs(rng, 6, 60)
    r2 = 0.8 - 40 * np.exp(-1.2 * np.arange(n)) - 0.5 * np.exp(-np.arange(n) / 8) + 0.01 * rng.standard_normal(n)
    return table({"train/loss": 1.1 - r2, "val/loss": 1.2 - r2, "val/r2": r2, "val/mae": np.sqrt(1.2 - r2)})


@task
def regression_in_large_units(rng):
    """House prices: MSE of 1e10, MAPE in percent above 100 at first."""
    n = epochs(rng, 8, 60)
    mse = fall(rng, n, 5e10, 1e9)
    return table(
        {"train/loss": mse, "val/loss": 1.1 * mse, "val/mae": 0.7 * np.sqrt(mse), "val/mape": fall(rng, n, 140, 18)}, 2
    )


@task
def small_regression(rng):
    """Scaled targets: losses of 1e-3, four digits in print."""
    n = epochs(rng, 10, 60)
    loss = fall(rng, n, 0.02, 0.0011)
    return table({"train/loss": loss, "val/loss": 1.2 * loss})


@task
def forecast(rng):
    """MSE .38, MAE .40 that hardly move; early stop."""
    n = int(rng.integers(4, 12))
    mse = 0.385 + 0.06 * np.exp(-np.arange(n)) + 0.002 * np.arange(n)
    return table(
        {"train/loss": fall(rng, n, 0.45, 0.31), "val/loss": mse + 0.3, "test/loss": mse, "test/mae": mse + 0.02}, 7
    )


@task
def entities(rng):
    """NER: F1 and its parts in percent, 0 in the first epoch, token accuracy .83 at first (all O)."""
    n = epochs(rng, 5, 30)
    f1 = 100 * np.where(np.arange(n) < 1, 0, rise(rng, n, 0.2, 0.9))
    return table(
        {
            "train/loss": fall(rng, n, 40, 1.2),
            "val/accuracy": 83 + 0.15 * f1,
            "val/f1": f1,
            "val/precision": f1 + np.where(f1 > 0, 1, 0),
            "val/recall": np.maximum(f1 - 1, 0),
        },
        2,
    )


@task
def entities_by_class(rng):
    """F1 by class: the rare ones come late, or never with a support of 3."""
    n = epochs(rng, 6, 30)
    columns = {f"val/f1/{c}": rise(rng, n, 0.3, rng.uniform(0.6, 0.95)) for c in ("PER", "LOC", "ORG", "DATE")}
    columns["val/f1/EVENT"] = np.where(np.arange(n) < rng.integers(1, n - 2), 0, rise(rng, n, 0.1, 0.3))
    columns |= {"val/f1/LAW": np.zeros(n), "val/support/LAW": np.full(n, 3)}
    columns |= {f"val/support/{c}": np.full(n, 400) for c in ("PER", "LOC", "ORG", "DATE")}
    return table({"train/loss": fall(rng, n, 1.2, 0.05), "val/f1": rise(rng, n, 0.3, 0.8), **columns})


@task
def entities_undefined_at_first(rng):
    """A scorer that says -1 where nothing was found; later all is defined."""
    n, late = epochs(rng, 8, 30), int(rng.integers(1, 5))
    f1 = np.r_[np.full(late, -1.0), rise(rng, n - late, 0.1, 0.8)]
    return table({"train/loss": fall(rng, n, 900, 40), "val/f1": f1, "val/acc": rise(rng, n, 0.8, 0.97)})


@task
def micro_averages(rng):
    """Precision = recall = F1 = accuracy to all digits: the micro average of one label each."""
    n = epochs(rng, 1, 12)
    acc = of_samples(rise(rng, n, 0.6, 0.88), 3000)
    return table(
        {"train/loss": fall(rng, n, 1.4, 0.4), **{f"val/{m}": acc for m in ("accuracy", "f1", "precision", "recall")}}
    )


@task
def grammar_with_matthews(rng):
    """CoLA: MCC of 0 in the first evaluation, then .5 and more."""
    n = epochs(rng, 3, 12)
    mcc = np.r_[0.0, rise(rng, n - 1, 0.4, 0.6)]
    loss = fall(rng, n, 0.62, 0.4)
    return table({"train/loss": loss, "val/loss": loss + 0.03, "val/matthews_correlation": mcc})


@task
def multiple_choice(rng):
    """Four choices, a few hundred steps at ln 4, then learns."""
    n = 30
    x = 1 / (1 + np.exp(-(np.arange(n) - rng.uniform(6, 12)) / 2))
    return table(
        {
            "train/loss": 1.386 - 0.7 * x + 0.01 * rng.standard_normal(n),
            "val/loss": 1.3863 - 0.5 * x + 0.003 * rng.standard_normal(n),
            "val/accuracy": 0.25 + 0.4 * x + 0.01 * rng.standard_normal(n),
        }
    )


@task
def many_labels(rng):
    """Multilabel: BCE of .05, the share of samples with all labels right low, F1 fair."""
    n = epochs(rng, 6, 30)
    loss = fall(rng, n, 0.3, 0.045)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss,
            "val/accuracy": rise(rng, n, 0.0, 0.25),
            "val/f1_micro": rise(rng, n, 0.0, 0.7),
        }
    )


@task
def whole_sequences(rng):
    """Sequence accuracy 0.0000 for some epochs, .2 at the end, though the loss a token is small."""
    n, late = epochs(rng, 12, 40), int(rng.integers(2, 6))
    acc = np.r_[np.zeros(late), rise(rng, n - late, 0.001, 0.3)]
    loss = fall(rng, n, 3, 0.12)
    return table({"train/loss": loss, "val/loss": 1.1 * loss, "val/accuracy": acc})


@task
def distillation(rng):
    """Three terms; the soft one is tiny by its temperature."""
    n = epochs(rng, 6, 40)
    hard, soft = fall(rng, n, 2.3, 0.6), fall(rng, n, 0.02, 0.004)
    return table(
        {
            "train/loss": hard + soft,
            "train/loss/ce": hard,
            "train/loss/kd": soft,
            "val/accuracy": rise(rng, n, 0.3, 0.8),
        }
    )


@task
def distillation_by_divergence(rng):
    """Only a KL loss, 0.9 to 0.2."""
    n = epochs(rng, 6, 40)
    return table({"train/loss/kl": fall(rng, n, 0.9, 0.2), "train/loss": fall(rng, n, 0.9, 0.2)})


@task
def contrastive_pretraining(rng):
    """SimCLR: ln 511 at first, top-1 of the batch in percent."""
    n = epochs(rng, 8, 60)
    loss = fall(rng, n, np.log(511), 1.6)
    return table({"train/loss": loss, "train/acc1": 100 * np.clip(1 - loss / 6.3, 0, 1)})


@task
def mixture_of_experts(rng):
    """A balance term that stands at its least value from the start."""
    n = 150
    ce = fall(rng, n, 9, 3, noise=0.03)
    return table(
        {
            k: batches(v)
            for k, v in {
                "train/loss": ce + 0.01,
                "train/loss/ce": ce,
                "train/loss/aux": 1.0 + 0.0003 * rng.standard_normal(n),
                "train/loss/z": fall(rng, n, 0.01, 0.001),
            }.items()
        }
    )


@task
def graph_nodes_of_few_labels(rng):
    """Cora: 140 labels, val accuracy of 500 and test accuracy of 1000 in steps of .002 and .001."""
    n = int(rng.integers(20, 200))
    acc = rise(rng, n, 0.2, 0.79, 0.15, 0.004)
    return table(
        {
            "train/loss": fall(rng, n, 1.946, 0.6),
            "val/loss": fall(rng, n, 1.946, 0.9),
            "train/acc": rise(rng, n, 0.14, 0.98),
            "val/acc": of_samples(acc, 500),
            "test/acc": of_samples(acc + 0.01, 1000),
        }
    )


@task
def calibrated(rng):
    """ECE and Brier beside accuracy."""
    n = epochs(rng, 5, 40)
    acc = rise(rng, n, 0.4, 0.76)
    return table(
        {
            "train/loss": fall(rng, n, 1.6, 0.5),
            "val/accuracy": acc,
            "val/ece": fall(rng, n, 0.12, 0.03),
            "val/brier": 1 - acc,
        }
    )


@task
def recommender(rng):
    """Hit rate and NDCG at 10, losses of pairs at ln 2 in the first epoch."""
    n = epochs(rng, 8, 60)
    return table(
        {
            "train/loss": np.r_[0.6931, fall(rng, n - 1, 0.6, 0.15)],
            "val/hr@10": rise(rng, n, 0.1, 0.6),
            "val/ndcg@10": rise(rng, n, 0.05, 0.35),
        }
    )


@task
def click_rate(rng):
    """CTR: AUC .70 to .80, logloss .45; accuracy stands near the share of no clicks."""
    n = epochs(rng, 5, 30)
    loss = fall(rng, n, 0.49, 0.44, noise=0.001)
    return table(
        {
            "train/loss": loss,
            "val/loss": loss,
            "val/auc": rise(rng, n, 0.7, 0.8, noise=0.001),
            "val/accuracy": of_samples(0.745 + 0.04 * rise(rng, n, 0, 1), 20000, rng),
        }
    )


@task
def physics(rng):
    """A PINN: terms from 1e2 to 1e-7, all falling; total dominated by one of them."""
    n = 400
    pde, edge = fall(rng, n, 120, 0.02, noise=0.1), fall(rng, n, 0.5, 1e-5, noise=0.1)
    return table(
        {
            "train/loss": batches(pde + edge, 100, 7),
            "train/loss/pde": batches(pde, 100, 7),
            "train/loss/bc": batches(edge, 100, 7),
        }
    )


@task
def energies(rng):
    """Energy MAE in meV, force MAE, losses of 1e-4 printed with four digits: 0.0001."""
    n = epochs(rng, 10, 60)
    return table(
        {"train/loss": fall(rng, n, 0.004, 0.0001), "val/mae_e": fall(rng, n, 90, 8), "val/mae_f": fall(rng, n, 60, 12)}
    )


@task
def loss_that_prints_as_zero(rng):
    """Squared errors of small targets: 0.0000 in every row, and it learns (R2 says so)."""
    n = epochs(rng, 6, 40)
    return table(
        {
            "train/loss": fall(rng, n, 4e-5, 1e-6),
            "val/loss": fall(rng, n, 4e-5, 1e-6),
            "val/r2": rise(rng, n, 0.2, 0.95),
        }
    )


@task
def adversarial_domains(rng):
    """DANN: the domain head is to be at chance, accuracy of the task rises."""
    n = epochs(rng, 10, 40)
    task_loss, domain = fall(rng, n, 2.3, 0.3), 0.693 + 0.004 * rng.standard_normal(n)
    return table(
        {
            "train/loss": task_loss + domain,
            "train/loss/label": task_loss,
            "train/loss/domain_adv": domain,
            "val/accuracy": rise(rng, n, 0.3, 0.8),
            "val/domain_acc": 0.5 + 0.01 * rng.standard_normal(n),
        }
    )
