"""A model that fails in every way models fail: people read our sentence, and nothing they said is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from teehee.mind import prompt
from teehee.testing import Running, ScriptedModel, TerminalPerson, running
from teehee.testing.scripted_model import Raw, Reset, Script, Streamed, block, completion_bytes, echo, heard
from teehee.testing.wires import chunk
from teehee.wire import notices

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
KEY = "sk-canary-model-key-0123456789"
WORDS = "provider gibberish"  # in everything the provider says wrongly; no person may read it
TIMEOUT_SECONDS = 1.0
PAGE = f"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>{WORDS}</body></html>"
OURS = "\n".join(prompt.instructions("Wren")[:6])


def raw(body: str, status: int = 200, **headers: str) -> Raw:
    return Raw(body.encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


# What the endpoint does, and the code of what people are told: kept for later when it may pass, else an end.
POSTPONED: dict[str, tuple[Script, str]] = {
    "a server error": (raw(WORDS, 500), "model-down"),
    "overloaded": (raw(f'{{"error": {{"message": "{WORDS}"}}}}', 529), "model-down"),
    "a rate limit": (raw(WORDS, 429, retry_after="1"), "model-busy"),
    "a denied key": (raw(WORDS, 401), "model-denied"),
    "too slow": (Raw(completion_bytes(WORDS), delay_seconds=2.5), "model-slow"),
    "invalid UTF-8": (Raw(b'{"choices": [{"message": {"content": "\xff\xfe' + WORDS.encode() + b'"}}]}'), "model-down"),
    "truncated JSON": (Raw(completion_bytes(WORDS)[:-20]), "model-down"),
    "an HTML page": (raw(PAGE, content_type="text/html"), "model-down"),
    "not a completion": (raw(f'{{"object": "list", "data": ["{WORDS}"]}}'), "model-down"),
    "a list": (raw(f'["{WORDS}"]'), "model-down"),
    "nothing at all": (raw(""), "model-down"),
    "a redirect": (raw(WORDS, 302, location="http://127.0.0.1:9/"), "model-down"),
    "a used-up quota": (
        raw(f'{{"error": {{"code": "insufficient_quota", "message": "{WORDS}"}}}}', 429),
        "model-quota",
    ),
    "a model that is gone": (raw(WORDS, 404), "model-gone"),
    "a reset connection": (Reset(), "model-down"),
    "a stream that is cut": (Streamed([f"<response><text>{WORDS}", "more"], cut_after=1), "model-down"),
    "a stream without its end": (
        Streamed([block(WORDS)[:-20]], finish_reason=None, done=False),
        "model-down",
    ),
    "an error in the stream": (
        Streamed([WORDS, b'data: {"error": {"message": "' + WORDS.encode() + b'"}}\n\n']),
        "model-down",
    ),
    "garbage in the stream": (Streamed([WORDS, b"data: {oops\n\n"]), "model-down"),
    "a slow drip": (Streamed([f"{WORDS} "] * 1000, pause_seconds=0.05), "model-slow"),
}
ENDED: dict[str, tuple[Script, str]] = {
    "a context too long": (raw(f"context_length_exceeded {WORDS}", 400), "model-too-long"),
    "a request it will not take": (raw(WORDS, 400), "model-refused"),
    "a filter before the answer": (raw(f"content_policy {WORDS}", 400), "model-refused"),
}
UNFIT: dict[str, Script] = {
    "empty": "",
    "blank": " \n ",
    "10 MB": Raw(completion_bytes(WORDS * 600_000)),
    "10 MB in a stream": Streamed([WORDS * 6000] * 100),
    "a filter in the stream": Streamed([WORDS], finish_reason="content_filter"),
    "a tool call": Streamed([chunk({"tool_calls": [{"index": 0, "function": {"name": WORDS}}]})]),
    "no word in the stream": Streamed([]),
    "plain text without a block": f"Sure! {WORDS}",
    "an unclosed block": f"<response><text>{WORDS}",
    "an empty block": "<response></response>",
    "raw JSON as words": block(f'{{"action": "{WORDS}", "confidence": 0.9}}'),
    "an error as words": block(f"Error code: 500 - {{'error': {{'message': '{WORDS}'}}}}"),
    "our prompt as words": block(OURS.replace("<", "&lt;")),
    "parameters that are no JSON": block(WORDS, parameters=WORDS),
}
ALL = POSTPONED | ENDED | {name: (script, "model-unfit") for name, script in UNFIT.items()}


@dataclass
class Moody:
    """Fails as the message says, until it is well again; then echoes."""

    failing: set[str] = field(default_factory=lambda: set(ALL))

    def __call__(self, request: Json) -> Script:
        said = heard(request)
        return ALL[said][0] if said in self.failing else echo(request)


@dataclass
class Stage:
    model: ScriptedModel
    mood: Moody
    agent: Running

    def asked(self, text: str) -> list[str]:
        """The user parts of the prompts that wanted an answer to `text`."""
        return [r["messages"][-1]["content"] for r in self.model.requests if heard(r) == text]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    mood = Moody()
    folder = tmp_path_factory.mktemp("moody")
    async with (
        ScriptedModel(speak=mood) as model,
        running(folder, ["wren"], model_url=model.url, model_key=KEY, model_timeout=TIMEOUT_SECONDS) as agent,
    ):
        yield Stage(model, mood, agent)


@pytest.mark.parametrize("failure", POSTPONED)
async def test_a_failure_that_may_pass_is_told_in_our_words_and_made_good(stage: Stage, failure: str) -> None:
    person = TerminalPerson(stage.agent.door, room=f"postponed-{list(POSTPONED).index(failure)}")

    told = await person.say(failure, id="1", wait=20)
    stage.mood.failing.discard(failure)
    answers = await person.hear(1)
    await person.settle()

    assert told["notice"] == notices.sentence(POSTPONED[failure][1], "Wren")
    assert WORDS not in str(told)
    assert answers == [f"heard: {failure}"]
    assert await intents_in_room(stage, person) == 1


@pytest.mark.parametrize("failure", ENDED)
async def test_what_would_fail_again_ends_in_our_words_and_holds_nobody_up(stage: Stage, failure: str) -> None:
    person = TerminalPerson(stage.agent.door, room=f"ended-{list(ENDED).index(failure)}")

    told = await person.say(failure, id="1", wait=20)
    after = await person.say("and now?", id="2", wait=20)

    assert told["notice"] == notices.sentence(ENDED[failure][1], "Wren")
    assert WORDS not in str(told)
    assert len(stage.asked(failure)) == 1
    assert after["messages"][0]["text"] == "heard: and now?"


@pytest.mark.parametrize("failure", UNFIT)
async def test_what_cannot_be_shown_is_asked_again_once_and_then_told(stage: Stage, failure: str) -> None:
    person = TerminalPerson(stage.agent.door, room=f"unfit-{list(UNFIT).index(failure)}")

    told = await person.say(failure, id="1", wait=20)

    assert told["notice"] == notices.sentence("model-unfit", "Wren")
    assert WORDS not in str(told)
    assert person.shown == {}
    first, second = stage.asked(failure)
    assert "could not be used" not in first
    assert second.startswith(first)
    assert "Your last answer could not be used: " in second.removeprefix(first)


async def test_the_second_try_may_succeed(stage: Stage) -> None:
    person = TerminalPerson(stage.agent.door, room="second-try")
    stage.model.script = [f"no block here, {WORDS}", block("now in a block")]

    told = await person.say("try again", id="1", wait=20)

    assert [message["text"] for message in told["messages"]] == ["now in a block"]
    assert "there was no <response>" in stage.asked("try again")[1]


async def test_a_room_that_waits_for_its_model_holds_up_no_other(stage: Stage) -> None:
    stage.mood.failing.add("a server error")
    waiting, other = (TerminalPerson(stage.agent.door, room=room) for room in ("waiting", "other"))
    await waiting.say("a server error", id="1", wait=20)

    told = await other.say("hello", id="1", wait=20)
    stage.mood.failing.discard("a server error")

    assert told["state"] == "answered"
    assert await waiting.hear(1) == ["heard: a server error"]


async def test_what_follows_a_postponed_message_is_answered_after_it(stage: Stage) -> None:
    stage.mood.failing.add("a server error")
    person = TerminalPerson(stage.agent.door, room="in-order")
    await person.say("a server error", id="1", wait=20)
    await person.say("and then", id="2")

    stage.mood.failing.discard("a server error")

    assert await person.hear(2) == ["heard: a server error", "heard: and then"]


async def test_the_key_reaches_the_endpoint_though_the_mind_has_none(stage: Stage) -> None:
    await TerminalPerson(stage.agent.door, room="key").say("hello", id="1", wait=20)

    assert {headers["Authorization"] for headers in stage.model.headers} == {f"Bearer {KEY}"}
    mind = Path(f"/proc/{stage.agent.supervisor.mind.pid}")
    assert KEY.encode() not in (mind / "environ").read_bytes() + (mind / "cmdline").read_bytes()


async def test_no_log_holds_what_the_model_was_asked_or_the_key(stage: Stage) -> None:
    logs = "".join(path.read_text() for path in (stage.agent.folder / "logs").iterdir())

    assert "turn_postponed" in logs
    assert "mend MODEL_KEY" in logs  # what the operator is to do about it
    assert "Received Message" not in logs
    assert KEY not in logs


async def test_a_model_that_is_away_is_told_and_waited_for(tmp_path: Path) -> None:
    async with ScriptedModel() as model:
        url, port = model.url, model.port  # a port that nobody listens on from here
    async with running(tmp_path, ["wren"], model_url=url) as agent:
        person = TerminalPerson(agent.door)
        told = await person.say("anybody there?", id="1", wait=20)
        await person.say("hello?", id="2")

        async with ScriptedModel(port=port):
            answers = await asyncio.wait_for(person.hear(2), 30)

    assert told["notice"] == notices.sentence("model-down", "Wren")
    assert answers == ["heard: anybody there?", "heard: hello?"]


async def test_a_postponed_message_is_answered_even_after_a_restart(tmp_path: Path) -> None:
    async with ScriptedModel() as model:
        url, port = model.url, model.port
    async with running(tmp_path, ["wren"], model_url=url) as agent:
        await TerminalPerson(agent.door).say("keep this", id="1", wait=20)

    async with ScriptedModel(port=port), running(tmp_path, ["wren"], model_url=url) as agent:
        person = TerminalPerson(agent.door)
        answers = await person.hear(1)
        again = await person.say("keep this", id="1", wait=20)

    assert answers == ["heard: keep this"]
    assert [message["text"] for message in again["messages"]] == answers
    assert len(person.shown) == 1


async def intents_in_room(stage: Stage, person: TerminalPerson) -> int:
    """How many of the log's intents are for what this person was shown."""
    effects = [getattr(entry, "effect", "") for entry in await stage.agent.leaves() if entry.type == "intent"]
    return sum(effect in person.shown for effect in effects)
