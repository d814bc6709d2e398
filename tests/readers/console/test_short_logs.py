"""A few lines are enough where only training prints such; what merely quotes or resembles a log is not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.readers.console.sniffing import looks_like_training
from tocsin.readers.file import File

SHORT = {
    "one_dict": "{'loss': 0.7, 'grad_norm': nan, 'learning_rate': 2e-05, 'epoch': 0.31}\n",
    "dicts_alike": "{'loss': 0.0, 'grad_norm': nan, 'epoch': 0.1}\n" * 3,
    "evaluation": "warming up\n{'eval_loss': 1.25, 'eval_accuracy': 0.75, 'epoch': 2.0}\n",
    "bracketed": "Epoch: [3][  20/900]\tTime  0.2 ( 0.3)\tLoss 6.1e+00 (6.5e+00)\tAcc@1   0.5 (  0.4)\n",
    "open_mmlab": "05/06 10:00:00 - mmengine - INFO - Epoch(train)  [2][ 50/900]  lr: 0.1  loss: nan  loss_cls: nan\n",
    "glog": "I0304 10:00:00.123456 140033274427136 basic_session_run_hooks.py:260] loss = 1.5, step = 300 (8.2 sec)\n",
    "estimator": "Saving dict for global step 900: accuracy = 0.91, global_step = 900, loss = 0.4\n",
    "boosting": "[1]\ttraining's auc: 0.61\tvalid_1's auc: 0.6\n[2]\ttraining's auc: 0.64\tvalid_1's auc: 0.62\n",
    "darknet": " 12: 3.25, 3.5 avg loss, 0.001 rate, 2.5 seconds, 768 images\nLoaded: 0.1 seconds\n" * 2,
    "scaler": "Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 32768.0\n" * 3,
    "tutorial": "Epoch 0/9\n---------\ntrain Loss: 0.61 Acc: 0.7\nval Loss: 0.52 Acc: 0.74\n",
    "marian": "[2021-01-02 10:00:00] Ep. 1 : Up. 500 : Sen. 3,000 : Cost 5.25 : Time 9.5s : L.r. 1.0e-04\n" * 2,
    "learners": "0:\tlearn: 0.69\ttest: 0.68\ttotal: 9ms\n1:\tlearn: 0.65\ttest: 0.66\ttotal: 19ms\n",
    "checkpoints": "Epoch 0, global step 50: 'val/f1' reached 0.31250 (best 0.31250), saving model to '/a.ckpt'"
    " as top 1\n",
}
NEVER = {
    "prose": "The model was trained for 10 epochs.\nAt epoch 5 the training loss was 0.53 and accuracy 81.2%.\n"
    "After epoch 10 the loss fell to 0.21, and accuracy rose to 87.5%.\n",
    "question": "Hi, I am training a network and after a while I get\n\nEpoch 3/10 loss: nan acc: 0.1\n"
    "Epoch 4/10 loss: nan acc: 0.1\n\nWhat can I do? My learning rate is 0.01. Thanks!\n",
    "code": "import torch\nfrom torch import nn\nfor epoch in range(10):\n    loss = model(x)\n"
    '    print(f"epoch {epoch} loss: {loss:.3f}")\n    acc = 0.5\n# epoch: 1 loss: 0.5 acc: 0.7\n'
    "# epoch: 2 loss: 0.4 acc: 0.8\n",
    "changes": "Version 1.2.0 (2021-03-04)\n * loss: 0.5 default weight\n * step 3 of the tutorial fixed\n"
    " * epoch 0 is now counted from 1\n * learning rate 0.1 is the default\n",
    "settings": "lr: 0.001\nepochs: 30\nbatch_size: 64\nloss: cross_entropy\nmomentum: 0.9\ndropout: 0.1\n",
    "answers": "Q: I get RuntimeError: CUDA out of memory. What can I do?\nA: Lower the batch size, e.g. to 8.\n"
    "Q: The loss is nan from step 100 on.\nA: Lower the learning rate to 1e-4.\n",
    "letter": "From: a@example.org\nSubject: results\n\nDear all,\nthe new model has accuracy 0.92 (loss 0.31) after "
    "epoch 12.\nRegards\n",
    "downloads": "resnet50.pth 100%[===================>]  97.78M  11.2MB/s    in 8.9s\n"
    "2023-05-03 10:12:43 (11.0 MB/s) - 'resnet50.pth' saved [102530333/102530333] torch\n",
    "service": "2023-05-03 10:12:33 INFO  [http-8080] c.e.Service: request took 12.3 ms, step=3, retries=0\n"
    "2023-05-03 10:12:36 INFO  [http-8080] c.e.Service: epoch=1683101556 offset=1234\n" * 3,
    "web_traceback": 'Traceback (most recent call last):\n  File "/srv/app/views.py", line 12, in index\n'
    "    return 1 / 0\nZeroDivisionError: division by zero\n",
    "manual": "MyNet\n=====\n\nTraining\n--------\nRun python train.py --lr 0.1 --epochs 90.\n\nResults\n-------\n"
    "    Epoch: [0][10/100] Loss 6.9 (6.95) Acc@1 0.1 (0.1)\nAccuracy is 76.1 after 90 epochs.\n",
    "ping": "64 bytes from 1.1.1.1: icmp_seq=1 ttl=56 time=12.3 ms\n2 packets transmitted, 0% packet loss\n",
    "compiler": "[1/120] Compiling step.c\n[2/120] Compiling epoch.c\nerror: loss.cc:12:3: undeclared identifier\n",
    "list": "TODO\n1. loss 0.5 -> 0.3\n2. try lr 1e-3, 1e-4\n3. epoch 20 instead of 10\n",
    "commits": "commit 12ab34cd\nAuthor: A <a@example.org>\n\n    Train 20 epochs: loss 0.32, accuracy 0.91\n" * 3,
    "session": ">>> fit(x, y)\nEpoch 1/10\nloss: 0.5 - accuracy: 0.8\n>>> fit(x, y)\nloss: 0.4 - accuracy: 0.9\n",
    "comparison": "Model      Params  FLOPs  Top-1  Top-5\nResNet-18  11.7M   1.8G   69.8   89.1\n"
    "ViT-B  86.6M  17G  81  95\n",
    "certificate": "Certificate:\n  Issuer: O = Train\n  Not After: 1\n"
    + "    a4:0b:c5:1f:e2:3d:07:11:9c:d4:5e:aa:10:ff:0c\n" * 40,
    "columns": "epoch,train,test\n" + "".join(f"{i},a{i},0.{i}\n" for i in range(20)),
}


def knows(tmp_path: Path, name: str, text: str) -> bool:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return looks_like_training(File(path))


@pytest.mark.parametrize("name", SHORT)
def test_a_short_log_is_known(tmp_path, name):
    assert knows(tmp_path, f"{name}.txt", SHORT[name])


@pytest.mark.parametrize("name", NEVER)
def test_what_only_speaks_of_training_is_no_log(tmp_path, name):
    assert not knows(tmp_path, f"{name}.txt", NEVER[name])


def test_a_letter_that_quotes_a_long_log_is_read(tmp_path):
    log = "".join(f"Epoch {i}/60 loss: {3 / i:.3f} acc: 0.5\n" for i in range(1, 60))
    assert knows(tmp_path, "mail.txt", NEVER["question"] + log)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "gbk"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "train.log"
    path.write_bytes("第1轮 训练损失：1.0 准确率：50.5%\n第2轮 训练损失：0.5 准确率：70.5%\n".encode(encoding))
    assert looks_like_training(File(path))
