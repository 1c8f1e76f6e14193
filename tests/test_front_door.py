"""What people meet: the three real processes, through terminal, web page, API and command line."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import pytest_asyncio

from teehee.evidence import checkpoint, leaf, merkle, receipt
from teehee.supervisor.folder import DataFolder
from teehee.supervisor.plan import built_in
from teehee.testing import Running, ScriptedModel, TerminalPerson, WebPerson, running, teehee
from teehee.testing.command_line import command_line, started
from teehee.testing.processes import free_port
from teehee.testing.scripted_model import Script, block, heard

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
CROWD = 10
LONGEST_PROMPT = 12_000  # characters


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as scripted:
        yield scripted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncIterator[Running]:
    """Wren, with a model that repeats what it hears."""
    folder = tmp_path_factory.mktemp("front-door")
    async with running(folder, ["wren"], model_url=model.url, replies_per_minute=1000) as up:
        yield up


@pytest_asyncio.fixture(loop_scope="module")
async def http(agent: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


# -- teehee ask


async def test_ask_prints_the_answer(agent: Running) -> None:
    done = await teehee("ask", "is anybody in?", "--data", agent.folder)

    assert (done.code, done.out, done.err) == (0, "heard: is anybody in?\n", "")


async def test_ask_starts_an_agent_when_none_runs_and_ends_it(tmp_path: Path) -> None:
    done = await teehee("ask", "hello", environment={"TEEHEE_DATA": str(tmp_path)})

    assert done.code == 0, done.err
    assert done.out.strip()
    assert not DataFolder(tmp_path).is_running


async def test_ask_json_carries_text_actions_and_receipt(agent: Running) -> None:
    done = await teehee("ask", "prove it", "--json", "--data", agent.folder)

    assert done.json["text"] == "heard: prove it"
    assert done.json["actions"] == ["REPLY"]
    assert done.json["receipt"] == done.json["receipts"][0]


async def test_a_receipt_holds_without_asking_anyone(agent: Running) -> None:
    found = (await teehee("ask", "prove it offline", "--json", "--data", agent.folder)).json["receipt"]

    checked = receipt.verify(found)
    head = checkpoint.verify(found["checkpoint"], checkpoint.vkey(found["origin"], bytes.fromhex(found["key"])))
    intent = found["leaves"][0]
    path = [bytes.fromhex(node) for node in intent["proof"]]
    merkle.verify_inclusion(merkle.leaf_hash(intent["leaf"].encode()), intent["index"], head.size, path, head.root)

    assert found["key"] == agent.agent["log_key"]
    assert isinstance(leaf.parse(intent["leaf"].encode()), leaf.Intent)
    assert checked.state == "delivered"


async def test_ask_tells_a_silence_as_a_failure(agent: Running, model: ScriptedModel) -> None:
    model.script = [block("", actions="IGNORE")]

    done = await teehee("ask", "say nothing", "--data", agent.folder)

    assert done.code == 4
    assert done.out == ""
    assert "Wren read this and chose not to answer." in done.err


# -- the web page and the API


async def test_the_page_works_without_script(agent: Running) -> None:
    async with httpx.AsyncClient(base_url=agent.url, follow_redirects=True, timeout=30) as browser:
        page = await browser.get("/")
        (number,) = re.findall(r'name="id" value="([^"]+)"', page.text)
        shown = await browser.post("/chat/wren", data={"id": number, "text": "good morning"})
        (told,) = re.findall(r'href="(/chat/wren/receipts/[^"]+)"', shown.text)
        (link,) = re.findall(r'href="(/api/receipts/[^"]+)"', (await browser.get(told)).text)
        found = (await browser.get(link)).json()

    assert page.url.path == "/chat/wren"
    assert [answer.status_code for answer in shown.history] == [303]
    assert re.findall(r'<li class="(you|agent)"[^>]*><p>([^<]*)</p>', shown.text) == [
        ("you", "good morning"),
        ("agent", "heard: good morning"),
    ]
    assert receipt.verify(found).effect == link.rsplit("/", 1)[1]


async def test_the_api_takes_a_message_and_gives_reply_and_receipt(agent: Running) -> None:
    async with httpx.AsyncClient(base_url=agent.url, timeout=30) as client:
        posted = await client.post("/api/chat/wren/messages", json={"text": "over the wire", "id": "1"})
        pulled = await client.get("/api/chat/wren/messages", params={"after": 0, "wait": 20})
        (message,) = pulled.json()["messages"]
        found = (await client.get(f"/api/receipts/{message['id']}")).json()

    assert posted.status_code == 202
    assert message["text"] == "heard: over the wire"
    checked = receipt.verify(found, text=message["text"], salt=message["receipt"]["salt"])
    assert checked.intent_index == message["receipt"]["leaf"]


async def test_a_message_posted_twice_is_answered_once(
    agent: Running, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    person = WebPerson(http, agent.url, "wren")

    told = await asyncio.gather(*(person.say("said twice", id="same", wait=20) for _ in range(2)))
    told.append(await person.say("said twice", id="same", wait=20))

    assert {message["id"] for answer in told for message in answer["messages"]} == person.shown.keys()
    assert list(person.shown.values()) == ["heard: said twice"]
    assert [heard(asked) for asked in model.requests].count("said twice") == 1


async def test_ten_people_in_one_room_are_each_answered_in_order_of_acceptance(
    agent: Running, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    model.forget()
    crowd = [WebPerson(http, agent.url, "wren", room="lobby") for _ in range(CROWD)]

    told = await asyncio.gather(
        *(p.say(f"I am number {n}", id="1", wait=20, name=f"P{n}") for n, p in enumerate(crowd))
    )
    everything = await crowd[0].hear(CROWD)

    answers = [answer["messages"][0]["text"] for answer in told]
    assert answers == [f"heard: I am number {n}" for n in range(CROWD)]
    accepted = [f"heard: I am number {n}" for n in accepted_in_room(agent, "room:lobby")]
    assert sorted(accepted) == sorted(answers)
    assert everything == accepted
    assert [f"heard: {heard(asked)}" for asked in model.requests] == accepted


async def test_a_shared_room_tells_the_model_who_speaks(
    agent: Running, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    ann, bob = (WebPerson(http, agent.url, "wren", room="cafe") for _ in range(2))
    await ann.say("tea please", id="1", name="Ann", wait=20)

    await bob.say("coffee please", id="1", name="Bob", wait=20)

    prompt = model.requests[-1]["messages"][-1]["content"]
    assert "# Conversation Messages\nAnn: tea please\nWren: heard: tea please\n" in prompt
    assert prompt.endswith("# Received Message\nBob: coffee please")


# -- order, memory, prompts


async def test_rooms_are_answered_side_by_side_and_each_in_order(tmp_path: Path) -> None:
    together = asyncio.Barrier(CROWD)
    inside: set[str] = set()
    order: dict[str, list[str]] = {}

    async def speak(request: Json) -> Script:
        """Answers a first message only when every room is asking at once."""
        room, _, number = heard(request).partition(" ")
        assert room not in inside, "two turns of one room at once"
        inside.add(room)
        order.setdefault(room, []).append(number)
        if number == "0":
            await together.wait()
        inside.discard(room)
        return block(f"{room} {number}")

    async with ScriptedModel(speak=speak) as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        people = [TerminalPerson(agent.door, room=f"room-{n}") for n in range(CROWD)]
        for number in range(3):
            for person in people:
                await person.say(f"{person.place['room']} {number}", id=str(number))
        for person in people:
            await person.hear(3)

        assert together.n_waiting == 0
        assert order == {person.place["room"]: ["0", "1", "2"] for person in people}


async def test_the_next_prompt_holds_the_last_reply_at_once(agent: Running, model: ScriptedModel) -> None:
    person = TerminalPerson(agent.door, room="at-once")
    await person.say("first", id="1", wait=20)

    await person.say("second", id="2", wait=20)

    prompt = model.requests[-1]["messages"][-1]["content"]
    assert "# Conversation Messages\nyou: first\nWren: heard: first\n" in prompt
    assert prompt.endswith("# Received Message\nyou: second")


async def test_a_message_that_waits_its_turn_is_not_yet_part_of_the_past(agent: Running, model: ScriptedModel) -> None:
    person = TerminalPerson(agent.door, room="queue")
    model.forget()

    await asyncio.gather(*(person.say(f"line {n}", id=str(n)) for n in range(5)))
    await person.hear(5)

    for past, asked in enumerate(model.requests):
        content = asked["messages"][-1]["content"]
        assert content.count("you: line") == past + 1
        assert content.count("Wren: heard: line") == past


async def test_each_message_costs_one_model_call(agent: Running, model: ScriptedModel) -> None:
    person = TerminalPerson(agent.door, room="thrift")
    model.forget()

    for number in range(20):
        await person.say(f"message {number}", id=str(number), wait=20)

    assert [heard(asked) for asked in model.requests] == [f"message {number}" for number in range(20)]


async def test_prompts_are_short_and_begin_the_same_from_turn_to_turn(tmp_path: Path) -> None:
    names = list(built_in())
    async with ScriptedModel() as model, running(tmp_path, names, model_url=model.url) as agent:
        for name in names:
            person = TerminalPerson(agent.door, agent=name)
            for number in range(4):
                await person.say(f"{name}, tell me more about part {number}", id=str(number), wait=20)

    for name in names:
        prompts = [flat(asked) for asked in model.requests if heard(asked).startswith(f"{name},")]
        assert len(prompts) == 4
        assert max(map(len, prompts)) <= LONGEST_PROMPT
        for one, next_one in pairwise(prompts):
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, next_one, strict=False)))
            assert shared >= 0.6 * len(next_one), f"{name}: {shared} of {len(next_one)} characters"


async def test_a_talk_goes_on_after_a_restart(tmp_path: Path) -> None:
    token = secrets.token_urlsafe(32)
    async with ScriptedModel() as model:
        for number in range(2):
            async with (
                running(tmp_path, ["wren"], model_url=model.url) as agent,
                aiohttp.ClientSession() as http,
            ):
                await WebPerson(http, agent.url, "wren", token=token).say(f"day {number}", id=str(number), wait=20)
                headers = {"authorization": f"Bearer {token}"}
                async with http.get(f"{agent.url}/chat/wren", headers=headers) as answer:
                    page = await answer.text()

    assert re.findall(r"<p>((?:heard: )?day \d)</p>", page) == ["day 0", "heard: day 0", "day 1", "heard: day 1"]
    assert "someone: day 0\nWren: heard: day 0\n" in flat(model.requests[-1])


# -- other commands


@pytest.mark.parametrize("up", [True, False], ids=["running", "stopped"])
async def test_log_verifies_every_receipt(tmp_path: Path, up: bool) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        await agent.say("for the log", id="1")
        done = await teehee("log", "--json", "--data", tmp_path) if up else None
    done = done or await teehee("log", "--json", "--data", tmp_path)

    (told,) = done.json
    assert told["verified"] is True
    assert [entry["type"] for entry in told["leaves"]] == ["genesis", "intent", "outcome"]
    assert told["leaves"][2]["state"] == "delivered"


async def test_log_in_words_is_one_line_a_leaf(agent: Running) -> None:
    await agent.say("in words", id="log-words", room="log-words")

    done = await teehee("log", "--limit", "2", "--data", agent.folder)

    head, intent, outcome = done.out.splitlines()
    assert "tree verified, signature holds" in head
    assert "terminal.reply" in intent
    assert "delivered" in outcome


async def test_an_agent_is_stopped_and_resumed_by_its_owner(tmp_path: Path) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        stopped = await teehee("stop", "--data", tmp_path)
        silent = await agent.say("are you there?", id="1")
        again = await teehee("stop", "--data", tmp_path)
        resumed = await teehee("resume", "--data", tmp_path)
        spoken = await agent.say("and now?", id="2")
        kinds = [entry.type for entry in await agent.leaves()]

    assert (stopped.out, again.out, resumed.out) == (
        "stopped: Wren\n",
        "nothing to do: already stopped\n",
        "resumed: Wren\n",
    )
    assert (silent["state"], silent["messages"]) == ("stopped", [])
    assert spoken["messages"][0]["text"] == "heard: and now?"
    assert kinds == ["genesis", "stop", "resume", "intent", "outcome"]


async def test_an_owners_stop_outlives_a_restart(tmp_path: Path) -> None:
    async with ScriptedModel() as model:
        async with running(tmp_path, ["wren"], model_url=model.url):
            await teehee("stop", "--data", tmp_path)
        async with running(tmp_path, ["wren"], model_url=model.url) as agent:
            told = await agent.say("are you there?", id="1")

    assert told["state"] == "stopped"


async def test_config_shows_each_setting_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    environment = {"TEEHEE_MODEL_KEY": "sk-hidden-from-view", "TEEHEE_MODEL": "tiny", "TEEHEE_DATA": str(tmp_path)}

    done = await teehee("config", "--json", "--port", "8123", environment=environment)

    told = {row["setting"]: (row["value"], row["from"]) for row in done.json}
    assert told["model"] == ("tiny", "environment TEEHEE_MODEL")
    assert told["port"] == ("8123", "option")
    assert told["temperature"] == ("0.7", "default")
    assert told["model_key"] == ("set (in the vault)", "environment TEEHEE_MODEL_KEY")
    assert "hidden" not in done.out + done.err


async def test_doctor_finds_nothing_to_mend_on_a_good_machine(tmp_path: Path) -> None:
    done = await teehee("doctor", "--json", "--data", tmp_path)

    assert done.code == 0, done.out
    assert {finding["about"] for finding in done.json} >= {
        "environment",
        "trust",
        "data folder",
        "disk",
        "model",
        "clock",
    }
    assert not [finding for finding in done.json if finding["mark"] == "bad"]


async def test_doctor_says_what_to_mend_and_fails(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()

    away = await teehee(
        "doctor", "--json", "--data", tmp_path / "data", "--model-url", f"http://127.0.0.1:{free_port()}/v1"
    )
    unwritable = await teehee("doctor", "--json", "--data", blocked / "data")

    for done, about in ((away, "model"), (unwritable, "data folder")):
        (bad,) = [finding for finding in done.json if finding["mark"] == "bad"]
        assert done.code == 2
        assert bad["about"] == about
        assert bad["fix"]


async def test_two_characters_in_one_run_answer_in_their_own_voices(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren", "snib"]):
        told = {
            name: await teehee("ask", "who are you?", "--agent", name, "--data", tmp_path) for name in ("wren", "snib")
        }
        unclear = await teehee("ask", "who are you?", "--data", tmp_path)

    assert told["wren"].out != told["snib"].out
    assert all(done.code == 0 and done.out.strip() for done in told.values())
    assert unclear.code == 2
    assert "several agents run here" in unclear.err
    assert "wren, snib" in unclear.err


async def test_two_characters_of_one_name_are_two_agents(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.json" for number in range(2)]
    for file in files:
        file.write_text(json.dumps({"name": "Ada", "bio": ["The one and only."]}))

    async with running(tmp_path / "data", [str(file) for file in files]) as agent:
        faces = await agent.door.call("agents")

    assert [face["slug"] for face in faces] == ["ada", "ada-2"]
    assert len({face["agent"] for face in faces}) == 2


# -- teehee run and chat


async def test_run_without_a_terminal_serves_and_ends_cleanly(tmp_path: Path, model: ScriptedModel) -> None:
    arguments = ("run", "wren", "--data", tmp_path, "--model-url", model.url)
    async with started(*arguments) as process, httpx.AsyncClient(timeout=30) as client:
        url = await printed_url(process)
        answer = await client.post(f"{url}/api/chat/wren/messages", json={"text": "hi", "id": "1", "wait": 20})
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 20)

    assert answer.json()["messages"][0]["text"] == "heard: hi"
    assert process.returncode == 0, errors
    assert time.monotonic() - began < 8
    assert not DataFolder(tmp_path).is_running
    for name in ("vault.db", "mind.db"):
        with sqlite3.connect(tmp_path / name) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


async def test_an_interrupted_turn_is_finished_by_the_next_run(tmp_path: Path) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def hang(request: Json) -> Script:
        asked.set()
        await never.wait()
        return block("too late")

    async with ScriptedModel(speak=hang) as slow:
        async with started("run", "wren", "--data", tmp_path, "--model-url", slow.url) as process:
            url = await printed_url(process)
            async with httpx.AsyncClient(timeout=30) as client:
                await client.post(f"{url}/api/chat/wren/messages", json={"text": "wait for me", "id": "1", "room": "r"})
                await asyncio.wait_for(asked.wait(), 20)
                process.send_signal(signal.SIGINT)
                _, errors = await asyncio.wait_for(process.communicate(), 20)
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        async with aiohttp.ClientSession() as http:
            answers = await WebPerson(http, agent.url, "wren", room="r").hear(1)

    assert process.returncode == 0, errors
    assert answers == ["heard: wait for me"]


async def test_a_talk_in_a_real_terminal(tmp_path: Path, model: ScriptedModel) -> None:
    screen, keyboard = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *command_line("run", "wren", "--data", tmp_path, "--model-url", model.url),
        stdin=keyboard, stdout=keyboard, stderr=keyboard, start_new_session=True,
    )  # fmt: skip
    os.close(keyboard)
    shown = b""

    async def until_shown(text: str) -> None:
        nonlocal shown
        async with asyncio.timeout(20):
            while text.encode() not in shown:
                shown += await asyncio.to_thread(os.read, screen, 4096)
        shown = shown.partition(text.encode())[2]

    await until_shown("you › ")
    os.write(screen, b"good evening\n")
    await until_shown("Wren › heard: good evening")
    os.write(screen, b"/receipt\n")
    await until_shown("✓ effect")
    os.write(screen, b"/quit\n")
    await until_shown("stopping")
    code = await asyncio.wait_for(process.wait(), 20)
    os.close(screen)

    assert code == 0


@pytest.mark.parametrize("source", ["pipe", "file", "nothing"])
async def test_chat_reads_what_it_is_given_and_ends(agent: Running, tmp_path: Path, source: str) -> None:
    said = "" if source == "nothing" else "one for the chat\nand another"
    (tmp_path / "lines").write_text(said)
    with (tmp_path / "lines").open() as file:
        process = await asyncio.create_subprocess_exec(
            *command_line("chat", "--data", agent.folder),
            stdin=PIPE if source == "pipe" else file,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(said.encode() if source == "pipe" else None), 30)

    expected = "" if source == "nothing" else "Wren › heard: one for the chat\nWren › heard: and another\n"
    assert (process.returncode, errors.decode()) == (0, "")
    assert out.decode().rstrip("\n") == expected.rstrip("\n")


# -- bad input: one sentence, a way out, an exit code


async def test_a_second_run_in_a_folder_is_told_who_holds_it(agent: Running) -> None:
    done = await teehee("run", "--data", agent.folder)

    assert_refused(done, f"in use by process {os.getpid()}")


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = await teehee("run", "--data", tmp_path, "--port", port)

    assert_refused(done, f"cannot listen on 127.0.0.1:{port}: Address already in use")
    assert "--port" in done.err


async def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = await teehee("run", "--data", tmp_path / "file" / "data")

    assert_refused(done, f"the data folder '{tmp_path}/file/data' cannot be written: Not a directory")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "does not exist", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"{'name': 'Ada'", "is not JSON", id="no end"),
        pytest.param(b"\xff\xfe{}", "is not UTF-8", id="not UTF-8"),
        pytest.param(b'{"bio": "nobody"}', "$.name is missing", id="nameless"),
        pytest.param(b'{"name": "' + b"x" * (5 << 20) + b'"}', "is larger than 4 MB", id="huge"),
        pytest.param(b'{"name": "Ada", "settings": {"MODEL_TEMPERATURE": "hot"}}', "temperature", id="a bad setting"),
        pytest.param(b'{"name": "Ada", "plugins": ["absent!"]}', "'absent'", id="a plugin that must be there"),
    ],
)
async def test_a_character_that_cannot_run_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "ada.json"
    if content is not None:
        file.write_bytes(content)

    done = await teehee("ask", "hi", "--character", file, "--data", tmp_path / "data")

    assert_refused(done, sentence)


async def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path) -> None:
    done = await teehee("run", "wrenn", "--data", tmp_path)

    assert_refused(done, "no character 'wrenn': neither a file nor one of moss, snib, wren")


async def test_a_log_of_nobody_is_told_so(tmp_path: Path) -> None:
    done = await teehee("log", "--data", tmp_path)

    assert_refused(done, "no agent has run in this data folder yet")


async def test_a_stop_where_nothing_runs_is_told_so(tmp_path: Path) -> None:
    done = await teehee("stop", "--data", tmp_path)

    assert_refused(done, "no agent runs in this data folder")


async def test_all_bad_settings_are_named_at_once() -> None:
    done = await teehee("config", environment={"TEEHEE_PORT": "many", "TEEHEE_MODEL_URL": "ftp://x"})

    assert_refused(done, "port (environment TEEHEE_PORT)")
    assert "model_url (environment TEEHEE_MODEL_URL)" in done.err


# -- help


async def test_help_lists_the_commands_with_a_sentence_each() -> None:
    done = await teehee("--help")

    listed = dict(re.findall(r"^  (\w+) {2,}(\S.*)$", done.out.partition("Commands:")[2], re.MULTILINE))
    assert list(listed) == list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    assert all(re.search(r"[^.]\.$", sentence) for sentence in listed.values()), "whole, not cut short"


COMMANDS = ["run", "chat", "ask", "new", "log", "stop", "resume", "owner", "verify", "bundle", "trace", "replay"]
COMMANDS += ["costs", "accounts", "backup", "restore", "config", "doctor", "plugins", "simulator", "serve", "health"]
COMMANDS += ["character check", "character explain", "character convert", "character diff"]
COMMANDS += ["model list", "model install", "model test", "secrets set", "secrets list"]


ALONE = ("simulator", "serve", "health")  # what the environment says does not count there
SETTINGS = ("--data", "--host", "--port", "--model-url", "--model", "--plugin-path", "--log-level")


@pytest.mark.parametrize("name", COMMANDS)
async def test_the_help_of_a_command_tells_each_options_default(name: str) -> None:
    done = await teehee(*name.split(), "--help", environment={"COLUMNS": "200"})

    options = re.split(r"^  (?=-)", done.out.partition("Options:")[2], flags=re.MULTILINE)[1:]
    assert done.code == 0
    assert len(options) >= 2
    for option in map(" ".join, map(str.split, options)):
        flag = option.split()[0]
        assert flag == "-h," or "default: " in option or "[required]" in option, option
        if name not in ALONE and flag in SETTINGS:
            assert f"[env: TEEHEE_{flag[2:].replace('-', '_').upper()}; default: " in option


# -- helpers


def assert_refused(done: Any, sentence: str) -> None:
    """One sentence and what to do, exit code 2, no traceback, nothing on standard output."""
    lines = done.err.splitlines()
    assert done.code == 2, done.err
    assert sentence in lines[0]
    assert lines[0].startswith("teehee: ")
    assert [line for line in lines[1:] if not line.startswith("  what to do: ")] == []
    assert done.out == ""


async def printed_url(process: asyncio.subprocess.Process) -> str:
    """The address `teehee run` prints once it serves."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := (await process.stdout.readline()).decode():
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return found[0]
    raise AssertionError("teehee run ended without an address")


def flat(asked: Json) -> str:
    """All of a prompt, as one text."""
    return "\n".join(message["content"] for message in asked["messages"])


def accepted_in_room(agent: Running, room: str) -> list[str]:
    """The last word of each message in a room, in the order the mind accepted them."""
    with sqlite3.connect(f"file:{agent.folder}/mind.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT body FROM inbox ORDER BY seq").fetchall()
    db.close()
    events = [json.loads(body) for (body,) in rows]
    return [event["text"].rsplit(" ", 1)[1] for event in events if event["room"] == room]
