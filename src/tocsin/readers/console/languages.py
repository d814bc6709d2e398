"""Words of training logs in Chinese, Japanese and Korean, and what they are in English."""

from __future__ import annotations

import re

ENGLISH = {
    "训练损失": "train loss", "验证损失": "val loss", "测试损失": "test loss", "训练准确率": "train accuracy",
    "验证准确率": "val accuracy", "测试准确率": "test accuracy", "训练集损失": "train loss",
    "验证集损失": "val loss", "训练精度": "train accuracy", "验证精度": "val accuracy",
    "训练集准确率": "train accuracy", "验证集准确率": "val accuracy", "平均损失": "average loss",
    "总损失": "total loss", "学习率": "lr", "损失": "loss", "准确率": "accuracy", "正确率": "accuracy",
    "精度": "accuracy", "召回率": "recall", "精确率": "precision", "训练轮次": "epoch", "轮次": "epoch",
    "轮": "epoch", "周期": "epoch", "步数": "step", "步": "step", "迭代": "iter", "批次": "batch", "训练": "train",
    "验证": "val", "测试": "test", "訓練損失": "train loss", "驗證損失": "val loss", "準確率": "accuracy",
    "學習率": "lr", "驗證": "val", "訓練": "train", "測試": "test", "エポック": "epoch", "ステップ": "step",
    "損失": "loss", "正解率": "accuracy", "検証損失": "val loss", "検証": "val", "学習損失": "train loss",
    "再現率": "recall", "適合率": "precision", "에포크": "epoch", "에폭": "epoch", "손실": "loss",
    "정확도": "accuracy", "학습률": "lr", "학습": "train", "훈련": "train", "검증": "val", "スコア": "score",
}  # fmt: skip
_KNOWN = re.compile("|".join(sorted(ENGLISH, key=len, reverse=True)))


def translated(key: str) -> str:
    """A key with the words known here in English, set off by blanks."""
    return _KNOWN.sub(lambda found: f" {ENGLISH[found.group()]} ", key)
