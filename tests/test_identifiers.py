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


KEY = "0123456789abcdef0123456789abcdef01234567"
GIVE_AWAY = [  # a text, and the part of it that must go
    ("mail bob.smith+x@uni-x.edu.cn", "bob.smith"),
    ("<bob@corp.co.uk>", "bob@"),
    ("mailto:bob@x.org", "bob@"),
    ("bob@localhost: hi", "bob@"),
    ("hf_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("key hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxx"),
    (f"wandb: Appending key {KEY}", KEY),
    (f"wandb login {KEY}", KEY),
    (f"machine api.wandb.ai\n  login user\n  password {KEY}", KEY),
    (f"WANDB_API_KEY={KEY}", KEY),
    (f'"api_key": "{KEY}"', KEY),
    ('api_key: "abcdefg"', "abcdefg"),
    (f"{{'wandb_key': '{KEY}'}}", KEY),
    ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
    ("ASIAIOSFODNN7EXAMPLE", "ASIA"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
    ("aws_session_token=FwoGZXIvYXdzEBY", "FwoG"),
    ("ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("github_pat_11ABCDEFG0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "11ABC"),
    ("gho_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("glpat-abcdefghij1234567890", "abcdefghij"),
    ("sk-proj-abcdefghijklmnopqrstuvwxyz", "abcdefghij"),
    ("sk-ant-api03-abcdefghijklmnopqrst", "abcdefghij"),
    ("OPENAI_API_KEY=sk-abcdefghijklmnopqrstuvwx", "abcdefghij"),
    ("xoxb-123456789012-abcdefghijkl", "123456789012"),
    ("xapp-1-A1234-5678-abcdefabcdef", "5678-abc"),
    ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "XXXXXXXX"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", "dozj"),
    ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcj"),
    ("https://bob:pw123@github.com/x.git", "pw123"),
    ("postgresql://bob:pw123@db.corp.com:5432/mlflow", "pw123"),
    ("mysql+pymysql://root:hunter2@10.1.2.3/x", "hunter2"),
    ("https://bob@dev.azure.com/x", "bob@"),
    ("python t.py --token=abc123def", "abc123def"),
    ("python t.py --token abc123def", "abc123def"),
    ("python t.py --hf-token=abc123def", "abc123def"),
    ("--hub_token abc123", "abc123"),
    ("--wandb-api-key abc123def", "abc123def"),
    ("--password hunter2x", "hunter2x"),
    ("SECRET=hunter2x", "hunter2x"),
    ("MY_SECRET: hunter2x", "hunter2x"),
    ("TOKEN=abc", "abc"),
    ("--api-key=abc", "abc"),
    ("--auth tok123456", "tok123456"),
    ('token: "s3cr3t"', "s3cr3t"),
    ('"token": "s3cr3t9"', "s3cr3t9"),
    ("'hub_token': 's3cr3t9'", "s3cr3t9"),
    ("?token=abc123def&x=1", "abc123def"),
    ("?access_token=abc123def", "abc123def"),
    ("http://localhost:8888/?token=a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2", "a1b2"),
    ('neptune api_token="eyJhcGlfYWRkcmVzcyI6Imh0dHBz=="', "eyJhcGl"),
    ("COMET_API_KEY=AbCdEf123", "AbCdEf123"),
    ("passwd=abcdefg", "abcdefg"),
    ("pwd=abcdefg1", "abcdefg1"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIEpA"),
    ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ bob@x", "AAAAB3"),
    ("npm_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("pypi-AgEIcHlwaS5vcmcaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "AgEI"),
    ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "SyA123"),
    ("ya29.a0AfH6SMBxxxxxxxxxxxxxxxx", "a0AfH6"),
    ("dop_v1_a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2", "a1b2"),
    ("r8_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("gsk_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("nvapi-a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    ("SG.a1B2c3a1B2c3a1B2c3a1B2c3.a1B2c3a1B2c3a1B2c3a1B2c3a1B2c3a1B2c3a1B2c3", "a1B2c3"),
    ("telegram 123456789:AAFa1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "a1B2"),
    (f"local-{KEY}", KEY),
    ("Running on node17", "node17"),
    ("on host gpu-a.b.edu", "gpu-a"),
    ("hostname: squirrel", "squirrel"),
    ("Host = squirrel", "squirrel"),
    ("SLURM_JOB_NODELIST=gpu[01-04]", "gpu[01"),
    ("SLURM_NODELIST=tcn512", "tcn512"),
    ("SLURM_STEP_NODELIST: tcn512", "tcn512"),
    ("SLURMD_NODENAME=tcn512", "tcn512"),
    ("HOSTNAME=dgx-3", "dgx-3"),
    ("NodeList=r8n5", "r8n5"),
    ("BatchHost=r8n5", "r8n5"),
    ("MASTER_ADDR=gpu-node-1", "gpu-node-1"),
    ("master_addr: gpu-node-1", "gpu-node-1"),
    ("tcp://gpu-node-1:29500", "gpu-node-1"),
    ("--master_addr gpu-node-1", "gpu-node-1"),
    ("rdzv_endpoint=gpu-node-1:29400", "gpu-node-1"),
    ("--rdzv_endpoint gpu-node-1:29400", "gpu-node-1"),
    (
        "[W socket.cpp] The client socket cannot be initialized to connect to [gpu-node-1.cluster.local]:29500",
        "gpu-node-1",
    ),
    ("slurmstepd: error: *** JOB 123 ON tcn512 CANCELLED AT 2024", "tcn512"),
    ("slurmstepd: error: *** STEP 12.0 ON gpu-a3 CANCELLED", "gpu-a3"),
    ("srun: error: gpu-a3: task 0: Exited", "gpu-a3"),
    ("gpu-a3: task 0", "gpu-a3"),
    ("ip-10-1-2-3.ec2.internal", "10-1-2-3"),
    ("Jan05_12-34-56_squirrel", "squirrel"),
    ("runs/Jan05_12-34-56_dgx-3.cluster/events", "dgx-3"),
    ("runs/Dec31_00-00-00_gpu_01", "gpu_01"),
    ("NCCL: dgx-3:1234:1240 [0] NCCL INFO Bootstrap", "dgx-3"),
    ("  host      : dgx-3.cluster (rank 0)", "dgx-3"),
    ("host : dgx-3", "dgx-3"),
    ('"host": "dgx-3"', "dgx-3"),
    ("events.out.tfevents.1785441771.gpu_01.3", "gpu_01"),
    ("events.out.tfevents.1785441771.ip-10-1-2-3.1798.0.v2", "10-1-2-3"),
    ("events.out.tfevents.1785441771.node.10g.corp.org.12.0", "10g"),
    ("events.out.tfevents.1785441771.6f3a9c", "6f3a9c"),
    ("events.out.tfevents.1785441771.DESKTOP-AB12CD", "DESKTOP"),
    ("events.out.tfevents.1785441771.bobs-mac.local.1798.3", "local"),
    ("/home/bobby", "bobby"),
    ("/home/bobby/x.py", "bobby"),
    ("/home/bobby.", "bobby"),
    ('"/home/bobby"', "bobby"),
    ("/home/bobby\\nfoo", "bobby"),
    ("/home/bobby}", "bobby"),
    ("/home/bobby>", "bobby"),
    ("`/home/bobby`", "bobby"),
    ("/home/bobby|x", "bobby"),
    ("/home/bobby&", "bobby"),
    ("/home/王伟/x", "王伟"),
    ("/Users/josé/x", "jos"),
    ("/Users/bob smith/x", "smith"),
    ("/home/bob@corp.com/x", "bob"),
    ("/home/CORP\\bobby/x", "bobby"),
    ("file:///home/bobby/x", "bobby"),
    ("/mnt/c/Users/bobby/x", "bobby"),
    ("/media/bobby/disk", "bobby"),
    ("/export/home/bobby/x", "bobby"),
    ("/gpfs/home/bobby/x", "bobby"),
    ("/afs/cs/user/bobby/x", "bobby"),
    ("~bobby/x", "bobby"),
    ("/var/home/bobby/x", "bobby"),
    ("/home/a/b/c/home/bobby/x", "bobby"),
    ("\\/home\\/bobby\\/x", "bobby"),
    ("/Home/bobby/x", "bobby"),
    ("/home1/bobby/x", "bobby"),
    ("/home2/bobby/x", "bobby"),
    ("/homes/bobby/x", "bobby"),
    ("/nethome/bobby/x", "bobby"),
    ("C:\\Users\\bobby\\x", "bobby"),
    ("C:\\\\Users\\\\bobby\\\\x", "bobby"),
    ("C:\\\\\\\\Users\\\\\\\\bobby\\\\\\\\x", "bobby"),
    ("c:/Users/bobby/x", "bobby"),
    ("C:\\Users\\Bob Smith\\x", "Smith"),
    ("C:\\Users\\bobby", "bobby"),
    ("\\Users\\bobby\\x", "bobby"),
    ("/c/Users/bobby/x", "bobby"),
    ("D:\\home\\bobby\\x", "bobby"),
    ("C:\\Users\\bobby.CORP\\x", "bobby"),
    ("C:\\USERS\\bobby\\x", "bobby"),
    ("10.0.0.3", "10.0.0.3"),
    ("10.0.0.3:29500", "10.0.0.3"),
    ("http://192.168.1.5:5000/x", "192.168.1.5"),
    ("[2001:db8::ff00:42:8329]:29500", "42:8329"),
    ("fe80::1ff:fe23:4567:890a%eth2", "4567"),
    ("aa:bb:cc:dd:ee:f0", "cc:dd"),
    ("2001:0db8:0000:0000:0000:ff00:0042:8329", "8329"),
    ("::ffff:10.0.0.3", "10.0.0.3"),
    ("ip=10.0.0.3", "10.0.0.3"),
    ("user=bobby", "bobby"),
    ("USER=bobby", "bobby"),
    ("username: bobby", "bobby"),
    ("USERNAME=bobby", "bobby"),
    ("LOGNAME=bobby", "bobby"),
    ("login: bobby", "bobby"),
    ("author: Bob Smith", "Smith"),
    ("wandb: Currently logged in as: bobby (team). Use `wandb login", "bobby"),
    ("wandb: Currently logged in as: bobby to https://api.wandb.ai", "bobby"),
    ("https://wandb.ai/bobby/proj/runs/abc", "bobby"),
    ("bobby@dgx-3:~/x$ python", "bobby"),
    ("(base) bobby@dgx-3 x %", "bobby"),
    ("scp x bobby@dgx-3:/data", "dgx-3"),
    ("git@github.com:bobby/x.git", "bobby"),
    ("uid=1000(bobby) gid", "bobby"),
]
STAYS = [
    "acc@1 76.1 acc@5 93.0",
    "loss nan at step 3",
    "torch.nn.Linear",
    "server is down",
    "python train.py --lr 1e-4",
    "nvidia-cublas==12.1.3.1",
    "val/top@k",
    "http://localhost:8080/x",
    "homework/users.csv",
    "tokens: 512",
    "token: 3",
    "--max-tokens 512",
    "num_tokens=300",
    "token_loss: 0.55",
    "n_token=12345678",
    "tokenizer: bert-base-uncased",
    "max_new_tokens=1024",
    "pad_token=<pad>",
    "eos_token: </s>",
    "bos_token='<s>'",
    "tokens/s 12345.6",
    "time 12:34:56",
    "00:12:34:56",
    "eta: 1 day, 12:34:56",
    "epoch 1/10 [00:12<00:34]",
    "key: value",
    "keypoints: 17",
    "num_key_value_heads=8",
    "key_dim: 64",
    "query_key_value",
    "password-free",
    "user_id embeddings",
    "users: 943 items: 1682",
    "host memory 3.2GB",
    "on host memory",
    "on node 3",
    "hosts: 2",
    "nodes: 4",
    f"commit {KEY}",
    "torch 2.1.0+cu118",
    "lr 1.2.3",
    "secret sauce",
    "secretary",
    "val/auth",
    "author",
    "/homeostasis/x",
    "usr/home",
    "C:\\data\\x",
    "eyJust",
    "bearer",
    "sk-learn",
    "xoxo",
    "ghp",
    "train/loss::fp16",
    "a::b",
    "std::vector",
    "torch::jit::x",
    "best: 0.5",
    "12:30",
    "::",
    "Jan05 x",
    "layer1.0.1.2",
    "1.2.3.4.5",
    "runs/exp_12-34-56_a",
    "Slurm JOB 12 on 4 nodes",
    "on node0 of 2",
    "user/item ratio: 0.3",
    "events per run",
    "password",
    "passwords leaked 3",
    "access token budget 12345678",
    "token budget: 100000",
    "loss_token 0.123456",
    "token_accuracy=0.987654",
    "mean_token_accuracy: 0.6543210",
    "server error 500",
    "login rate 3",
    "author count",
    "masked_token_acc 0.33333333",
    "'eval_token_f1': 0.9123456",
    "recall@top5: 0.3",
    "acc@top1 0.2",
    "https://docs.example.org/users/guide",
    "eos_token: '</s>'",
    "pad_token=[PAD]",
    "running on cuda0",
    "training on cifar10",
    "Running on 4 GPUs",
    "threading.local()",
    "sklearn.cluster.KMeans",
    "12:34:56.789",
    "host: localhost",
    "api_key: None",
    "password: null",
    "connect to localhost:6006",
]


@pytest.mark.parametrize(("said", "clean"), HIDDEN.items())
def test_identifiers_are_replaced(said, clean):
    assert Redactor().text(said) == clean


@pytest.mark.parametrize(("said", "part"), GIVE_AWAY)
def test_what_gives_somebody_away_goes(said, part):
    assert part in said
    assert part not in Redactor().text(said)


@pytest.mark.parametrize("said", [*KEPT, *STAYS])
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
