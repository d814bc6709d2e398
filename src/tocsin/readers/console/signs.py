"""What lines say in words: that a run starts, ends, stops early, overflows, saves its best, warns."""

from __future__ import annotations

import re

from tocsin.readers.console.words import listed

_SIGNS = {
    "traceback": r"Traceback \(most recent call last\)|^\s*File \"[^\"]{1,400}\", line \d+, in \S",
    "hydra": r"\bError executing job with overrides: \[|\bError locating target '|\bError in call to target '"
    r"|^Could not override '|^In '[^']{1,80}': Could not find '",
    "interrupted": r"^\W*KeyboardInterrupt\b|\bInterrupted by user\b|^\W*\^C",
    "usage": r"^\s*usage: \S+",
    "misused": r"^\s*\S+\.py: error: |^\S+: error: (?:unrecognized|argument|the following|invalid|ambiguous)"
    r"|can't open file '|: command not found$",
    "killed": (
        r"slurmstepd: error|oom-kill|\bOOM Killer|^(?:\S+: line \d+: +\d+ )?(?:Killed|Terminated)\b"
        r"|CANCELLED AT|DUE TO TIME LIMIT"
        r"|\bReceived SIG(?:TERM|INT|HUP)|^Killed:? ?\d*$"
    ),
    "fatal": (
        r"(?:^|: )(?:CUDA )?(?:error: )?out of memory\b|CUDA out of memory|Segmentation fault|Bus error\b"
        r"|\bcore dumped\)|CUDA error: |terminate called after"
        r"|^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit)\b(?:: |$)|srun: error: .*(?:Exited with"
        r"|Killed|Terminated)"
    ),
    "conll": r"processed \d+ tokens with \d+ phrases",
    "conll_scores": r"precision: +[\d.]+%; recall: +[\d.]+%; FB1:",
    "coco": r"Average (?:Precision|Recall) +\(A[PR]\) @\[",
    "report": r"^\s*precision\s+recall\s+f1-score\s+support\s*$",
    "summary": r"['\"]train_runtime['\"]",
    "overflow": r"gradient overflow|OVERFLOW!|reducing loss scale|\boverflow detected|attempted loss scale",
    "region": r"\bRegion \d+ Avg\b.*\bnan\b.*\bcount: [1-9]",
    "message": r"\bnorm is (?:nan|inf)\b"
    r"|\bnon-?finite\b|\bdiverg(?:ed|ing|es)\b|\bloss (?:is|became|was|went) (?:nan|inf)"
    r"|\b(?:nan"
    r"|inf)s? (?:or inf |loss|grad\w*|detected|found|encountered|in (?:the )?(?:loss|grad|output"
    r"|input))|skipping (?:step|update|batch)|\b(?:gradient|loss|fp16|numeric\w*|scaler?) overflow"
    r"|overflow (?:in|detected|encountered)",
    "early": (
        r"\bearly[ _-]?stopp(?:ing|ed)\b(?!.*\b(?:counter|patience\s?[:=(]|if\b|enabled|callback|rounds?:"
        r"|when\b))|\bstopping[ _]early|stopping training\b|\bstop training\b"
        r"|signaling trainer to stop|best iteration is|early_stop\b.*\btriggered|提前停止|早停"
    ),
    "finished": (
        r"\btraining (?:is |was |has )?(?:been )?(?:now )?(?:complete|finished|done\b|over\b|ended)"
        r"|\b(?:finished|done|completed|end of|ending) (?:the )?training\b(?! (?:epoch|step|batch|iter))"
        r"|\btotal train(?:ing)? time\b|^\W*train(?:ing)? time[: ]|\[train\] done|optimi[sz]ation finished"
        r"|`Trainer\.fit` stopped|\d+ epochs completed in|训练完成|训练结束"
        r"|\btraining completed\b|\btraining took\b|\btrained for \d+ epochs\b|\bfinished fine-?tuning\b"
    ),
    "best": r"improved from|\b(?:loss|acc\w*|score|f1|metric|dice|m?iou)\b.{0,20}\b(?:decreased|increased|improved) ?\("
    r"|\bnew best\b|\bbest (?:\w+ ){0,3}(?:model|checkpoint|epoch|acc\w*|loss|score|metric"
    r"|f1|m?iou|dice|val\w*|result)\b|\*\*\* best|sav\w+ (?:the )?best|\bbest_\w+\s?[:=]",
    "resume": r"\bresum(?:e|ed|ing)\b.{0,40}\b(?:from|training|checkpoint|epoch|step|iter)|\b(?:loaded|restored"
    r"|restoring|restarting)\b.{0,30}\bcheckpoint\b.{0,200}\b(?:epoch|step|iter)",
    "launch": (
        r"^(?:\S{0,60}[$#%>] ?|\+{1,3} ?|> ?|Command:? ?|Running:? ?|CMD:? ?|Executing:? ?)?(?:(?:nohup|sudo"
        r"|time|srun(?: -\S+)*|[A-Z_]{2,40}=\S{1,200}) )*"
        r"(?:\S{0,200}/)?(?:python[\d.]*|torchrun|deepspeed|accelerate launch|mpirun|horovodrun|bash|yolo"
        r"|fairseq-train|llamafactory-cli)\s(?:-\S+ (?:\S+ )?){0,12}[\w./\-]*(?:\.py\b|\.sh\b|train)"
    ),
    "config": r"(?:^|[\s:=(])(?:Namespace\(|HfArgumentParser|TrainingArguments\()|^\W*(?:args?|arguments"
    r"|config(?:uration)?|cfg|opt(?:ions)?|hyper-?param\w*|hparams|settings|params"
    r"|\w*configs?)\W{0,3}[:=]\s*[{(]"
    r"|^[\w/ ]{2,40}: ?(?:\w+=[^,=]*, )+(?:epochs|lrf|batch(?:_size)?|optimizer|momentum|weight_decay|seed)="
    r"|^\s*\{['\"]\w+['\"]: .{0,2000}['\"](?:batch_size|epochs|num_epochs|optimizer|seed|hidden_size|dropout|momentum"
    r"|max_steps|num_train_epochs|weight_decay)['\"]: ",
    "plan": (
        r"\bnum(?:ber of)?[ _](?:train(?:ing)?[ _])?epochs\W{1,6}\d|\btotal optimization steps\W"
        r"|\bmax: \d+ (?:epochs|iters)|starting training for \d+ epochs|\bmax_(?:steps|iters?|epochs)\W{1,4}\d"
        r"|\btrain(?:ing)? for \d+ (?:epochs|steps|iter)|\btrain_iters\W{1,5}\d|\btotal[ _](?:training "
        r"|train )?(?:steps|epochs|iterations)\W{1,4}\d|\btrain for \d+ steps|^\W*epochs\W{1,5}\d+\W*$"
    ),
    "warning": r"\b\w*Warning: ",
}
_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _SIGNS.items()), re.IGNORECASE)
_EACH = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _SIGNS.items()}
_QUICK = tuple(
    sorted(
        listed(
            "traceback interrupt ^c usage error can't found slurm oom killed terminated cancel limit memory "
            "fault dumped exception exit terminate phrases precision train overflow scale stop optimi "
            "complete 训练 早停 best improved resum load restor restart python deepspeed accelerate mpirun yolo "
            "llamaf bash namespace args argu conf cfg opt param settings epochs steps iters warning finite "
            "diverg nan infs creased file batch seed dropout "
            "momentum decay locating call override executing inf skipping sigterm sigint sighup"
        )
    )
)
_LONGEST = 2000


def sign(message: str) -> str:
    """Which sign a message holds, the gravest first; "" for none."""
    head = message[:_LONGEST]
    if not quick(head) or _ANY.search(head) is None:
        return ""
    return next(name for name, pattern in _EACH.items() if pattern.search(head))


def quick(message: str) -> bool:
    """Whether a message could hold a sign at all; cheap."""
    low = message.lower()
    return any(word in low for word in _QUICK)
