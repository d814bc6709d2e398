"""What the words of a line mean for the run: events, plans, loss scales."""

from __future__ import annotations

import re

from tocsin.readers.console.draft import Draft

_SCALE = re.compile(
    r"(?:reducing(?: loss scale)?|loss scale)(?: from [\d.e+]+)? to:? ([\d.]+(?:e[+-]?\d+)?)", re.IGNORECASE
)
_NUMBER = r"(-?\d+\.?\d*(?:e-?\d+)?|inf)"
_IMPROVED = re.compile(rf"([\w/@.\- ]{{1,40}}?) improved from {_NUMBER} to {_NUMBER}", re.IGNORECASE)
_BEST = re.compile(
    rf"\bbest\b[\s_:]*(?P<metric>[A-Za-z][\w/@.\- ]{{0,30}}?)[\s\"']*(?:[:=]| is| of)\s*(?P<value>{_NUMBER})",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"epoch\W{0,3}(\d{1,7})", re.IGNORECASE)
_EPOCHS = re.compile(
    r"num(?:ber of)?[ _](?:train(?:ing)?[ _])?epochs\W{1,6}(\d+\.?\d*)|max: (\d+) epochs|for (\d+) epochs"
    r"|max_epochs\W{1,4}(\d+)|total[ _](?:training |train )?epochs\W{1,4}(\d+)|^\W*epochs\W{1,5}(\d+)\W*$",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"total optimization steps\W{1,4}([\d,]+)|max: (\d+) iters|max_(?:steps|iters?)\W{1,4}(\d+)"
    r"|for (\d+) (?:steps|iter)|train_iters\W{1,5}(\d+)"
    r"|total[ _](?:training |train )?(?:steps|iterations)\W{1,4}([\d,]+)",
    re.IGNORECASE,
)
_LONGEST = 600


def overrides(message: str) -> tuple[dict[str, str], bool]:
    """The settings in Hydra's list of overrides, and whether the message names a failure itself."""
    listed = re.search(r"with overrides: \[([^\]]{0,4000})\]", message)
    pairs = re.findall(r"['\"]\+{0,2}([\w.@/\-]+)=([^'\"]*)['\"]", listed.group(1)) if listed else []
    return dict(pairs), re.search(r"Error (?:locating|in call)|Could not", message) is not None


def scale(message: str) -> float | None:
    """The loss scale that an overflow message ends at."""
    found = _SCALE.search(message)
    return float(found.group(1)) if found else None


def best(draft: Draft, message: str) -> None:
    """An event on the best model so far."""
    data: dict[str, float | str] = {}
    improved, named, epoch = _IMPROVED.search(message), _BEST.search(message), _EPOCH.search(message)
    if improved:
        data = {"metric": improved.group(1).rpartition(":")[2].strip(), "value": float(improved.group(3))}
    elif named:
        data = {"metric": named.group("metric").strip(" _"), "value": float(named.group("value"))}
    if epoch:
        data["epoch"] = int(epoch.group(1))
    draft.event("best", message[:_LONGEST], data, once=message[:_LONGEST])


def plan(draft: Draft, message: str) -> None:
    """How long the run is to be."""
    for pattern, key in ((_EPOCHS, "epochs"), (_STEPS, "steps")):
        found = pattern.search(message)
        if found is None:
            continue
        value = float(next(group for group in found.groups() if group).replace(",", ""))
        if key == "epochs":
            draft.log.planned(epochs=value)
        elif value > 0:
            draft.log.planned(steps=int(value))


def early(draft: Draft, message: str) -> None:
    """An event on an early stop."""
    epoch = _EPOCH.search(message)
    draft.event("early-stop", message[:_LONGEST], {"epoch": int(epoch.group(1))} if epoch else {}, once="stop")
