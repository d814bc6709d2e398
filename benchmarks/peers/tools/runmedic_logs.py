"""runmedic's own command line over exported logs; one JSON line a log."""

import contextlib
import io
import json
import sys

from runmedic.cli import main

for path in sys.argv[1:]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            main(["diagnose", path, "--json"])
        found = [
            {
                "severity": f["severity"],
                "text": f"{f['check']}: {f['title']}; {'; '.join(f['likely_causes'])}",
                "step": f["step"],
            }
            for run in json.loads(said.getvalue())
            for f in run["findings"]
        ]
        print(json.dumps({"path": path, "findings": found}))
    except (Exception, SystemExit) as error:  # a peer's own failure is a result
        print(json.dumps({"path": path, "findings": [], "error": f"{type(error).__name__}: {error}"}))
