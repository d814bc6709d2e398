"""Words by which logs name their columns; ``plain`` brings names into the form in which they stand here."""

from __future__ import annotations

import re

_ODD = re.compile(r"[^0-9a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def plain(name: str) -> str:
    """A column's name in lower case with single underscores: ``"Wall time"`` -> ``wall_time``."""
    return _ODD.sub("_", _CAMEL.sub("_", name.strip()).lower()).strip("_")


def _ranked(words: str) -> dict[str, int]:
    return {word: rank for rank, word in enumerate(words.split())}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What counts rows, in the order of preference for logs that count several ways.
STEPS = _ranked(
    "trainer_global_step global_step globalstep global_steps global_iter global_iteration num_updates n_updates "
    "current_steps step steps iteration iterations iter iters itr it n_iter training_step train_step train_steps "
    "train_iter training_iteration opt_step optimizer_step optimizer_steps update updates update_step num_steps nstep "
    "total_timesteps timesteps_total timesteps timestep num_timesteps time_total_timesteps total_env_steps env_steps "
    "env_step num_env_steps total_steps frames total_frames num_frames mini_batch minibatch batch batches batch_idx "
    "batch_id batch_num episode episodes generation gen generations round rounds communication_round"
)
EPOCHS = _ranked(
    "epoch epochs ep current_epoch cur_epoch trainer_epoch train_epoch epoch_num epoch_idx epoch_id epoch_index "
    "epoch_number epoch_no num_epoch n_epoch training_epochs epoch_count"
)
INDEX = _set("unnamed_0 index idx") | {""}
TIMES = _set(
    "time timestamp wall_time walltime wall datetime date date_time created_at logged_at ts runtime elapsed "
    "elapsed_time elapsed_seconds elapsed_s elapsed_sec time_elapsed time_s time_sec time_seconds seconds sec "
    "relative_time relative_time_process relative_time_wall total_time time_total train_time cumulative_time time_h "
    "time_min time_time_elapsed train_wall epoch_time epoch_time_s epoch_seconds epoch_duration duration duration_s "
    "duration_sec dur time_taken time_per_epoch sec_per_epoch time_epoch train_runtime unix_time"
)
TIMES_OF_EACH = _set("dur epoch_time epoch_time_s epoch_seconds epoch_duration time_taken time_per_epoch")
PLANNED_STEPS = _set("total_steps max_steps total_iters max_iters total_iterations max_iterations")
PLANNED_EPOCHS = _set("total_epochs max_epochs num_epochs num_train_epochs n_epochs epochs_total")
BOOKKEEPING = _set(
    "eta eta_seconds eta_s remaining remaining_time time_left percentage percent progress n_parameters num_parameters "
    "n_params num_params params parameters id index idx unnamed_0 unnamed_0_1 row rank local_rank world_size pid "
    "data_time iter_time batch_time step_time rank_data_time seed"
)

# Columns of texts that say how to take the row.
SPLIT_COLUMNS = _set("split mode phase stage subset set partition kind type event tag dataset loop")
NAME_COLUMNS = _set("metric metric_name tag key variable measure quantity series")
GROUP_COLUMNS = _set(
    "run run_id run_name runid run_number model model_name model_type fold fold_id kfold cv_fold seed random_seed "
    "experiment experiment_name experiment_id exp exp_name trial trial_id version architecture backbone method "
    "algorithm optimizer client client_id"
)

# Quantities: hardly found outside of training; found there and elsewhere; kept fixed within one run.
STRONG = _set(
    "loss losses acc accuracy lr perplexity ppl bpb bpc nll elbo grad gradnorm gnorm map miou iou dice bleu rouge wer "
    "cer f1 auc auroc auprc mae mse rmse psnr ssim r2 top1 top5 acc1 acc5 kappa mcc precision recall learning_rate "
    "sensitivity specificity criterion logloss mlogloss"
)
WEAK = _set(
    "reward rewards fitness return returns error err objective cost score entropy kl epsilon q td success metric "
    "advantage residual mape fid hits mrr ndcg correct"
)
FIXED_IN_A_RUN = _set(
    "hidden hidden_size hidden_dim hidden_units num_layers n_layers layers n_layer units neurons dropout dropout_rate "
    "optimizer activation architecture kernel_size embedding_dim embed_dim num_heads n_estimators max_depth "
    "window_size seq_len batch_size"
)
