"""What in a text gives away a person, a machine or a secret, and what stands in its place.

The expressions take time that grows with the length of a text and no faster: each is bounded, or begins where nothing
else can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_Replacement = str | Callable[[re.Match[str]], str]

# Short ones, too: messages quote texts that were cut somewhere.
_TOKEN = re.compile(
    r"\b(?:hf_(?:[A-Za-z0-9]{16,}|(?=[a-z]{0,8}[A-Z0-9])[A-Za-z0-9]{4,15}(?=\W{0,4}$))|gh[opsur]_[A-Za-z0-9]{4,}"
    r"|sk-(?:(?:proj|ant|or|live|test|svcacct)-[\w-]{2,}|[A-Za-z0-9_-]{16,})|github_pat_\w{4,}|glpat-[\w-]{4,}"
    r"|A[KS]IA(?=[A-Z]{0,16}\d)[0-9A-Z]{2,16}\b|AIza[\w-]{8,}|ya29\.[\w-]{4,}|xox[abeoprs]-[\w-]{4,}|xapp-[\w-]{4,}"
    r"|eyJ[\w-]{8,2000}(?:\.[\w-]{0,2000}){0,2}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|dop_v1_[0-9a-f]{8,}"
    r"|r8_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}|nvapi-[\w-]{16,}|SG\.[\w-]{16,80}\.[\w-]{16,}|\d{8,10}:AA[\w-]{30,}"
    r"|wandb_v1_\w{4,}|hooks\.slack\.com/services/[\w/]{4,}|AAAA[A-D]3NzaC1[\w+/]{4,}={0,2})"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.{0,8000}?(?:-----END [A-Z ]{0,30}-----|\Z)", re.S)
_KEY_OF_40 = re.compile(r"(?<![0-9A-Za-z])(?:local-)?[0-9a-f]{40}(?![0-9A-Za-z])")  # W&B's; Git's look the same
_WANDB = re.compile(r"(?i)(\bwandb login |\bappending key [^\n:]{0,80}: )[0-9a-z]{4,}")
_REVISION = re.compile(
    r"(?i)commit|\bsha|revision|\brev\b|hash|\bgit|\bhead\b|snapshot|blob|tree|branch|version|digest"
)
_SAFEGUARD = (
    r"(?:(?:api|access|private|wandb|account)[_-]?key(?:[_-]?id)?|secret(?:[_-]?\w{1,20})?|passw(?:or)?d|passphrase|pwd"
    r"|credentials?|(?<!eos[_-])(?<!bos[_-])(?<!pad[_-])(?<!unk[_-])(?<!sep[_-])(?<!cls[_-])(?<!mask[_-])token"
    r"(?![\"'\\]{0,4}\s{0,4}[=:]?\s{0,4}[\"'\\]{0,4}[-+\d.,]+(?:e-?\d+)?(?![\w+/=-])))"  # `token: 3` counts them
)
_SAID = r"(?!<|\[|\*{3}|(?:none|null|true|false|nan)\b)"
_SECRET = re.compile(
    rf"(?i)({_SAFEGUARD}[\"'\\]{{0,4}}\s{{0,4}}[=:]\s{{0,4}}[\"'\\]{{0,4}}){_SAID}[^\s'\",;}}&\\]{{3,}}"
)
_SECRET_OPTION = re.compile(
    rf"(?i)(?<![\w-])(-{{1,2}}(?:[a-z0-9]{{1,20}}[_-]){{0,4}}(?:{_SAFEGUARD}|auth)[\"']?,?\s{{1,4}}[\"']?)(?!-)"
    rf"{_SAID}[^\s'\",;]{{3,}}"
)
_AUTHORISED = re.compile(
    r"(?i)\b((?:bearer|basic|password|x-api-key)\s{1,4})(?=\S{0,200}\d)[\w.~+/-]{6,}={0,2}"
    r"|(\bauthorization['\"]?\s{0,4}[=:]\s{0,4}['\"]?(?:(?:bearer|basic|token)\s{1,4})?)(?!<)[^\s'\",]{6,}|(?<=sig=)\S{8,}"
)
_USERINFO = re.compile(r"(?<=://)[^\s/@]{1,200}@")
_EMAIL = re.compile(  # also as names of series are spelled, without dots
    r"(?<![\w.+-])[\w.+-]{1,64}@(?:(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b|[\w-]{2,60}_(?:com|org|net|edu|gov|ac)(?:_[a-z]{2})?\b)"
)
_GIT = re.compile(r"(?<![\w.+-])git@[\w.-]{1,100}:[^\s/]{1,100}(?=/)")
_MEASURE = (
    r"(?!(?:\w*acc\w*|\w*recall\w*|\w*prec\w*|[rpf]|m?a[pr]|hits?|m?ndcg|mrr|top|pass|f1|hr|iou|pck|auc|err\w*|cmc)@)"
)
_LOGIN = re.compile(rf"(?<![\w.+/@-]){_MEASURE}[a-z_][\w.-]{{0,31}}@[A-Za-z][\w-]{{1,63}}(?=[:~$#\s'\",;)\]]|$)")

_SLASH = r"(?:\\?/)"
_ACCOUNT = r"(?P<user>[^\s/\\'\":,;<>|*?(){}\[\]`&$%=~]{1,64})"
_HOME = re.compile(
    rf"(?:{_SLASH}(?:[\w.+-]{{1,64}}{_SLASH}){{0,4}})"
    r"(?:home\d?|homes|nethome|Users|users|Home|HOME|media|afs/[\w.-]{1,64}/user)"
    rf"{_SLASH}(?:[A-Z][A-Z0-9]{{1,15}}\\{{1,2}})?"
    rf"(?:(?P<first>\w){_SLASH}(?=(?P=first)))?{_ACCOUNT}(?: [\w.-]{{1,30}}(?=/))?"
)
_WINDOWS = re.compile(
    r"(?i)(?:\b[a-z]:)?[\\/]{1,4}(?:users|documents and settings|home)[\\]{1,4}(?P<user>[^\\/:\"'<>|\n,;]{1,64})"
    r"|\b[a-z]:/{1,2}(?:users|documents and settings)/{1,2}(?P<user2>[^\\/:\"'<>|\n,;]{1,64})"
)
_HOME_FROM_HERE = re.compile(rf"(?<![\w/\\.~-])(?:home|homes|Users)/{_ACCOUNT}(?=/)")
_TILDE = re.compile(r"(?<![\w/~.])~[a-z][\w.-]{1,31}(?=/)")
_ROOT = re.compile(r"(?<![\w.~/-])/root(?=/|$)")
_URL = re.compile(r"\b(?!file:)\w{2,20}://\S*$")

_EVENTS = re.compile(
    r"(events\.out\.tfevents\.\d{1,20}\.)(?!<)[^\s/\\'\",:;()]{1,200}?(?=(?:\.\d+){0,2}(?:\.v2)?(?:[\s/\\'\",:;()]|$))"
)
_RUN_FOLDER = re.compile(
    r"(?<![A-Za-z])((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\d{2}_\d{2}-\d{2}-\d{2}_)(?!<)[^\s/\\'\",:_]+"
)  # of torch's SummaryWriter and of Transformers: time and host
_NAME_OF_HOST = r"(?!\d+\.\d+\.|(?:none|null|true|false|localhost|unknown)\b|\d+\b|<)[\w.\[\],-]{2,120}"
_HOST = re.compile(
    r"(?i)(?<![a-z])((?:(?:batch|exec|submit)?host(?:_?name)?|node_?(?:list|name)|master_addr(?:ess)?|server(?:_?name)?"
    rf"|slurmd_nodename|rdzv_endpoint)['\"\\]{{0,4}}\s{{0,10}}[=:]\s{{0,4}}['\"\\]{{0,4}}){_NAME_OF_HOST}"
)
_HOST_OPTION = re.compile(
    rf"(?i)(--?(?:master[_-]addr(?:ess)?|rdzv[_-]endpoint|host(?:_?name)?|node_?list)\s{{1,4}}){_NAME_OF_HOST}"
)
_ON_HOST = re.compile(
    r"(?i)\b((?:running|started|launched|executing|job \d+|step [\d.]+) on (?:node |host |machine )?|on (?:node|host) )"
    r"(?!(?:cpu|gpus?|cuda|tpu|npu|xpu|mps|port|rank|process|device|step|epoch|https?|python|torch|fold|line)(?![\w.-])"
    r"|(?:cpu|gpu|cuda|tpu|npu|xpu)[:_-]?\d|\d+\b|<)(?=[\w.-]{0,60}\d|[\w-]{1,60}\.)[A-Za-z][\w.\[\],-]{1,120}"
)
_OF_TASK = re.compile(r"(?<![\w.-])[A-Za-z][\w.\[\],-]{1,100}(?=: tasks? \d[\d,-]{0,40}(?:[: ]|$))")
_OF_NCCL = re.compile(r"(?<![\w.-])[A-Za-z][\w.-]{1,100}(?=:\d{1,8}:\d{1,8} (?:\[\d{1,4}\] )?NCCL )")
_ENDPOINT = re.compile(
    r"((?:\b(?:tcp|ssh|grpc|gloo)://|connect(?:ed|ing)? to )\[?)(?!localhost|127\.|<)[A-Za-z][\w.-]{1,100}(?=\]?:\d)"
)
_LOCAL_NAME = re.compile(
    r"(?<![\w.-])(?=[\w.]{0,60}[\d-])[A-Za-z][\w-]{1,62}(?:\.[\w-]{1,62}){0,4}\.(?:local|internal|lan|localdomain|intra)(?![\w(.])"
)
_EC2 = re.compile(r"(?<![\w-])ip-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3}(?:\.[\w-]{1,60}){0,5}")

_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = re.compile(rf"(?<![\w.-])(?<!==)(?!0\.0\.0\.0|127\.0\.0\.1)(?:{_OCTET}\.){{3}}{_OCTET}(?![\w.])")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f:]{0,38}\d)(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?=[0-9A-Fa-f:]{7})(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6})(?![\w:])"
)
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")

_PERSON = re.compile(
    r"(?i)(?<![a-z_.])((?:user(?:_?name)?|logname|login|author|owner)['\"\\]{0,4}\s{0,4}[=:]\s{0,4}['\"\\]{0,4})"
    r"(?!<|\d+\b|(?:none|null|true|false|root|user)\b)[\w.@-]{2,64}(?-i:(?: [A-Z][\w.-]{1,30}){0,2})"
)
_LOGGED_IN = re.compile(
    r"(?i)(\blogged in as:? )(?!<)[^\s,()]{2,64}|(\bwandb\.ai/)(?!<)[\w-]{2,64}(?=/)|(\buid=\d{1,10}\()[\w.-]{2,64}"
)


def _key_of_40(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 40) : found.start()]
    return found[0] if _REVISION.search(before) else "<token>"


def _home(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 200) : found.start() + 2]
    return found[0] if _URL.search(before) else "~"


def _marked(word: str) -> Callable[[re.Match[str]], str]:
    """What stands before the name, which is replaced."""
    return lambda found: "".join(group or "" for group in found.groups()) + word


# In this order; behind each, signs of which a text has to hold one for the expression to be tried.
_STEPS: tuple[tuple[re.Pattern[str], _Replacement, tuple[str, ...]], ...] = (
    (_PRIVATE_KEY, "<token>", ("PRIVATE KEY",)),
    (_TOKEN, "<token>", ("_", "-", ".", "A", ":")),
    (_SECRET, r"\1<token>", ("=", ":")),
    (_SECRET_OPTION, r"\1<token>", ("-",)),
    (_AUTHORISED, _marked("<token>"), (" ", "=")),
    (_USERINFO, "<login>@", ("://",)),
    (_GIT, "git@<host>:<user>", ("git@",)),
    (_EMAIL, "<e-mail>", ("@",)),
    (_LOGIN, "<login>", ("@",)),
    (_ROOT, "~", ("/root",)),
    (_HOME, _home, ("/",)),
    (_HOME_FROM_HERE, "~", ("/",)),
    (_WINDOWS, "~", ("\\", ":/")),
    (_TILDE, "~", ("~",)),
    (_WANDB, r"\1<token>", ("wandb",)),
    (_KEY_OF_40, _key_of_40, ("a", "b", "c", "d", "e", "f")),
    (_EVENTS, r"\1<host>", ("tfevents",)),
    (_RUN_FOLDER, r"\1<host>", ("_",)),
    (_HOST, r"\1<host>", ("=", ":")),
    (_HOST_OPTION, r"\1<host>", ("-",)),
    (_ON_HOST, r"\1<host>", (" on ", " ON ", "on ")),
    (_OF_TASK, "<host>", (": task",)),
    (_OF_NCCL, "<host>", ("NCCL",)),
    (_ENDPOINT, r"\1<host>", ("://", "onnect")),
    (_LOCAL_NAME, "<host>", (".",)),
    (_EC2, "<host>", ("ip-",)),
    (_IPV4, "<address>", (".",)),
    (_IPV6, "<address>", (":",)),
    (_MAC, "<address>", (":", "-")),
    (_PERSON, r"\1<user>", ("=", ":")),
    (_LOGGED_IN, _marked("<user>"), ("in as", "wandb.ai", "uid=")),
)


def cleaned(said: str) -> str:
    """``said`` without e-mails, secrets, host names, addresses and account names, with ``~`` for home folders."""
    for expression, instead, signs in _STEPS:
        if any(sign in said for sign in signs):
            said = expression.sub(instead, said)
    return said


def accounts(said: str) -> Iterator[str]:
    """The account names that home folders in a text give away."""
    for found in (*_HOME.finditer(said), *_HOME_FROM_HERE.finditer(said)) if "/" in said else ():
        if _home(found) == "~":
            yield found["user"].rstrip(".")
    for found in _WINDOWS.finditer(said) if "\\" in said or ":/" in said else ():
        yield (found["user"] or found["user2"]).rstrip(".")


def is_revision(key: str, value: str) -> bool:
    """Whether a setting is a revision of Git, which looks like a key of W&B."""
    return bool(_KEY_OF_40.fullmatch(value) and _REVISION.search(key))
