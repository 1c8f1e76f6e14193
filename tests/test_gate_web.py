"""The web door: only its own pages write, nobody reads over another's shoulder, and words stay words."""

import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from teehee.testing import Running, ScriptedModel, running
from teehee.testing.scripted_model import Script, block, heard
from teehee.wire import notices

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
SCRIPT = "<script>alert(1)</script>"
EVIL = {"name": '<i>Eve</i> & "Co"', "bio": [f"{SCRIPT} says hi"]}
API, PAGE = "/api/chat/wren/messages", "/chat/wren"


def speak(request: Json) -> Script:
    said = heard(request)
    if said == "be silent":
        return block("", actions="IGNORE")
    if said == "speak markup":
        return block("a &lt;b onclick=x&gt;bold&lt;/b&gt; &amp; word")
    return block(f"heard: {len(said)}") if "<" in said else block(f"heard: {said}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "eve.json").write_text(json.dumps(EVIL))
    names = ["wren", str(folder / "eve.json")]
    async with (
        ScriptedModel(speak=speak) as model,
        running(folder / "data", names, model_url=model.url, replies_per_minute=1000) as up,
    ):
        yield up


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(agent: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without script: it keeps cookies and follows redirects."""
    async with httpx.AsyncClient(base_url=agent.url, follow_redirects=True, timeout=30) as http:
        yield http


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(agent: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=agent.url, timeout=30) as http:
        yield http


async def say(http: httpx.AsyncClient, text: str, **more: Json) -> httpx.Response:
    return await http.post(API, json={"text": text, "id": secrets.token_hex(8), "wait": 20, **more})


async def submit(http: httpx.AsyncClient, text: str) -> httpx.Response:
    """Fills in the page's form and sends it."""
    page = await http.get(PAGE)
    (number,) = re.findall(r'name="id" value="([^"]+)"', page.text)
    return await http.post(PAGE, data={"id": number, "text": text})


def resident_kilobytes(status: Path) -> int:
    (found,) = re.findall(r"VmRSS:\s+(\d+) kB", status.read_text())
    return int(found)


# -- who may knock


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:7337", "127.0.0.1:1"])
async def test_a_name_of_this_machine_is_served(visitor: httpx.AsyncClient, host: str) -> None:
    assert (await visitor.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7337", "", "::1"])
async def test_a_strangers_name_for_this_machine_is_refused(visitor: httpx.AsyncClient, host: str) -> None:
    answer = await visitor.get("/healthz", headers={"host": host})

    assert answer.status_code == 403
    assert "own address" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=lambda headers: " ".join(*headers.items()),
)
@pytest.mark.parametrize("path", [API, PAGE])
async def test_another_site_may_not_write(visitor: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    answer = await visitor.post(path, json={"text": "hi", "id": "cross"}, headers=headers)

    assert answer.status_code == 403
    assert "Another site" in answer.text


async def test_the_page_itself_may_write(visitor: httpx.AsyncClient, agent: Running) -> None:
    headers = {"origin": agent.url, "sec-fetch-site": "same-origin"}

    answer = await visitor.post(API, json={"text": "hi", "id": "own", "wait": 20}, headers=headers)

    assert answer.status_code == 200


async def test_no_other_site_may_read_an_answer(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/api/agents", headers={"origin": "https://evil.example"})

    assert not [name for name in answer.headers if name.startswith("access-control-")]


FORGET = ["/api/chat/wren/forget", "/chat/wren/forget"]


@pytest.mark.parametrize("path", FORGET)
@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}], ids=str)
async def test_another_site_can_have_nobody_forgotten(
    visitor: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    await submit(visitor, "remember this")

    answer = await visitor.post(path, headers=headers)

    assert answer.status_code == 403
    assert "remember this" in (await visitor.get(PAGE)).text


@pytest.mark.parametrize("path", FORGET)
async def test_looking_at_the_way_to_be_forgotten_forgets_nothing(visitor: httpx.AsyncClient, path: str) -> None:
    await submit(visitor, "remember this")

    await visitor.get(path)

    assert "remember this" in (await visitor.get(PAGE)).text


async def test_a_visitor_can_have_no_other_forgotten(visitor: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    await submit(visitor, "remember this")
    await say(stranger, "forget me")

    given = (await stranger.post(FORGET[0], json={"principal": "web:0", "agent": "wren"})).json()

    assert given["receipt"]["effects"] == 1
    assert "remember this" in (await visitor.get(PAGE)).text


async def test_reasons_are_for_whom_the_answer_was_written_to(
    visitor: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    told = (await say(visitor, "just for me")).json()
    effect = told["messages"][0]["id"]
    await stranger.get(PAGE)

    own, other = await visitor.get(f"/chat/wren/why/{effect}"), await stranger.get(f"/chat/wren/why/{effect}")
    receipt = await stranger.get(f"/chat/wren/receipts/{effect}")

    assert (own.status_code, other.status_code, receipt.status_code) == (200, 400, 200)
    assert "What it was told" in own.text
    assert "just for me" not in other.text + receipt.text


@pytest.mark.parametrize("name", ["why", "receipts"])
async def test_a_page_about_no_reply_is_refused_in_words(visitor: httpx.AsyncClient, name: str) -> None:
    answer = await visitor.get(f"/chat/wren/{name}/{SCRIPT}")

    assert answer.status_code in (400, 404)
    assert SCRIPT not in answer.text


# -- words stay words


async def test_markup_in_a_message_is_shown_and_not_run(visitor: httpx.AsyncClient) -> None:
    page = await submit(visitor, f"{SCRIPT} <img src=x onerror=alert(2)> \"'&")

    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(2)&gt; &quot;&#x27;&amp;" in page.text
    assert "<script>alert" not in page.text
    assert "<img" not in page.text


async def test_markup_in_an_answer_is_shown_and_not_run(visitor: httpx.AsyncClient) -> None:
    page = await submit(visitor, "speak markup")

    assert "a &lt;b onclick=x&gt;bold&lt;/b&gt; &amp; word" in page.text
    assert "<b" not in page.text.replace("<body", "").replace("<button", "")


@pytest.mark.parametrize("path", ["/", "/chat/i-eve-i-co"])
async def test_markup_in_a_characters_name_is_shown_and_not_run(visitor: httpx.AsyncClient, path: str) -> None:
    page = await visitor.get(path)

    assert "&lt;i&gt;Eve&lt;/i&gt; &amp; &quot;Co&quot;" in page.text
    assert "<i>" not in page.text
    assert SCRIPT not in page.text


async def test_a_page_allows_no_script_but_ours(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get(PAGE)

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert not re.search(r"<script>|\son\w+=|javascript:|style=", page.text)


async def test_every_json_answer_is_marked_as_json(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post(API, json={"text": SCRIPT, "id": ""})

    assert answer.headers["content-type"] == "application/json"


# -- malformed requests


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(b"", "JSON", id="nothing"),
        pytest.param(b"{", "JSON", id="half an object"),
        pytest.param(b"\xff\xfe", "JSON", id="not UTF-8"),
        pytest.param(b"[" * 50_000, "JSON", id="a thousand lists deep"),
        pytest.param(b'{"text":"hi","id":"1","after":' + b"9" * 5_000 + b"}", "JSON", id="an endless number"),
        pytest.param(b"[]", "object", id="a list"),
        pytest.param(b'{"text":"hi"}', "'id'", id="no id"),
        pytest.param(b'{"id":"1"}', "'text'", id="no text"),
        pytest.param(b'{"text":"hi","id":"1","role":"owner"}', "'role'", id="an unknown key"),
        pytest.param(b'{"text":7,"id":"1"}', "body.text", id="text is a number"),
        pytest.param(b'{"text":"hi","id":1}', "body.id", id="id is a number"),
        pytest.param(b'{"text":"hi","id":"1","wait":"long"}', "body.wait", id="wait is a word"),
        pytest.param(b'{"text":"hi","id":"1","wait":"soon"}', "body.wait", id="wait is a word"),
        pytest.param(b'{"text":"hi","id":"1","room":null}', "body.room", id="room is null"),
        pytest.param(b'{"text":"\\ud800","id":"1"}', "surrogate", id="half a character"),
        pytest.param(b'{"text":"  \\n ","id":"1"}', "text", id="nothing said"),
        pytest.param(b'{"text":"hi","id":""}', "id", id="an empty id"),
        pytest.param(b'{"text":"hi","id":"%s"}' % (b"x" * 129), "id", id="a long id"),
        pytest.param(b'{"text":"%s","id":"1"}' % (b"x" * 4_001), "4001", id="a long text"),
        pytest.param(b'{"text":"hi","id":"1","room":"Lobby"}', "room", id="a room in capitals"),
        pytest.param(b'{"text":"hi","id":"1","room":"../main"}', "room", id="a room with dots"),
        pytest.param(b'{"text":"hi","id":"1","room":"dm:web:0"}', "room", id="somebody's private room"),
        pytest.param(b'{"text":"hi","id":"1","name":"%s"}' % (b"x" * 65_536), "bytes", id="a body of 64 kB"),
    ],
)
async def test_a_malformed_post_is_refused_in_words(visitor: httpx.AsyncClient, content: bytes, named: str) -> None:
    answer = await visitor.post(API, content=content)

    assert answer.status_code in (400, 413)
    assert named in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", [API, PAGE])
async def test_a_body_without_end_is_refused_and_not_kept(
    visitor: httpx.AsyncClient, agent: Running, path: str
) -> None:
    gate = Path(f"/proc/{agent.supervisor.gate.pid}/status")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(512):
            yield bytes(1 << 16)

    before = resident_kilobytes(gate)
    answer = await visitor.post(path, content=endless())

    assert answer.status_code in (400, 413)
    assert resident_kilobytes(gate) - before < 16 << 10


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1.5", "after=٣", "wait=1e9", "room=A%20B", "after=" + "9" * 16]
)
async def test_a_malformed_pull_is_refused_in_words(visitor: httpx.AsyncClient, query: str) -> None:
    answer = await visitor.get(f"{API}?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(query.partition("=")[0])


@pytest.mark.parametrize("path", ["/chat/nobody", "/api/chat/nobody/messages", "/api/receipts/x", "/static/nothing"])
async def test_what_is_not_here_is_told_so(visitor: httpx.AsyncClient, path: str) -> None:
    assert (await visitor.get(path)).status_code in (400, 404)


@pytest.mark.parametrize(
    "path", ["/static/..%2fpage.py", "/static/../page.py", "/static/%2e%2e/page.py", "/static/chat.js%00"]
)
async def test_static_files_are_our_two_and_no_others(visitor: httpx.AsyncClient, path: str) -> None:
    answer = await visitor.get(httpx.URL(str(visitor.base_url), raw_path=path.encode()))

    assert answer.status_code == 404


async def test_a_receipt_that_was_never_given_is_refused(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/api/receipts/00000000-0000-0000-0000-000000000000")

    assert answer.status_code in (403, 404)
    assert "never committed" in answer.json()["error"]["message"] or "no effect" in answer.json()["error"]["message"]


# -- sessions


async def test_a_session_is_a_cookie_no_script_and_no_other_site_gets(stranger: httpx.AsyncClient) -> None:
    page = await stranger.get(PAGE)

    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert re.match(r"teehee_session=[A-Za-z0-9_-]{43};", cookie)


@pytest.mark.parametrize("token", ["x", "short", "x" * 44, "\xfc" * 43, "../" * 14 + "x"], ids=repr)
async def test_a_token_of_another_shape_opens_a_new_session(stranger: httpx.AsyncClient, token: str) -> None:
    answer = await stranger.get(API, headers={b"authorization": f"Bearer {token}".encode()})

    assert "teehee_session=" in answer.headers["set-cookie"]


async def test_a_visitor_cannot_read_anothers_room(visitor: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    await submit(visitor, "between us")

    pulled = await stranger.get(API)
    page = await stranger.get(PAGE)

    assert pulled.json() == {"messages": []}
    assert "between us" not in page.text


async def test_a_visitor_cannot_take_anothers_message_id(
    visitor: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    await stranger.post(API, json={"text": "mine first", "id": "wanted", "wait": 20})

    answer = await visitor.post(API, json={"text": "but mine too", "id": "wanted", "wait": 20})

    assert [message["text"] for message in answer.json()["messages"]] == ["heard: but mine too"]


async def test_one_id_in_two_rooms_is_two_messages(visitor: httpx.AsyncClient) -> None:
    rooms = {"": "at home", "attic": "upstairs"}

    answers = [await visitor.post(API, json={"text": t, "id": "both", "wait": 20, "room": r}) for r, t in rooms.items()]

    assert [answer.json()["messages"][0]["text"] for answer in answers] == ["heard: at home", "heard: upstairs"]


async def test_a_shared_room_is_read_by_everybody_in_it(
    visitor: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    await say(visitor, "for all", room="square")

    pulled = await stranger.get(f"{API}?room=square")

    assert [message["text"] for message in pulled.json()["messages"]] == ["heard: for all"]


async def test_a_receipt_tells_nothing_of_what_was_said(
    visitor: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    told = (await say(visitor, "a private matter")).json()

    receipt = await stranger.get(f"/api/receipts/{told['messages'][0]['id']}")

    assert receipt.status_code == 200
    assert "private" not in receipt.text
    assert "web:" not in receipt.text


# -- the cursor, the page, and turns without words


async def test_a_cursor_pulls_each_reply_once(visitor: httpx.AsyncClient) -> None:
    await say(visitor, "one")
    first = (await visitor.get(API)).json()["messages"]
    await say(visitor, "two")

    second = (await visitor.get(f"{API}?after={first[-1]['seq']}")).json()["messages"]

    assert [message["text"] for message in first] == ["heard: one"]
    assert [message["text"] for message in second] == ["heard: two"]


async def test_a_long_talk_is_shown_to_its_end(visitor: httpx.AsyncClient) -> None:
    await visitor.get(PAGE)
    for number in range(55):
        await say(visitor, f"line {number}")

    page = await visitor.get(PAGE)

    assert "<p>line 54</p>" in page.text
    assert "<p>heard: line 54</p>" in page.text


async def test_the_page_without_script_says_why_there_is_no_answer(visitor: httpx.AsyncClient) -> None:
    page = await submit(visitor, "be silent")

    assert notices.sentence("ignored", "Wren") in page.text


async def test_a_repeated_post_of_a_silent_turn_is_told_the_same(visitor: httpx.AsyncClient) -> None:
    post = {"text": "be silent", "id": "silent", "wait": 2}

    first = (await visitor.post(API, json=post)).json()
    again = (await visitor.post(API, json=post)).json()

    assert first["notice"] == notices.sentence("ignored", "Wren")
    assert again.get("notice") == first["notice"]


async def test_an_empty_form_is_answered_with_a_page(visitor: httpx.AsyncClient) -> None:
    answer = await submit(visitor, " ")

    assert answer.headers["content-type"].startswith("text/html")
