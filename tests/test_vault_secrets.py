"""Secrets: kept sealed and versioned, replaced by compare and swap, handed to the gate and to nobody else."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teehee.errors import ConfigError, Refused
from vaults import Vault, config, configure, encodings, on_disk, rule_of, vault_at

CANARY = "sk-canary-5f0c7e"
TOLD = ("gate", "secret.changed", {"name": "ada/MODEL_KEY"})


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with vault_at(tmp_path, config(), secrets={"ada/MODEL_KEY": CANARY}) as one:
        yield one


async def value(vault: Vault, name: str = "ada/MODEL_KEY") -> tuple[int, str]:
    told = await vault.gate("secret.get", {"name": name})
    return told["version"], told["value"]


async def test_the_gate_gets_the_secret_that_the_owner_configured(vault: Vault) -> None:
    assert await value(vault) == (1, CANARY)


async def test_the_owner_replaces_a_secret_under_a_new_version(vault: Vault) -> None:
    told = await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": "another"})

    assert told == {"version": 2, "changed": True, "before": "start"}
    assert await value(vault) == (2, "another")


async def test_the_same_value_keeps_its_version(vault: Vault) -> None:
    told = await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": CANARY})

    assert told == {"version": 1, "changed": False, "before": "start"}
    assert vault.pushed == [TOLD]  # of the start alone


async def test_an_empty_secret_is_a_secret(vault: Vault) -> None:
    await vault.owner("secret.set", {"name": "ada/EMPTY", "value": ""})

    assert await value(vault, "ada/EMPTY") == (1, "")


async def test_the_owner_sees_names_and_no_values(vault: Vault) -> None:
    await vault.owner("secret.set", {"name": "ada/A", "value": CANARY})

    told = (await vault.owner("secret.names"))["secrets"]

    assert [(one["name"], one["version"], one["giver"]) for one in told] == [
        ("ada/A", 1, "owner"), ("ada/MODEL_KEY", 1, "start"),
    ]  # fmt: skip
    assert CANARY not in str(told)


async def test_a_secret_that_nobody_keeps_is_refused(vault: Vault) -> None:
    assert await rule_of(vault.gate("secret.get", {"name": "eve/MODEL_KEY"})) == "secret.unknown"
    assert await rule_of(vault.gate("secret.rotate", {"name": "eve/X", "version": 1, "value": "x"})) == "secret.unknown"


async def test_the_gate_rotates_the_version_that_it_has(vault: Vault) -> None:
    told = await vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 1, "value": "fresh"})

    assert told == {"version": 2}
    assert await value(vault) == (2, "fresh")


async def test_of_two_who_rotate_the_same_version_one_wins(vault: Vault) -> None:
    told = await asyncio.gather(
        vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 1, "value": "first"}),
        vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 1, "value": "second"}),
        return_exceptions=True,
    )

    assert told[0] == {"version": 2}
    assert isinstance(told[1], Refused)
    assert told[1].rule == "secret.version"
    assert await value(vault) == (2, "first")


async def test_the_gate_keeps_a_first_value_where_there_is_none(vault: Vault) -> None:
    told = await asyncio.gather(
        *(vault.gate("secret.rotate", {"name": "ada/FRESH", "version": 0, "value": value}) for value in ("one", "two")),
        return_exceptions=True,
    )

    assert told[0] == {"version": 1}
    assert isinstance(told[1], Refused)
    assert told[1].rule == "secret.version"
    assert await value(vault, "ada/FRESH") == (1, "one")


async def test_version_0_replaces_nothing(vault: Vault) -> None:
    first = {"name": "ada/MODEL_KEY", "version": 0, "value": "mine"}

    assert await rule_of(vault.gate("secret.rotate", first)) == "secret.version"
    assert await value(vault) == (1, CANARY)


async def test_the_gate_is_told_of_every_change_and_never_the_value(vault: Vault) -> None:
    vault.pushed.clear()

    await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": "two"})
    await vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 2, "value": "three"})
    await vault.owner("configure", configure([config()], {"ada/MODEL_KEY": CANARY}))
    await vault.owner("configure", configure([config()], {"ada/MODEL_KEY": CANARY}))

    assert vault.pushed == [TOLD, TOLD, TOLD]


# -- where each comes from


async def giver(vault: Vault, name: str = "ada/MODEL_KEY") -> str:
    known = {one["name"]: one["giver"] for one in (await vault.owner("secret.names"))["secrets"]}
    return str(known[name])


async def test_who_gave_a_secret_is_kept_with_it(vault: Vault) -> None:
    assert await giver(vault) == "start"

    await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": "two"})
    assert await giver(vault) == "owner"

    await vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 2, "value": "three"})
    assert await giver(vault) == "gate"


async def test_a_value_that_a_person_gives_later_was_known_to_a_person(vault: Vault) -> None:
    await vault.gate("secret.rotate", {"name": "ada/FRESH", "version": 0, "value": "seen"})

    told = await vault.owner("secret.set", {"name": "ada/FRESH", "value": "seen"})

    assert told == {"version": 1, "changed": False, "before": "gate"}
    assert await giver(vault, "ada/FRESH") == "owner"
    assert await value(vault, "ada/FRESH") == (1, "seen")


async def test_the_gate_cannot_make_a_persons_value_its_own(vault: Vault) -> None:
    await vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 1, "value": CANARY})

    assert await giver(vault) == "start"


async def test_where_a_secret_comes_from_cannot_be_written_over_in_the_file(vault: Vault) -> None:
    await vault.gate("secret.rotate", {"name": "ada/FRESH", "version": 0, "value": "fresh"})
    vault.core.db.execute(
        "UPDATE secrets SET origin=(SELECT origin FROM secrets WHERE name='ada/FRESH') WHERE name='ada/MODEL_KEY'"
    )

    with pytest.raises(ConfigError, match="a sealed cell of 'secrets' does not open"):
        await giver(vault)


async def test_of_a_secret_from_before_it_is_not_known_who_gave_it(vault: Vault) -> None:
    vault.core.db.execute("UPDATE secrets SET origin=NULL")

    assert await giver(vault) == ""
    await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": CANARY})
    assert await giver(vault) == "owner"


# -- at rest


async def test_secrets_outlive_a_restart(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(), secrets={"ada/MODEL_KEY": CANARY}):
        pass

    async with vault_at(tmp_path, config()) as vault:
        assert await value(vault) == (1, CANARY)


async def test_no_secret_lies_on_the_disk_in_the_clear(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(), secrets={"ada/MODEL_KEY": CANARY}) as vault:
        await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": CANARY + "-2"})
        while_open = on_disk(tmp_path)
    after = on_disk(tmp_path)

    assert b"ada/MODEL_KEY" in while_open
    assert not [form for form in encodings(CANARY.encode()) if form in while_open + after]


async def test_a_cell_moved_to_another_name_does_not_open(vault: Vault) -> None:
    await vault.owner("secret.set", {"name": "ada/OTHER", "value": "harmless"})
    vault.core.db.execute(
        "UPDATE secrets SET sealed=(SELECT sealed FROM secrets WHERE name='ada/MODEL_KEY') WHERE name='ada/OTHER'"
    )

    with pytest.raises(ConfigError, match="a sealed cell of 'secrets' does not open"):
        await value(vault, "ada/OTHER")


async def test_an_older_cell_put_back_does_not_open(vault: Vault) -> None:
    (old,) = vault.core.db.execute("SELECT sealed FROM secrets").fetchone()
    await vault.owner("secret.set", {"name": "ada/MODEL_KEY", "value": "fresh"})
    vault.core.db.execute("UPDATE secrets SET sealed=?", (old,))

    with pytest.raises(ConfigError):
        await value(vault)


async def test_a_data_folder_with_another_seed_gives_no_secret(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(), secrets={"ada/MODEL_KEY": CANARY}):
        pass
    (tmp_path / "developer-seed").write_bytes(b"another seed of thirty-two bytes")

    with contextlib.closing(sqlite3.connect(tmp_path / "vault.db")) as db:
        db.execute("DELETE FROM machine")  # which would refuse the folder before anything is opened
        db.commit()
    async with vault_at(tmp_path) as vault:
        with pytest.raises(ConfigError, match="sealed by another vault"):
            await value(vault)


async def test_a_secret_never_shows_in_an_error(vault: Vault) -> None:
    with pytest.raises(Refused) as caught:
        await vault.gate("secret.rotate", {"name": "ada/MODEL_KEY", "version": 9, "value": CANARY})

    assert CANARY not in str(caught.value)


async def test_a_secret_is_no_row_of_another_table(vault: Vault) -> None:
    effects = await vault.answered("e1", "hello")
    (payload,) = vault.core.db.execute("SELECT payload FROM effects WHERE id=?", (effects[0]["id"],)).fetchone()
    with pytest.raises(sqlite3.IntegrityError):
        vault.core.db.execute("INSERT INTO secrets VALUES ('ada/MODEL_KEY', 1, ?, NULL)", (payload,))
    vault.core.db.execute("INSERT INTO secrets VALUES (?, 1, ?, NULL)", (effects[0]["id"], payload))

    with pytest.raises(ConfigError):
        await value(vault, effects[0]["id"])
