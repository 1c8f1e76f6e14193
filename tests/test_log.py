"""Logs: one JSON line per event, and never a secret, whatever it is called or however it got there."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.log import BLOT, redact

Json = Any
SECRETS = {
    "a model key": "sk-abcdefghijklmnop",
    "a Telegram token": "123456789:AAF-abcdefghijklmnopqrstuvwxyz012345",
    "a private key": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
    "a bearer token": "Bearer abc.def.ghi",
}
PROGRAM = """
import logging, sys
from teehee.log import configure, get_logger
configure("gate", sys.argv[1])
log = get_logger()
log.debug("quiet")
log.info("message_accepted", room="lobby", token="t-1", note="key sk-abcdefghijklmnop here")
logging.getLogger("other").warning("from a library: %s", "Bearer abc.def")
try:
    raise ValueError("sk-abcdefghijklmnop")
except ValueError:
    log.exception("turn_failed")
"""


def redacted(**event: Json) -> Json:
    return redact(None, "", event)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "token",
            "access_token",
            "TELEGRAM_BOT_TOKEN",
            "secret",
            "clientSecret",
            "password",
            "authorization",
            "cookie",
        ),
        *("api_key", "apikey", "OPENAI_API_KEY", "private_key", "privateKey", "mnemonic"),
    ],
)
def test_a_value_under_a_secret_name_is_blotted_out(name: str) -> None:
    assert redacted(**{name: "harmless"}) == {name: BLOT}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_blotted_out_under_any_name(secret: str) -> None:
    told = redacted(event=f"before {secret} after", room="lobby")

    assert secret.split("Bearer ")[-1] not in told["event"]
    assert BLOT in told["event"]
    assert told["room"] == "lobby"


@pytest.mark.parametrize(
    "facts", [list(SECRETS.values()), {"deep": [SECRETS]}, (SECRETS,)], ids=["list", "dict", "tuple"]
)
def test_a_secret_is_blotted_out_however_deep(facts: Json) -> None:
    told = json.dumps(redacted(facts=facts))

    assert [word for word in ("sk-abc", "AAF-abc", "MHcCAQEE", "abc.def") if word in told] == []


def test_a_secret_name_counts_however_deep() -> None:
    assert "t-1" not in json.dumps(redacted(headers={"Authorization": "t-1"}))


@given(
    st.dictionaries(
        st.sampled_from(["event", "room", "count", "ok"]), st.one_of(st.integers(), st.booleans(), st.none())
    )
)
def test_what_is_no_secret_stays(event: dict[str, Json]) -> None:
    assert redacted(**event) == event


@pytest.mark.parametrize(("level", "events"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_process_logs_one_json_line_per_event(level: str, events: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, timeout=30, check=True
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    assert len(lines) == events
    assert {line["process"] for line in lines} == {"gate"}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert lines[-1]["event"] == "turn_failed"
    assert "ValueError" in lines[-1]["exception"]
    assert "sk-abc" not in done.stderr
    assert "abc.def" not in done.stderr
    assert "t-1" not in done.stderr


@pytest.mark.parametrize("process", ["gate.app", "mind.runtime"])
def test_a_process_loads_no_library_of_colours_and_a_terminal_still_can(process: str) -> None:
    program = f"import sys, teehee.{process}; print('rich' in sys.modules); import rich.console; print('rich')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.split() == ["False", "rich"]
