"""Real mistakes on a switch, each planted in the training code and never in what is logged.

One module for each kind of mistake. The first line of a class's docstring is what ``tocsin train --list`` says.
"""

from __future__ import annotations

import inspect

from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults import (
    answers,
    data,
    inputs,
    normalisation,
    objective,
    optimisation,
    precision,
    selection,
)

FAULTS: dict[str, type[Constellation]] = {
    **objective.FAULTS,
    **precision.FAULTS,
    **optimisation.FAULTS,
    **answers.FAULTS,
    **normalisation.FAULTS,
    **inputs.FAULTS,
    **selection.FAULTS,
    **data.FAULTS,
}


def described() -> dict[str, str]:
    """One line for each fault."""
    return {name: (inspect.getdoc(fault) or "").partition("\n")[0] for name, fault in FAULTS.items()}
