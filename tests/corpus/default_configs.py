"""Configurations as common programs write them where nobody changed the defaults: keys and values, facts only.

``LOGGED`` holds the learning rates that such a program logs under that configuration, for one run each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DEFAULT_CONFIGS: dict[str, dict[str, Any]] = {
    "ultralytics": {
        "task": "detect", "epochs": 50, "time": None, "patience": 30, "batch": 32, "imgsz": 640, "save_period": -1,
        "cache": False, "device": "0", "workers": 8, "optimizer": "auto", "seed": 0, "fraction": 1.0,
        "freeze": None, "overlap_mask": True, "mask_ratio": 4, "dropout": 0.0, "conf": None, "iou": 0.7, "max_det": 300,
        "vid_stride": 1, "lr0": 0.005, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.0005, "warmup_epochs": 3.0,
        "warmup_momentum": 0.8, "warmup_bias_lr": 0.1, "box": 7.5, "cls": 0.6, "dfl": 1.5, "kobj": 1.0, "nbs": 64,
        "hsv_h": 0.015, "degrees": 0.0, "scale": 0.9, "mosaic": 1.0, "mixup": 0.1, "erasing": 0.4,
    },
    "yolov5": {
        "hyp": {
            "lr0": 0.01, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.0005, "warmup_epochs": 3.0,
            "warmup_momentum": 0.8, "warmup_bias_lr": 0.1, "box": 0.05, "cls_pw": 1.0, "iou_t": 0.2, "anchor_t": 4.0,
            "fl_gamma": 0.0, "hsv_h": 0.015, "scale": 0.5, "mosaic": 1.0,
        },
        "epochs": 5, "batch_size": -1, "imgsz": 640, "label_smoothing": 0.0, "patience": 100, "freeze": [0],
        "save_period": -1, "local_rank": -1, "bbox_interval": -1, "optimizer": "SGD", "cos_lr": False,
    },
    "transformers": {
        "per_device_train_batch_size": 8, "per_gpu_train_batch_size": "None", "gradient_accumulation_steps": 4,
        "eval_accumulation_steps": "None", "learning_rate": 0.0005, "weight_decay": 0, "adam_beta1": 0.9,
        "adam_beta2": 0.999, "adam_epsilon": 1e-08, "max_grad_norm": 1, "num_train_epochs": 3.0, "max_steps": -1,
        "lr_scheduler_type": "linear", "warmup_ratio": 0.1, "warmup_steps": 0, "label_smoothing_factor": 0,
        "past_index": -1, "optim": "adamw_torch", "auto_find_batch_size": False, "temperature": 1, "top_p": 1,
        "attn_pdrop": 0.1, "drop_path_rate": 0, "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12,
        "mask_time_prob": 0.05, "mask_feature_prob": 0.0, "num_beams": 1, "length_penalty": 1, "local_rank": -1,
        "deepspeed": {"train_batch_size": "auto", "optimizer": {"params": {"lr": "auto", "betas": "auto"}}},
    },
    "fairseq": {
        "common": {"fp16_scale_window": None, "min_loss_scale": 0.0001, "threshold_loss_scale": None},
        "dataset": {"max_tokens": 1400000, "batch_size": None, "num_workers": 6},
        "distributed_training": {"distributed_world_size": 64},
        "optimization": {
            "max_epoch": 0, "max_update": 400000, "clip_norm": 0.0, "update_freq": [1], "lr": [0.0005],
            "stop_min_lr": -1.0,
        },
        "optimizer": {"_name": "adam", "adam_betas": "(0.9,0.98)", "adam_eps": 1e-06, "weight_decay": 0.01},
        "lr_scheduler": {"_name": "polynomial_decay", "warmup_updates": 32000, "power": 1.0},
        "model": {
            "encoder_layerdrop": 0.05, "dropout_input": 0.1, "mask_prob": 0.65, "mask_channel_prob": 0.0,
            "latent_temp": [2.0, 0.5, 0.999995], "label_smoothing": 0.0,
        },
    },
    "nemo": {
        "model": {
            "train_ds": {"batch_size": 16, "max_duration": 16.7, "bucketing_batch_size": None},
            "encoder": {"feat_out": -1, "subsampling_conv_channels": -1, "att_context_size": [-1, -1],
                        "dropout": 0.1, "dropout_pre_encoder": 0.1, "stochastic_depth_drop_prob": 0.0},
            "optim": {
                "name": "adamw", "lr": 2.0, "betas": [0.9, 0.98], "weight_decay": 0.001,
                "sched": {"name": "NoamAnnealing", "d_model": 512, "warmup_steps": 10000, "warmup_ratio": None,
                          "min_lr": 1e-06, "last_epoch": -1},
            },
        },
        "trainer": {"devices": -1, "max_epochs": 1000, "max_steps": -1, "accumulate_grad_batches": 1,
                    "gradient_clip_val": 0.0, "val_check_interval": 1.0, "num_sanity_val_steps": 0},
    },
    "speechbrain": {
        "number_of_epochs": 110, "batch_size": 16, "gradient_accumulation": 4, "gradient_clipping": 5.0,
        "stage_one_epochs": 90, "lr_adam": 1.0, "lr_sgd": 2.5e-05, "transformer_dropout": 0.0, "label_smoothing": 0.1,
        "Adam": {"lr": 0, "betas": [0.9, 0.98], "eps": 1e-09}, "SGD": {"lr": 2.5e-05, "momentum": 0.99},
        "noam_annealing": {"lr_initial": 1.0, "n_warmup_steps": 25000}, "transformerlm_scorer": {"temperature": 1.15},
    },
    "nanogpt": {
        "eval_interval": 250, "eval_iters": 200, "gradient_accumulation_steps": 1, "batch_size": 64, "dropout": 0.2,
        "learning_rate": 1e-3, "max_iters": 5000, "lr_decay_iters": 5000, "min_lr": 1e-4, "beta1": 0.9, "beta2": 0.99,
        "warmup_iters": 100, "weight_decay": 0.1, "grad_clip": 1.0,
    },
    "mmdetection": {
        "optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001},
        "optimizer_config": {"grad_clip": None},
        "lr_config": {"policy": "step", "warmup_iters": 500, "warmup_ratio": 0.001, "step": [8, 11]},
        "runner": {"type": "EpochBasedRunner", "max_epochs": 12}, "data": {"samples_per_gpu": 2, "workers_per_gpu": 2},
        "auto_scale_lr": {"enable": False, "base_batch_size": 16},
        "model": {"train_cfg": {"rpn": {"assigner": {"match_low_quality": True, "ignore_iof_thr": -1}}}},
    },
    "detectron2": {
        "SOLVER": {
            "IMS_PER_BATCH": 16, "BASE_LR": 0.02, "BASE_LR_END": 0.0, "STEPS": [60000, 80000], "MAX_ITER": 90000,
            "MOMENTUM": 0.9, "WEIGHT_DECAY": 0.0001, "WEIGHT_DECAY_BIAS": None, "GAMMA": 0.1, "WARMUP_ITERS": 1000,
            "WARMUP_FACTOR": 0.001, "REFERENCE_WORLD_SIZE": 0, "CLIP_GRADIENTS": {"ENABLED": False, "CLIP_VALUE": 1.0},
        },
    },
    "timm": {
        "batch_size": 128, "validation_batch_size": None, "opt": "sgd", "opt_eps": None, "opt_betas": None,
        "momentum": 0.9, "weight_decay": 2e-05, "clip_grad": None, "layer_decay": 0.75, "lr": None, "lr_base": 0.1,
        "lr_base_size": 256, "lr_base_scale": "", "lr_noise_pct": 0.67, "lr_cycle_mul": 1.0, "warmup_lr": 1e-05,
        "min_lr": 0, "epochs": 300, "start_epoch": None, "decay_milestones": [90, 180, 270], "warmup_epochs": 5,
        "cooldown_epochs": 0, "patience_epochs": 10, "drop": 0.0, "drop_connect": None, "drop_path": None,
        "recount": 1, "reprob": 0.0, "mixup": 0.0, "smoothing": 0.1, "bn_momentum": None, "bn_eps": None,
        "model_ema_decay": 0.9998,
    },
    "megatron": {
        "micro_batch_size": 1, "global_batch_size": None, "train_iters": 500000, "lr": 0.00015, "min_lr": 1e-05,
        "lr_warmup_fraction": 0.01, "lr_warmup_iters": 0, "lr_warmup_init": 0.0, "weight_decay": 0.01,
        "start_weight_decay": 0.01, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_eps": 1e-08, "clip_grad": 1.0,
        "hidden_dropout": 0.1, "attention_dropout": 0.1, "mask_prob": 0.15, "mask_factor": 1.0, "loss_scale": None,
        "norm_epsilon": 1e-05, "exit_interval": None, "moe_z_loss_coeff": None, "eval_iters": 100,
    },
    "decision-transformer": {
        "K": 20, "pct_traj": 1.0, "batch_size": 64, "dropout": 0.1, "learning_rate": 0.0001, "weight_decay": 0.0001,
        "warmup_steps": 10000, "num_eval_episodes": 100, "max_iters": 10, "num_steps_per_iter": 10000,
    },
    "stable-baselines3": {
        "learning_rate": 0.0003, "n_steps": 2048, "batch_size": 64, "n_epochs": 10, "gamma": 0.99, "gae_lambda": 0.95,
        "clip_range": 0.2, "clip_range_vf": None, "ent_coef": 0.0, "max_grad_norm": 0.5, "sde_sample_freq": -1,
        "target_kl": None, "stats_window_size": 100, "learning_starts": 100, "gradient_steps": -1,
    },
    "vits": {
        "train": {"epochs": 20000, "learning_rate": 0.0002, "betas": [0.8, 0.99], "eps": 1e-09, "batch_size": 64,
                  "lr_decay": 0.999875, "init_lr_ratio": 1, "warmup_epochs": 0, "c_mel": 45},
        "data": {"mel_fmax": None, "n_speakers": 0}, "model": {"p_dropout": 0.1, "resblock": "1"},
    },
    "wenet": {
        "encoder_conf": {"dropout_rate": 0.1, "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.0},
        "dataset_conf": {"batch_conf": {"batch_type": "static", "batch_size": 1}}, "max_epoch": 240,
        "optim_conf": {"lr": 0.001, "max_grad_norm": 5.0}, "scheduler": "warmuplr",
        "scheduler_conf": {"warmup_steps": 25000},
    },
    "kohya": {
        "learning_rate": 0.0, "unet_lr": 0.0001, "text_encoder_lr": 5e-05, "lr_scheduler": "cosine_with_restarts",
        "lr_warmup_steps": 0, "max_train_epochs": 10, "max_train_steps": 1600, "train_batch_size": 1,
        "network_dropout": 0, "min_snr_gamma": 5, "noise_offset": 0.0, "optimizer_type": "AdamW8bit",
        "caption_dropout_rate": 0.0, "multires_noise_iterations": 0,
    },
    "latent-diffusion": {
        "model": {"base_learning_rate": 4.5e-06, "params": {"linear_start": 0.0015, "timesteps": 1000,
                  "scheduler_config": {"params": {"warm_up_steps": [10000], "f_max": [1.0]}},
                  "unet_config": {"params": {"attention_resolutions": [8, 4, 2], "dropout": 0.0}}}},
        "data": {"params": {"batch_size": 12, "num_workers": 5}}, "trainer": {"gpus": "0,1,2,3", "benchmark": True},
    },
}  # fmt: skip

LOGGED: dict[str, np.ndarray] = {
    "ultralytics": np.array([0.00066, 0.0013, 0.0019, 0.0018, 0.0017, 0.0016]),
    "yolov5": np.array([0.0033, 0.0053, 0.0060, 0.0041, 0.0020]),
    "transformers": 0.0005 * np.minimum(np.arange(1, 41) / 4, np.arange(39, -1, -1) / 36),
    "fairseq": 0.0005 * np.minimum(np.arange(1, 26) / 2, np.arange(24, -1, -1) / 23),
    "nemo": 2 * 512**-0.5 * np.minimum(np.arange(1, 41) ** -0.5 / 31.6, np.arange(1, 41) * 31.6 / 1e4),
    "speechbrain": 768**-0.5 * np.minimum((1e3 * np.arange(1, 41)) ** -0.5, 1e3 * np.arange(1, 41) * 25000**-1.5),
    "nanogpt": 1e-3 * np.minimum(np.arange(1, 51), 0.1 + 0.9 * np.cos(np.arange(50) * np.pi / 100)),
    "mmdetection": np.array([0.01, 0.02, 0.02, 0.02, 0.002, 0.0002]),
    "detectron2": np.array([0.01, 0.02, 0.02, 0.02, 0.002, 0.0002]),
    "timm": 0.05 * np.minimum(np.arange(1, 31) / 5, np.cos(np.arange(30) * np.pi / 60)),
    "megatron": 0.00015 * np.minimum(np.arange(1, 31) / 3, np.cos(np.arange(30) * np.pi / 60)),
    "decision-transformer": 1e-4 * np.minimum(np.arange(1, 11) / 10, 1),
    "vits": 0.0002 * 0.999875 ** np.arange(50),
    "latent-diffusion": np.full(20, 4.5e-06 * 48),
}
