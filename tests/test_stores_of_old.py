"""Data folders of earlier releases: today's code opens each, rehearsed, and goes on where it was left."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from teehee.store.schema import MIGRATIONS as MIND
from teehee.testing import ScriptedModel, running, teehee
from teehee.vault.schema import MIGRATIONS as VAULT
from teehee.wire.client import Client

STORES = Path(__file__).parent / "vectors/stores"
OLD = sorted(path.name for path in STORES.iterdir() if path.is_dir())
NEWEST = {"vault.db": len(VAULT), "mind.db": len(MIND)}


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("old", OLD)
async def test_an_old_folder_is_brought_forward_and_the_talk_goes_on(tmp_path: Path, old: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(STORES / old, folder)
    expected = json.loads((folder / "expected.json").read_text())

    async with ScriptedModel() as model, running(folder, ["wren"], model_url=model.url) as agent:
        told = await agent.say("and today?", id="today", room="main")
        prompt = model.requests[-1]["messages"][-1]["content"]
        async with Client(agent.sockets / "vault-public.sock") as public:
            proof = await public.call(
                "consistency", {"agent": agent.agent["agent"], "old": expected["size"], "new": expected["size"] + 1}
            )
    (log,) = (await teehee("log", "--json", "--data", folder)).json
    deep = await teehee("doctor", "--deep", "--json", "--data", folder)

    assert told["messages"][-1]["text"] == "heard: and today?"
    said = [line for text in expected["said"] for line in (f"you: {text}", f"Wren: heard: {text}")]
    assert set(said) <= set(prompt.splitlines())
    assert proof["proof"]
    assert (log["verified"], log["origin"]) == (True, expected["origin"])
    assert {finding["mark"] for finding in deep.json if finding["about"] in NEWEST} == {"ok"}
    assert {name: version(folder / name) for name in NEWEST} == NEWEST
    for name, was in expected["versions"].items():
        kept = folder / f"{name}.before-{NEWEST[name]}"
        assert kept.exists() == (was < NEWEST[name])
        assert not kept.exists() or version(kept) == was


@pytest.mark.parametrize("old", OLD)
async def test_an_old_log_is_the_beginning_of_the_new_one(tmp_path: Path, old: str) -> None:
    from teehee.evidence import merkle

    folder = tmp_path / "data"
    shutil.copytree(STORES / old, folder)
    expected = json.loads((folder / "expected.json").read_text())

    async with running(folder, ["wren"]) as agent:
        page = await agent.public.call("leaves", {"agent": agent.agent["agent"], "start": 0, "limit": 1000})

    hashes = [merkle.leaf_hash(text.encode()) for text in page["leaves"]]
    assert len(hashes) > expected["size"]
    assert merkle.root(hashes[: expected["size"]]).hex() == expected["root"]


def test_there_is_a_store_of_every_version_that_was_released() -> None:
    assert OLD[0] == "1"
    assert all((STORES / old / "expected.json").exists() for old in OLD)
