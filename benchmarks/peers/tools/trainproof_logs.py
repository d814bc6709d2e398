"""trainproof's ``doctor`` over exported logs; one JSON line a log."""

import contextlib
import io
import json
import sys

from trainproof.cli import main

LEVELS = {"FAIL": "critical", "WARN": "warning"}

for path in sys.argv[1:]:
    said = io.StringIO()
    sys_argv, sys.argv = sys.argv, ["trainproof", "doctor", path, "--json"]
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main()
        found = [
            {
                "severity": LEVELS.get(f["level"], "info"),
                "text": f"{f['id']}: {f['message']} {f['evidence']}",
                "step": None,
            }
            for report in json.loads(said.getvalue())["reports"]
            for f in report["findings"]
        ]
        print(json.dumps({"path": path, "findings": found}))
    except Exception as error:  # a peer's own failure is a result
        print(
            json.dumps(
                {"path": path, "findings": [], "error": f"{type(error).__name__}: {error} {said.getvalue()[:200]}"}
            )
        )
    sys.argv = sys_argv
