"""AMP003 non-finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.engine import check_run
from tocsin.findings import Finding
from tocsin.rules.precision.non_finite import non_finite
from tocsin.run import Event, Run, Series

NAN, INF = np.nan, np.inf
N = 200


def decay(n: int = N) -> np.ndarray:
    return 2 * np.exp(-np.arange(n) / 80) + 0.1 * np.random.default_rng(0).random(n)


def bad_from(step: int, value: float = NAN, n: int = N) -> np.ndarray:
    loss = decay(n)
    loss[step - 1 :] = value
    return loss


def ring(run: Run, **options) -> list[Finding]:
    return [non_finite.ring(run, f) for f in non_finite.check(run, **options)]


def errors(run: Run) -> list[Finding]:
    return [f for f in ring(run) if f.severity == "error"]


def test_nan_at_the_peak_of_the_learning_rate():
    lr = np.concatenate([np.linspace(0.01, 0.5, 50), np.linspace(0.5, 0.0, 150)])
    series = {
        "train/loss": Series.of("train/loss", bad_from(51), time=np.arange(1, N + 1) * 36.0),
        "lr/0": lr,
        "grad/norm": bad_from(51),
        "param/nonfinite": Series.of("", [0, 0, 12, 12], step=[1, 50, 51, 100]),
    }
    (finding,) = ring(Run.of(series=series, exit="finished"))
    assert (finding.step, finding.severity, finding.subject) == (51, "error", "")
    assert finding.message == (
        "train/loss is NaN from step 51 on (the last finite value is 1.17); before any sampled gradient or parameter "
        "was; at 100 % of the peak learning rate 0.5; 149 of 200 steps (1.49 h of 2 h) came after it"
    )
    assert "Lower the peak learning rate" in finding.remedies[1].text
    assert [e.source for e in finding.evidence] == ["train/loss", "grad/norm", "param/nonfinite"]
    assert (finding.evidence[0].step, finding.evidence[0].value) == (50, series["train/loss"].value[49])
    assert (finding.evidence[2].step, finding.evidence[2].value, finding.evidence[2].limit) == (51, 12.0, 0.0)


def test_live_it_rings_at_the_first_look_and_keeps_its_step():
    keeper = check_run(Run.of(series={"train/loss": bad_from(51)}, exit="finished"), [non_finite])
    (finding,) = keeper.findings
    assert (finding.step, finding.rang_at, finding.healed_at) == (51, 64, None)


def test_a_run_that_its_nan_stopped_needs_one_bad_point():
    stopped = Run.of(series={"train/loss": bad_from(51)[:51]})
    assert errors(replace(stopped, exit="running")) == []
    for exit_ in ("failed", "interrupted", "finished", "unknown"):
        (finding,) = errors(replace(stopped, exit=exit_))
        assert finding.step == 51


def test_a_run_that_checked_its_loss_before_recording_it():
    event = Event("exception", "Traceback ...\n  check(loss)\nRuntimeError: loss is nan at step 52, stopping", step=51)
    run = Run.of(series={"train/loss": decay()[:51]}, events=(event,), exit="failed")
    (finding,) = ring(run)
    assert (finding.step, finding.severity) == (51, "error")
    assert 'the run stopped itself at step 51: "RuntimeError: loss is nan' in finding.message
    assert ring(replace(run, exit="finished")) == []
    assert ring(replace(run, events=(Event("exception", "KeyError: 'x'", step=51),))) == []


def test_a_check_that_raises_under_a_loss_scale_names_float16():
    event = Event("exception", "Traceback ...\nValueError: loss became nan", step=51)
    series = {"train/loss": decay()[:51], "amp/scale": np.full(51, 2048.0)}
    (finding,) = ring(Run.of(series=series, events=(event,), exit="failed"))
    assert finding.message.endswith("is finite; in float16, under a loss scale that would have skipped this step")
    assert [(e.source, e.value) for e in finding.evidence] == [("event:exception", None), ("amp/scale", 2048.0)]
    assert "float32" in finding.remedies[0].text


def test_the_term_that_was_first_is_named():
    cls = decay()
    series = {"train/loss": bad_from(150), "train/loss/cls": cls, "train/loss/bbox": bad_from(150)}
    (finding,) = ring(Run.of(series=series))
    assert finding.step == 150
    assert "first in the term bbox, while cls was finite" in finding.message


def test_the_gradient_was_first():
    series = {"train/loss": bad_from(100), "grad/norm": bad_from(99), "param/nonfinite": [0] * 99 + [5] * 101}
    (finding,) = ring(Run.of(series=series))
    assert finding.step == 99
    assert "first was the gradient (grad/norm, step 99)" in finding.message


def test_divergence_is_told_apart():
    loss = bad_from(100, INF)
    loss[95:99] = [10, 100, 1e4, 1e9]
    (finding,) = ring(Run.of(series={"train/loss": loss}))
    assert "train/loss is inf from step 100 on (the last finite value is 1e+09); it had grown" in finding.message


def test_what_the_log_says_is_joined():
    event = Event("warning", "Function 'SqrtBackward0' returned nan values in its 0th output.", step=120)
    (finding,) = ring(Run.of(series={"train/loss": bad_from(120)}, events=(event,)))
    assert finding.message.endswith(
        """the log says "Function 'SqrtBackward0' returned nan values in its 0th output.\""""
    )
    assert finding.evidence[-1].source == "event:warning"


def test_poisoned_parameters_ring_at_once_even_while_running():
    series = {"train/loss": decay(), "param/nonfinite": Series.of("", [0, 0, 7], step=[1, 100, 200])}
    (finding,) = ring(Run.of(series=series, exit="running"))
    assert finding.step == 200
    assert finding.message.startswith("param/nonfinite is 7 entries not finite from step 200 on")


def test_an_evaluation_loss_alone():
    val = Series.of("val/loss", [1, 0.9, NAN, NAN, NAN], step=[40, 80, 120, 160, 200])
    (finding,) = errors(Run.of(series={"train/loss": decay(), "val/loss": val}, exit="running"))
    assert (finding.step, finding.message.startswith("val/loss is NaN")) == (120, True)


def test_a_nan_loss_logged_as_zero_with_a_nan_gradient():
    series = {"train/loss": bad_from(100, 0.0), "grad/norm": bad_from(100)}
    assert [f.step for f in errors(Run.of(series=series))] == [100]


@pytest.mark.parametrize(
    "said",
    [
        "Model diverged with loss = NaN.",
        "Loss is nan, stopping training",
        "Batch 12: Invalid loss, terminating training",
        "Monitored metric train_loss = nan is not finite. Signaling Trainer to stop.",
    ],
)
@pytest.mark.parametrize("exit_", ["failed", "unknown", "finished"])
def test_the_words_of_a_framework_that_stops(said, exit_):
    run = Run.of(series={"train/loss": [1.9]}, events=(Event("message", said, 1),), exit=exit_)
    report = tocsin.check(run, select=["AMP003", "RUN"])
    assert [(f.code, f.severity) for f in report.roots if f.severity != "note"] == [("AMP003", "error")]
    assert said in report.roots[0].message


def test_the_chained_exception_counts_and_a_run_without_steps_has_one_root():
    said = (
        "Traceback (most recent call last):\n  File 't.py', line 3, in f\nFloatingPointError: Loss became infinite or "
        "NaN at iteration=2137!\nloss_dict = {'cls': tensor(nan)}"
    )
    report = tocsin.check(Run.of(events=(Event("exception", said, 2137),), exit="failed"), select=["AMP003", "RUN"])
    assert [f.code for f in report.roots] == ["AMP003"]
    assert {f.code for f in report.findings} == {"AMP003", "RUN001"}
    assert "no step of it is recorded" in report.roots[0].message


@pytest.mark.parametrize(
    "said",
    [
        "EarlyStopping: val_loss did not improve from inf. Early stopping",
        "number of nan iterations: 0 | stop at 500",
        "Gradient overflow. Skipping step, loss scaler 0 reducing loss scale to 32768",
        "ValueError: operands could not be broadcast together with shapes (3,) (4,)",
        "FloatingPointError: Minimum loss scale reached (0.0001). Your loss is probably exploding.",
    ],
)
def test_other_words_are_no_sign(said):
    kind = "exception" if "Error:" in said else "message"
    assert ring(Run.of(series={"train/loss": [1.9]}, events=(Event(kind, said, 1),), exit="failed")) == []


def test_a_warning_that_training_survived_is_no_sign():
    event = Event("message", "Loss is nan, stopping training of this batch", 50)
    assert ring(Run.of(series={"train/loss": decay()}, events=(event,), exit="finished")) == []


def test_a_gradient_without_a_number_beside_a_finite_loss():
    short = {"train/loss": [2.75, 2.62, 2.67, 2.77, 2.51, 2.46], "grad/norm": [3.1, 2.8, 2.8, 2.5, NAN, NAN]}
    (finding,) = ring(Run.of(series=short))
    assert (finding.severity, finding.step, finding.subject) == ("warning", 5, "grad/norm")
    assert "in the last 2 of 6 records, from step 5 on, while train/loss is finite (2.46)" in finding.message
    assert "not fallen since" in finding.message
    flat = {"train/loss": 2.5 + 0.01 * decay(40)[::-1], "grad/norm": bad_from(11, n=40)}
    (finding,) = ring(Run.of(series=flat))
    assert (finding.severity, finding.step) == ("warning", 11)
    assert ring(Run.of(series={k: v[:5] for k, v in short.items()})) == []
    assert ring(Run.of(series=short, exit="running")) == []


@pytest.mark.parametrize(
    ("norm", "loss", "severity"),
    [
        ([NAN] * 6, [2.5, 2.6, 2.5, 2.7, 2.5, 2.6], "warning"),  # in every line
        ([INF] * 6, [2.5, 2.6, 2.5, 2.7, 2.5, 2.6], "warning"),
        ([NAN] * 6, [2.5, 2.3, 2.0, 1.8, 1.5, 1.2], "note"),  # it learns all the same
        ([1.0, 1, 1, NAN, NAN, NAN], [2.5, 2.4, 2.3, 2.2, 2.1, 1.9], "note"),
        ([1.0, 1, 1, 1, INF, INF], [2.5, 2.4, 2.3, 2.2, 2.1, 2.2], "note"),  # overflows of a scaler that nobody logs
        ([NAN, NAN], [2.5, 2.6], "note"),
        ([NAN, 3.9], [1.9, 0.9], None),  # healed
        ([1.0, 1, NAN, NAN, NAN, 2.0], [2.5, 2.4, 2.3, 2.2, 2.1, 2.2], None),
    ],
)
def test_how_loud_a_gradient_alone_is(norm, loss, severity):
    found = ring(Run.of(series={"train/loss": loss, "grad/norm": norm}))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_a_scale_that_stands_still_skips_nothing():
    lost = {"grad/norm": [NAN] * 3, "amp/scale": [1.0] * 3}
    (finding,) = errors(Run.of(series=lost))
    assert finding.message.startswith("grad/norm is NaN from step 1 on")
    assert ring(Run.of(series={**lost, "amp/scale": [4.0, 2.0, 1.0]})) == []


def test_the_clamp_of_a_softmax_loss():
    (finding,) = errors(Run.of(series={"train/loss": [21.4058, 87.3365]}))
    assert (finding.step, finding.subject) == (2, "")
    assert "87.3365 = -ln(1.18e-38) in the last 1 of 2 values, from step 2 on, after 21.41 at step 1" in finding.message
    assert ring(Run.of(series={"train/loss": [88.1, 86.2, 87.3365]})) == []
    assert ring(Run.of(series={"train/loss": [21.4, 87.3365, 9.0]})) == []


# ---- nearest healthy neighbours


def test_a_blip_that_heals_is_a_note():
    loss = decay()
    loss[[60, 61, 130]] = NAN
    (finding,) = ring(Run.of(series={"train/loss": loss}))
    assert (finding.severity, finding.subject, finding.step) == ("note", "train/loss", 61)
    assert (
        finding.message
        == "3 of 200 values of train/loss were not finite (step 61, 62, 131), and it recovered each time"
    )


def test_losses_that_are_bad_again_and_again_are_a_warning():
    loss = decay()
    loss[np.random.default_rng(0).choice(199, 22, replace=False)] = NAN
    (finding,) = ring(Run.of(series={"train/loss": loss}))
    assert finding.severity == "warning"
    assert finding.message.endswith("recovered each time; 7 to 16 % of all: something makes them again and again")
    loss = decay()
    loss[5::9] = NAN  # a column with a value in some rows
    assert [f.severity for f in ring(Run.of(series={"train/loss": loss}))] == ["note"]
    loss = decay()
    loss[100:130] = NAN  # one stretch
    assert [f.severity for f in ring(Run.of(series={"train/loss": loss}))] == ["note"]
    assert [f.severity for f in ring(Run.of(series={"train/loss": [1.6, NAN, 1.1, 1.0]}))] == ["note"]


def test_a_blip_at_a_look_does_not_ring_live():
    loss = decay()
    loss[62:64] = NAN  # step 64 is a look
    keeper = check_run(Run.of(series={"train/loss": loss}), [non_finite])
    assert [f.severity for f in keeper.findings] == ["note"]


def test_a_blip_stays_a_note_whatever_comes_after():
    loss = bad_from(150)
    loss[60] = NAN
    keeper = check_run(Run.of(series={"train/loss": loss}), [non_finite])
    assert [(f.severity, f.step, f.healed_at) for f in keeper.findings] == [("error", 150, None), ("note", 61, None)]


def test_overflows_that_a_scaler_skips_are_benign():
    raw = decay()
    raw[:19] = INF
    skipped = np.minimum(np.arange(1, N + 1), 19)
    series = {
        "train/loss": decay(),
        "grad/norm": raw,
        "grad/nonfinite": np.isinf(raw) * 300.0,
        "grad/applied_nonfinite": np.zeros(N),
        "param/nonfinite": np.zeros(N),
        "amp/scale": 2.0 ** (24 - skipped),
        "count/skipped": skipped,
    }
    run = Run.of(series=series, exit="finished")
    assert ring(run) == []
    assert check_run(run.prefix(19), [non_finite]).findings == []


def test_overflows_without_a_record_of_the_scaler_are_benign_while_the_loss_is_a_number():
    series = {"train/loss": decay(), "grad/norm": bad_from(150, INF)}
    (finding,) = ring(Run.of(series=series, exit="finished"))
    assert (finding.severity, finding.subject) == ("note", "grad/norm")


def test_an_undefined_metric_is_not_this_rule():
    assert ring(Run.of(series={"train/loss": decay(), "val/f1_macro": [NAN] * 5, "val/acc/rare": [NAN] * 5})) == []


def test_a_sparse_column_is_not_a_fault():
    val = np.full(N, NAN)
    val[39::40] = 1.0
    val = val[:-1]
    assert errors(Run.of(series={"train/loss": decay(), "val/loss": val})) == []


def test_a_term_outside_the_total_is_a_warning_of_its_own():
    series = {"train/loss": decay(), "train/loss/a": decay(), "train/loss/b": np.full(N, NAN)}
    (finding,) = ring(Run.of(series=series))
    assert (finding.severity, finding.subject, finding.step) == ("warning", "train/loss/b", 1)


def test_a_term_without_samples_now_and_then_is_silent():
    term = decay()
    term[::3] = NAN
    assert ring(Run.of(series={"train/loss": decay(), "train/loss/a": term})) == []


@pytest.mark.parametrize("confirm", [1, 3, 8])
def test_confirm_counts_points_while_running(confirm):
    for k in (confirm - 1, confirm):
        run = Run.of(series={"train/loss": bad_from(100)[: 99 + k]}, exit="running")
        assert len(ring(run, confirm=confirm)) == (k >= confirm > 0 and k > 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 190), st.sampled_from([NAN, INF, -INF]), st.floats(1e-6, 1e6))
def test_law_the_step_is_the_first_bad_one_at_any_scale_and_any_later_look(start, value, scale):
    run = Run.of(series={"train/loss": np.append(scale * decay()[: start - 1], [value] * 8)}, exit="running")
    for look in (start + 2, start + 7):
        assert [f.step for f in errors(run.prefix(look))] == [start]
    assert errors(run.prefix(start - 1)) == []


@pytest.mark.parametrize("code", ["OPT001", "OPT003"])
def test_it_explains_what_the_optimizer_does_with_such_gradients(code):
    (cause,) = errors(Run.of(series={"train/loss": bad_from(51)}, exit="finished"))
    assert cause.accounts_for(Finding("", code=code, step=51, run=cause.run))
    assert not cause.accounts_for(Finding("", code=code, step=50, run=cause.run))


def test_where_no_training_loss_is_recorded_a_metric_that_is_better_low_stands_for_it():
    ppl = Series.of("", [8.4, 8.9, 9.7, np.nan, np.nan])
    (finding,) = ring(Run.of(series={"ppl": ppl, "acc": [50, 51, 49, 0.1, 0.1]}, exit="unknown"))
    assert (finding.severity, finding.step) == ("error", 4)
    assert finding.message.startswith("ppl is NaN from step 4 on (the last finite value is 9.7)")
    assert ring(Run.of(series={"ppl": ppl, "train/loss": [2, 2, 2, 2, 2]}, exit="unknown")) == []
    assert ring(Run.of(series={"val/mae": [np.nan] * 5}, exit="unknown")) == []
    assert ring(Run.of(series={"ppl": [8.4, 8.9, 9.7, 9.8, np.nan]}, exit="unknown")) == []
