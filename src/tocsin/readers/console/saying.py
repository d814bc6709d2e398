"""``Saying``: what lines say in words: starts, ends, failures, settings, reports by class."""

from __future__ import annotations

import re

from tocsin.readers.console import configs, notices, reports, words
from tocsin.readers.console.draft import Frame
from tocsin.readers.console.measuring import Measuring
from tocsin.readers.console.plan import Plan
from tocsin.readers.console.prefixes import prefix
from tocsin.readers.console.shapes import EMPTY
from tocsin.readers.console.traces import WRAPPERS, Trace, ending, kind_of


class Saying(Measuring):
    """Acts on signs (``signs.py``): each ``_on_<sign>`` says whether nothing is left to read in the line."""

    def _signed(self, said: str, line: str, plan: Plan) -> bool:
        """Act on what a line says in words; True where nothing is left to read in it."""
        message = line[prefix(line).end :]
        if said == "traceback":
            self._trace = Trace(line)
            return True
        act = getattr(self, f"_on_{said}", None)
        if act is not None:
            return bool(act(message, plan))
        return False

    def _on_hydra(self, message: str, _: Plan) -> bool:
        """What Hydra says instead of a traceback, or before one."""
        self.evidence += 1
        overrides, target = notices.overrides(message)
        draft = self._runs.saying
        if overrides and not draft.log.config:
            draft.log.config, draft.log.config_typed = overrides, False
        if target:
            self._fatal(message, "InstantiationException")
        return True

    def _on_usage(self, message: str, _: Plan) -> bool:
        self._trace = Trace(message)
        return True

    def _on_misused(self, message: str, _: Plan) -> bool:
        self._fatal(message, "SystemExit" if ": error:" in message else "")
        return True

    def _on_interrupted(self, message: str, _: Plan) -> bool:
        self._fatal(message, "KeyboardInterrupt")
        return True

    def _on_killed(self, message: str, _: Plan) -> bool:
        self._fatal(message, "")
        return True

    def _on_fatal(self, message: str, plan: Plan) -> bool:
        if plan.pairs:
            return False
        self._fatal(message, kind_of([message]))
        return True

    def _on_conll(self, message: str, _: Plan) -> bool:
        self._report = "conll"
        self._evaluated(reports.conll_counts(message))
        return True

    def _on_conll_scores(self, message: str, _: Plan) -> bool:
        self._evaluated(reports.conll_scores(message))
        return True

    def _on_coco(self, message: str, _: Plan) -> bool:
        self._evaluated(reports.coco(message))
        return True

    def _on_report(self, _: str, __: Plan) -> bool:
        self._report = "report"
        return True

    def _on_summary(self, message: str, _: Plan) -> bool:
        self._over(message)
        return True

    def _on_overflow(self, message: str, plan: Plan) -> bool:
        draft = self._runs.saying
        self.evidence += 1
        draft.event("message", message[:300], once=message.split("to ")[0][:40])
        if (scale := notices.scale(message)) is not None:
            self._scales += 1
            points = [("amp/scale", "", scale), ("overflows", "", float(self._scales))]
            draft.add(Frame(epoch=self._epoch), points)
        return not plan.places or not plan.pairs

    def _on_early(self, message: str, plan: Plan) -> bool:
        if "best iteration" in message.lower():
            self._skip = True
        if "did not meet" in message.lower():
            return True
        notices.early(self._runs.saying, message)
        return not plan.places or not plan.pairs

    def _on_finished(self, message: str, plan: Plan) -> bool:
        self._over(message)
        return not plan.pairs

    def _on_best(self, message: str, plan: Plan) -> bool:
        notices.best(self._runs.saying, message)
        return not (plan.places and plan.pairs) or _FROM_TO.search(message) is not None

    def _on_resume(self, message: str, plan: Plan) -> bool:
        self._runs.saying.event("resume", message[:300], once=message[:300])
        return not plan.pairs

    def _on_launch(self, message: str, _: Plan) -> bool:
        self.evidence += 2 * ("train" in message)
        self._release()
        self._recent.clear()
        self._runs.launched()
        draft = self._runs.saying
        command = message.lstrip("+$#>% ").strip()[:4000]
        if "command" not in draft.log.environment:
            draft.log.environment["command"] = command
            draft.event("launch", command)
        return True

    def _on_config(self, message: str, plan: Plan) -> bool:
        if not plan.places and configs.open_brackets(message) > 0:
            self._open = [message]
            return True
        found = configs.printed(message)
        if len(found) < 2:
            return False
        named = "Namespace(" in message
        if not named and plan.pairs and any(_scored(key) for key in found):
            return False
        if named:
            self._runs.launched()
        draft = self._runs.saying
        if not draft.log.config:
            draft.log.config = found
            self.evidence += 1
        return True

    def _continued(self, line: str) -> bool:
        """Take a further line of a configuration printed over several; False where it is none."""
        if not configs.continues(line):
            self._open = []
            return False
        self._open.append(line)
        text = " ".join(part.strip() for part in self._open)
        if configs.open_brackets(text) <= 0:
            self._open = []
            self._on_config(text, EMPTY)
        elif len(self._open) > _MOST_OPEN or len(text) > _LONGEST_OPEN:
            self._open = []
        return True

    def _on_plan(self, message: str, plan: Plan) -> bool:
        if self._counted is None or "total" not in message.lower():  # rsl_rl counts its total steps so far
            notices.plan(self._runs.saying, message)
        self.evidence += 1
        if self._runs.draft.empty:
            self._settings(message)
        if "Running training" in message or "optimization steps" in message:
            self._bars.clear()
        return not plan.pairs

    def _on_warning(self, message: str, _: Plan) -> bool:
        self._runs.saying.event("warning", message[:600], once="".join(c for c in message[:200] if not c.isdigit()))
        return True

    def _on_region(self, message: str, _: Plan) -> bool:
        """darknet: with objects in the batch the figures of a scale are numbers."""
        self.evidence += 1
        self._runs.saying.event("message", message[:300], once="region")
        return True

    def _on_message(self, message: str, plan: Plan) -> bool:
        if plan.pairs and plan.places:
            return False
        self.evidence += _OF_TRAINING.search(message) is not None
        self._runs.saying.event("message", message[:600], once="".join(c for c in message[:80] if not c.isdigit()))
        return True

    def _over(self, message: str) -> None:
        self._release()
        draft = self._runs.saying
        draft.over = message[:300]

    def _end_trace(self) -> None:
        if self._trace is None:
            return
        trace, self._trace = self._trace, None
        self.evidence += any(word in trace.text for word in ("train", "epoch"))
        if trace.lines[0].lstrip().startswith("usage:") and not any("error:" in line for line in trace.lines):
            return
        self._fatal(trace.text, trace.type or ("SystemExit" if "error:" in trace.text else ""))

    def _fatal(self, text: str, kind: str) -> None:
        """Something fatal was said; the first cause stays, what only passes it on does not replace it."""
        self._release()
        self._end_block()
        draft = self._runs.saying
        exit_ = ending(text, kind)
        self.evidence += bool(kind) and _FRAMEWORK.search(text) is not None
        before = draft.fatal
        if (
            before is None
            or (before[1] in WRAPPERS and kind not in WRAPPERS)
            or (exit_ == "killed" != before[2] and not before[1])
        ):
            draft.fatal = (text, kind, exit_)


_OF_TRAINING = re.compile(r"\bloss\b|grad", re.IGNORECASE)
_FROM_TO = re.compile(r"improved from|(?:creased|improved) ?\(")
_MOST_OPEN = 300
_LONGEST_OPEN = 20_000
_FRAMEWORK = re.compile(
    r"torch|tensorflow|keras|\bjax\b|cuda|cudnn|\bmxnet|paddle|transformers|lightning|deepspeed|accelerate|mmcv|mmdet"
    r"|mmengine|detectron2|ultralytics|fairseq|megatron|\bray\b|wandb|xgboost|lightgbm|catboost|sklearn|DataLoader"
)


def _scored(key: str) -> bool:
    """Whether a key of a printed dict is a result rather than a setting."""
    return words.metric(key) and not {"lr", "rate"} & set(words.parts(key))
