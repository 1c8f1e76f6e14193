"""The vault as a real process: what it imports, how it ends, what a kill costs, how fast its owner's brake is."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raw_peer import connected
from teehee.errors import Unavailable
from teehee.evidence import leaf
from teehee.supervisor.children import ENVIRONMENT, CannotStart
from teehee.tee.guest import DeveloperGuest
from teehee.vault.keyring import KeyRing
from vaults import VaultProcess, config, encodings, intents, reply, rule_of, simulated, vault_process, witness

# Runs the launcher as it is, from its own command line, and tells at the end what was imported in that life.
TELL_MODULES = """
import atexit, sys
sys.argv = sys.argv[4:]
atexit.register(lambda: sys.stderr.write("MODULES " + " ".join(sorted(sys.modules)) + "\\n"))
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))
"""
THIRD_PARTY = {"cryptography", "cffi", "_cffi_backend", "_openssl", "coincurve", "_libsecp256k1"}
NEVER = {
    "pickle", "_pickle", "shelve", "dbm", "site", "pydantic", "sqlalchemy", "structlog", "aiohttp", "uvicorn",
    "starlette", "httpx", "requests", "langchain", "numpy", "uvloop", "typer", "rich", "certifi", "http", "xmlrpc",
    "multiprocessing", "ctypes", "msgpack", "yaml",
}  # fmt: skip
OURS = ("commit", "database", "errors", "evidence", "ids", "tee", "vault", "wire")


def kill(vault: VaultProcess) -> None:
    os.kill(vault.child.pid, signal.SIGKILL)


def of(vault: VaultProcess, name: str) -> bytes:
    """What the kernel says of a running vault under this name."""
    return Path(f"/proc/{vault.child.pid}/{name}").read_bytes()


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def store(folder: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(folder / "vault.db")) as db:
        yield db


async def everything(vault: VaultProcess, *, quoting: bool = False) -> None:
    """Does all that a vault can be asked to do, refusals included."""
    (effect,) = await vault.answered("e1", "hello")
    await vault.gate("effect.outcome", {"id": effect["id"], "state": "delivered"})
    await vault.gate("effect.in_room", {"agent": "agent-ada", "room": "room"})
    await vault.gate("secret.rotate", {"name": "ada/KEY", "version": 1, "value": "fresh"})
    await vault.mind("effect.settled", {"effects": [effect["id"]]})
    await vault.public("receipt", {"effect": effect["id"]})
    if quoting:
        await vault.public("statement", {"agent": "agent-ada", "nonce": "00"})
        await vault.public("bundle", {"agent": "agent-ada"})
    await vault.public("consistency", {"agent": "agent-ada", "old": 1, "new": 2})
    await rule_of(vault.submit(reply("e2")))
    async with connected(vault.socket("mind")) as mind:
        await mind.write(b"nonsense\n")
        await mind.answer()
    for method in ("stop", "resume", "secret.names"):
        await vault.owner(method)


# -- what it is made of


async def test_a_vault_imports_nothing_beyond_the_standard_library_and_cryptography(tmp_path: Path) -> None:
    prefix = [sys.executable, "-I", "-S", "-c", TELL_MODULES]
    async with simulated(tmp_path) as (_, guest), vault_process(
        tmp_path, config("Ada"), secrets={"ada/KEY": "k"}, prefix=prefix, guest=guest
    ) as vault:  # fmt: skip
        await everything(vault, quoting=True)
    (told,) = (line for line in vault.log_text().splitlines() if line.startswith("MODULES "))
    modules = told.split()[1:]
    roots = {name.partition(".")[0] for name in modules}

    assert "teehee.vault.server" in modules
    assert roots - sys.stdlib_module_names - {"__main__", "teehee"} <= THIRD_PARTY
    assert not roots & NEVER
    assert {name.split(".")[1] for name in modules if name.startswith("teehee.")} <= set(OURS)


async def test_a_vault_maps_no_library_of_anybody_else(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, guest), vault_process(
        tmp_path, config("Ada"), secrets={"ada/KEY": "k"}, guest=guest
    ) as vault:  # fmt: skip
        await everything(vault, quoting=True)
        mapped = {line.split(maxsplit=5)[5] for line in of(vault, "maps").decode().splitlines() if "/" in line}

    packaged = {Path(path) for path in mapped if "site-packages" in path and ".so" in path}
    assert {path.parts[path.parts.index("site-packages") + 1].split(".")[0] for path in packaged} <= THIRD_PARTY


async def test_nothing_around_a_vault_steers_what_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "x", "LD_PRELOAD": "", "MODEL_KEY": "sk"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "json.py").write_text("raise SystemExit('a planted module was imported')")

    async with vault_process(tmp_path, config("Ada")) as vault:
        environment = of(vault, "environ").rstrip(b"\x00").split(b"\x00")
        line = of(vault, "cmdline").split(b"\x00")
        folder = os.readlink(f"/proc/{vault.child.pid}/cwd")

    assert sorted(environment) == sorted(f"{name}={value}".encode() for name, value in ENVIRONMENT.items())
    assert line[1:3] == [b"-I", b"-S"]
    assert folder == "/"


# -- how it ends


async def test_a_vault_that_is_told_to_stop_leaves_a_clean_store(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada"), secrets={"ada/KEY": "k"}) as vault:
        await everything(vault)
        os.kill(vault.child.pid, signal.SIGTERM)
        code = await vault.child.wait()

    assert code == 0
    assert "Traceback" not in vault.log_text()
    assert not [path for path in vault.folder.sockets.iterdir() if path.name.startswith("vault-")]
    assert not (tmp_path / "vault.db-wal").exists()
    with store(tmp_path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT COUNT(*) FROM effects").fetchone() == (1,)


async def test_a_vault_that_is_told_to_stop_under_load_keeps_all_it_has_promised(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as vault:
        events = [(f"e{number}", f"room {number}") for number in range(400)]
        await asyncio.gather(*(vault.gate("event.witness", witness(event, room=room)) for event, room in events))
        asked = [asyncio.ensure_future(vault.submit(reply(event, room=room))) for event, room in events]
        await asked[0]
        await vault.child.stop(5.0)
        promised = {one.result()[0]["id"] for one in asked if one.done() and not one.exception()}
        await cancelled(asked)

    assert "Traceback" not in vault.log_text()
    with store(tmp_path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert promised <= {effect for (effect,) in db.execute("SELECT id FROM effects")}


async def test_a_vault_ends_with_its_supervisor(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as vault:
        assert vault.child.process is not None
        assert vault.child.process.stdin is not None
        vault.child.process.stdin.close()

        async with asyncio.timeout(5):
            assert await vault.child.wait() == 0


async def test_a_killed_vault_starts_again_with_all_it_has_promised(tmp_path: Path) -> None:
    promised: list[str] = []
    for life in range(3):
        async with vault_process(tmp_path, config("Ada")) as vault:
            for number in range(10):
                event = f"life {life} event {number}"
                promised.append((await vault.answered(event, room=event))[0]["id"])
            kill(vault)
            assert await vault.child.wait() == -signal.SIGKILL

    async with vault_process(tmp_path, config("Ada")) as vault:
        leaves = await vault.verified()
        due = [effect["id"] for effect in (await vault.gate("effect.due"))["effects"]]
        again = await vault.submit(reply("life 0 event 0", room="life 0 event 0"))

    assert intents(leaves) == promised
    assert due == promised
    assert again[0]["id"] == promised[0]
    assert [one.type for one in leaves if one.type in ("genesis", "epoch")] == ["genesis", "epoch", "epoch", "epoch"]


async def test_a_vault_killed_under_load_starts_again_with_all_it_has_promised(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as vault:
        events = [(f"e{number}", f"room {number}") for number in range(400)]
        await asyncio.gather(*(vault.gate("event.witness", witness(event, room=room)) for event, room in events))
        asked = [asyncio.ensure_future(vault.submit(reply(event, room=room))) for event, room in events]
        await asked[0]
        kill(vault)
        await vault.child.wait()
        promised = {one.result()[0]["id"] for one in asked if one.done() and not one.exception()}
        await cancelled(asked)

    async with vault_process(tmp_path, config("Ada")) as vault:
        logged = intents(await vault.verified())
        due = [effect["id"] for effect in (await vault.gate("effect.due"))["effects"]]

    assert promised <= set(logged)
    assert logged == due


async def cancelled(tasks: "list[asyncio.Task[list[object]]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# -- what it says when it cannot start


async def test_a_vault_whose_seed_is_cut_says_so_and_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "developer-seed").write_bytes(b"short")

    with pytest.raises(CannotStart, match="has 5 bytes, expected 32") as caught:
        async with vault_process(tmp_path):
            pass

    assert caught.value.exit_code == 2
    assert "restore it from a backup" in caught.value.hint


async def test_a_vault_whose_store_is_no_database_says_so_and_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "vault.db").write_bytes(b"this is no database, it only has the name" * 100)

    with pytest.raises(CannotStart, match=r"the vault's store '.*' cannot be opened: file is not a database") as caught:
        async with vault_process(tmp_path):
            pass

    assert caught.value.exit_code == 2


# -- the owner's brake


async def test_an_owners_stop_halts_within_a_second_while_the_mind_hangs(tmp_path: Path) -> None:
    """I12: the mind holds a half-written request and thousands of answers it does not read."""
    loop = asyncio.get_running_loop()
    async with vault_process(tmp_path, config("Ada")) as vault, connected(vault.socket("mind")) as hanging:
        await hanging.ask("subscribe")
        for number in range(50):
            await vault.gate("event.witness", witness(f"e{number}", room=f"room {number}"))
        asked = {"agent": "agent-ada", "source": "web", "event": "e"}
        question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "effect.for_event", "params": asked}).encode()
        await hanging.write((question + b"\n") * 500 + b'{"jsonrpc":"2.0","id":2,"method":"effect.su')

        before = loop.time()
        told = await vault.owner("stop")
        rule = await rule_of(vault.submit(reply("e1", room="room 1")))
        took = loop.time() - before
        last = (await vault.verified())[-1]

    assert told == {"changed": ["Ada"]}
    assert rule == "base.stopped"
    assert took < 1.0
    assert isinstance(last, leaf.Stop)
    assert last.by == vault.owner_key.public.hex()


async def test_after_a_resume_the_agent_speaks_again(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as vault:
        await vault.gate("event.witness", witness())
        await vault.owner("stop")
        await rule_of(vault.submit(reply()))
        await vault.owner("resume")
        effects = await vault.submit(reply())
        leaves = await vault.verified()
        told = [method for method, _ in vault.told if method.startswith("agent.")]

    assert len(effects) == 1
    assert [one.type for one in leaves] == ["genesis", "stop", "resume", "intent"]
    assert told == ["agent.stopped", "agent.resumed"]


async def test_a_stop_outlives_a_kill(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as vault:
        await vault.gate("event.witness", witness())
        await vault.owner("stop")
        kill(vault)
        await vault.child.wait()

    async with vault_process(tmp_path, config("Ada")) as vault:
        assert await rule_of(vault.submit(reply())) == "base.stopped"


async def test_a_call_outlives_the_vaults_restart(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as first:
        await first.gate("event.witness", witness())
        waiting = first.links["mind"]
        kill(first)
        await first.child.wait()
        told = asyncio.ensure_future(waiting.call("effect.submit", reply()))
        async with vault_process(tmp_path, config("Ada")) as second:
            (effect,) = (await told)["effects"]
            logged = intents(await second.verified())

    assert logged == [effect["id"]]


async def test_a_vault_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada")) as vault:
        kill(vault)
        await vault.child.wait()

        with pytest.raises(Unavailable, match="vault-mind did not answer"):
            await vault.links["mind"].call("effect.submit", reply(), patience=0.2)


# -- keys


async def test_no_key_is_written_anywhere_but_in_its_own_file(tmp_path: Path) -> None:
    async with vault_process(tmp_path, config("Ada"), secrets={"ada/KEY": "sk-canary-5f0c7e"}) as vault:
        await everything(vault)
        (agent,) = (await vault.public("agents"))["agents"]
        ring = KeyRing(DeveloperGuest(tmp_path / "developer-seed"))
        log_key = await ring.log_key(agent["key_id"])
        secrets = {
            "seed": (tmp_path / "developer-seed").read_bytes(),
            "owner's key": vault.folder.owner_key.read_bytes(),
            "seal root": await ring.seal_root(),
            "log key": log_key.private.private_bytes_raw(),
            "secret": b"sk-canary-5f0c7e",
        }
        written = {path: path.read_bytes() for path in files(tmp_path)}
        written |= {Path(name): of(vault, name) for name in ("environ", "cmdline")}
    written |= {tmp_path / "after" / path.name: path.read_bytes() for path in files(tmp_path)}

    assert log_key.public.hex() == agent["log_key"]
    assert any(agent["log_key"].encode() in content for content in written.values())
    assert {"vault.db", "vault.log", "vault.db-wal"} <= {path.name for path in written}
    allowed = {"seed": {"developer-seed"}, "owner's key": {"owner-key"}}
    for name, secret in secrets.items():
        found = {path.name for path, content in written.items() if any(form in content for form in encodings(secret))}
        assert found == allowed.get(name, set()), f"{name} in {found}"


async def test_the_files_of_a_vault_are_for_its_user_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with vault_process(data, config("Ada")):
        modes = {path.name: path.stat().st_mode & 0o077 for path in (data, data / "run", data / "logs")}
        modes |= {name: (data / name).stat().st_mode & 0o077 for name in ("developer-seed", "owner-key")}

    assert modes == dict.fromkeys(modes, 0)
