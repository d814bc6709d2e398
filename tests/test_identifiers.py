"""What identifies a person or a machine leaves every text; what only looks like it stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Report
from tocsin.identifiers import Redactor, redactor_of
from tocsin.run import Event, Run

HIDDEN = {
    'File "/home/alice/proj/train.py", line 3': 'File "~/proj/train.py", line 3',
    "/data/home/carol/runs": "~/runs",
    "/Users/squirrel/Library/x": "~/Library/x",
    r"C:\Users\Bob Smith\x.py": r"~\x.py",
    "/root/autodl-tmp/x": "~/autodl-tmp/x",
    "mail a.b@uni-x.edu.cn ok": "mail <e-mail> ok",
    "events.out.tfevents.1785441771.squirrels-iMac.local.1798.3": "events.out.tfevents.1785441771.<host>.1798.3",
    "WANDB_API_KEY=0123456789abcdef0123": "WANDB_API_KEY=<token>",
    "token hf_abcdefghijklmnopqrstu": "token <token>",
    "host: gpu01.cluster": "host: <host>",
    "MASTER_ADDR=10.0.0.3 port": "MASTER_ADDR=<address> port",
    "alice@gpu01:~/x$ python": "<login>:~/x$ python",
    "https://user:pw@github.com/x": "https://<login>@github.com/x",
}
KEPT = [
    "acc@1 76.1 acc@5 93.0", "loss nan at step 3", "version 1.13.0 and 127.0.0.1", "torch.nn.Linear", "server is down",
    "python train.py --lr 1e-4",
    "nvidia-cublas==12.1.3.1", "val/top@k", "http://localhost:8080/x", "homework/users.csv",
]  # fmt: skip


@pytest.mark.parametrize(("said", "clean"), HIDDEN.items())
def test_identifiers_are_replaced(said, clean):
    assert Redactor().text(said) == clean


@pytest.mark.parametrize("said", KEPT)
def test_other_texts_are_left_alone(said):
    assert Redactor().text(said) == said


def test_an_account_name_met_in_a_home_path_is_replaced_in_other_paths():
    run = Run(
        "r", events=(Event("launch", "/home/zjia/env/bin/python"), Event("message", "saved /disk/fs2/zjia/ckpt.pt"))
    )
    clean = redactor_of([run]).run(run)
    assert [e.text for e in clean.events] == ["~/env/bin/python", "saved /disk/fs2/<user>/ckpt.pt"]


def test_common_folder_names_are_no_account_names():
    assert (
        Redactor.of(["/home/work/x", "/home/data/y"]).text("see work/data and /mnt/data/x")
        == "see work/data and /mnt/data/x"
    )


def test_a_report_is_clean_in_every_text():
    path = "/home/alice/x"
    finding = Finding(
        path, path, evidence=(Evidence(f"config:{path}", path, text=path),),
        remedies=(Remedy(path, patch={"path": path}),), run=path,
    )  # fmt: skip
    report = Report((path,), (finding,), not_checked=(NotChecked(path, run=path),), unread=(path,), known=(finding,))
    assert "alice" not in str(Redactor().report(report).to_json())


def test_values_of_secret_and_personal_keys_go_whole():
    config = {
        "wandb": {"api_key": "abc", "entity": "x"},
        "email": "x",
        "user": "bob",
        "lr": 0.1,
        "tokens": 5,
        "betas": [0.9, 0.99],
    }
    clean = Redactor().data(config)
    assert clean["wandb"]["api_key"] == "<token>"
    assert clean["user"] == clean["email"] == "<user>"
    assert (clean["lr"], clean["tokens"], clean["betas"]) == (0.1, 5, [0.9, 0.99])


@given(st.text(max_size=300))
@settings(deadline=None, max_examples=60)
def test_any_text_is_cleaned_once_and_for_all(said):
    once = Redactor().text(said)
    assert Redactor().text(once) == once
