"""Reports of any content, hostile text and odd numbers among it, for laws over renderers."""

from __future__ import annotations

from hypothesis import strategies as st

from tocsin.findings import SEVERITIES, Evidence, Finding, NotChecked, Remedy, Report

NASTY = [
    "",
    "x",
    "a\r\n::error::owned",
    "##[error]owned",
    "a%0Ab,c:d",
    "[t](http://e.vil)",
    "{0}",
    "\ud800",
    "\x1b[2J",
    "é/ü",
]
TEXTS = st.sampled_from(NASTY) | st.text(max_size=12)
NUMBERS = st.none() | st.floats() | st.integers(0, 9)
CODES = st.sampled_from(["OPT001", "PRD002", "EVL001", "ZZZ999", ""])
EVIDENCE = st.builds(
    Evidence, TEXTS, NUMBERS | TEXTS, st.none() | st.integers(0, 99), st.none() | st.floats(),
    st.none() | st.tuples(st.floats(), st.floats()), TEXTS,
)  # fmt: skip
REMEDIES = st.builds(Remedy, TEXTS, st.booleans(), st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=2))
FINDINGS = st.builds(
    Finding, TEXTS, TEXTS, st.integers(0, 99), st.lists(EVIDENCE, max_size=2).map(tuple),
    st.lists(REMEDIES, max_size=2).map(tuple), st.sampled_from([*SEVERITIES, None]), st.none() | st.integers(0, 99),
    CODES, TEXTS, st.sampled_from(["r", "s", "##[x]"]), st.none() | st.integers(0, 99),
    st.lists(CODES, max_size=2).map(tuple),
)  # fmt: skip
BLIND = st.builds(NotChecked, TEXTS | st.just("the rule raised X: y"), CODES, TEXTS, st.sampled_from(["r", "s", ""]))


def _of(*columns: st.SearchStrategy) -> st.SearchStrategy[Report]:
    return st.builds(Report, st.just(("r", "s", "##[x]")), *columns)


REPORTS = _of(
    *(
        st.lists(each, max_size=most).map(tuple)
        for each, most in ((FINDINGS, 4), (CODES, 2), (BLIND, 3), (TEXTS, 2), (FINDINGS, 1))
    )
)
