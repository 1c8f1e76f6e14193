"""The vault's log lines: JSON on standard error, stdlib only."""

import json
import sys
import time
import traceback


def log(event: str, *, exc_info: BaseException | None = None, **facts: object) -> None:
    """One line for an event in past tense; facts never hold payloads, keys or secrets."""
    line = {"event": event, "process": "vault", "at": round(time.time(), 3), **facts}
    if exc_info is not None:
        line["traceback"] = "".join(traceback.format_exception(exc_info))
    sys.stderr.write(json.dumps(line, default=str) + "\n")
