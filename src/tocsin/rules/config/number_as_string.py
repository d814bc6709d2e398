"""CFG001 number-as-string."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Event, Run

_D = r"\d+(?:_\d+)*"
_NUMBER = re.compile(rf"[+-]?(?:{_D}\.?(?:{_D})?|\.{_D})(?:[eE][+-]?\d+)?|[+-]?inf", re.IGNORECASE | re.ASCII)
_INFINITE = ("inf", "+inf", "-inf")  # has no literal in JSON or Python: text is how it is given
# What YAML 1.1 takes for a number (yaml.org/type/float.html, int.html), as PyYAML implements it.
_YAML_FLOAT = re.compile(r"[+-]?\d[\d_]*\.[\d_]*([eE][+-]\d+)?|\.\d[\d_]*([eE][+-]\d+)?")
_YAML_INT = re.compile(r"[+-]?(0|[1-9][\d_]*|0[0-7_]+)")
_LONGEST = 64
_DEEPEST = 32


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NUMERIC = _listed(
    """lr lrs rate rates eps epsilon beta betas beta1 beta2 momentum decay dropout droppath alpha gamma lambda lam
    temperature tau sigma delta rho theta weight weights step steps epoch epochs iter iters iteration iterations batch
    clip norm threshold margin patience layers heads dim dims width depth channels hidden workers warmup ratio scale
    std prob probability smoothing accumulation size length tol tolerance penalty ramp"""
)
_EXEMPT = _listed(
    """id ids uid uuid version versions revision date timestamp seed seeds name names path paths dir folder file files
    type dtype format precision"""
)
_TEXT_ONLY_PARENTS = _listed("env environ environment env_vars envvars tags headers metadata")
_DIED_OF_TEXT = re.compile(
    r"not supported between instances of '\w+' and 'str'|not supported between instances of 'str' and '\w+'"
    r"|unsupported operand type\(s\) for .{1,20} ('\w+' and 'str'|'str' and '\w+')"
    r"|can't multiply sequence by non-int of type 'float'|can only concatenate str"
    r"|must be (a )?(real )?\w+,? not '?str'?|'str' object cannot be interpreted as an integer"
)

Leaf = tuple[str, str, str, str]


@rule("CFG001", needs=("config",), severity="warning")
def number_as_string(run: Run) -> Iterator[Finding | NotChecked]:
    """A number of the configuration is text, so arithmetic on it fails or a default is used in its place.

    ## What it does
    Rings for each leaf `v` of the configuration where `v` is text, `v` reads as a number, and a word of its key says
    that a number is expected (`lr`, `eps`, `betas`, `weight_decay`, `warmup_steps`, `batch_size`, ...). Names, ids,
    versions, dates, seeds, paths, devices and environment variables may be text and are left alone.

    A warning; an error where the run died of an exception about text in place of a number: then the key that the
    traceback's source lines mention is the one named (all of them where they mention none). A note where the
    configuration was read from a file beside somebody else's log and the run trained: OmegaConf, pydantic and typed
    command lines turn such text into numbers, and what the program saw is not known.

    ## Why is this bad?
    YAML 1.1, which PyYAML and most tools read, takes a number with an exponent for a number only if its mantissa has a
    dot *and* its exponent has a sign: `1e-8` and `1.0e5` are text, `1.0e-8` is a number. At best the optimizer raises
    (`'<=' not supported between instances of 'float' and 'str'`); at worst the text is compared, repeated or replaced
    by a default, and the run is not the one that was asked for.

    ## Example
    ```python
    import yaml

    config = yaml.safe_load("optimizer: {lr: 0.001, eps: 1e-8}")
    run = Run.of(config=config)
    ```
    Use instead:
    ```python
    import yaml

    config = yaml.safe_load("optimizer: {lr: 0.001, eps: 1.0e-8}")
    run = Run.of(config=config)
    ```

    ## Fix
    - **safe** Write the number so that the parser takes it for one: `5.0e-5`, no quotes.
    - **safe** Read the configuration through a typed schema (dataclass, pydantic), which converts or refuses.

    ## Known limits
    Silent where the source keeps only text (`config_typed` false, e.g. MLflow parameters), on keys whose words it does
    not know, on text that is a number with a unit (`10%`, `1k`), and on `inf` unless the run died of text. Wrong where
    a program wants text under such a key.

    ## References
    YAML 1.1 types float and int (yaml.org/type/float.html). An instance from public code: `eps: 1e-8` stopped an
    optimizer at its own check of `eps`, and the learning rate, which was a number, was blamed.
    """
    if not run.config_typed:
        yield NotChecked(f"the configuration of a {run.source} run is kept as text, so its types are not known")
        return
    found = [leaf for leaf in _text_leaves(run.config) if _is_number(leaf[3]) and _wants_number(*leaf[1:3])]
    failures = [e for e in run.events if _died_of_text(run, e)]
    found = [leaf for leaf in found if failures or leaf[3].strip().lower() not in _INFINITE]
    worked = run.foreign and run.trained and not failures
    named = {path for path, key, _, _ in found if any(re.search(rf"\b{re.escape(key)}\b", _said(e)) for e in failures)}
    for path, _, _, value in found:
        guilty = bool(failures) and (not named or path in named)
        yield _finding(path, value, failures[-1] if guilty else None, worked=worked)


def _finding(path: str, value: str, failure: Event | None, *, worked: bool) -> Finding:
    spelling = _spelling(value)
    message = f'{path} is the text "{value}", not a number: {_reason(value)}'
    evidence = [Evidence(f"config:{path}", value, text="text under a key that takes a number")]
    if failure is not None:
        last = _said(failure).strip().splitlines()[-1][:200]
        message += f"; the run died of it ({last})"
        evidence.append(Evidence(f"event:{failure.kind}", step=failure.step, text=last))
    elif worked:
        message += "; the run trained all the same, so its program may turn it into a number"
    return Finding(
        message,
        subject=path,
        evidence=tuple(evidence),
        remedies=(Remedy(f"Write {spelling} without quotes", safe=True, patch={path: _value(value)}),),
        severity="error" if failure is not None else "note" if worked else None,
    )


def _text_leaves(config: Mapping[str, Any]) -> Iterator[Leaf]:
    """(dotted path, key, parent key, text) of each text leaf; list items carry their list's key."""
    stack: list[tuple[str, str, str, Any, int]] = [("", "", "", config, 0)]
    while stack:
        path, key, parent, value, depth = stack.pop()
        if isinstance(value, Mapping) and depth < _DEEPEST and key.lower() not in _TEXT_ONLY_PARENTS:
            children = [(f"{path}.{k}" if path else str(k), str(k), key, v, depth + 1) for k, v in value.items()]
            stack.extend(reversed(children))
        elif isinstance(value, list | tuple) and depth < _DEEPEST:
            inner = [(f"{path}.{i}", "", key, v, depth + 1) for i, v in enumerate(value) if isinstance(v, Mapping)]
            stack.extend(reversed(inner))
            text = [(i, item) for i, item in enumerate(value) if isinstance(item, str) and _is_number(item)]
            for i, item in text[:1]:  # one finding a list is enough
                yield f"{path}.{i}", key, parent, item
        elif isinstance(value, str):
            yield path, key, parent, value


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text.strip()) is not None


def _words(key: str) -> set[str]:
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    return set(re.split(r"[^a-z0-9]+", apart.lower())) - {""}


def _wants_number(key: str, parent: str) -> bool:
    words = _words(key)
    if words & _EXEMPT:
        return False
    # loss_weights: {signal: "0.1"}: the parent says what the values are
    return bool(words & _NUMERIC) or bool(_words(parent) & {"weights", "betas", "lrs", "lambdas", "rates"})


def _reason(text: str) -> str:
    """Why a YAML 1.1 parser keeps ``text`` as text."""
    bare = text.strip()
    mantissa, _, exponent = bare.lower().partition("e")
    if "inf" in bare.lower():
        return "YAML 1.1 takes it for text (write .inf)"
    if _YAML_FLOAT.fullmatch(bare) or _YAML_INT.fullmatch(bare):
        return "it was quoted, or came from a command line or an environment variable"
    lacks = []
    if exponent and "." not in mantissa:
        lacks.append("its mantissa has no dot")
    if exponent and exponent[0] not in "+-":
        lacks.append("its exponent has no sign")
    if mantissa[0] in "+-" and mantissa[1] == ".":
        lacks.append("no digit stands before its dot")
    return f"YAML 1.1 takes it for text, {' and '.join(lacks) or 'it has a leading zero'} (write {_spelling(text)})"


def _spelling(text: str) -> str:
    """The same number as YAML 1.1 reads it."""
    bare = text.strip()
    if re.fullmatch(rf"[+-]?{_D}", bare):
        return str(int(bare))
    mantissa, e, exponent = repr(float(bare)).partition("e")
    if "inf" in mantissa:
        return mantissa.replace("inf", ".inf")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}" if e else mantissa


def _value(text: str) -> float | int:
    bare = text.strip()
    return int(bare) if re.fullmatch(rf"[+-]?{_D}", bare) else float(bare)


def _died_of_text(run: Run, event: Event) -> bool:
    if event.kind != "exception" or run.exit in ("finished", "interrupted"):
        return False
    return _DIED_OF_TEXT.search(_said(event)) is not None


def _said(event: Event) -> str:
    return "\n".join([event.text, *(v for v in event.data.values() if isinstance(v, str))])[-20_000:]
