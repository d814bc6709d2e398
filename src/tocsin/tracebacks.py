"""What a traceback or a fatal message says: its kind, the exception, the innermost frame of the user's own code.

Pure text, nothing is executed or opened. Takes what consoles hold: plain, chained and grouped Python tracebacks, those
of rich and IPython, prefixes of ranks, command-line errors, and the last words of shells, Slurm and torchrun.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tocsin.run import Event

LONGEST = 200_000  # characters looked at, from the end
MOST_FRAMES = 400
_LONGEST_LINE = 2_000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_RANK = re.compile(r"^(?:\[?(?:default|rank)\s?\d+\]?:?|\(\S+ pid=\d+[^)]*\)|\s{0,3}\d{1,5}:(?=\s)) ?", re.IGNORECASE)
_GROUP = re.compile(r"^\s*(?:\+-\+-+ \d+ -+|\+ (?=Exception Group)|\|(?: |$))")
_HEADER = re.compile(r"Traceback \(most recent call last\)|\bTraceback\b.*\(most recent call")
_FRAME = re.compile(r"""^>?\s*File ["'](?P<file>.+?)["'], line (?P<line>\d{1,9})(?:, in (?P<function>.+?))?\s*$""")
_RICH = re.compile(r"^[│|]\s*(?P<file>\S+\.py):(?P<line>\d{1,9}) in (?P<function>\S+)\s*[│|]?$")
_CELL = re.compile(
    r"^(?:File (?P<file>\S+?):(?P<line>\d+), in (?P<function>\S+)|Cell In ?\[(?P<cell>\d+)\], line (?P<at>\d+)"
    r"|(?P<old>/\S+\.py|<ipython-input-\S+>) in (?P<within>\S+).*)$"
)
_EXCEPTION = re.compile(
    r"^(?P<type>(?:[A-Za-z_]\w*\.)*(?:\w*(?:[Ee]rror|Exception|Interrupt|Exit|Warning|Failure|Abort)"
    r"|\w*[A-Z]\w*[a-z]\w*)(?:\(\w+\))?)(?::\s*(?P<message>.*))?$"
)
_LIKELY = re.compile(r"(?:Error|Exception|Interrupt|SystemExit|Failure)(?:\(\w+\))?$")
_CHAIN = re.compile(
    r"direct cause of the following exception|During handling of the above exception, another exception occurred"
)
_FOREIGN = re.compile(
    r"site-packages|dist-packages|[/\\]lib(?:64)?[/\\]python\d|[/\\]python\d[^/\\]*[/\\]lib[/\\]|[/\\]Lib[/\\]|^<frozen|"
    r"^<string>|^<attrs|^<decorator|^<__array|^<eval_with|_remote_module|[/\\]bin[/\\][^/\\.]+$|^/usr/lib|runpy\.py$",
)
# Exceptions that only pass on that another process, or another thread, failed.
_WRAPPERS = re.compile(
    r"ChildFailedError|CalledProcessError|ProcessRaisedException|ProcessExitedException|RayTaskError|"
    r"SignalException|InstantiationException|TuneError|NonZeroExit|BrokenProcessPool"
)

# First match wins. Kind, pattern on the line that says it; the kinds are documented at ``Failure``.
_KINDS: tuple[tuple[str, str], ...] = (
    ("interrupt", r"^KeyboardInterrupt|^Aborted!$|\^CTraceback"),
    (
        "out-of-memory",
        r"out of memory|OutOfMemory|oom[-_ ]kill|ResourceExhausted|RESOURCE_EXHAUSTED"
        r"|^(?:\w+\.)*_?(?:Array)?MemoryError|Out Of Memory|can't allocate memory"
        r"|Cannot allocate memory|CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED"
        r"|exceeded (?:job )?memory limit|memory limit .{0,40}exceeded|TERM_MEMLIMIT"
        r"|is killed by signal: Killed|Unable to allocate [\d.]+ [KMGT]iB",
    ),
    ("time-limit", r"DUE TO TIME LIMIT|walltime .*exceeded|TERM_RUNLIMIT"),
    (
        "cancelled",
        r"CANCELLED AT|DUE TO (?:PREEMPTION|NODE FAILURE|JOB REQUEUE)|^Terminated\b|got signal: (?:1|2|15)\b",
    ),
    ("killed", r"^(?:\S+ line \d+:\s*\d+ )?Killed\b|SIGKILL|exitcode\s*: -9\b|[Ee]xit code:? 137\b|: Killed$"),
    (
        "crash",
        r"[Ss]egmentation fault|SIGSEGV|SIGABRT|SIGBUS|[Bb]us error|core dumped|^Fatal Python error|^terminate called"
        r"|exitcode\s*: -(?:6|7|11)\b",
    ),
    (
        "missing-script",
        r"can't open file '[^']+'|can't find '__main__' module|: command not found|: Permission denied$",
    ),
    (
        "import",
        r"^(?:\w+\.)*(?:ModuleNotFoundError|ImportError)\b|python[\d.]*: No module named|Error locating target '",
    ),
    (
        "usage",
        r"^(?!slurmstepd|srun|sbatch)\S[^:]{0,200}: error: "
        r"|^(?:Error|ERROR): (?:No such option|Missing|Got unexpected|Invalid value|Could not consume)"
        r"|FATAL Flags|Unknown command line flag|unrecognized arguments|not used by the HfArgumentParser"
        r"|Could not override '|is not in struct|^In '[^']+': Could not find|Could not find '[^']+'$"
        r"|Primary config (?:module|directory) not found|ConfigCompositionException|MissingMandatoryValue"
        r"|MissingConfigException|unexpected extra argument",
    ),
    ("removed-api", r"AttributeError: (?:partially initialized )?module '[\w.]+' has no attribute|_Removed\w+Error"),
    (
        "missing-file",
        r"FileNotFoundError|NotADirectoryError|\[Errno 2\]|No such file or directory|HFValidationError"
        r"|is not a local folder and is not a valid model|is not a valid package style|not found in the style library",
    ),
    ("disk", r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]"),
    (
        "device",
        r"CUDA error|CUDA driver|No CUDA GPUs are available|NCCL|cuDNN|CUDNN_STATUS|CUBLAS_STATUS"
        r"|not compiled with CUDA|invalid device ordinal|device-side assert|hipError",
    ),
    (
        "network",
        r"ConnectionError|ConnectionRefused|HTTPError|URLError|Timeout(?:Error)?\b|EADDRINUSE|Address already in",
    ),
    (
        "child-failure",
        r"ChildFailedError|CalledProcessError|ProcessExitedException|ProcessRaisedException|Exited with ",
    ),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
# Messages without an exception that end a run; the line has to look like one of these to count without a traceback.
_FATAL = re.compile(
    r"Error (?:locating|in call to) target '|slurmstepd: error:.*(?:CANCELLED|oom|exceeded)|"
    r"srun: error: .*(?:task|Killed|Out Of Memory)|\bexitcode\s*: -\d+|^Killed\b|"
    r"line \d+:\s*\d+ (?:Killed|Segmentation|Aborted|Bus error)|[Ss]egmentation fault|\(core dumped\)|"
    r"^Fatal Python error|^terminate called|^Terminated$|can't open file '|: command not found|"
    r"python[\d.]*: No module named|^(?!slurmstepd|srun|sbatch)\S[^:]{0,200}: error: |"
    r"^(?:Error|ERROR): (?:No such option|Missing|Got unexp|Invalid value|Could not consume)|"
    r"FATAL Flags|Could not override '|^In '[^']+': Could not find|Primary config|Aborted!$|"
    r"got signal: \d+|Unknown command line flag|Signal \d+ \(SIG\w+\) received|DUE TO TIME LIMIT|: Permission denied$|"
    r"^(?:\w+: )?exit(?:ed with)? code:? (?:137|139)"
)
# What a scheduler or the kernel says when it ends a run, wherever in the log it stands.
_ENDS_RUN = re.compile(
    r"^(?:slurmstepd|srun): error: .*(?:CANCELLED AT|oom[-_ ]kill|exceeded (?:job |step )?memory limit|DUE TO TIME"
    r" LIMIT|Out Of Memory)|^(?:\S+ line \d+:\s*\d+ )?Killed\b|^=>> PBS: job killed|^TERM_(?:MEMLIMIT|RUNLIMIT|OWNER)"
)
_STOPS_ALL = ("time-limit", "cancelled", "out-of-memory", "killed")


@dataclass(frozen=True)
class Frame:
    """One line of a traceback; ``code`` is the source line where the traceback shows it."""

    file: str
    line: int
    function: str = ""
    code: str = ""

    @property
    def own(self) -> bool:
        """Whether it is the user's code: no installed package, no standard library, no launcher."""
        return _FOREIGN.search(self.file) is None

    @property
    def place(self) -> str:
        """``folder/file.py:12`` by the last two parts of the path."""
        parts = [p for p in re.split(r"[/\\]", self.file) if p]
        return f"{'/'.join(parts[-2:])}:{self.line}"


@dataclass(frozen=True)
class Failure:
    """How a program failed.

    Attributes:
        kind: interrupt, out-of-memory, time-limit, cancelled, killed, crash, missing-script, import, usage,
            removed-api, missing-file, disk, device, network, child-failure, or traceback (any other exception).
        type: Type of the exception where it began, without its module; "" where no exception was raised.
        line: The line that says it, at most 300 characters.
        cause: The line of the exception that the last one was raised from or during; "" where there is none.
        frames: Frames of the exception where it began, outermost first.
        own: The innermost frame of the user's own code, of any of the chained tracebacks.
    """

    kind: str
    type: str = ""
    line: str = ""
    cause: str = ""
    frames: tuple[Frame, ...] = ()
    own: Frame | None = None

    @property
    def signature(self) -> str:
        """What equal failures share whatever their numbers, paths and addresses: type or kind, place, blurred line."""
        where = f" at {self.own.place}" if self.own is not None else ""
        blurred = re.sub(r"0x[0-9a-f]+|\d+(?:\.\d+)?|(?:/[\w.@-]+){2,}", "#", self.line)
        return f"{self.type or self.kind}{where}: {blurred[:120]}"


@dataclass
class _Block:
    """One traceback: its frames, the line of its exception, whether the next one is chained to it."""

    frames: list[Frame] = field(default_factory=list)
    line: str = ""
    chained: bool = False

    @property
    def type(self) -> str:
        found = _EXCEPTION.match(self.line)
        return found["type"].rpartition(".")[2] if found else ""

    @property
    def wraps(self) -> bool:
        return bool(_WRAPPERS.search(self.line.partition(":")[0]))


def parse(text: str) -> Failure | None:
    """The failure that ``text`` tells of, None where it tells of none. Never raises.

    Of several tracebacks the last counts, and of chained ones the first as its ``cause``; one that only passes on the
    failure of another process gives way to that process's own, a job that was ended from outside goes first.
    """
    lines = list(_clean(text))
    blocks = [b for b in _blocks(lines) if b.line]
    spoken = [line.strip() for line in lines if _FATAL.search(line)]
    raised = _raised(blocks)
    ended = next((s for s in spoken if kind_of(s) in _STOPS_ALL), None)
    if ended and (raised is None or kind_of(raised[-1].line) in ("interrupt", "child-failure", *_STOPS_ALL)):
        return Failure(kind_of(ended), line=_short(ended), frames=_frames(blocks), own=_innermost(blocks))
    if raised is not None and not (raised[-1].wraps and spoken):
        return _failure(raised, lines)
    said = next(iter(_usage_last(spoken)), None) or _bare(lines)
    if said is None:
        return _failure(raised, lines) if raised else None
    found = _EXCEPTION.match(said)
    name = found["type"].rpartition(".")[2] if found and _LIKELY.search(found["type"]) else ""
    return Failure(
        kind_of(said), "" if name == "Error" else name, _short(said), frames=_frames(blocks), own=_innermost(blocks)
    )


def failures(events: Iterable[Event]) -> list[tuple[Event, Failure]]:
    """The exceptions and fatal messages among a run's events, in order, with what they say.

    Of other messages those count by which a scheduler or the kernel ended the run.
    """
    found = []
    for event in events:
        fatal = event.kind in ("message", "warning") and any(_ENDS_RUN.search(s) for s in event.text.splitlines())
        if (fatal or event.kind in ("exception", "exit")) and event.text.strip():
            failure = parse(event.text)
            if failure is None and event.kind == "exception":
                name = str(event.data.get("type") or "")
                failure = _unfinished(event.text) or Failure(
                    kind_of(event.text), name, _short(event.text.strip().splitlines()[-1])
                )
            if failure is not None:
                found.append((event, failure))
    return found


def _unfinished(text: str) -> Failure | None:
    """A traceback that breaks off before the line of its exception."""
    lines = list(_clean(text))
    blocks = _blocks(lines)
    if not blocks or blocks[-1].line:
        return None
    at = blocks[-1].frames[-1:]
    where = f" at {at[0].place}" if at else ""
    return Failure(
        "traceback",
        line=f"a traceback that the log cuts off{where}",
        frames=tuple(blocks[-1].frames),
        own=_innermost(blocks),
    )


def kind_of(said: str) -> str:
    """The kind of a failure by the line that says it."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(said)), "traceback")


def _clean(text: str) -> Iterator[str]:
    """Lines without colours, ranks and the bars of exception groups."""
    grouped = "Exception Group" in text
    for raw in text[-LONGEST:].splitlines():
        line = _RANK.sub("", _ANSI.sub("", raw[:_LONGEST_LINE]), count=1).rstrip()
        yield _GROUP.sub("", line, count=1) if grouped else line


def _blocks(lines: list[str]) -> list[_Block]:
    found: list[_Block] = []
    open_ = False
    for k, line in enumerate(lines):
        frame = _frame(line, open_)
        if _HEADER.search(line):
            found.append(_Block())
            open_ = True

        elif frame is not None:
            if not open_:
                found.append(_Block())
                open_ = True
            if len(found[-1].frames) < MOST_FRAMES:
                found[-1].frames.append(_with_code(frame, lines, k))
        elif open_ and _ends(line, found[-1]):
            found[-1].line = _joined(line, lines, k)
            open_ = False
        elif found and not open_ and _CHAIN.search(line):
            found[-1].chained = True
    return found


def _frame(line: str, inside: bool) -> Frame | None:
    if match := _FRAME.match(line):
        return Frame(match["file"], int(match["line"]), match["function"] or "")
    if inside and (match := _RICH.match(line)):
        return Frame(match["file"], int(match["line"]), match["function"])
    if inside and (match := _CELL.match(line)):
        if match["cell"]:
            return Frame(f"<cell {match['cell']}>", int(match["at"]))
        return Frame(match["file"] or match["old"], int(match["line"] or 0), match["function"] or match["within"] or "")
    return None


def _with_code(frame: Frame, lines: list[str], at: int) -> Frame:
    following = lines[at + 1] if at + 1 < len(lines) else ""
    shown = following[:1].isspace() and not _FRAME.match(following) and not following.lstrip().startswith(("^", "~"))
    return Frame(frame.file, frame.line, frame.function, following.strip()[:200]) if shown else frame


def _ends(line: str, block: _Block) -> bool:
    """Whether this line of an open traceback is its exception."""
    if not line or line[0] in " \t^~-│╭╰|+>*=" or not block.frames:
        return False
    return _EXCEPTION.match(line) is not None


def _joined(line: str, lines: list[str], at: int) -> str:
    """The exception's line, with the next one where it only announces that."""
    following = next((s.strip() for s in lines[at + 1 : at + 4] if set(s.strip()) - set("=-─")), "")
    if line.endswith(":") and following and not _HEADER.search(following):
        return f"{line.rstrip(':')}: {following}"
    return line


def _raised(blocks: list[_Block]) -> list[_Block] | None:
    """The chain of the exception that counts, in the order of raising; the last one is what a person sees."""
    if not blocks:
        return None
    last = len(blocks) - 1
    if blocks[last].wraps:
        last = next((k for k in range(last - 1, -1, -1) if not blocks[k].wraps), last)
    first = last
    while first and blocks[first - 1].chained:
        first -= 1
    return blocks[first : last + 1]


def _failure(chain: list[_Block], lines: list[str]) -> Failure:
    last, cause = chain[-1], chain[0] if len(chain) > 1 else None
    kind = kind_of(last.line)
    if kind == "traceback" and cause is not None:
        kind = kind_of(cause.line)
    if kind == "child-failure":
        kind = next((k for k in map(kind_of, _codes(lines)) if k in ("killed", "crash", "out-of-memory")), kind)
    return Failure(
        kind,
        last.type,
        _short(last.line),
        _short(cause.line) if cause is not None else "",
        _frames(chain),
        _innermost(chain),
    )


def _codes(lines: list[str]) -> Iterator[str]:
    return (line.strip() for line in lines if "exitcode" in line or "SIG" in line)


def _frames(chain: list[_Block]) -> tuple[Frame, ...]:
    return tuple(chain[-1].frames) if chain else ()


def _innermost(chain: list[_Block]) -> Frame | None:
    """The innermost own frame: of the last traceback, or, where that shows none, of the ones before it."""
    return next((f for block in reversed(chain) for f in reversed(block.frames) if f.own), None)


def _usage_last(spoken: list[str]) -> list[str]:
    """Fatal messages, what says why before what says that."""
    return sorted(spoken, key=lambda s: kind_of(s) in ("child-failure", "traceback"))


def _bare(lines: list[str]) -> str | None:
    """The last line that is an exception without a traceback."""
    for line in reversed(lines):
        found = _EXCEPTION.match(line.strip())
        if found and _LIKELY.search(found["type"]):
            return line.strip()
    return None


def _short(line: str) -> str:
    return " ".join(line.split())[:300]
