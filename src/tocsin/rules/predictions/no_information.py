"""PRD005 no-information."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin import informed
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule
from tocsin.informed import Skill
from tocsin.run import Evaluation, Run

_REMEDIES = (
    Remedy("Keep the prediction at the mean (or the prior): a wider spread would only add error", True),
    Remedy("Look for the information before the model: other inputs, another resolution, labels that fit the inputs"),
)


@rule("PRD005", needs=("evaluations",), severity="note", when="end")
def no_information(run: Run, *, small: float = 0.3, level: float = 0.05) -> Iterator[Finding | NotChecked]:
    """Neither the model nor a recorded baseline predicts its target beyond chance: shrinking to the mean is right.

    ## What it does
    Judged at the end, for each `split/task` with at least one recorded baseline. A note when for every baseline and for
    the model's settled predictions

    - chance is not excluded at `level`. Values: p is the larger of Fisher's z, with Bartlett's number of independent
      pairs, and of circular shifts, which keep autocorrelation; times the number of outputs. Classes: agreement against
      what the margins give;
    - and a skill of `small` is excluded by the 95 % interval (of the correlation; of kappa), so that this is not for
      want of samples.

    Without a recorded baseline it is not checked: that one model finds nothing proves nothing.

    ## Why is this bad?
    It need not be. Predictions that all lie near the mean look like a collapse, and people add variance terms against
    it; where the input does not tell, they are the best answer. It is said so that PRD004, OBJ009 and PRD009 are not
    missed.

    ## Example
    ```python
    rng = np.random.default_rng(3)
    t, ridge, net = rng.normal(size=(3, 300))
    made = {"ridge": Moments.of(t, 0.1 * ridge), "": Moments.of(t, 0.05 * net)}
    evaluations = [Evaluation("val", "depth", 9, "regression", 300, moments=(m,), baseline=b) for b, m in made.items()]
    run = Run.of(evaluations=evaluations)
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(3)
    t, ridge, net = rng.normal(size=(3, 300))
    made = {"ridge": Moments.of(t, 0.6 * t + 0.4 * ridge), "": Moments.of(t, 0.8 * t + 0.3 * net)}
    evaluations = [Evaluation("val", "depth", 9, "regression", 300, moments=(m,), baseline=b) for b, m in made.items()]
    run = Run.of(evaluations=evaluations)
    ```

    ## Fix
    - **safe** Leave the model as it is, and report the prior or the mean with its spread.
    - **unsafe** Change what goes in: the information is lost before the model, or was never there.

    ## Options
    - `small` (.3): a correlation that explains 9 % of the variance; 45 independent pairs around 0 exclude it.
    - `level` (.05): a false "no information" is the mistake here, so the level is not made small.

    ## Known limits
    As good as the baseline: a linear one is blind to what only a network sees. With shuffled evaluation samples
    autocorrelation is hidden and chance excluded too soon (then it is silent).

    ## References
    Murphy 1988 (R2 = r^2 - (s - r)^2 - b^2). Bartlett 1935 (independent pairs). Cohen 1960 (margins).
    """
    judged = False
    for key, evaluations in run.of_kind().items():
        baselines = informed.fitted_baselines(run, key)
        known = [informed.skill(e) for e in (*baselines.values(), *run.settled(evaluations)[-1:])]
        judged |= len(known) > 1 and all(skill is not None for skill in known)
        skills = informed.nothing_to_learn(run, evaluations, small, level)
        if skills is not None:
            yield _finding(key, run.settled(evaluations)[-1], skills)
    if not judged:
        yield NotChecked(
            f"needs {SETTLED} with at least 20 samples, and a baseline on the same split "
            "(run.evaluate(split, target=, prediction=, baseline=name))"
        )


def _finding(key: str, last: Evaluation, skills: dict[str, Skill]) -> Finding:
    what = "correlation" if last.kind == "regression" else "kappa"
    said = ", ".join(f"{name or 'the model'} {s.value:.2g} ({s.low:.2g} to {s.high:.2g})" for name, s in skills.items())
    return Finding(
        f"{key}: nothing beats chance ({what} of {said}): predictions near the mean or the prior are right here",
        subject=key,
        step=last.step,
        evidence=tuple(
            Evidence(f"evaluation:{key}", s.value, None, 0.0, (s.low, s.high), f"{what} of {name or 'the model'}")
            for name, s in skills.items()
        ),
        remedies=_REMEDIES,
    )
