"""The access token: asked for where the page is bound wider than loopback, never for what proves."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from teehee.settings import resolve, shown
from teehee.supervisor import plan as plans
from teehee.testing import Running, running
from teehee.testing.command_line import started
from teehee.testing.processes import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
PAGE, API = "/chat/wren", "/api/chat/wren/messages"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Wren, bound to every address of this machine."""
    async with running(tmp_path_factory.mktemp("access"), ["wren"], host="0.0.0.0") as up:
        yield up


@pytest.fixture
def token(agent: Running) -> str:
    return agent.supervisor.plan.access_token


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(agent: Running) -> AsyncIterator[httpx.AsyncClient]:
    address = agent.url.replace("0.0.0.0", "127.0.0.1")
    async with httpx.AsyncClient(base_url=address, timeout=30) as http:
        yield http


@pytest.mark.parametrize("path", ["/", PAGE, f"{PAGE}/forget", "/chat/wren/receipts/x", "/nowhere"])
async def test_a_page_asks_for_the_token(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path)

    assert answer.status_code == 401
    assert 'name="token" type="password"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("method", "path"), [("GET", API), ("POST", API), ("POST", "/api/chat/wren/forget")])
async def test_a_program_is_told_what_is_missing(stranger: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await stranger.request(method, path, json={})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "token-missing"


async def test_a_post_without_the_token_says_nothing(stranger: httpx.AsyncClient, agent: Running) -> None:
    before = len(await agent.leaves())

    answer = await stranger.post(PAGE, data={"id": "1", "text": "let me in"})

    assert answer.status_code == 401
    assert len(await agent.leaves()) == before


@pytest.mark.parametrize("path", ["/healthz", "/bundle.json", f"{PAGE}/bundle.json", f"{PAGE}/verify", "/api/agents"])
async def test_proofs_and_health_are_for_everyone(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/chat/wren/x/verify", "//healthz/../chat/wren", "/static/../chat/wren", "/chat/wren/verify/", "/healthz/x"],
)
async def test_a_path_that_only_looks_public_is_not(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(httpx.URL(str(stranger.base_url), raw_path=path.encode()))

    assert answer.status_code in (401, 404)
    assert "<textarea" not in answer.text


async def test_the_address_with_the_token_lets_in_and_keeps_it_in_a_cookie(
    stranger: httpx.AsyncClient, token: str
) -> None:
    welcome = await stranger.get(f"/?token={token}")
    page = await stranger.get(PAGE)

    assert welcome.status_code == 303
    assert welcome.headers["location"] == "/"
    cookie = welcome.headers["set-cookie"]
    assert re.fullmatch(rf"teehee_access={token}; Path=/; Max-Age=\d+; HttpOnly; SameSite=Lax", cookie)
    assert page.status_code == 200
    assert token not in page.text


async def test_the_form_lets_in_too(stranger: httpx.AsyncClient, token: str) -> None:
    wrong = await stranger.post("/access", data={"token": "guess"})
    right = await stranger.post("/access", data={"token": f" {token} "})

    assert (wrong.status_code, right.status_code) == (401, 303)
    assert "That is not the token" in wrong.text
    assert (await stranger.get(PAGE)).status_code == 200


@pytest.mark.parametrize("where", ["//evil.example/x", "/\\evil.example", "/chat/wren"])
async def test_the_way_on_stays_on_this_site(stranger: httpx.AsyncClient, token: str, where: str) -> None:
    url = httpx.URL(str(stranger.base_url), raw_path=f"{where}?token={token}&a=1".encode())

    welcome = await stranger.get(url)

    assert re.match(r"/[^/\\]", welcome.headers["location"])
    assert token not in welcome.headers["location"]


async def test_a_program_shows_it_as_a_bearer_and_is_still_somebody_of_its_own(
    stranger: httpx.AsyncClient, agent: Running, token: str
) -> None:
    headers = {"authorization": f"Bearer {token}"}
    told = []
    for name in ("one", "two"):
        stranger.cookies.clear()
        answer = await stranger.post(API, json={"text": f"I am {name}", "id": "1", "wait": 20}, headers=headers)
        told.append(answer.json())
    session = {"cookie": f"teehee_session={told[0]['session']}"}
    pulled = (await stranger.get(API, headers=headers | session)).json()["messages"]

    assert told[0]["session"] != told[1]["session"]
    assert [message["id"] for message in pulled] == [message["id"] for message in told[0]["messages"]]


@pytest.mark.parametrize("given", ["0", "x", "é" * 20, "A" * 43, "teehee_access"])
async def test_another_token_does_not_let_in(stranger: httpx.AsyncClient, given: str) -> None:
    quoted = httpx.QueryParams({"token": given})
    answers = [
        await stranger.get(f"{PAGE}?{quoted}"),
        await stranger.get(API, headers={b"authorization": f"Bearer {given}".encode()}),
        await stranger.get(API, headers={b"cookie": f"teehee_access={given}".encode()}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


async def test_no_other_site_can_post_a_token(stranger: httpx.AsyncClient, token: str) -> None:
    answer = await stranger.post("/access", data={"token": token}, headers={"origin": "https://evil.example"})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_token_form_of_any_size_is_refused(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/access", content=b"token=" + b"x" * (1 << 20))

    assert answer.status_code == 401


async def test_run_prints_the_address_with_the_token(tmp_path: Path) -> None:
    port = free_port()
    async with started("run", "wren", "--host", "0.0.0.0", "--port", port, "--data", tmp_path) as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            printed = ""
            while "trust:" not in printed:
                printed += (await process.stdout.readline()).decode()
        (token,) = re.findall(r"/\?token=([\w-]{43}) ", printed)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as http:
            without, within = await http.get(PAGE), await http.get(f"{PAGE}?token={token}")
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()

    assert (without.status_code, within.status_code) == (401, 200)
    assert token not in errors.decode()
    assert not files_with(tmp_path, token)


def files_with(folder: Path, word: str) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "192.0.2.7"}, True),
        ({"host": "0.0.0.0", "access_token": "open"}, False),
        ({"access_token": "my-own-token-of-mine"}, True),
    ],
    ids=str,
)
async def test_loopback_asks_for_nothing_and_all_else_does(tmp_path: Path, options: Json, asked: bool) -> None:
    plan = plans.make([], {"data": str(tmp_path), **options})

    assert bool(plan.access_token) is asked
    assert plan.access_token not in repr(plan) or not asked


async def test_a_token_that_no_cookie_can_hold_is_refused() -> None:
    with pytest.raises(Exception, match="16 to 128 letters"):
        resolve({"access_token": "short; Path=/"}, environ={})


async def test_config_shows_that_it_is_set_and_not_what_it_is() -> None:
    settings = resolve({"access_token": "my-own-token-of-mine"}, environ={}).settings

    assert shown("access_token", settings.access_token) == "set"
