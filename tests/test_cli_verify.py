"""`teehee verify`: public evidence gets the verdict its README tells, and a running agent is checked by its address."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev_machine import Machine
from teehee.errors import ConfigError, TeeheeError
from teehee.supervisor import guest as guests
from teehee.supervisor import plan as plans
from teehee.tee.simulator import Simulator
from teehee.testing import running, teehee
from teehee.testing.command_line import Ended

Json = Any
TEE = Path(__file__).parent / "vectors" / "tee"
NEAR = TEE / "near-mpc"
NEAR_TIME = 1786618538


async def raw(quote: Path, *more: object, at: int = NEAR_TIME) -> tuple[Ended, Json]:
    done = await teehee("verify", "--quote", quote, "--at", at, "--json", *more)
    return done, json.loads(done.out)


def codes(verdict: Json) -> list[str]:
    return [reject["code"] for reject in verdict["rejects"]]


async def test_a_perfect_quote_of_a_leaking_app_is_told_as_such() -> None:
    done, verdict = await raw(
        NEAR / "quote.json", "--event-log", NEAR / "tcb_info.json", "--compose", NEAR / "app_compose.json",
        "--collateral", NEAR / "collateral.json",
    )  # fmt: skip

    assert (done.code, verdict["rung"], verdict["trust"]) == (5, 0, "tdx")
    assert codes(verdict) == ["C3", "O2"]
    assert {"docker-socket", "sidecar-reads-others"} <= {finding["code"] for finding in verdict["findings"]}
    assert verdict["facts"]["tcb"] == {"status": "UpToDate", "advisories": []}
    assert verdict["facts"]["rtmrs_replayed"] == [0, 1, 2, 3]
    assert (verdict["as_of"], verdict["holds_now"]) == (NEAR_TIME, False)


@pytest.mark.parametrize(
    ("quote", "more", "at", "expected"),
    [
        ("dcap-qvl/tdx_quote", ("--collateral", "dcap-qvl/tdx_quote_collateral.json"), 1750332747, []),
        ("dcap-qvl/tdx_quote", ("--collateral", "near-mpc/collateral.json"), NEAR_TIME, ["Q4"]),
        ("dcap-qvl/tdx_quote", ("--collateral", "dcap-qvl/tdx_quote_collateral.json"), NEAR_TIME, ["Q6"]),
        ("dcap-qvl/tdx_quote_outdated", ("--collateral", "near-mpc/collateral.json"), NEAR_TIME, ["Q3"]),
        ("dcap-qvl/sgx_quote", (), NEAR_TIME, ["Q2"]),
        (
            "dstack-simulator-head/attestation.bin",
            ("--compose", "dstack-simulator-head/app-compose.json", "--collateral", "near-mpc/collateral.json"),
            NEAR_TIME,
            ["C1", "O1"],
        ),
        (
            "dstack-simulator-0.5.5/quote.hex",
            ("--event-log", "dstack-simulator-0.5.5/eventlog.json", "--collateral", "near-mpc/collateral.json"),
            NEAR_TIME,
            ["Q3", "C2", "O1"],
        ),
    ],
)
async def test_a_public_fixture_gets_the_verdict_of_its_readme(
    quote: str, more: tuple[str, ...], at: int, expected: list[str]
) -> None:
    paths = [part if part.startswith("--") else str(TEE / part) for part in more]

    _, verdict = await raw(TEE / quote, *paths, at=at)

    assert codes(verdict) == expected
    assert verdict["rung"] == 0, "without a statement nothing is shown of an agent"


async def test_a_running_agent_is_checked_by_its_address(tmp_path: Path) -> None:
    async with running(tmp_path, ["snib"]) as up:
        root = tmp_path / "dev-root.pem"
        await up.say("hello", id="1")
        file = await teehee("verify", up.url, "--dev-root", root, "--nonce", "c0ffee", "--json")
        trusted = await teehee("verify", up.url, "--dev-root", root, "--rung", "2")
        stranger = await teehee("verify", up.url)
        async with httpx.AsyncClient() as http:
            (tmp_path / "b.json").write_bytes((await http.get(f"{up.url}/bundle.json?nonce=c0ffee")).content)
        other = await teehee("verify", tmp_path / "b.json", "--dev-root", root, "--nonce", "abcdef", "--json")

    verdict = json.loads(file.out)
    assert (file.code, verdict["rung"], verdict["trust"], verdict["rejects"]) == (0, 2, "dev", [])
    assert verdict["facts"]["addresses"].keys() == {"evm", "solana"}
    assert trusted.code == 0, trusted.out
    assert "rung 2 (closed), trust: dev" in trusted.out
    assert "the developer whose root signed this" in trusted.out
    assert stranger.code == 5
    assert "D1: signed under a developer's root" in stranger.out
    assert codes(json.loads(other.out)) == ["R2"]


async def test_the_verify_page_says_what_is_stated_and_how_to_check_it(tmp_path: Path) -> None:
    path = tmp_path / "ada.json"
    path.write_text(json.dumps({"name": "Ada <b>&", "bio": ["A machinist."]}))
    async with running(tmp_path / "data", [str(path)]) as up, httpx.AsyncClient() as http:
        page = (await http.get(f"{up.url}/chat/ada-b/verify")).text
        chat = (await http.get(f"{up.url}/chat/ada-b")).text
        bundle = (await http.get(f"{up.url}/chat/ada-b/bundle.json")).json()
        absent = await http.get(f"{up.url}/chat/nobody/verify")

    said = json.loads(bundle["statement"])
    for value in (*said["addresses"].values(), said["compose_hash"], said["package_hash"], said["log_root"]):
        assert value in page
    assert f"teehee verify {up.url}/chat/ada-b --dev-root" in page
    assert "proves nothing by itself" in page
    assert "What it does not show" in page
    assert "<b>" not in page
    assert 'href="/chat/ada-b/verify"' in chat
    assert absent.status_code == 400


async def test_a_changed_character_changes_the_statement(tmp_path: Path) -> None:
    seen, earlier = [], tmp_path / "earlier.json"
    for bio in ("A machinist.", "A lockpicker."):
        path = tmp_path / "ada.json"
        path.write_text(json.dumps({"name": "Ada", "bio": [bio]}))
        since = ("--since", earlier) if earlier.exists() else ()
        root = tmp_path / "data" / "dev-root.pem"
        async with running(tmp_path / "data", [str(path)]) as up, httpx.AsyncClient() as http:
            done = await teehee("verify", up.url, "--dev-root", root, "--json", *since)
            people = await teehee("verify", up.url, "--dev-root", root, *since)
            earlier.write_bytes((await http.get(f"{up.url}/bundle.json")).content)
        seen.append(json.loads(done.out)["facts"])
    changed = json.loads(done.out)["changed"]

    assert seen[0]["package_hash"] != seen[1]["package_hash"]
    assert changed.keys() == {"package_hash", "log_size"}
    assert changed["package_hash"] == [seen[0]["package_hash"], seen[1]["package_hash"]]
    assert f"package hash was {seen[0]['package_hash']}" in people.out
    assert seen[0]["addresses"] == seen[1]["addresses"]
    assert seen[0]["key_id"] == seen[1]["key_id"]


async def test_a_changed_compose_is_named_by_both_hashes(tmp_path: Path) -> None:
    before = Simulator(bytes(32))
    compose = json.loads(before.machine.app_compose) | {"name": "another"}
    after = Simulator(bytes(32), app_compose=json.dumps(compose).encode(), app_id=before.machine.app_id)
    for name, simulator in (("before", before), ("after", after)):
        (tmp_path / name).write_bytes(Machine(simulator).bundle().encode())
    (tmp_path / "root.der").write_bytes(before.root_der)

    done = await teehee(
        "verify", tmp_path / "after", "--since", tmp_path / "before", "--dev-root", tmp_path / "root.der", "--json"
    )

    hashes = [simulator.machine.compose_hash.hex() for simulator in (before, after)]
    assert (done.code, done.json["rung"]) == (0, 2)
    assert done.json["changed"] == {"compose_hash": hashes}


async def test_every_code_is_explained_and_an_unknown_one_names_them() -> None:
    known, unknown = await teehee("verify", "--explain", "c3"), await teehee("verify", "--explain", "Z9")

    assert (known.code, known.out.splitlines()[0]) == (0, "C3: the app-compose lets people in or leaks")
    assert "what to do: " in known.out
    assert unknown.code == 2
    assert "Q1, Q2" in unknown.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "nothing to verify"),
        (("absent.json",), 2, "cannot be read"),
        (("http://127.0.0.1:9/",), 4, "cannot be reached"),
        (("--quote", "absent"), 2, "cannot be read"),
        ((str(NEAR / "app_compose.json"),), 5, "Bundle: expected no key"),
    ],
)
async def test_what_cannot_be_checked_is_a_sentence(words: tuple[str, ...], code: int, says: str) -> None:
    done = await teehee("verify", *words)

    assert (done.code, done.out) == (code, "")
    assert says in done.err


# -- where the guest agent comes from


async def test_an_image_without_a_guest_agent_does_not_start(tmp_path: Path) -> None:
    mark = tmp_path / "image"
    mark.touch()
    plan = plans.make(["wren"], {"data": str(tmp_path / "data")})

    with pytest.raises(ConfigError, match="this image runs only in a TEE") as caught:
        async with guests.met(plan, mark=mark, sockets=[tmp_path / "dstack.sock"]):
            pass

    assert "dstack.sock" in caught.value.hint
    assert not (tmp_path / "data" / "developer-seed").exists()


async def test_a_named_guest_agent_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TeeheeError, match="cannot be reached"):
        async with running(tmp_path, ["wren"], guest=str(tmp_path / "absent.sock")):
            pass


async def test_the_simulator_command_serves_a_whole_run(tmp_path: Path) -> None:
    from teehee.tee.simulator import Simulator

    async with Simulator(bytes(range(32)), era="0.6.0") as simulator:
        endpoint = await simulator.listen(port=0)
        async with running(tmp_path, ["snib"], guest=endpoint) as up:
            told = await up.say("hello", id="1")
            bundle = await up.public.call("bundle", {"agent": up.agent["agent"]})

    assert told["messages"]
    assert bundle["api"] == "v1"
    assert not (tmp_path / "developer-seed").exists()
