"""Runs and reports as the HTML page meets them: a realistic faulty run, a hostile one, a large one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Report
from tocsin.run import Confusion, Evaluation, Event, Moments, Parameter, Run, Series

STEPS, CLASSES = 3000, 16
LABELS = tuple(f"{db} dB" for db in range(-2, 30, 2))
BEGAN = 1500


def faulty_run(name: str = "constellation-brisk-heron-12") -> Run:
    """3,000 steps of a two-headed network whose SNR head collapses to one class at step 1,500."""
    rng = np.random.default_rng(7)
    step = np.arange(1, STEPS + 1)
    signal = 2.7 * np.exp(-step / 600) + 0.35
    snr = np.where(step < BEGAN, 2.2 * np.exp(-step / 1500) + 0.9, 1.75)
    noise = np.exp(rng.normal(0, 0.09, (2, STEPS)))
    total = signal * noise[0] + snr * noise[1]
    total[[2210, 2211, 2212]] = np.nan

    def column(key: str, value: np.ndarray, at: np.ndarray = step) -> Series:
        return Series.of(key, value, at, epoch=np.ceil(at / 300), time=at * 0.041)

    ends = np.arange(300, STEPS + 1, 300)
    sampled = step[::8]
    series = [
        column("train/loss", total),
        column("train/loss/signal", signal * noise[0]),
        column("train/loss/snr", snr * noise[1]),
        column("val/loss", np.interp(ends, step, signal + snr) * 1.04, ends),
        column("val/f1_macro", 0.82 - 0.7 * np.exp(-ends / 700), ends),
        column("val/snr_accuracy", np.where(ends < BEGAN, 0.1 + ends / 9000, 0.0655), ends),
        column("val/snr_mae_db", np.where(ends < BEGAN, 9 - ends / 400, 9.4), ends),
        column("lr/0", 1e-3 * 0.5 * (1 + np.cos(np.pi * sampled / STEPS)), sampled),
        column("grad/norm", np.exp(rng.normal(0, 0.5, sampled.size)) * 40 / np.sqrt(sampled), sampled),
        column("amp/scale", 2.0 ** (16 - (sampled > 700).astype(float) - (sampled > 2210)), sampled),
        *(
            column(f"update/ratio/encoder.{k}.weight", np.exp(rng.normal(-7, 0.3, sampled.size)), sampled)
            for k in range(6)
        ),
    ]
    return Run.of(
        name,
        series={s.name: s for s in series},
        evaluations=tuple(e for k, at in enumerate(ends.tolist(), 1) for e in _evaluations(at, k)),
        events=(
            Event("warning", "scaler.step() skipped: inf found in 2 tensors", 2211, 90.6),
            Event("epoch", "", 3000),
        ),
        parameters=(Parameter("encoder.0.weight", 432, True, True), Parameter("snr.bias", 16, True, False)),
        config={
            "study": "constellation",
            "optimizer": {"name": "adamw", "lr": 1e-3, "eps": "1e-8", "betas": [0.9, 0.999]},
            "data": {"classes": {"snr_db": list(range(-2, 30, 2)), "modulations": 17}, "augment": False, "cache": None},
            "seed": 7,
        },
        environment={"python": "3.11.7", "torch": "2.13.0", "device": {"kind": "cpu", "threads": 2}},
        exit="finished",
        source="tocsin",
    )


def _evaluations(step: int, k: int) -> list[Evaluation]:
    rng = np.random.default_rng(k)
    snr = rng.integers(0, CLASSES, 4096)
    near = np.clip(snr + rng.integers(-2, 3, snr.size), 0, CLASSES - 1)
    stuck = (rng.random(snr.size) < 0.86) & (snr >= 5) & (step >= BEGAN)
    dense = np.zeros((CLASSES, CLASSES), int)
    np.add.at(dense, (snr, np.where(stuck, 15, near)), 1)
    angle = rng.normal(10, 25, 2000)
    common = {"step": step, "epoch": float(k), "split": "val"}
    return [
        Evaluation(
            task="snr",
            kind="classes",
            n=4096,
            confusion=Confusion.of(dense, LABELS),
            metrics={"val/f1_macro": 0.1},
            **common,
        ),
        Evaluation(
            task="doa",
            kind="regression",
            n=2000,
            nonfinite=3,
            moments=(Moments.of(angle, angle * 0.5 + rng.normal(0, 8, 2000)),),
            **common,
        ),
    ]


def faulty_report(run: Run) -> Report:
    """A root error with an interval and two symptoms, a warning on the configuration, and rules that could not look."""
    root = Finding(
        "28 dB receives 61 % of the samples of 10 other classes (expected 6 %)",
        subject="val/snr",
        step=BEGAN,
        rang_at=2100,
        severity="error",
        code="PRD001",
        name="class-attractor",
        run=run.name,
        explains=("PRD002", "EVL001"),
        evidence=(
            Evidence(
                "evaluation:val/snr", 0.61, BEGAN, 0.0625, (0.59, 0.63), "share of 10 other classes predicted as 28 dB"
            ),
            Evidence("val/snr_accuracy", 0.0655, BEGAN, 0.0625, (0.058, 0.0735), "accuracy, chance is 1/16"),
            Evidence(
                "train/loss",
                float(run.series["train/loss"].value[BEGAN - 1]),
                BEGAN,
                None,
                None,
                "total loss at the last good step",
            ),
        ),
        remedies=(
            Remedy(
                "Log the SNR head's logits at the next evaluation to see whether a mask leaves one class.", safe=True
            ),
            Remedy(
                "Replace the distance loss by cross-entropy on the SNR head.",
                patch={"loss.snr": "cross_entropy", "loss.alpha": 0.5},
            ),
        ),
    )
    symptom = Finding(
        "1 of 16 classes takes 86 % of all predictions from step 1,500 on",
        subject="val/snr",
        step=BEGAN,
        severity="warning",
        code="PRD002",
        name="constant-prediction",
        run=run.name,
        evidence=(
            Evidence("evaluation:val/snr", 0.86, 3000, 0.0625, (0.85, 0.87), "share of the most predicted class"),
        ),
    )
    note = replace(
        symptom,
        message="val/snr_accuracy is not reproduced",
        code="EVL001",
        name="metric-disconnected",
        severity="note",
        healed_at=2700,
    )
    config = Finding(
        'optimizer.eps is the text "1e-8": YAML 1.1 needs a dot in 1.0e-8',
        subject="optimizer.eps",
        step=0,
        severity="warning",
        code="CFG001",
        name="number-as-string",
        run=run.name,
        evidence=(Evidence("config:optimizer.eps", "1e-8", None, None, None, "reads as the number 1e-08"),),
        remedies=(Remedy("Write eps: 1.0e-8", patch={"optimizer.eps": 1e-8}),),
    )
    grad = Finding(
        "3 loss values are NaN from step 2,211 on",
        step=2211,
        rang_at=2211,
        severity="warning",
        code="AMP003",
        name="non-finite",
        run=run.name,
        evidence=(
            Evidence("train/loss", float("nan"), 2211, None, None, "first non-finite loss"),
            Evidence("grad/norm", float(run.series["grad/norm"].value[275]), 2201, 4.0, None, "norm just before"),
        ),
    )
    return Report(
        runs=(run.name,),
        findings=(root, config, grad, symptom, note),
        clean=("GEN001", "OBJ001", "OBJ006", "OPT001", "OPT003", "PRD004", "PRD007"),
        not_checked=(
            NotChecked("needs loss/path/* (record it with tocsin.watch)", "OBJ007", "term-without-gradient", run.name),
            NotChecked(
                "needs grad/applied_nonfinite (record it with tocsin.watch)", "AMP002", "overflow-masked", run.name
            ),
        ),
        unread=("rank0/000001.jsonl: the last line is torn and was left out",),
    )


ATTACKS = (
    "</script><img src=x onerror=alert(1)>",
    "'\"><svg onload=alert(2)>",
    "{{ 7*7 }}{% raw %}",
    "\u2028alert(3)\u2029",
    "<!--<script>",
    "\x1b[31m\x00\u202egnp.exe",
    "lone \ud800 surrogate",
    "javascript:alert(4)",
)


def hostile() -> tuple[Report, Run]:
    """Every text field of a run and a report filled with markup that tries to act."""
    bad = "".join(ATTACKS)
    run = Run.of(
        bad,
        series={
            bad: [1.0, float("nan"), float("inf"), -1e308, 1e308],
            "train/loss": [3.0, 2.0, 1.0, 2.0, float("-inf")],
            f"val/{bad}": [0.5, 0.6],
            "val/loss": Series.of("val/loss", [1.0, 2.0, 2.0], [-(2**62), 2**62, 2**62 + 1]),
            "grad/norm": [1e-29, 1e29, 1e30, 1.0, 1e-300],
            "lr/0": [5e-324, 1e-320, 1e-30, 1e-30],
            "amp/scale": [1e308, 1e308],
        },
        evaluations=(
            Evaluation(
                bad, bad, 2, "classes", 4, confusion=Confusion.of([[1, 1], [2, 0]], (bad, bad)), metrics={bad: 1.0}
            ),
            Evaluation("val", bad, 2, "multilabel", 4, labels_confusion=np.array([[1, 2, 3, 4]])),
            Evaluation("val", "r", 2, "regression", 0),
            Evaluation("val", "q", 2, "regression", 3, moments=(Moments.of([1, 1, 1], [2, 2, 2]),)),
        ),
        events=(Event(bad, bad, 1),),
        config={bad: {bad: bad, "list": [bad, {bad: bad}]}, "n": float("nan"), "empty": {}},
        environment={bad: bad},
        unread=(bad,),
    )
    finding = Finding(
        bad,
        bad,
        2,
        (
            Evidence(bad, bad, 2, float("inf"), (float("-inf"), float("nan")), bad),
            Evidence("train/loss", 2.0, 2, 1.5, (1.0, 3.0), bad),
        ),
        (Remedy(bad, True, {bad: bad}),),
        "error",
        None,
        bad,
        bad,
        bad,
        3,
        (bad,),
    )
    return Report((bad,), (finding,), (bad,), (NotChecked(bad, bad, bad, bad),), (bad,)), run


def large_run(points: int = 200_000, names: int = 500) -> Run:
    """``names`` series of ``points`` points each; they share their memory."""
    step = np.arange(1, points + 1)
    blank = np.full(points, np.nan)
    value = np.random.default_rng(0).lognormal(size=points)
    series = {
        n: Series(n, step, value, blank, blank)
        for n in ("train/loss", "grad/norm", *(f"act/rms/block.{k}.attention.out" for k in range(names - 2)))
    }
    return Run("large", series)
